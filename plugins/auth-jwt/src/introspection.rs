//! Tokens that say nothing themselves: their issuer is asked (RFC 7662). Its secret goes from the host into the request, unseen here.

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use sluice_sdk::exchange::Facts;
use sluice_sdk::fetch::{self, Place, Request};
use sluice_sdk::json;
use sluice_sdk::log::{self, Level};
use sluice_sdk::secrets::Secret;

use crate::claims::Claims;
use crate::config::{ClientAuth, Introspection};
use crate::issuer::{Issuer, reason, unavailable};
use crate::refused::Refused;

/// A token that is not valid does not become valid: so long nobody is asked about it again.
const INACTIVE_MS: u32 = 60_000;
/// How many tokens that turn out not to be valid one address may have looked up within this time. Valid ones cost nothing: many people
/// may share an address.
const MISSES_MAX: i64 = 50;
const MISSES_MS: u32 = 10_000;

/// An issuer also knows of refresh tokens, which live long and are for nobody but itself.
fn is_access_token(answer: &Claims) -> bool {
    let says = |name: &str, allowed: &[&str]| match answer.0.get(name) {
        None => true,
        Some(said) => said.as_str().is_some_and(|said| allowed.iter().any(|one| one.eq_ignore_ascii_case(said))),
    };
    says("token_use", &["access_token", "access"]) && says("token_type", &["Bearer", "access_token", "N_A"])
}

impl Issuer<'_> {
    /// What this issuer says of a token; nothing if it is not asked about tokens.
    pub(crate) fn introspect(&self, token: &str) -> Option<Result<Claims, Refused>> {
        self.settings.introspection.as_ref().map(|how| self.asked_about(token, how))
    }

    fn asked_about(&self, token: &str, how: &Introspection) -> Result<Claims, Refused> {
        let digest: String = Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect();
        let inactive = format!("inactive/{digest}/{}", self.settings.issuer);
        if self.bucket.get(&inactive).map_err(unavailable)?.is_some() {
            return Err(Refused::Inactive);
        }
        let misses = format!("misses/{}", Facts::attr(self.x, "transport.peer").unwrap_or_default());
        if self.bucket.incr(&misses, 0, MISSES_MS).map_err(unavailable)? >= MISSES_MAX {
            return Err(Refused::Unavailable);
        }
        let answer = self.answer(token, how).map_err(|why| {
            log::write(Level::Warn, "an issuer does not say whether a token is valid", &[("issuer", &self.settings.issuer), ("why", &why)]);
            Refused::Unavailable
        })?;
        if answer.0.get("active") == Some(&Value::Bool(true)) && is_access_token(&answer) {
            return Ok(answer);
        }
        self.bucket.incr(&misses, 1, MISSES_MS).map_err(unavailable)?;
        self.bucket.set(&inactive, b"", Some(INACTIVE_MS)).map_err(unavailable)?;
        Err(Refused::Inactive)
    }

    /// What it answers, as claims: it may leave out that it is itself the issuer, and when the token ends.
    fn answer(&self, token: &str, how: &Introspection) -> Result<Claims, String> {
        let endpoint = match &how.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => self.places().map_err(|why| why.to_string())?.introspection.ok_or("its metadata names no introspection_endpoint")?,
        };
        let secret = Secret::open(&how.secret).map_err(|error| format!("the secret {}: {error:?}", how.secret))?;
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.append_pair("token", token).append_pair("token_type_hint", "access_token");
        let place = match how.auth {
            ClientAuth::Basic => Place::basic(&how.client_id),
            ClientAuth::Post => {
                body.append_pair("client_id", &how.client_id);
                Place::form("client_secret")
            }
        };
        let request = Request::post(&endpoint, body.finish().as_bytes())
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json")
            .within_ms(self.config.fetch_ms);
        let answer = fetch::send(self.x, &request, &[(place, &secret)], &[]).map_err(|error| reason(&endpoint, &error))?;
        if answer.status != 200 {
            return Err(format!("{endpoint}: status {}", answer.status));
        }
        let mut claims = json::object_once(&answer.body).ok_or_else(|| format!("{endpoint}: no JSON object"))?;
        if !claims.get("active").is_some_and(Value::is_boolean) {
            return Err(format!("{endpoint}: it does not say whether the token is active"));
        }
        claims.entry("iss").or_insert_with(|| self.settings.issuer.clone().into());
        claims.entry("exp").or_insert_with(|| (self.now + u64::from(INACTIVE_MS / 1000)).into());
        Ok(Claims(claims))
    }
}
