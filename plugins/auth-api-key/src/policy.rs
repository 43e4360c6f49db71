//! From a credential to a principal.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use sha2::{Digest as _, Sha256};
use sluice_sdk::identity::quoted;
use sluice_sdk::log::{self, Level};
use sluice_sdk::prelude::*;
use sluice_sdk::secrets::{self, Secret, why};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::config::{Config, KeyConfig};
use crate::time;

/// The caller brought no key.
pub const NO_KEY: i32 = 4010;
/// The caller's key is not valid.
pub const BAD_KEY: i32 = 4011;
/// The pepper cannot be used any more, so nobody can say.
pub const CANNOT_SAY: i32 = 5030;

/// How long an answer may be kept. A key that is taken out of the settings stops at once whatever this is, since
/// the host forgets answers with the plugin's generation.
const TTL_MS: u32 = 60_000;

/// Names of claims that say something else already.
const CLAIMS: [&str; 2] = ["key", "role"];

/// All keys, ready to be compared with.
pub struct Keys {
    keys: Vec<Key>,
    digests: Vec<Known>,
    pepper: Option<String>,
    scheme: String,
    prefix: String,
    challenge: String,
}

struct Key {
    principal: Principal,
    id: String,
    not_before: Option<u64>,
    expires: Option<u64>,
    disabled: bool,
}

/// One digest that stands for a key: most have one, and two while they are replaced.
struct Known {
    digest: Digest,
    /// Its place among the keys.
    key: usize,
    /// Where another has taken its place.
    until: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Digest {
    bytes: [u8; 32],
    is_keyed: bool,
}

impl Keys {
    /// Checks what a schema cannot say, and that the pepper may be used.
    pub fn new(config: Config) -> Result<Self, String> {
        if config.keys.is_empty() && config.key_file.is_none() {
            return Err("there are no keys: write some under keys, or say where sluice key keeps them: config_files.key_file".to_string());
        }
        if let Some(name) = &config.pepper {
            Secret::open(name).map_err(|error| format!("pepper: the secret {name:?} cannot be used: {}", why(error)))?;
        }
        let bearer = config.header == "authorization";
        let mut challenge = format!("{} realm={}", if bearer { "Bearer" } else { "ApiKey" }, quoted(&config.realm));
        if let Some(url) = &config.resource_metadata {
            challenge.push_str(&format!(", resource_metadata={}", quoted(url)));
        }
        let scheme = if bearer { "bearer".to_string() } else { format!("header:{}", config.header) };
        let mut all = Keys { keys: Vec::new(), digests: Vec::new(), pepper: config.pepper, scheme, prefix: config.prefix, challenge };
        let (mut ids, mut digests) = (BTreeSet::new(), BTreeSet::new());
        let filed = config.key_file.iter().flat_map(|file| &file.keys).map(|key| (key, true));
        for (key, is_filed) in config.keys.iter().map(|key| (key, false)).chain(filed) {
            if !ids.insert(&key.id) {
                return Err(format!("two keys have the id {}", key.id.escape_debug()));
            }
            let known = all.add(key)?;
            for Known { digest, .. } in &all.digests[known..] {
                if !digests.insert(*digest) {
                    return Err(format!("the key {} is also another's", key.id));
                }
                if is_filed && !key.disabled && all.pepper.is_some() && !digest.is_keyed {
                    // Else who can write the file, and does not know the pepper, could add a key.
                    return Err(format!(
                        "the key {} of the key file is not hashed with the pepper: make it anew with sluice key new --pepper",
                        key.id
                    ));
                }
            }
        }
        Ok(all)
    }

    /// Says where its digests begin.
    fn add(&mut self, config: &KeyConfig) -> Result<usize, String> {
        let (begin, key) = (self.digests.len(), self.keys.len());
        self.keys.push(Key::new(config)?);
        if config.disabled && self.pepper.is_none() && config.hash.starts_with("hmac-sha256:") {
            // Made with a pepper that is not used any more: nobody can show it, and it lets nobody in.
            return Ok(begin);
        }
        self.digests.push(Known { digest: self.digest(&config.id, &config.hash)?, key, until: None });
        if let Some(previous) = &config.previous {
            let until = moment(&config.id, "was replaced as of", Some(&previous.until))?;
            self.digests.push(Known { digest: self.digest(&config.id, &previous.hash)?, key, until });
        }
        Ok(begin)
    }

    fn digest(&self, id: &str, hash: &str) -> Result<Digest, String> {
        let wrong = || format!("a hash of key {id} is not sha256: or hmac-sha256: and 64 hex digits");
        let (kind, hex) = hash.split_once(':').ok_or_else(wrong)?;
        let is_keyed = match kind {
            "sha256" => false,
            "hmac-sha256" if self.pepper.is_none() => {
                return Err(format!("key {id} is hashed with a pepper, and none is named: set pepper"));
            }
            "hmac-sha256" => true,
            _ => return Err(wrong()),
        };
        Ok(Digest { bytes: bytes(hex).ok_or_else(wrong)?, is_keyed })
    }

    /// Says who the caller is. The clock, in seconds since 1970, is read only for a key that has times.
    pub fn identify(&self, credential: &Credential, now: impl Fn() -> u64) -> Outcome {
        if credential.scheme == "none" {
            return self.refuse(NO_KEY, "this endpoint needs an API key", "");
        }
        if credential.scheme != self.scheme || !credential.value.starts_with(&self.prefix) {
            return Outcome::Abstain;
        }
        let keyed = match self.keyed(&credential.value) {
            Ok(keyed) => keyed,
            Err(error) => {
                log::write(Level::Error, "the pepper cannot be used any more", &[("why", &why(error))]);
                return Rejection::new(CANNOT_SAY, "API keys cannot be checked right now; try again")
                    .status(503)
                    .header("retry-after", "2")
                    .into();
            }
        };
        let Some(known) = self.find(&credential.value, keyed) else {
            return self.refuse(BAD_KEY, "this API key is not known", ", error=\"invalid_token\"");
        };
        let key = &self.keys[known.key];
        let lives = [key.expires.map(|at| (at, "has expired")), known.until.map(|at| (at, "was replaced by another"))];
        let now = if key.not_before.is_some() || lives.iter().any(Option::is_some) { now() } else { 0 };
        let over = lives.iter().flatten().find(|(ends, _)| *ends <= now).map(|(_, why)| *why);
        let no = match key {
            Key { disabled: true, .. } => Some("was revoked"),
            Key { not_before: Some(begins), .. } if *begins > now => Some("is not valid yet"),
            _ => over,
        };
        if let Some(no) = no {
            // Somebody goes on using it, or has found it. Only who holds a key is told that there was one.
            log::write(Level::Warn, "a key that is not valid was shown", &[("key", &key.id), ("why", no)]);
            return self.refuse(BAD_KEY, &format!("this API key {no}"), ", error=\"invalid_token\"");
        }
        let mut principal = key.principal.clone();
        for (ends, _) in lives.iter().flatten() {
            let left = u32::try_from((ends - now).saturating_mul(1000)).unwrap_or(TTL_MS);
            principal.ttl_ms = principal.ttl_ms.min(left);
        }
        principal.into()
    }

    fn keyed(&self, value: &str) -> Result<Option<[u8; 32]>, secrets::Error> {
        let Some(name) = &self.pepper else { return Ok(None) };
        let digest = Secret::open(name)?.hmac_sha256(value.as_bytes());
        digest.try_into().map(Some).map_err(|_| secrets::Error::Unsuited("a digest of another length".to_string()))
    }

    /// Looks at every digest, wherever the right one is: how long this takes says nothing about any of them.
    fn find(&self, value: &str, keyed: Option<[u8; 32]>) -> Option<&Known> {
        let plain: [u8; 32] = Sha256::digest(value.as_bytes()).into();
        let keyed = keyed.unwrap_or_default();
        let mut found = 0_u32;
        for (place, Known { digest, .. }) in (1_u32..).zip(&self.digests) {
            let shown = if digest.is_keyed { &keyed } else { &plain };
            let same: Choice = digest.bytes.ct_eq(shown);
            found.conditional_assign(&place, same);
        }
        self.digests.get((found as usize).checked_sub(1)?)
    }

    fn refuse(&self, code: i32, message: &str, why: &str) -> Outcome {
        let challenge = format!("{}{why}", self.challenge);
        Rejection::new(code, message).status(401).header("www-authenticate", &challenge).into()
    }
}

impl Key {
    fn new(config: &KeyConfig) -> Result<Self, String> {
        let id = &config.id;
        let claims = config.claims.iter().flat_map(|(name, value)| [name, value]);
        let said = config.subject.iter().chain(&config.tenant).chain(&config.roles).chain([id]).chain(claims);
        if said.flat_map(|text| text.chars()).any(char::is_control) {
            return Err(format!("key {} has a control character in its id, subject, tenant, roles or claims", id.escape_debug()));
        }
        if let Some(scope) = config.scopes.iter().find(|scope| scope.chars().any(|c| c.is_control() || c == ' ')) {
            return Err(format!("key {id} has the scope {scope:?}: a scope has no spaces"));
        }
        if let Some(name) = config.claims.keys().find(|name| name.is_empty() || CLAIMS.contains(&name.as_str())) {
            return Err(format!("key {id} has a claim {name:?}: roles stand under roles, and key is the plugin's own"));
        }
        let (not_before, expires) =
            (moment(id, "is not valid before", config.not_before.as_ref())?, moment(id, "expires at", config.expires.as_ref())?);
        if let (Some(begins), Some(ends)) = (not_before, expires)
            && ends <= begins
        {
            return Err(format!("key {id} expires before it is valid"));
        }
        let mut principal = Principal::new(config.subject.as_ref().unwrap_or(id), TTL_MS);
        principal.tenant = config.tenant.clone();
        principal.scopes = config.scopes.clone();
        principal.claims.push(("key".to_string(), id.clone()));
        principal.claims.extend(config.roles.iter().map(|role| ("role".to_string(), role.clone())));
        principal.claims.extend(config.claims.iter().map(|(name, value)| (name.clone(), value.clone())));
        Ok(Key { principal, id: id.clone(), not_before, expires, disabled: config.disabled })
    }
}

fn moment(id: &str, what: &str, date: Option<&String>) -> Result<Option<u64>, String> {
    let Some(date) = date else { return Ok(None) };
    match time::unix_seconds(date) {
        None => Err(format!("key {id} {what} {date:?}, which is no RFC 3339 date")),
        known => Ok(known),
    }
}

fn bytes(hex: &str) -> Option<[u8; 32]> {
    let digits: Option<Vec<u8>> = hex.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect();
    let bytes: Vec<u8> = digits?.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    if hex.len() == 64 { bytes.try_into().ok() } else { None }
}
