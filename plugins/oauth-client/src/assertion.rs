//! `private_key_jwt`: a client that signs (RFC 7523, OpenID Connect Core section 9).

use alloc::format;
use alloc::string::String;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use sluice_sdk::secrets::{self, Secret};

use crate::config::{Algorithm, Key};
use crate::problem::{self, Problem};
use crate::random;

/// Long enough for clocks that differ, short enough to be worth nothing later.
const LIFE_S: u64 = 60;

/// An assertion for the server of this name. `now` in seconds since 1970.
pub fn sign(key: &Key, client_id: &str, issuer: &str, now: u64) -> Result<String, Problem> {
    let (name, algorithm) = match key.algorithm {
        Algorithm::ES256 => ("ES256", secrets::Algorithm::Es256),
        Algorithm::RS256 => ("RS256", secrets::Algorithm::Rs256),
        Algorithm::EdDSA => ("EdDSA", secrets::Algorithm::Ed25519),
    };
    let mut header = json!({"alg": name, "typ": "JWT"});
    if let Some(id) = &key.key_id {
        header["kid"] = id.as_str().into();
    }
    // The issuer and not the token endpoint: the name that every server has once.
    let claims = json!({"iss": client_id, "sub": client_id, "aud": issuer, "jti": random::token(), "iat": now, "exp": now + LIFE_S});
    let text = format!("{}.{}", encoded(&header), encoded(&claims));
    let secret = Secret::open(&key.secret).map_err(problem::secret)?;
    let signature = secret.sign(algorithm, text.as_bytes()).map_err(problem::secret)?;
    Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

fn encoded(value: &serde_json::Value) -> String {
    URL_SAFE_NO_PAD.encode(format!("{value}"))
}
