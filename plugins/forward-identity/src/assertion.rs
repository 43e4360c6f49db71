//! An assertion as it is written: a JWT (RFC 7519) in compact form (RFC 7515).

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use sluice_sdk::prelude::*;
use sluice_sdk::secrets::{self, Secret};

use crate::config::Algorithm;

/// `auth-proxy` reads none that is longer.
pub const BYTES_MAX: usize = 8 << 10;
/// What an assertion says besides, or under another name.
pub const OWN: [&str; 13] = ["iss", "aud", "sub", "tenant", "scope", "scopes", "role", "roles", "iat", "exp", "nbf", "jti", "act"];

/// Who is calling, in claims. Those that are told besides are texts, or lists where there are several.
pub fn claims_of(x: &impl Facts, further: &[String]) -> Map<String, Value> {
    let mut claims = Map::new();
    let mut say = |name: &str, value: Value| drop(claims.insert(name.to_string(), value));
    say("sub", x.attr("principal.subject").unwrap_or_default().into());
    if let Some(tenant) = x.attr("principal.tenant") {
        say("tenant", tenant.into());
    }
    if let Some(scopes) = x.attr("principal.scopes") {
        say("scope", scopes.into());
    }
    let words = |name: &str| x.attr(&format!("principal.claim.{name}")).map(|said| said.split('\n').map(Value::from).collect::<Vec<_>>());
    if let Some(roles) = words("role") {
        say("roles", roles.into());
    }
    for name in further {
        if let Some(mut said) = words(name) {
            say(name, if said.len() == 1 { said.remove(0) } else { said.into() });
        }
    }
    claims
}

/// Signs claims with a key that stays where it is.
pub fn sign(key: &Secret, algorithm: Algorithm, claims: Map<String, Value>) -> Result<String, secrets::Error> {
    let (header, algorithm) = match algorithm {
        Algorithm::HS256 => (r#"{"alg":"HS256","typ":"JWT"}"#, secrets::Algorithm::Hs256),
        Algorithm::EdDSA => (r#"{"alg":"EdDSA","typ":"JWT"}"#, secrets::Algorithm::Ed25519),
    };
    let text = format!("{}.{}", encoded(header.as_bytes()), encoded(Value::Object(claims).to_string().as_bytes()));
    let signature = key.sign(algorithm, text.as_bytes())?;
    Ok(format!("{text}.{}", encoded(&signature)))
}

/// Base64url without padding.
pub fn encoded(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
