//! Sluice as an OAuth 2.1 resource server (RFC 6750, 8414, 8707, 9068, 9728): knows callers by their access tokens.
//!
//! In reading order: [`config`] (the settings), [`jws`] (what a token says), [`keys`], `signature` and `issuer` (whom to believe),
//! [`claims`] (whether it is meant for us, and still), `introspection` (tokens that say nothing), `principal` (who that is), [`scopes`]
//! (what they may ask for), `challenge` (what a client hears), `metadata` (where clients look), `refused` (every reason for a no).

pub mod challenge;
pub mod claims;
pub mod config;
mod introspection;
mod issuer;
pub mod jws;
pub mod keys;
mod metadata;
mod policy;
mod principal;
pub mod refused;
pub mod scopes;
mod signature;

use sluice_sdk::prelude::*;

use config::Config;
use policy::Policy;

/// Where clients look for the metadata; with the endpoint's path behind it, too.
pub const METADATA_PATH: &str = "/.well-known/oauth-protected-resource";

/// The plugin.
pub struct AuthJwt(Policy);

impl Plugin for AuthJwt {
    type Config = Config;

    fn manifest() -> Manifest {
        Manifest::new("auth-jwt", env!("CARGO_PKG_VERSION"), "Knows callers by access tokens of OAuth issuers, and tells clients which.")
            .schema(include_str!("../config.schema.json"))
            .route("/.well-known/oauth-protected-resource*", &["GET"])
            .need("fetch", "asks issuers for their keys, and about tokens that say nothing themselves")
            .may_need("secret", "shows an issuer who asks about a token")
            .stateless()
    }

    fn new(config: Config) -> Result<Self, String> {
        Policy::new(config).map(AuthJwt)
    }
}

impl Authenticate for AuthJwt {
    fn authenticate(&self, credential: &Credential, x: &Exchange) -> Outcome {
        self.0.identify(credential, x)
    }
}

impl OnHttp for AuthJwt {
    fn on_http(&self, request: &HttpRequest, _: &Exchange) -> HttpResponse {
        self.0.metadata(&request.path)
    }
}

impl OnRequest for AuthJwt {
    fn on_request(&self, head: &Head, x: &Exchange) -> Verdict {
        self.0.permit(head, x)
    }
}

sluice_sdk::export!(AuthJwt: authenticate, on_http, on_request);
