//! An assertion as it is written (a JWT: RFC 7515 compact, RFC 7519): taken apart, and nothing of it believed yet.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Map, Value};
use sluice_sdk::json;

use crate::refused::Refused;

const BYTES_MAX: usize = 8 << 10;
/// Past it a number is no time, and JSON readers differ about what it is.
const SECONDS_MAX: f64 = (1_u64 << 53) as f64;

/// How it is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// With a shared key.
    Hs256,
    /// With the private key of an Ed25519 pair.
    EdDsa,
}

/// In its parts.
#[derive(Debug)]
pub struct Assertion<'a> {
    /// Of its header, where only this counts. Which key it is, its issuer's keys say.
    pub algorithm: Algorithm,
    /// What it claims.
    pub claims: Claims,
    /// What is signed.
    pub signed: &'a str,
    /// With what.
    pub signature: Vec<u8>,
}

/// The members of an object, each of which stands there once, as does each of those within.
#[derive(Debug)]
pub struct Claims(Map<String, Value>);

/// Takes it apart.
pub fn parse(text: &str) -> Result<Assertion<'_>, Refused> {
    if text.len() > BYTES_MAX {
        return Err(Refused::Malformed);
    }
    let (signed, signature) = text.rsplit_once('.').ok_or(Refused::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(Refused::Malformed)?;
    let header = object(header)?;
    // They change what is signed, or say that something not known here has to be.
    if ["crit", "b64", "zip", "enc"].iter().any(|name| header.0.contains_key(*name)) {
        return Err(Refused::Malformed);
    }
    let algorithm = match header.text("alg").map_err(|_| Refused::Malformed)? {
        Some("HS256") => Algorithm::Hs256,
        Some("EdDSA" | "Ed25519") => Algorithm::EdDsa,
        _ => return Err(Refused::Algorithm),
    };
    // Another kind of token that the same key signs is no word about who is calling.
    let kind = header.text("typ").map_err(|_| Refused::Malformed)?.unwrap_or("JWT");
    if !kind.eq_ignore_ascii_case("jwt") {
        return Err(Refused::Type);
    }
    Ok(Assertion { algorithm, claims: object(claims)?, signed, signature: decoded(signature)? })
}

fn object(part: &str) -> Result<Claims, Refused> {
    json::object_once(&decoded(part)?).map(Claims).ok_or(Refused::Malformed)
}

/// Without padding, line ends and bits left over: an assertion has one spelling.
pub(crate) fn decoded(part: &str) -> Result<Vec<u8>, Refused> {
    BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| Refused::Malformed)
}

impl Claims {
    /// The text of a claim, if it is there.
    pub fn text(&self, name: &'static str) -> Result<Option<&str>, Refused> {
        self.0.get(name).map(|value| value.as_str().ok_or(Refused::Claim(name))).transpose()
    }

    /// A claim that must be there.
    pub fn required(&self, name: &'static str) -> Result<&str, Refused> {
        self.text(name)?.filter(|text| !text.is_empty()).ok_or(Refused::Claim(name))
    }

    /// A time in whole seconds, if it is there.
    pub fn seconds(&self, name: &'static str) -> Result<Option<u64>, Refused> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let seconds = value.as_f64().filter(|seconds| (0.0..SECONDS_MAX).contains(seconds));
        // Cut off, which for an end is the earlier one, and for a beginning within the leeway of a second's clock.
        seconds.map(|seconds| Some(seconds as u64)).ok_or(Refused::Claim(name))
    }

    /// The texts of a claim that is one text or a list of them.
    pub fn texts(&self, name: &'static str) -> Result<Vec<&str>, Refused> {
        match self.0.get(name) {
            None => Ok(Vec::new()),
            Some(Value::String(one)) => Ok(alloc::vec![one]),
            Some(Value::Array(many)) => many.iter().map(|item| item.as_str().ok_or(Refused::Claim(name))).collect(),
            Some(_) => Err(Refused::Claim(name)),
        }
    }

    /// What of any claim is text, numbers and booleans as they are written.
    pub fn words(&self, name: &str) -> Vec<String> {
        let word = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
            _ => None,
        };
        match self.0.get(name) {
            Some(Value::Array(many)) => many.iter().filter_map(word).collect(),
            Some(value) => word(value).into_iter().collect(),
            None => Vec::new(),
        }
    }
}
