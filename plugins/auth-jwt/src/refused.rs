//! Every reason for a no. The texts are fixed: nothing of a token is ever repeated.

use std::fmt;

/// Why a token is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// No JWT, or not written as RFC 7515 and 7519 have it.
    Malformed,
    /// An algorithm that is not allowed; `none` and every one with a shared key are among those.
    Algorithm,
    /// Extensions that must be understood and are not (RFC 7515 §4.1.11).
    Critical,
    /// The kind of token is not an access token.
    Type,
    /// From somebody who is not believed here.
    Issuer,
    /// Its issuer has no such key, or several and the token does not say which.
    Key,
    /// Not signed by that key.
    Signature,
    /// For another resource.
    Audience,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYet,
    /// A claim that is missing, or is not what it has to be.
    Claim(&'static str),
    /// Bound to a key that the caller did not show (RFC 8705, 9449).
    Binding,
    /// Its issuer says that it is not valid (RFC 7662).
    Inactive,
    /// Nobody can say: the issuer does not answer. Not the caller's fault.
    Unavailable,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refused::Malformed => "the access token is malformed",
            Refused::Algorithm => "the access token is signed with an algorithm that is not allowed here",
            Refused::Critical => "the access token has critical extensions that are not known here",
            Refused::Type => "this is not an access token",
            Refused::Issuer => "the issuer of the access token is not trusted here",
            Refused::Key => "the access token is signed with a key that its issuer does not publish",
            Refused::Signature => "the signature of the access token is not valid",
            Refused::Audience => "the access token is for another resource",
            Refused::Expired => "the access token has expired",
            Refused::NotYet => "the access token is not valid yet",
            Refused::Claim(name) => return write!(f, "the claim {name} of the access token is missing or not what it has to be"),
            Refused::Binding => "the access token is bound to a key that was not shown",
            Refused::Inactive => "the access token is not valid any more",
            Refused::Unavailable => "the issuer of the access token cannot be asked right now; try again",
        })
    }
}
