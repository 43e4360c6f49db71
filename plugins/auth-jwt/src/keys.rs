//! The keys of an issuer (RFC 7517), and which of them a token may be signed with.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Map, Value};
use sluice_sdk::json;

use crate::{
    jws::{Algorithm, Token},
    refused::Refused,
    signature::{self, PublicKey},
};

/// Of one issuer. What stands behind them is not looked at.
const KEYS_MAX: usize = 32;
/// Keys of one name, or without any, that are tried for one token.
const TRIES_MAX: usize = 4;
/// Shorter ones can be broken, longer ones are slow to use.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=512;

/// A key that may verify tokens.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Key {
    #[serde(rename = "k")]
    key_id: Option<String>,
    /// If it is for one alone.
    #[serde(rename = "a")]
    algorithm: Option<String>,
    #[serde(flatten)]
    material: Material,
}

/// In base64url, as RFC 7518 §6 and RFC 8037 §2 have it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
enum Material {
    Rsa { n: String, e: String },
    P256 { x: String, y: String },
    Ed25519 { x: String },
}

/// All keys of a key set that may verify tokens; nothing if this is no key set.
pub fn read(set: &[u8]) -> Option<Vec<Key>> {
    let set = json::object_once(set)?;
    let keys = set.get("keys")?.as_array()?;
    Some(keys.iter().filter_map(|key| self::key(key.as_object()?)).take(KEYS_MAX).collect())
}

/// A key for signatures, of a kind and size that is known. A set with shared or private keys in it is a mistake of its issuer's; those
/// are not used.
fn key(said: &Map<String, Value>) -> Option<Key> {
    let text = |name: &str| said.get(name).and_then(Value::as_str);
    let optional = |name: &str| said.get(name).map_or(Some(None), |value| value.as_str().map(Some));
    let is_private = ["d", "p", "q", "k"].iter().any(|name| said.contains_key(*name));
    let signs = optional("use")?.is_none_or(|purpose| purpose == "sig");
    let verifies = said.get("key_ops").is_none_or(|ops| ops.as_array().is_some_and(|ops| ops.iter().any(|op| op == "verify")));
    if is_private || !signs || !verifies {
        return None;
    }
    let sized = |name: &str, bytes: usize| text(name).filter(|value| length(value) == Some(bytes)).map(str::to_string);
    let material = match (text("kty")?, text("crv")) {
        ("RSA", _) => {
            let n = text("n").filter(|n| size(n).is_some_and(|bytes| RSA_BYTES.contains(&bytes)))?;
            Material::Rsa { n: n.to_string(), e: text("e").filter(|e| size(e).is_some())?.to_string() }
        }
        ("EC", Some("P-256")) => Material::P256 { x: sized("x", 32)?, y: sized("y", 32)? },
        ("OKP", Some("Ed25519")) => Material::Ed25519 { x: sized("x", 32)? },
        _ => return None,
    };
    Some(Key { key_id: optional("kid")?.map(str::to_string), algorithm: optional("alg")?.map(str::to_string), material })
}

fn length(base64url: &str) -> Option<usize> {
    BASE64_URL_SAFE_NO_PAD.decode(base64url).ok().map(|bytes| bytes.len())
}

/// Of a number, without the zeros that some issuers put before it.
fn size(base64url: &str) -> Option<usize> {
    BASE64_URL_SAFE_NO_PAD.decode(base64url).ok().map(|bytes| bytes.iter().skip_while(|byte| **byte == 0).count())
}

impl Key {
    /// Kind and algorithm belong together, and a key for one algorithm serves no other.
    fn fits(&self, algorithm: Algorithm) -> bool {
        use Algorithm::{ES256, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
        let is_kind = match self.material {
            Material::Rsa { .. } => matches!(algorithm, RS256 | RS384 | RS512 | PS256 | PS384 | PS512),
            Material::P256 { .. } => algorithm == ES256,
            Material::Ed25519 { .. } => algorithm == EdDSA,
        };
        is_kind && self.algorithm.as_deref().is_none_or(|name| Algorithm::named(name) == Some(algorithm))
    }

    fn verifies(&self, token: &Token<'_>) -> bool {
        let key = match &self.material {
            Material::Rsa { n, e } => PublicKey::Rsa { n, e },
            Material::P256 { x, y } => PublicKey::Ec { x, y },
            Material::Ed25519 { x } => PublicKey::Ed { x },
        };
        signature::verifies(token.header.algorithm, &key, token.signed, token.signature)
    }
}

/// Those that this token may be signed with: of its key's name, or, where it names none, the only one there is for its algorithm.
pub fn candidates<'k>(keys: &'k [Key], token: &Token<'_>) -> Vec<&'k Key> {
    let header = &token.header;
    let fitting = keys.iter().filter(|key| key.fits(header.algorithm));
    match &header.key_id {
        Some(id) => fitting.filter(|key| key.key_id.as_ref() == Some(id)).take(TRIES_MAX).collect(),
        None => Some(fitting.collect()).filter(|only: &Vec<_>| only.len() == 1).unwrap_or_default(),
    }
}

/// Is the token signed by one of these?
pub fn verify(candidates: &[&Key], token: &Token<'_>) -> Result<(), Refused> {
    if candidates.iter().any(|key| key.verifies(token)) { Ok(()) } else { Err(Refused::Signature) }
}
