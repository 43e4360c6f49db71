//! From a header to a principal.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use sluice_sdk::identity::quoted;
use sluice_sdk::kv::Bucket;
use sluice_sdk::log::{self, Level};
use sluice_sdk::prelude::*;

use crate::assertion::{self, Claims};
use crate::config::{Config, Replay};
use crate::hop::Hop;
use crate::refused::Refused;

/// The assertion is not valid.
pub const BAD_ASSERTION: i32 = 4011;
/// Nobody can say just now.
pub const CANNOT_SAY: i32 = 5030;

/// Of what was shown before.
const BUCKET: &str = "spent";
/// The host keeps no answer for longer.
const TTL_MS: u64 = 60_000;
const ID_BYTES_MAX: usize = 128;

/// Who is believed, and how far.
pub struct Policy {
    hops: Vec<Hop>,
    audiences: Vec<String>,
    scheme: String,
    lifetime: u64,
    leeway: u64,
    replay: Replay,
    challenge: String,
}

impl Policy {
    /// Checks what a schema cannot say.
    pub fn new(config: Config) -> Result<Self, String> {
        if config.audiences.is_empty() || config.audiences.iter().any(String::is_empty) {
            return Err(
                "audiences is empty: say what this gateway is called, so that no assertion for another one is good here".to_string()
            );
        }
        if config.hops.is_empty() {
            return Err("hops is empty, so nobody is believed; write one, or leave the plugin out".to_string());
        }
        let mut hops: Vec<Hop> = Vec::with_capacity(config.hops.len());
        for (at, hop) in (1..).zip(config.hops) {
            let hop = Hop::new(hop).map_err(|why| format!("hops, entry {at}: {why}"))?;
            if hops.iter().any(|other| other.issuer == hop.issuer) {
                return Err(format!("hops, entry {at}: another hop is {:?} too", hop.issuer));
            }
            hops.push(hop);
        }
        let bearer = config.header == "authorization";
        let scheme = if bearer { "bearer".to_string() } else { format!("header:{}", config.header) };
        let challenge = format!("{} realm={}, error=\"invalid_token\"", if bearer { "Bearer" } else { "Assertion" }, quoted(&config.realm));
        let (lifetime, leeway, replay) = (config.lifetime_seconds, config.leeway_seconds, config.replay);
        Ok(Policy { hops, audiences: config.audiences, scheme, lifetime, leeway, replay, challenge })
    }

    /// Says who the hop says is calling. The clock is in seconds since 1970.
    pub fn identify(&self, credential: &Credential, x: &impl Facts, now: impl Fn() -> u64) -> Outcome {
        if credential.scheme != self.scheme {
            return Outcome::Abstain;
        }
        match self.believe(&credential.value, x, now) {
            Ok(principal) => principal.into(),
            // Other tokens stand there too, and others know them.
            Err(Refused::Malformed | Refused::Issuer | Refused::Type) if self.scheme == "bearer" => Outcome::Abstain,
            Err(Refused::Unavailable) => {
                Rejection::new(CANNOT_SAY, &Refused::Unavailable.to_string()).status(503).header("retry-after", "2").into()
            }
            Err(why) => Rejection::new(BAD_ASSERTION, &why.to_string()).status(401).header("www-authenticate", &self.challenge).into(),
        }
    }

    fn believe(&self, value: &str, x: &impl Facts, now: impl Fn() -> u64) -> Result<Principal, Refused> {
        let assertion = assertion::parse(value)?;
        let issuer = assertion.claims.required("iss")?;
        let hop = self.hops.iter().find(|hop| hop.issuer == issuer).ok_or(Refused::Issuer)?;
        hop.check(&assertion, x)?;
        // From here on it is the hop that speaks.
        let claims = &assertion.claims;
        let audiences = claims.texts("aud")?;
        if !audiences.iter().any(|audience| self.audiences.iter().any(|ours| ours == audience)) {
            return Err(Refused::Audience);
        }
        let left_ms = self.left_ms(claims, now())?;
        let ttl_ms = if self.replay == Replay::Once { 0 } else { left_ms.min(TTL_MS) };
        let principal = hop.principal(claims, u32::try_from(ttl_ms).unwrap_or(u32::MAX))?;
        if self.replay == Replay::Once {
            // Last: what is refused for another reason is not used up.
            spend(&hop.issuer, claims, left_ms)?;
        }
        Ok(principal)
    }

    /// How long it is good from now on.
    fn left_ms(&self, claims: &Claims, now: u64) -> Result<u64, Refused> {
        let seconds = |name| claims.seconds(name)?.ok_or(Refused::Claim(name));
        let (begins, ends) = (seconds("iat")?, seconds("exp")?);
        if ends <= begins || ends - begins > self.lifetime {
            return Err(Refused::Lifetime);
        }
        let begins = begins.max(claims.seconds("nbf")?.unwrap_or(0));
        if begins > now + self.leeway {
            return Err(Refused::NotYet);
        }
        let left = (ends + self.leeway).saturating_sub(now);
        if left == 0 { Err(Refused::Expired) } else { Ok(left * 1000) }
    }
}

/// Remembers it for as long as it is good, and fails if somebody did before.
fn spend(issuer: &str, claims: &Claims, left_ms: u64) -> Result<(), Refused> {
    let id = claims.required("jti")?;
    if id.len() > ID_BYTES_MAX || id.chars().any(char::is_control) {
        return Err(Refused::Claim("jti"));
    }
    // No issuer has a line feed in its name.
    let key = format!("{issuer}\n{id}");
    // One second more: this clock and the store's need not turn at once.
    let ttl_ms = u32::try_from(left_ms + 1000).unwrap_or(u32::MAX);
    let spent = Bucket::open(BUCKET).and_then(|bucket| bucket.swap(&key, None, b"", Some(ttl_ms)));
    match spent {
        Ok(true) => Ok(()),
        Ok(false) => Err(Refused::Replayed),
        Err(error) => {
            log::write(
                Level::Error,
                "what was shown before cannot be remembered, so nothing is believed",
                &[("why", &format!("{error:?}"))],
            );
            Err(Refused::Unavailable)
        }
    }
}
