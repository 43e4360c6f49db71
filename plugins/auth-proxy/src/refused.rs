//! Every reason for a no. The texts are fixed: nothing of an assertion is ever repeated.

use core::fmt;

/// Why an assertion is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// No JWT.
    Malformed,
    /// An algorithm that is not its hop's; `none` is nobody's.
    Algorithm,
    /// Another kind of token.
    Type,
    /// From a hop that is not known.
    Issuer,
    /// The hop did not show the certificate that it has to show.
    Hop,
    /// Not signed with a key of its hop.
    Signature,
    /// For somebody else.
    Audience,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYet,
    /// It lives longer than one may.
    Lifetime,
    /// It was shown before.
    Replayed,
    /// A claim that is missing, or is not what it has to be.
    Claim(&'static str),
    /// Nobody can say: a key or the memory of what was shown cannot be used. Not the caller's fault.
    Unavailable,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refused::Malformed => "the identity assertion is malformed",
            Refused::Algorithm => "the identity assertion is signed with an algorithm that is not allowed here",
            Refused::Type => "this is not an identity assertion",
            Refused::Issuer => "the issuer of the identity assertion is not trusted here",
            Refused::Hop => "the identity assertion did not come from its issuer",
            Refused::Signature => "the signature of the identity assertion is not valid",
            Refused::Audience => "the identity assertion is for another gateway",
            Refused::Expired => "the identity assertion has expired",
            Refused::NotYet => "the identity assertion is not valid yet",
            Refused::Lifetime => "the identity assertion lives longer than is allowed here",
            Refused::Replayed => "the identity assertion was used before",
            Refused::Claim(name) => return write!(f, "the claim {name} of the identity assertion is missing or not what it has to be"),
            Refused::Unavailable => "identity assertions cannot be checked right now; try again",
        })
    }
}
