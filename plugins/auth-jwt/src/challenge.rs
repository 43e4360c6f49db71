//! What a client hears that is not let in (RFC 6750 §3, RFC 9728 §5.1).

use sluice_sdk::identity::quoted;
use sluice_sdk::prelude::*;

use crate::refused::Refused;

/// The caller brought no token.
pub const NO_TOKEN: i32 = 4010;
/// The caller's token is not valid.
pub const BAD_TOKEN: i32 = 4011;
/// The caller's token is valid, and not enough.
pub const TOO_LITTLE_SCOPE: i32 = 4030;
/// Nobody can say whether the caller's token is valid.
pub const CANNOT_SAY: i32 = 5030;

/// Challenges of one resource.
pub struct Challenge {
    metadata: String,
}

impl Challenge {
    /// With the URL where the metadata is.
    pub fn new(metadata_url: &str) -> Self {
        Challenge { metadata: quoted(metadata_url) }
    }

    /// Nothing was brought, so nothing is wrong with it.
    pub fn for_nothing(&self, scopes: &[String]) -> Rejection {
        let scope = scopes.join(" ");
        self.rejection(NO_TOKEN, 401, "this endpoint needs an access token", "", &scope)
    }

    /// A token that is not taken.
    pub fn for_token(&self, refused: &Refused, scopes: &[String]) -> Rejection {
        let why = refused.to_string();
        if *refused == Refused::Unavailable {
            return Rejection::new(CANNOT_SAY, &why).status(503).header("retry-after", "2");
        }
        let error = format!("error=\"invalid_token\", error_description={}, ", quoted(&why));
        self.rejection(BAD_TOKEN, 401, &why, &error, &scopes.join(" "))
    }

    /// A valid token with too little scope; `scopes` is everything to ask for.
    pub fn for_scope(&self, scopes: &[&str]) -> Rejection {
        let why = "this access token does not allow that";
        let error = format!("error=\"insufficient_scope\", error_description={}, ", quoted(why));
        self.rejection(TOO_LITTLE_SCOPE, 403, why, &error, &scopes.join(" "))
    }

    fn rejection(&self, code: i32, status: u16, message: &str, error: &str, scope: &str) -> Rejection {
        let scope = if scope.is_empty() { String::new() } else { format!(", scope={}", quoted(scope)) };
        let challenge = format!("Bearer {error}resource_metadata={}{scope}", self.metadata);
        Rejection::new(code, message).status(status).header("www-authenticate", &challenge)
    }
}
