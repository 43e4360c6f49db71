//! On whose behalf a token is asked for, and what shows it. A person is shown by a token from a sign-in of theirs at the identity provider;
//! from there on the host keeps it for that principal, and this plugin has a handle.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use sluice_sdk::clock;
use sluice_sdk::kv::Bucket;
use sluice_sdk::log::{self, Level};
use sluice_sdk::prelude::*;
use sluice_sdk::secrets::{self, Owner, Secret};

use crate::config::{Config, Named, Signed, TokenType};
use crate::outbound::{Stop, open};
use crate::problem::{self, DECLINED, Problem};
use crate::random;
use crate::sign_in;
use crate::token::{self, Answer, Form, Refused};
use crate::turn;

/// `principal.authority` of callers without a name: they are somebody else with the next request.
const NAMELESS: &str = "host-anonymous";
/// How long a refresh token is kept that nobody uses.
const REFRESH_KEPT_MS: u32 = 30 * 24 * 3600 * 1000;
/// How long a token is of which nobody says when it ends; its server takes it no longer than it wants to.
const KEPT_MS: u32 = 24 * 3600 * 1000;
/// How long what a page has got waits for its principal to call.
const WAIT_MS: u32 = 3600 * 1000;
/// Who signed in so lately is not asked again: it would be no other token.
const LATELY_MS: u32 = 10 * 60 * 1000;
const EARLY_S: u64 = 30;

/// Whose a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// Everybody's who calls.
    Anybody,
    /// That of the principal of this id.
    Principal(String),
}

impl Who {
    /// Who calls, if that is somebody.
    pub fn of(x: &Exchange) -> Option<Who> {
        if x.attr("principal.authority").as_deref() == Some(NAMELESS) {
            return None;
        }
        x.attr("principal.id").map(Who::Principal)
    }

    /// What tells it from others.
    pub fn id(&self) -> &str {
        match self {
            Who::Anybody => "",
            Who::Principal(id) => id,
        }
    }

    /// Whose the host takes its tokens for.
    pub fn owner(&self) -> Owner {
        match self {
            Who::Anybody => Owner::Plugin,
            Who::Principal(_) => Owner::Principal,
        }
    }
}

/// A principal, and what it has of a sign-in at one provider.
pub struct Person<'a> {
    config: &'a Config,
    bucket: &'a Bucket,
    upstream: &'a str,
    idp: Named<'a>,
    id: &'a str,
    signed: Signed,
    x: &'a Exchange,
    names: Names,
}

/// Where the host keeps the tokens of one sign-in.
#[derive(Debug, Clone)]
pub struct Names(String);

/// What waits for its principal.
#[derive(Serialize, Deserialize)]
struct Arrived {
    name: String,
    /// Seconds since 1970: of the access token.
    ends: Option<u64>,
}

impl Names {
    fn of(idp: Named<'_>, principal: &str) -> Names {
        Names(random::key("person", &[&idp.issuer, &idp.client_id, principal]))
    }

    fn of_signed(&self, signed: Signed) -> String {
        match signed {
            Signed::IdToken => format!("{}.id", self.0),
            Signed::AccessToken => format!("{}.access", self.0),
        }
    }

    fn refresh(&self) -> String {
        format!("{}.refresh", self.0)
    }

    /// Keeps what an answer brings. A refresh token that is not replaced stays (RFC 6749 section 6).
    fn keep(&self, x: &Exchange, owner: Owner, answer: &Answer, most_ms: u32) -> Result<(), Problem> {
        let access_ms = answer.expires_in.map_or(KEPT_MS, lasts_ms);
        let each = [
            (&answer.id_token, self.of_signed(Signed::IdToken), KEPT_MS),
            (&answer.token, self.of_signed(Signed::AccessToken), access_ms),
            (&answer.refresh, self.refresh(), REFRESH_KEPT_MS),
        ];
        for (secret, name, ms) in each {
            if let Some(secret) = secret {
                secret.keep(x, owner, &name, Some(ms.min(most_ms))).map_err(problem::secret)?;
            }
        }
        Ok(())
    }
}

/// How long a token is used that lives so many seconds.
fn lasts_ms(seconds: u64) -> u32 {
    let seconds = seconds.min(u64::from(KEPT_MS) / 1000);
    ((seconds - EARLY_S.min(seconds)) * 1000).max(1) as u32
}

/// Leaves what a page has got for its principal: a page knows none.
pub fn arrive(x: &Exchange, bucket: &Bucket, idp: Named<'_>, principal: &str, answer: &Answer) -> Result<(), Problem> {
    let name = format!("waiting:{}", random::token());
    Names(name.clone()).keep(x, Owner::Plugin, answer, WAIT_MS)?;
    let arrived = Arrived { name, ends: answer.expires_in.map(|seconds| clock::unix_seconds().saturating_add(seconds)) };
    let text = serde_json::to_vec(&arrived).map_err(|error| problem::unwritable(&error))?;
    bucket.set(&arrival(&Names::of(idp, principal)), &text, Some(WAIT_MS)).map_err(problem::store)
}

fn arrival(names: &Names) -> String {
    format!("arrived-{}", names.0)
}

impl<'a> Person<'a> {
    /// The caller, as this provider knows it.
    pub fn new(
        config: &'a Config,
        bucket: &'a Bucket,
        upstream: &'a str,
        idp: &'a str,
        who: &'a Who,
        signed: Signed,
        x: &'a Exchange,
    ) -> Self {
        let (idp, id) = (config.of(idp), who.id());
        Person { config, bucket, upstream, idp, id, signed, x, names: Names::of(idp, id) }
    }

    /// What its token is.
    pub fn kind(&self) -> TokenType {
        match self.signed {
            Signed::IdToken => TokenType::IdToken,
            Signed::AccessToken => TokenType::AccessToken,
        }
    }

    /// A name of a token that gives nothing of it away.
    pub fn mark(&self, token: &Secret) -> Vec<u8> {
        token.hmac_sha256(b"which token is this")
    }

    /// Its token. Without one the caller is asked to sign in.
    pub fn token(&self) -> Result<Secret, Stop> {
        self.take_in()?;
        match self.kept()? {
            Some(token) => Ok(token),
            None => self.newer(None, None),
        }
    }

    fn kept(&self) -> Result<Option<Secret>, Problem> {
        open(self.x, Owner::Principal, &self.names.of_signed(self.signed))
    }

    /// Another than this one, for which the server has this to say. One request at a time asks: at a provider that rotates refresh tokens
    /// two would cost the sign-in.
    pub fn newer(&self, before: Option<&[u8]>, problem: Option<Problem>) -> Result<Secret, Stop> {
        let find = || Ok::<_, Stop>(self.kept()?.filter(|kept| before.is_none_or(|before| self.mark(kept) != before)));
        turn::take(self.bucket, &self.names.0, find, || self.refreshed(problem))
    }

    fn refreshed(&self, problem: Option<Problem>) -> Result<Secret, Stop> {
        let Some(refresh) = open(self.x, Owner::Principal, &self.names.refresh())? else { return self.ask(problem) };
        match token::ask(self.x, self.idp, Form::new("refresh_token").with_secret("refresh_token", refresh)) {
            Ok(answer) => {
                self.names.keep(self.x, Owner::Principal, &answer, u32::MAX)?;
                let token = match self.signed {
                    Signed::IdToken => answer.id_token,
                    Signed::AccessToken => answer.token,
                };
                // OpenID Connect Core section 12.2: there may be none this time.
                token.map_or_else(|| self.ask(problem), Ok)
            }
            Err(Refused::Shown(over)) => {
                log::write(Level::Info, "a refresh token is not good any more", &[("server", self.idp.name), ("detail", &over.detail)]);
                self.ask(problem)
            }
            Err(Refused::Problem(problem)) => Err(problem.into()),
        }
    }

    /// The caller is to sign in, unless that was a moment ago: then this is what the server has against it.
    pub fn ask<T>(&self, problem: Option<Problem>) -> Result<T, Stop> {
        let lately = self.bucket.get(&self.lately()).map_err(problem::store)?.is_some();
        if let Some(problem) = problem.filter(|_| lately) {
            return Err(problem.into());
        }
        if matches!(self.x.elicited("token-exchange"), Some(Elicited::Decline | Elicited::Cancel)) {
            let said = format!("{} is used on your behalf, and signing in was declined", self.upstream);
            return Err(Stop::No(Rejection::new(DECLINED, &said)));
        }
        let page = sign_in::link(self.config, self.bucket, self.idp, self.id, self.x)?;
        for name in [self.names.of_signed(Signed::IdToken), self.names.of_signed(Signed::AccessToken), self.names.refresh()] {
            secrets::remove(self.x, Owner::Principal, &name).map_err(problem::secret)?;
        }
        let message = format!("{} is used on your behalf. Open this page of the gateway to sign in at {}.", self.upstream, self.idp.name);
        Err(Stop::Ask(Suspension::url(&message, &page).within_ms(sign_in::LIFE_MS)))
    }

    /// What has come through the browser, in the place of what there was.
    fn take_in(&self) -> Result<(), Problem> {
        let key = arrival(&self.names);
        let Some(text) = self.bucket.get(&key).map_err(problem::store)? else { return Ok(()) };
        if let Ok(arrived) = serde_json::from_slice::<Arrived>(&text) {
            let waiting = Names(arrived.name);
            let access_ms = arrived.ends.map_or(KEPT_MS, |ends| lasts_ms(ends.saturating_sub(clock::unix_seconds())));
            let each = [
                (waiting.of_signed(Signed::IdToken), self.names.of_signed(Signed::IdToken), KEPT_MS),
                (waiting.of_signed(Signed::AccessToken), self.names.of_signed(Signed::AccessToken), access_ms),
                (waiting.refresh(), self.names.refresh(), REFRESH_KEPT_MS),
            ];
            for (from, to, ms) in each {
                // Two calls of one principal may come here at once: whoever finds the tokens moves them.
                if let Some(secret) = open(self.x, Owner::Plugin, &from)? {
                    secret.keep(self.x, Owner::Principal, &to, Some(ms)).map_err(problem::secret)?;
                    secrets::remove(self.x, Owner::Plugin, &from).map_err(problem::secret)?;
                }
            }
            self.bucket.set(&self.lately(), b"1", Some(LATELY_MS)).map_err(problem::store)?;
        }
        self.bucket.delete(&key).map_err(problem::store)
    }

    fn lately(&self) -> String {
        format!("lately-{}", self.names.0)
    }
}
