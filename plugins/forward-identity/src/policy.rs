//! Who is told, and of whom.

use alloc::format;
use alloc::string::{String, ToString};

use sluice_sdk::glob;
use sluice_sdk::log::{self, Level};
use sluice_sdk::outbound::Departs;
use sluice_sdk::prelude::*;
use sluice_sdk::secrets::{self, Secret, why};

use crate::assertion::{self, BYTES_MAX, OWN};
use crate::config::{Config, GatewayConfig};

/// Nobody says who is calling, or nobody whose word is passed on.
pub const NOBODY: i32 = 4014;
/// The operator has to change something, here or there.
pub const OPERATOR: i32 = 5010;

/// Whom a chain that lets strangers in takes for the authority on them.
const UNNAMED: &str = "host-anonymous";

/// The settings, checked.
#[derive(Debug)]
pub struct Policy(Config);

impl Policy {
    /// Checks what a schema cannot say, and that the secrets may be used.
    pub fn new(config: Config) -> Result<Self, String> {
        if config.issuer.is_empty() || config.issuer.chars().any(char::is_control) {
            return Err("issuer says nothing: it is what the gateways that are told call this one".to_string());
        }
        if config.gateways.is_empty() {
            return Err("gateways is empty, so nobody is told; write an entry, or leave the plugin out".to_string());
        }
        if let Some(name) = config.claims.iter().find(|name| OWN.contains(&name.as_str()) || name.chars().any(char::is_control)) {
            return Err(format!("claims: {name:?} is told anyway, or is not to be"));
        }
        for (at, gateway) in (1..).zip(&config.gateways) {
            check(gateway).map_err(|why| format!("gateways, entry {at}: {why}"))?;
            let covers = |before: &GatewayConfig| gateway.upstreams.iter().all(|glob| glob::any(&before.upstreams, glob));
            if let Some(before) = config.gateways[..at - 1].iter().position(covers) {
                return Err(format!(
                    "gateways, entry {at} is never used: entry {} is about all its upstreams already, and the first one counts",
                    before + 1
                ));
            }
        }
        Ok(Policy(config))
    }

    /// What a request leaves with. The clock is in seconds since 1970; the random bytes are nobody's to guess.
    pub fn decide(&self, leaving: &impl Departs, x: &impl Facts, now: impl Fn() -> u64, random: impl Fn() -> [u8; 16]) -> OutboundVerdict {
        let upstream = leaving.upstream();
        let Some(gateway) = self.0.gateways.iter().find(|gateway| glob::any(&gateway.upstreams, &upstream)) else {
            return Headers::new().into();
        };
        // Signed anew it would say the same.
        if let Some(said) = leaving.challenge() {
            return disbelieved(&upstream, said.status).into();
        }
        let authority = x.attr("principal.authority").unwrap_or_default();
        let is_told_of = self.0.authenticators.is_empty() || self.0.authenticators.contains(&authority);
        if authority.is_empty() || authority == UNNAMED || !is_told_of {
            return nobody(&upstream).into();
        }
        match self.word(gateway, x, now(), random()) {
            Ok(word) if word.len() <= BYTES_MAX => Headers::new().text(&self.0.header, &word).into(),
            Ok(_) => too_long(&upstream).into(),
            Err(error) => unusable(&upstream, &gateway.secret, error).into(),
        }
    }

    /// What is said of the caller, good for a while, for one gateway, and once where that one looks.
    fn word(&self, gateway: &GatewayConfig, x: &impl Facts, now: u64, random: [u8; 16]) -> Result<String, secrets::Error> {
        let mut claims = assertion::claims_of(x, &self.0.claims);
        let mut say = |name: &str, value: serde_json::Value| drop(claims.insert(name.to_string(), value));
        say("iss", self.0.issuer.as_str().into());
        say("aud", gateway.audience.as_str().into());
        say("iat", now.into());
        say("exp", (now + self.0.lifetime_seconds).into());
        say("jti", assertion::encoded(&random).into());
        assertion::sign(&Secret::open(&gateway.secret)?, gateway.algorithm, claims)
    }
}

fn check(gateway: &GatewayConfig) -> Result<(), String> {
    if gateway.upstreams.is_empty() || gateway.upstreams.iter().any(String::is_empty) {
        return Err("upstreams names nobody; for all of them say [\"*\"]".to_string());
    }
    if gateway.audience.is_empty() {
        return Err("audience is empty: say what the gateway there is called, so that no other takes what is signed for it".to_string());
    }
    let usable = Secret::open(&gateway.secret).and_then(|key| assertion::sign(&key, gateway.algorithm, serde_json::Map::new()));
    usable.map(drop).map_err(|error| format!("secret: {:?} cannot be used: {}", gateway.secret, why(error)))
}

fn nobody(upstream: &str) -> Rejection {
    let said =
        format!("{upstream} cannot be used: it wants to know who is calling, and this gateway does not know it, or does not tell it");
    Rejection::new(NOBODY, &said)
}

fn disbelieved(upstream: &str, status: u16) -> Rejection {
    let status = status.to_string();
    log::write(Level::Error, "a gateway does not believe who is calling", &[("upstream", upstream), ("status", &status)]);
    let said = format!(
        "{upstream} cannot be used: it does not believe this gateway (HTTP {status}); whoever runs the two has to compare issuer, audience, key and clock"
    );
    Rejection::new(OPERATOR, &said)
}

fn too_long(upstream: &str) -> Rejection {
    log::write(Level::Error, "what there is to say of a caller is more than 8 KiB; carry fewer claims", &[("upstream", upstream)]);
    Rejection::new(OPERATOR, &format!("{upstream} cannot be used: there is more to say about this caller than a request has room for"))
}

fn unusable(upstream: &str, secret: &str, error: secrets::Error) -> Rejection {
    log::write(Level::Error, "a key cannot be used any more", &[("upstream", upstream), ("secret", secret), ("why", &why(error))]);
    let said = format!("{upstream} cannot be used: the gateway may not use the key it signs with; whoever runs it has to change that");
    Rejection::new(OPERATOR, &said)
}
