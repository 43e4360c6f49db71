//! What a principal, or this host, may do at one upstream: kept by authorization server, upstream and principal, so that nothing of one
//! server is ever shown to another.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use sluice_sdk::clock;
use sluice_sdk::kv::{Bucket, Op, Outcome};
use sluice_sdk::log;
use sluice_sdk::prelude::*;
use sluice_sdk::secrets::{Owner, Secret};

use crate::client::Client;
use crate::discovery::Discovered;
use crate::problem::{self, Problem};
use crate::random;
use crate::token::{self, Answer, Pair, Refused};

/// How long tokens are kept that nobody uses: 30 days.
const KEPT_MS: u32 = 30 * 24 * 3600 * 1000;
/// How long they wait for their principal to call.
const WAIT_MS: u32 = 24 * 3600 * 1000;
/// A token that ends within this is as good as over: it would be on the way when it does.
const EARLY_S: u64 = 30;
/// How long one holder may take to refresh before another tries.
const TURN_MS: u32 = 10_000;
/// How long the others wait for it, and how often they look.
const LOOKS: usize = 30;
const LOOK_MS: u32 = 100;

/// What is known of the tokens that the host keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Who asked for it, which is who may refresh it.
    pub client: Client,
    /// Granted, or what was asked for where the server does not say.
    pub scopes: Vec<String>,
    /// Seconds since 1970; none if the server does not say.
    pub ends: Option<u64>,
    /// There is a refresh token.
    pub refreshes: bool,
    /// Changes with every new token.
    pub generation: u64,
    /// Seconds since 1970.
    pub since: u64,
}

/// Where one grant is kept.
#[derive(Debug)]
pub struct Held {
    key: String,
    owner: Owner,
}

impl Grant {
    /// What an answer brings.
    pub fn new(client: &Client, asked: &[String], answer: &Answer, generation: u64) -> Grant {
        let since = clock::unix_seconds();
        Grant {
            client: client.clone(),
            scopes: answer.scope.as_deref().map_or_else(|| asked.to_vec(), crate::scope::list),
            ends: answer.expires_in.map(|seconds| since.saturating_add(seconds)),
            refreshes: answer.has_refresh,
            generation,
            since,
        }
    }

    /// Whether its token is as good as over.
    pub fn is_over(&self) -> bool {
        self.ends.is_some_and(|ends| clock::unix_seconds() + EARLY_S >= ends)
    }
}

impl Held {
    /// Of one principal at an upstream, from one authorization server.
    pub fn of(issuer: &str, upstream: &str, principal: &str) -> Held {
        Held { key: random::key("grant", &[issuer, upstream, principal]), owner: Owner::Principal }
    }

    /// Of this host itself.
    pub fn of_host(issuer: &str, upstream: &str) -> Held {
        Held { key: random::key("grant", &[issuer, upstream]), owner: Owner::Plugin }
    }

    /// Where the host keeps its tokens.
    pub fn pair(&self) -> Pair {
        Pair { owner: self.owner, name: self.key.clone(), kept_ms: KEPT_MS }
    }

    fn arrival(&self) -> String {
        alloc::format!("new-{}", self.key)
    }

    /// The grant, with one that has just come through the browser in its place. A page knows no principal, so what it brings waits with
    /// the plugin until its principal asks.
    pub fn find(&self, x: &Exchange, bucket: &Bucket) -> Result<Option<Grant>, Problem> {
        let read = bucket.batch(&[Op::get(&self.key), Op::get(&self.arrival())]).map_err(problem::store)?;
        let mut read = read.into_iter().map(|answer| match answer {
            Ok(Outcome::Value(value)) => Ok(value),
            Ok(_) => Ok(None),
            Err(error) => Err(problem::store(error)),
        });
        let (kept, arrived) = (read.next().transpose()?.flatten(), read.next().transpose()?.flatten());
        match arrived.and_then(|text| serde_json::from_slice::<Arrived>(&text).ok()) {
            Some(arrived) => self.take_in(x, bucket, arrived).map(Some),
            None => Ok(kept.and_then(|text| serde_json::from_slice(&text).ok())),
        }
    }

    fn take_in(&self, x: &Exchange, bucket: &Bucket, arrived: Arrived) -> Result<Grant, Problem> {
        let waiting = waiting(arrived.name);
        // Two calls of one principal may come here at once: whoever finds the tokens moves them.
        if waiting.access(x)?.is_some() {
            waiting.hand_over(x, &self.pair())?;
            self.keep(bucket, &arrived.grant)?;
        }
        bucket.delete(&self.arrival()).map_err(problem::store)?;
        Ok(arrived.grant)
    }

    /// What the next grant is numbered.
    pub fn next_generation(&self, bucket: &Bucket) -> Result<u64, Problem> {
        let kept = bucket.get(&self.key).map_err(problem::store)?;
        let kept = kept.and_then(|text| serde_json::from_slice::<Grant>(&text).ok());
        Ok(kept.map_or(1, |grant| grant.generation + 1))
    }

    /// Leaves what a page has got for its principal.
    pub fn arrive(&self, bucket: &Bucket, grant: Grant, waiting: &Pair) -> Result<(), Problem> {
        let text = serde_json::to_vec(&Arrived { grant, name: waiting.name.clone() }).map_err(|error| problem::unwritable(&error))?;
        bucket.set(&self.arrival(), &text, Some(WAIT_MS)).map_err(problem::store)
    }

    /// Keeps what is known of the tokens.
    pub fn keep(&self, bucket: &Bucket, grant: &Grant) -> Result<(), Problem> {
        let text = serde_json::to_vec(grant).map_err(|error| problem::unwritable(&error))?;
        bucket.set(&self.key, &text, Some(KEPT_MS)).map_err(problem::store)
    }

    /// Keeps nothing any more.
    pub fn forget(&self, x: &Exchange, bucket: &Bucket) -> Result<(), Problem> {
        self.pair().forget(x);
        bucket.delete(&self.key).map_err(problem::store)
    }

    /// The access token; none if the host does not keep it any more.
    pub fn access(&self, x: &Exchange) -> Result<Option<Secret>, Problem> {
        self.pair().access(x)
    }

    /// A later grant than this one: from the refresh token, or, where another is at it, what that one got. At a server that rotates, two
    /// at once would cost the grant. None if there is nothing to be had any more.
    pub fn refresh(&self, x: &Exchange, bucket: &Bucket, found: &Discovered, old: &Grant) -> Result<Option<Grant>, Problem> {
        self.in_turn(x, bucket, old.generation, || {
            let Some(secret) = self.pair().refresh(x)? else { return Ok(None) };
            let members = [("grant_type", "refresh_token"), ("resource", found.resource.as_str())];
            match token::ask(x, &found.server, &old.client, &members, Some(secret), &self.pair()) {
                Ok(answer) => {
                    let mut grant = Grant::new(&old.client, &old.scopes, &answer, old.generation + 1);
                    // RFC 6749 section 6: without a new one the old one stays.
                    grant.refreshes = true;
                    Ok(Some(grant))
                }
                Err(Refused::Grant(detail)) => {
                    log::write(log::Level::Info, "a refresh token is not good any more", &[("detail", &detail)]);
                    Ok(None)
                }
                Err(Refused::Problem(problem)) => Err(problem),
            }
        })
    }

    /// A first or further grant of this host's own, one request at a time.
    pub fn renew(
        &self,
        x: &Exchange,
        bucket: &Bucket,
        before: u64,
        ask: impl FnOnce(u64) -> Result<Grant, Problem>,
    ) -> Result<Option<Grant>, Problem> {
        self.in_turn(x, bucket, before, || ask(before + 1).map(Some))
    }

    /// One at a time gets a new grant, and keeps it; the others wait for that.
    fn in_turn(
        &self,
        x: &Exchange,
        bucket: &Bucket,
        before: u64,
        get: impl FnOnce() -> Result<Option<Grant>, Problem>,
    ) -> Result<Option<Grant>, Problem> {
        let (turn, mine) = (alloc::format!("turn-{}", self.key), random::token());
        for look in 0..=LOOKS {
            if let Some(newer) = self.find(x, bucket)?.filter(|grant| grant.generation > before) {
                return Ok(Some(newer));
            }
            if bucket.swap(&turn, None, mine.as_bytes(), Some(TURN_MS)).map_err(problem::store)? {
                let got = match self.find(x, bucket)? {
                    Some(newer) if newer.generation > before => Ok(Some(newer)),
                    _ => get().and_then(|got| {
                        got.as_ref().map_or(Ok(()), |grant| self.keep(bucket, grant))?;
                        Ok(got)
                    }),
                };
                // Only if it is still ours: who took too long must not end another's turn.
                bucket.swap(&turn, Some(mine.as_bytes()), &[], Some(1)).map_err(problem::store)?;
                return got;
            }
            if look < LOOKS {
                clock::sleep_ms(LOOK_MS);
            }
        }
        Err(Problem::network("its token is being renewed, and that takes too long", ""))
    }
}

/// Where tokens wait that a page has got.
pub fn waiting(name: String) -> Pair {
    Pair { owner: Owner::Plugin, name, kept_ms: WAIT_MS }
}

/// What waits for its principal.
#[derive(Serialize, Deserialize)]
struct Arrived {
    grant: Grant,
    name: String,
}
