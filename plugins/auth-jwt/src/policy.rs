//! From a credential to a principal, and from a principal to what it may ask for.

use sluice_sdk::clock;
use sluice_sdk::kv::Bucket;
use sluice_sdk::prelude::*;

use crate::challenge::Challenge;
use crate::claims::{Claims, Expected};
use crate::config::{self, Config};
use crate::issuer::{Issuer, unavailable};
use crate::jws::{self, Algorithm};
use crate::metadata::{self, Documents};
use crate::principal::principal;
use crate::refused::Refused;
use crate::scopes::Scopes;

/// How long an answer may be kept at most.
const TTL_MS: u64 = 60_000;
const BUCKET: &str = "issuers";

/// The settings, ready for use.
pub(crate) struct Policy {
    algorithms: Vec<Algorithm>,
    audiences: Vec<String>,
    types: Vec<String>,
    scopes: Scopes,
    challenge: Challenge,
    documents: Documents,
    config: Config,
}

impl Policy {
    pub(crate) fn new(config: Config) -> Result<Self, String> {
        config.check()?;
        let audiences = if config.audiences.is_empty() { config.resources().cloned().collect() } else { config.audiences.clone() };
        Ok(Policy {
            algorithms: config.signing()?,
            audiences,
            types: config.types.iter().map(|kind| kind.to_ascii_lowercase()).collect(),
            scopes: Scopes::new(&config),
            challenge: Challenge::new(&metadata::url(&config.resource)),
            documents: Documents::new(&config),
            config,
        })
    }

    pub(crate) fn metadata(&self, path: &str) -> HttpResponse {
        self.documents.at(path)
    }

    pub(crate) fn identify(&self, credential: &Credential, x: &Exchange) -> Outcome {
        let base = self.scopes.base();
        match credential.scheme.as_str() {
            "none" => return self.challenge.for_nothing(base).into(),
            "bearer" => {}
            _ => return Outcome::Abstain,
        }
        if self.config.left_prefixes.iter().any(|prefix| credential.value.starts_with(prefix)) {
            return Outcome::Abstain;
        }
        let who = match self.examine(&credential.value, x) {
            Ok(who) => who,
            Err(refused) => return self.challenge.for_token(&refused, base).into(),
        };
        match self.lacks(&who.scopes.iter().map(String::as_str).collect::<Vec<_>>(), &base.iter().map(String::as_str).collect::<Vec<_>>()) {
            Some(no) => no.into(),
            None => who.into(),
        }
    }

    /// A request's scopes, before the server or any stream hears of it. Whoever started `sluice stdio` is the operator.
    pub(crate) fn permit(&self, head: &Head, x: &Exchange) -> Verdict {
        let (method, name) = (head.method.as_str(), head.name.as_deref());
        let mut needed = self.scopes.needed(method, name);
        // What a task says and is told is part of the call that began it.
        if method.starts_with("tasks/") && name.is_some() {
            needed.extend(self.scopes.needed("tools/call", name));
        }
        if needed.is_empty() || x.attr("transport.kind").as_deref() == Some("stdio") {
            return Verdict::Next;
        }
        let granted = x.attr("principal.scopes").unwrap_or_default();
        match self.lacks(&granted.split(' ').filter(|scope| !scope.is_empty()).collect::<Vec<_>>(), &needed) {
            Some(no) => no.into(),
            None => Verdict::Next,
        }
    }

    fn lacks(&self, granted: &[&str], needed: &[&str]) -> Option<Rejection> {
        let is_enough = self.scopes.are_enough(granted, needed);
        (!is_enough).then(|| self.challenge.for_scope(&self.scopes.to_ask_for(granted, needed)))
    }

    fn examine(&self, token: &str, x: &Exchange) -> Result<Principal, Refused> {
        let bucket = Bucket::open(BUCKET).map_err(unavailable)?;
        let now = clock::unix_seconds();
        let issuer = |settings| Issuer { settings, config: &self.config, x, now, bucket: &bucket };
        if !jws::is_jws(token) {
            return self.introspect(token, now, x, issuer);
        }
        let token = jws::parse(token)?;
        if !self.algorithms.contains(&token.header.algorithm) {
            return Err(Refused::Algorithm);
        }
        if !self.types.contains(&token.header.kind) {
            return Err(Refused::Type);
        }
        let named = token.claims.required("iss")?;
        let settings = self.config.issuers.iter().find(|issuer| issuer.issuer == named).ok_or(Refused::Issuer)?;
        issuer(settings).verify(&token)?;
        self.judge(&token.claims, settings, now, x)
    }

    fn introspect<'c>(
        &'c self,
        token: &str,
        now: u64,
        x: &Exchange,
        issuer: impl Fn(&'c config::Issuer) -> Issuer<'c>,
    ) -> Result<Principal, Refused> {
        // One at most: nobody is shown tokens of others.
        let asked = self.config.issuers.iter().find_map(|settings| Some((settings, issuer(settings).introspect(token)?)));
        let (settings, claims) = asked.ok_or(Refused::Malformed)?;
        self.judge(&claims?, settings, now, x)
    }

    /// What is known to come from this issuer: is it for us, and who is it?
    fn judge(&self, claims: &Claims, settings: &config::Issuer, now: u64, x: &Exchange) -> Result<Principal, Refused> {
        let leeway = u64::from(self.config.leeway_s);
        let certificate = x.attr("transport.tls.fingerprint");
        let ends = claims.check(&Expected { issuer: &settings.issuer, audiences: &self.audiences, now, leeway, certificate })?;
        let left_ms = (ends + leeway - now).saturating_mul(1000).min(TTL_MS) as u32;
        principal(claims, settings, self.config.per_client, left_ms)
    }
}
