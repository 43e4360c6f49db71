//! From a credential to a principal.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use sha2::{Digest, Sha256};
use sluice_sdk::identity::quoted;
use sluice_sdk::prelude::*;
use subtle::{ConditionallySelectable, ConstantTimeEq};

use crate::config::{Config, KeyConfig};
use crate::time;

/// The caller brought no key.
pub const NO_KEY: i32 = 4010;
/// The caller's key is not valid.
pub const BAD_KEY: i32 = 4011;

/// How long an answer may be kept. A key that is taken out of the settings stops at once whatever this is, since
/// the host forgets answers with the plugin's generation.
const TTL_MS: u32 = 60_000;

/// All keys, ready to be compared with.
pub struct Keys {
    keys: Vec<Key>,
    scheme: String,
    prefix: String,
    challenge: String,
}

struct Key {
    digest: [u8; 32],
    principal: Principal,
    expires: Option<u64>,
}

impl Keys {
    /// Checks what a schema cannot say.
    pub fn new(config: Config) -> Result<Self, String> {
        let mut ids = BTreeSet::new();
        let mut digests = BTreeSet::new();
        let mut keys = Vec::with_capacity(config.keys.len());
        for key in &config.keys {
            if !ids.insert(&key.id) {
                return Err(format!("two keys have the id {}", key.id));
            }
            let ready = Key::new(key)?;
            if !digests.insert(ready.digest) {
                return Err(format!("the key {} is also another's", key.id));
            }
            keys.push(ready);
        }
        let bearer = config.header == "authorization";
        let mut challenge = format!("{} realm={}", if bearer { "Bearer" } else { "ApiKey" }, quoted(&config.realm));
        if let Some(url) = &config.resource_metadata {
            challenge.push_str(&format!(", resource_metadata={}", quoted(url)));
        }
        let scheme = if bearer { "bearer".to_string() } else { format!("header:{}", config.header) };
        Ok(Keys { keys, scheme, prefix: config.prefix, challenge })
    }

    /// Says who the caller is. The clock, in seconds since 1970, is read only for a key that expires.
    pub fn identify(&self, credential: &Credential, now: impl Fn() -> u64) -> Outcome {
        if credential.scheme == "none" {
            return self.refuse(NO_KEY, "this endpoint needs an API key", "");
        }
        if credential.scheme != self.scheme || !credential.value.starts_with(&self.prefix) {
            return Outcome::Abstain;
        }
        let Some(key) = self.find(&credential.value) else {
            return self.refuse(BAD_KEY, "this API key is not known", ", error=\"invalid_token\"");
        };
        let mut principal = key.principal.clone();
        if let Some(expires) = key.expires {
            let left = expires.saturating_sub(now());
            if left == 0 {
                // Only who holds the key is told that there was one.
                return self.refuse(BAD_KEY, "this API key has expired", ", error=\"invalid_token\"");
            }
            principal.ttl_ms = u32::try_from(left.saturating_mul(1000)).unwrap_or(TTL_MS).min(TTL_MS);
        }
        principal.into()
    }

    /// Looks at every key, wherever the right one is: how long this takes says nothing about any of them.
    fn find(&self, value: &str) -> Option<&Key> {
        let digest: [u8; 32] = Sha256::digest(value.as_bytes()).into();
        let mut found = 0_u32;
        for (place, key) in (1_u32..).zip(&self.keys) {
            found.conditional_assign(&place, key.digest.ct_eq(&digest));
        }
        self.keys.get((found as usize).checked_sub(1)?)
    }

    fn refuse(&self, code: i32, message: &str, why: &str) -> Outcome {
        let challenge = format!("{}{why}", self.challenge);
        Rejection::new(code, message).status(401).header("www-authenticate", &challenge).into()
    }
}

impl Key {
    fn new(config: &KeyConfig) -> Result<Self, String> {
        let id = &config.id;
        let digest = config.hash.strip_prefix("sha256:").and_then(bytes);
        let digest = digest.ok_or_else(|| format!("the hash of key {id} is not sha256: and 64 hex digits"))?;
        let expires = match &config.expires {
            None => None,
            Some(date) => match time::unix_seconds(date) {
                None => return Err(format!("key {id} expires at {date}, which is no RFC 3339 date")),
                known => known,
            },
        };
        let said = config.subject.iter().chain(&config.tenant).chain(&config.roles).chain([id]);
        if said.flat_map(|text| text.chars()).any(char::is_control) {
            return Err(format!("key {} has a control character in its id, subject, tenant or roles", id.escape_debug()));
        }
        if let Some(scope) = config.scopes.iter().find(|scope| scope.chars().any(|c| c.is_control() || c == ' ')) {
            return Err(format!("key {id} has the scope {scope:?}: a scope has no spaces"));
        }
        let mut principal = Principal::new(config.subject.as_ref().unwrap_or(id), TTL_MS);
        principal.tenant = config.tenant.clone();
        principal.scopes = config.scopes.clone();
        principal.claims.push(("key".to_string(), id.clone()));
        principal.claims.extend(config.roles.iter().map(|role| ("role".to_string(), role.clone())));
        Ok(Key { digest, principal, expires })
    }
}

fn bytes(hex: &str) -> Option<[u8; 32]> {
    let digits: Option<Vec<u8>> = hex.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect();
    let bytes: Vec<u8> = digits?.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    if hex.len() == 64 { bytes.try_into().ok() } else { None }
}
