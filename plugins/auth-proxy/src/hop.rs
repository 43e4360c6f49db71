//! One hop in front: whether an assertion is its own, and what it may say of whom.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use sluice_sdk::glob;
use sluice_sdk::log::{self, Level};
use sluice_sdk::prelude::*;
use sluice_sdk::secrets::{Secret, why};
use subtle::ConstantTimeEq;

use crate::assertion::{Algorithm, Assertion, Claims, decoded};
use crate::config::HopConfig;
use crate::refused::Refused;

const TEXT_BYTES_MAX: usize = 512;
/// What the host takes of scopes and claims together, less a bit.
const CLAIMS_BYTES_MAX: usize = 60 << 10;
/// Names of claims that say something else already.
const OWN: [&str; 9] = ["iss", "aud", "exp", "nbf", "iat", "jti", "sub", "role", "roles"];

/// A hop, ready to be held against assertions.
pub struct Hop {
    /// `iss`.
    pub issuer: String,
    keys: Keys,
    certificates: Vec<String>,
    subject_prefix: String,
    tenant: Tenant,
    roles: Vec<String>,
    scopes: Vec<String>,
    claims: Vec<String>,
}

enum Keys {
    /// Names of the operator's secrets.
    Shared(Vec<String>),
    /// Ed25519.
    Public(Vec<[u8; 32]>),
}

enum Tenant {
    /// It speaks for nobody's in particular, and names none.
    None,
    Always(String),
    OneOf(Vec<String>),
}

impl Hop {
    /// Checks what a schema cannot say, and that the secrets may be used.
    pub fn new(config: HopConfig) -> Result<Self, String> {
        let keys = match (config.secrets, config.public_keys) {
            (secrets, keys) if secrets.is_empty() == keys.is_empty() => {
                return Err(
                    "it needs either secrets or public_keys, and not both: else its assertions could be signed in two ways".to_string()
                );
            }
            (secrets, keys) if keys.is_empty() => {
                for name in &secrets {
                    Secret::open(name).map_err(|error| format!("secrets: the secret {name:?} cannot be used: {}", why(error)))?;
                }
                Keys::Shared(secrets)
            }
            (_, keys) => Keys::Public(keys.iter().map(|key| public_key(key)).collect::<Result<_, _>>()?),
        };
        let tenant = match (config.tenant, config.tenants) {
            (Some(_), tenants) if !tenants.is_empty() => return Err("it has a tenant and tenants: keep one of them".to_string()),
            (Some(tenant), _) => Tenant::Always(tenant),
            (None, tenants) if tenants.is_empty() => Tenant::None,
            (None, tenants) => Tenant::OneOf(tenants),
        };
        if let Some(name) = config.claims.iter().find(|name| OWN.contains(&name.as_str()) || has_control(name)) {
            return Err(format!("claims: {name:?} is taken over by itself, or is not to be"));
        }
        let said = [&config.issuer, &config.subject_prefix];
        if said.into_iter().chain(if let Tenant::Always(tenant) = &tenant { Some(tenant) } else { None }).any(|text| has_control(text)) {
            return Err("its issuer, subject_prefix or tenant has a control character".to_string());
        }
        let (certificates, subject_prefix) = (config.certificates, config.subject_prefix);
        let (roles, scopes, claims) = (config.roles, config.scopes, config.claims);
        Ok(Hop { issuer: config.issuer, keys, certificates, subject_prefix, tenant, roles, scopes, claims })
    }

    /// Whether the hop says this: by the certificate it shows, where it has to show one, and by its signature.
    pub fn check(&self, assertion: &Assertion<'_>, x: &impl Facts) -> Result<(), Refused> {
        if !self.certificates.is_empty() {
            let names = x.attr("transport.tls.san").unwrap_or_default();
            if !names.split(' ').any(|name| !name.is_empty() && glob::any(&self.certificates, name)) {
                return Err(Refused::Hop);
            }
        }
        let signs = match (&self.keys, assertion.algorithm) {
            (Keys::Shared(names), Algorithm::Hs256) => self.is_keyed(names, assertion)?,
            (Keys::Public(keys), Algorithm::EdDsa) => {
                keys.iter().any(|key| verifies(key, assertion.signed.as_bytes(), &assertion.signature))
            }
            _ => return Err(Refused::Algorithm),
        };
        if signs { Ok(()) } else { Err(Refused::Signature) }
    }

    /// The digest of every secret is asked for, whichever is the right one.
    fn is_keyed(&self, names: &[String], assertion: &Assertion<'_>) -> Result<bool, Refused> {
        let mut is_one = false;
        for name in names {
            let secret = Secret::open(name).map_err(|error| {
                log::write(Level::Error, "a secret cannot be used any more", &[("secret", name), ("why", &why(error))]);
                Refused::Unavailable
            })?;
            let digest = secret.hmac_sha256(assertion.signed.as_bytes());
            is_one |= bool::from(digest.ct_eq(&assertion.signature));
        }
        Ok(is_one)
    }

    /// Who this is, for `ttl_ms`.
    pub fn principal(&self, claims: &Claims, ttl_ms: u32) -> Result<Principal, Refused> {
        let text = |name: &'static str| claims.required(name).and_then(|text| plain(text, name));
        let mut principal = Principal::new(&format!("{}{}", self.subject_prefix, text("sub")?), ttl_ms);
        principal.tenant = match (&self.tenant, claims.text("tenant")?) {
            (Tenant::None, None) => None,
            (Tenant::Always(ours), said) if said.is_none_or(|said| said == ours) => Some(ours.clone()),
            (Tenant::OneOf(globs), Some(said)) if !said.is_empty() && glob::any(globs, said) => Some(plain(said, "tenant")?.to_string()),
            _ => return Err(Refused::Claim("tenant")),
        };
        for scope in claims.text("scope")?.unwrap_or_default().split(' ').filter(|scope| !scope.is_empty()) {
            // RFC 6749, section 3.3.
            if !scope.bytes().all(|b| matches!(b, b'!' | b'#'..=b'[' | b']'..=b'~')) {
                return Err(Refused::Claim("scope"));
            }
            if glob::any(&self.scopes, scope) {
                principal.scopes.push(scope.to_string());
            }
        }
        let mut said = alloc::vec![("iss".to_string(), self.issuer.clone())];
        for role in claims.texts("roles")? {
            if glob::any(&self.roles, role) {
                said.push(("role".to_string(), plain(role, "roles")?.to_string()));
            }
        }
        for name in &self.claims {
            for word in claims.words(name) {
                said.push((name.clone(), plain(&word, "claims")?.to_string()));
            }
        }
        let bytes: usize = said.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes + principal.scopes.iter().map(String::len).sum::<usize>() > CLAIMS_BYTES_MAX {
            return Err(Refused::Claim("claims"));
        }
        principal.claims = said;
        Ok(principal)
    }
}

/// A line feed tells the values of one claim apart, and no text that people read needs the others.
fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}

fn plain<'t>(text: &'t str, name: &'static str) -> Result<&'t str, Refused> {
    if text.is_empty() || text.len() > TEXT_BYTES_MAX || has_control(text) { Err(Refused::Claim(name)) } else { Ok(text) }
}

fn public_key(written: &str) -> Result<[u8; 32], String> {
    let key: Option<[u8; 32]> = decoded(written).ok().and_then(|key| key.try_into().ok());
    let key = key.filter(is_point);
    key.ok_or_else(|| format!("public_keys: {written:?} is no Ed25519 key: 32 bytes in base64url without padding, as a JWK's x has it"))
}

/// Keys that are no point of the curve, or one of those that anybody can sign for.
#[cfg(target_family = "wasm")]
fn is_point(key: &[u8; 32]) -> bool {
    ed25519_dalek::VerifyingKey::from_bytes(key).is_ok_and(|key| !key.is_weak())
}

/// The component knows; ring tells when it verifies.
#[cfg(not(target_family = "wasm"))]
fn is_point(key: &[u8; 32]) -> bool {
    key.iter().any(|byte| *byte != 0)
}

/// Is this the signature of this text (RFC 8032), in its one spelling?
#[cfg(target_family = "wasm")]
fn verifies(key: &[u8; 32], text: &[u8], signature: &[u8]) -> bool {
    let key = ed25519_dalek::VerifyingKey::from_bytes(key);
    let signature = ed25519_dalek::Signature::from_slice(signature);
    matches!((key, signature), (Ok(key), Ok(signature)) if key.verify_strict(text, &signature).is_ok())
}

/// Is this the signature of this text (RFC 8032)?
#[cfg(not(target_family = "wasm"))]
fn verifies(key: &[u8; 32], text: &[u8], signature: &[u8]) -> bool {
    ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, key).verify(text, signature).is_ok()
}
