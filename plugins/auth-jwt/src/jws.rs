//! A token as it is written (RFC 7515, compact): taken apart, and nothing of it believed yet.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Map, Value};
use sluice_sdk::json;

use crate::{claims::Claims, refused::Refused};

/// How tokens may be signed (RFC 7518 §3.1, RFC 8037 §3.1): with private keys only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the algorithms'")]
pub enum Algorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    EdDSA,
}

impl Algorithm {
    const ALL: [(&str, Algorithm); 8] = [
        ("RS256", Algorithm::RS256),
        ("RS384", Algorithm::RS384),
        ("RS512", Algorithm::RS512),
        ("PS256", Algorithm::PS256),
        ("PS384", Algorithm::PS384),
        ("PS512", Algorithm::PS512),
        ("ES256", Algorithm::ES256),
        ("EdDSA", Algorithm::EdDSA),
    ];

    /// By its exact name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm)
    }
}

const TOKEN_BYTES_MAX: usize = 16 << 10;
const KEY_ID_BYTES_MAX: usize = 256;

/// What a header says. Where it says where keys are (`jku`, `x5u`) or brings some (`jwk`, `x5c`), nobody looks.
#[derive(Debug)]
pub struct Header {
    /// One that signs with a private key.
    pub algorithm: Algorithm,
    /// Which of the issuer's keys. Compared, and used for nothing else.
    pub key_id: Option<String>,
    /// `at+jwt`, in lower case and without `application/`; empty if it is not said.
    pub kind: String,
}

/// A token in its parts.
#[derive(Debug)]
pub struct Token<'t> {
    /// How it is signed.
    pub header: Header,
    /// What it claims.
    pub claims: Claims,
    /// What is signed.
    pub signed: &'t str,
    /// The signature, in base64url.
    pub signature: &'t str,
}

/// Looks like a JWT: three parts between dots.
pub fn is_jws(token: &str) -> bool {
    token.split('.').count() == 3
}

/// Takes a token apart.
pub fn parse(token: &str) -> Result<Token<'_>, Refused> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Refused::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(Refused::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(Refused::Malformed)?;
    decoded(signature)?;
    let header = self::header(&object(header)?)?;
    Ok(Token { header, claims: Claims(object(claims)?), signed, signature })
}

fn object(part: &str) -> Result<Map<String, Value>, Refused> {
    json::object_once(&decoded(part)?).ok_or(Refused::Malformed)
}

/// Without padding, line ends and bits left over: a token has one spelling.
fn decoded(part: &str) -> Result<Vec<u8>, Refused> {
    BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| Refused::Malformed)
}

fn header(said: &Map<String, Value>) -> Result<Header, Refused> {
    let text = |name: &str| said.get(name).map(|value| value.as_str().ok_or(Refused::Malformed)).transpose();
    let algorithm = text("alg")?.ok_or(Refused::Malformed)?;
    // `b64` and `zip` change what the payload is, whether `crit` says so or not.
    if ["crit", "b64", "zip", "enc"].iter().any(|name| said.contains_key(*name)) {
        return Err(Refused::Critical);
    }
    let key_id = text("kid")?.map(str::to_string);
    if key_id.as_ref().is_some_and(|id| id.len() > KEY_ID_BYTES_MAX) {
        return Err(Refused::Malformed);
    }
    let kind = text("typ")?.unwrap_or_default().to_ascii_lowercase();
    let kind = kind.strip_prefix("application/").unwrap_or(&kind).to_string();
    Ok(Header { algorithm: Algorithm::named(algorithm).ok_or(Refused::Algorithm)?, key_id, kind })
}
