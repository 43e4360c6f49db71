//! What is known of an issuer, in kv for all instances: where its keys are (RFC 8414, OpenID Connect Discovery) and which (RFC 7517).
//!
//! An issuer is asked at most once in `refetch_s`, whatever tokens say: what came of it, failure included, stands for that long. One
//! instance asks, the others take what they have, or wait for it where they have nothing.

use std::time::Duration;

use sluice_sdk::fetch;
use sluice_sdk::json;
use sluice_sdk::kv::Bucket;
use sluice_sdk::log::{self, Level};
use sluice_sdk::prelude::*;

use crate::config::{self, Config};
use crate::jws::Token;
use crate::keys::{self, Key};
use crate::refused::Refused;

/// Who asks has this long; then another may.
const ASKING_MS: u32 = 6_000;
/// How long an instance with nothing waits for the one that asks, and how often it looks.
const WAIT_MS: u64 = 2_500;
const LOOK_MS: u64 = 50;

/// One issuer, in one hook call.
pub(crate) struct Issuer<'c> {
    pub(crate) settings: &'c config::Issuer,
    pub(crate) config: &'c Config,
    pub(crate) x: &'c Exchange,
    /// Seconds since 1970.
    pub(crate) now: u64,
    pub(crate) bucket: &'c Bucket,
}

/// What is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Known {
    places: Places,
    /// When it said them; 0: never.
    discovered: u64,
    keys: Vec<Key>,
    /// When it gave them; 0: never.
    fetched: u64,
    /// When it was asked last, whatever came of it.
    tried: u64,
    /// It did not answer then.
    failed: bool,
}

/// Of an issuer's metadata.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Places {
    jwks: Option<String>,
    pub(crate) introspection: Option<String>,
}

impl Issuer<'_> {
    /// Is this token signed by this issuer?
    pub(crate) fn verify(&self, token: &Token<'_>) -> Result<(), Refused> {
        let mut known = self.read()?;
        let serves = |known: &Known| self.now < known.fetched + u64::from(self.config.stale_s);
        let has_key = |known: &Known| serves(known) && !keys::candidates(&known.keys, token).is_empty();
        if !has_key(&known) {
            known = self.renewed(known, true)?;
            if !has_key(&known) {
                // A key that is not there is the caller's fault, unless nobody could say.
                return Err(if known.failed || !serves(&known) { Refused::Unavailable } else { Refused::Key });
            }
        } else if self.now >= known.fetched + u64::from(self.config.refresh_s) {
            // With keys that serve, a store that is away or full is no reason to refuse.
            known = self.renewed(known.clone(), false).unwrap_or(known);
        }
        match &keys::candidates(&known.keys, token)[..] {
            // It was there, and its issuer has just taken it away.
            [] => Err(Refused::Key),
            found => keys::verify(found, token),
        }
    }

    /// Where it says that it is, asking it if that was not said yet.
    pub(crate) fn places(&self) -> Result<Places, Refused> {
        let known = self.read()?;
        let known = if known.discovered == 0 { self.renewed(known, true)? } else { known };
        Ok(known.places)
    }

    /// What it says now, if it may be asked.
    fn renewed(&self, known: Known, waits: bool) -> Result<Known, Refused> {
        if self.was_asked(&known) {
            return Ok(known);
        }
        let lock = format!("asking/{}", self.settings.issuer);
        if !self.bucket.swap(&lock, None, b"", Some(ASKING_MS)).map_err(unavailable)? {
            return if waits { self.told_by_another(&known) } else { Ok(known) };
        }
        // Another may have asked and ended between the look and the lock.
        let known = self.read()?;
        let known = if self.was_asked(&known) { known } else { self.asked(known)? };
        self.bucket.delete(&lock).map_err(unavailable)?;
        Ok(known)
    }

    fn was_asked(&self, known: &Known) -> bool {
        known.tried != 0 && self.now < known.tried + u64::from(self.config.refetch_s)
    }

    fn told_by_another(&self, before: &Known) -> Result<Known, Refused> {
        for _ in 0..WAIT_MS / LOOK_MS {
            pause(Duration::from_millis(LOOK_MS));
            let known = self.read()?;
            if known != *before {
                return Ok(known);
            }
        }
        Err(Refused::Unavailable)
    }

    /// Asks, and keeps what came of it.
    fn asked(&self, mut known: Known) -> Result<Known, Refused> {
        known.tried = self.now;
        known.failed = false;
        if let Err(why) = self.ask(&mut known) {
            known.failed = true;
            log::write(
                Level::Warn,
                "an issuer of access tokens does not say what its keys are",
                &[("issuer", &self.settings.issuer), ("why", &why)],
            );
        }
        let kept = serde_json::to_vec(&known).map_err(|_| Refused::Unavailable)?;
        self.bucket.set(&self.place(), &kept, None).map_err(unavailable)?;
        Ok(known)
    }

    fn ask(&self, known: &mut Known) -> Result<(), String> {
        let told = match &self.settings.jwks_uri {
            Some(_) if self.settings.introspection.as_ref().is_none_or(|how| how.endpoint.is_some()) => true,
            _ => known.discovered != 0 && self.now < known.discovered + u64::from(self.config.refresh_s),
        };
        if !told {
            known.places = self.discover()?;
            known.discovered = self.now;
        }
        let Some(uri) = self.settings.jwks_uri.as_ref().or(known.places.jwks.as_ref()) else {
            // It has tokens that say nothing, and no keys.
            (known.keys, known.fetched) = (Vec::new(), self.now);
            return Ok(());
        };
        let set = self.get(uri)?.ok_or_else(|| format!("there is nothing at {uri}"))?;
        known.keys = keys::read(&set).ok_or_else(|| format!("what is at {uri} is no key set"))?;
        known.fetched = self.now;
        Ok(())
    }

    fn discover(&self) -> Result<Places, String> {
        for uri in metadata_urls(&self.settings.issuer) {
            let Some(document) = self.get(&uri)? else { continue };
            let document = json::object_once(&document).ok_or_else(|| format!("what is at {uri} is no JSON object"))?;
            let text = |name: &str| document.get(name).and_then(serde_json::Value::as_str);
            if text("issuer") != Some(self.settings.issuer.as_str()) {
                return Err(format!("what is at {uri} is another issuer's"));
            }
            let is_plain = self.settings.issuer.starts_with("http://");
            let place = |name: &str| match text(name) {
                Some(url) if url.starts_with("https://") || (is_plain && url.starts_with("http://")) => Ok(Some(url.to_string())),
                Some(_) => Err(format!("{name} at {uri} is no https URL")),
                None => Ok(None),
            };
            return Ok(Places { jwks: place("jwks_uri")?, introspection: place("introspection_endpoint")? });
        }
        Err("it has no metadata at any of the places of RFC 8414 and OpenID Connect".to_string())
    }

    /// A document; nothing if there is none.
    fn get(&self, url: &str) -> Result<Option<Vec<u8>>, String> {
        let request = fetch::Request::get(url).header("accept", "application/json").within_ms(self.config.fetch_ms);
        match fetch::send(self.x, &request, &[], &[]) {
            Ok(answer) if answer.status == 200 => Ok(Some(answer.body)),
            Ok(_) => Ok(None),
            Err(error) => Err(reason(url, &error)),
        }
    }

    fn read(&self) -> Result<Known, Refused> {
        let kept = self.bucket.get(&self.place()).map_err(unavailable)?;
        // What an earlier version kept in another shape is asked for again.
        Ok(kept.and_then(|kept| serde_json::from_slice(&kept).ok()).unwrap_or_default())
    }

    /// With where its keys are, if the operator says so: keys from a place that is no longer theirs are nobody's.
    fn place(&self) -> String {
        format!("issuer/{}/{}", self.settings.jwks_uri.as_deref().unwrap_or_default(), self.settings.issuer)
    }
}

/// Where an issuer's metadata may be, the first first.
fn metadata_urls(issuer: &str) -> Vec<String> {
    let issuer = issuer.strip_suffix('/').unwrap_or(issuer);
    let start = issuer.find("://").map_or(0, |at| at + 3);
    let (origin, path) = issuer[start..].find('/').map_or((issuer, ""), |at| issuer.split_at(start + at));
    let mut urls = vec![
        format!("{origin}/.well-known/oauth-authorization-server{path}"),
        format!("{origin}/.well-known/openid-configuration{path}"),
        format!("{issuer}/.well-known/openid-configuration"),
    ];
    urls.dedup();
    urls
}

/// What came of a request that had no answer, for the operator.
pub(crate) fn reason(url: &str, error: &fetch::Error) -> String {
    match error {
        fetch::Error::Denied(why) | fetch::Error::Unreachable(why) => format!("{url}: {why}"),
        fetch::Error::Timeout => format!("{url}: no answer in time"),
        fetch::Error::TooLarge => format!("{url}: the answer is too long"),
    }
}

pub(crate) fn unavailable(error: sluice_sdk::kv::Error) -> Refused {
    log::write(Level::Warn, "what is known of issuers cannot be read", &[("why", &format!("{error:?}"))]);
    Refused::Unavailable
}

/// In a component this waits in the host; a test's clock goes on instead.
fn pause(time: Duration) {
    #[cfg(target_family = "wasm")]
    std::thread::sleep(time);
    #[cfg(not(target_family = "wasm"))]
    sluice_sdk::testing::advance_ms(time.as_millis() as u64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_looked_for_where_the_specifications_have_it() {
        assert_eq!(
            metadata_urls("https://h/t"),
            [
                "https://h/.well-known/oauth-authorization-server/t",
                "https://h/.well-known/openid-configuration/t",
                "https://h/t/.well-known/openid-configuration"
            ]
        );
        for root in ["https://h", "https://h/"] {
            assert_eq!(
                metadata_urls(root),
                ["https://h/.well-known/oauth-authorization-server", "https://h/.well-known/openid-configuration"]
            );
        }
    }
}
