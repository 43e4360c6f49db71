//! One connection on its way: from the link that a principal is given to the tokens that come of it. It is found by its link, which only
//! its principal is told, and each of its steps is taken once, in the browser that took the one before.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use sluice_sdk::clock;
use sluice_sdk::kv::Bucket;
use sluice_sdk::prelude::*;

use crate::client::Client;
use crate::config::{Config, SignIn};
use crate::discovery::Discovered;
use crate::problem::{self, Problem};
use crate::random;

/// From the link to the last step.
pub const LIFE_MS: u32 = 10 * 60 * 1000;
const LIFE_S: u64 = LIFE_MS as u64 / 1000;

/// `principal.id` of whoever holds the loopback token, or has started `sluice stdio`: the host's own word, which no authenticator can say.
const LOCAL: &str = "4:host/-/local";

/// For whom a link is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// `principal.id`.
    pub id: String,
    /// What an identity provider would call it.
    pub subject: String,
    /// If there are tenants.
    pub tenant: Option<String>,
    /// Which provider says so, where the principal knows.
    pub issuer: Option<String>,
}

/// What is kept of a connection on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Its own name in the address of its page.
    pub link: String,
    /// The operator's id.
    pub upstream: String,
    /// For whom.
    pub person: Person,
    /// Whose grant, for what.
    pub found: Discovered,
    /// As which client.
    pub client: Client,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// Seconds since 1970.
    pub ends: u64,
    /// Somebody is at the identity provider.
    pub signing_in: Option<Step>,
    /// The browser whose person is the right one: a digest of its cookie.
    pub browser: Option<String>,
    /// The person is at the authorization server.
    pub authorizing: Option<Step>,
}

/// A browser that was sent somewhere and is to come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Digest of the state that it brings back.
    pub state: String,
    /// For PKCE (RFC 7636).
    pub verifier: String,
    /// That the identity token has to repeat (OpenID Connect Core section 3.1.2.1); unused at an authorization server.
    pub nonce: String,
    /// Digest of its cookie.
    pub browser: String,
}

/// A flow as it was read, which is what a change is made against.
pub struct Read {
    /// What it says.
    pub flow: Flow,
    key: String,
    text: Vec<u8>,
}

impl Person {
    /// Who the exchange belongs to.
    pub fn of(x: &Exchange, id: &str) -> Person {
        Person {
            id: id.to_string(),
            subject: x.attr("principal.subject").unwrap_or_default(),
            tenant: x.attr("principal.tenant"),
            issuer: x.attr("principal.claim.iss"),
        }
    }

    /// Whether there is a way for this person to show in a browser who it is. Without one no link is made: whoever it reaches could
    /// finish it.
    pub fn may_sign_in(&self, config: &Config) -> Result<(), Problem> {
        const NO_WAY: &str = "the gateway has no way to tell in a browser whose account is being connected";
        match &config.sign_in {
            Some(SignIn::Local(_)) if self.id == LOCAL => Ok(()),
            Some(SignIn::Local(_)) => Err(Problem::operator(
                NO_WAY,
                "sign_in = \"local\" is for the loopback token's principal; others need sign_in = { issuer, client_id }",
            )),
            Some(SignIn::Provider(provider)) => match (&self.issuer, &self.tenant) {
                (Some(issuer), _) if *issuer != provider.issuer => {
                    Err(Problem::operator(NO_WAY, "sign_in.issuer is another than the one that vouches for this principal"))
                }
                (_, Some(_)) if provider.tenant_claim.is_none() => {
                    Err(Problem::operator(NO_WAY, "principals have tenants, and sign_in has no tenant_claim"))
                }
                _ => Ok(()),
            },
            None => Err(Problem::operator(NO_WAY, "the setting sign_in is missing: \"local\", or { issuer, client_id }")),
        }
    }
}

/// What says which link a principal has open at an upstream.
#[derive(Serialize, Deserialize)]
struct Open {
    link: String,
    issuer: String,
    scopes: Vec<String>,
}

fn open_key(upstream: &str, principal: &str) -> String {
    random::key("open", &[upstream, principal])
}

fn flow_key(link: &str) -> String {
    random::key("flow", &[link])
}

/// The link for this: the one that is open already, or a new one. At most one of an upstream's is open to a principal.
pub fn open(
    bucket: &Bucket,
    upstream: &str,
    person: &Person,
    found: &Discovered,
    client: &Client,
    scopes: &[String],
) -> Result<String, Problem> {
    if let Some(link) = already_open(bucket, upstream, &person.id, &found.server.issuer, scopes)? {
        return Ok(link);
    }
    close(bucket, upstream, &person.id)?;
    let link = random::token();
    let flow = Flow {
        link: link.clone(),
        upstream: upstream.to_string(),
        person: person.clone(),
        found: found.clone(),
        client: client.clone(),
        scopes: scopes.to_vec(),
        ends: clock::unix_seconds() + LIFE_S,
        signing_in: None,
        browser: None,
        authorizing: None,
    };
    let open = Open { link: link.clone(), issuer: found.server.issuer.clone(), scopes: scopes.to_vec() };
    let put = |key: &str, text: serde_json::Result<Vec<u8>>| {
        let text = text.map_err(|error| problem::unwritable(&error))?;
        bucket.set(key, &text, Some(LIFE_MS)).map_err(problem::store)
    };
    put(&flow_key(&link), serde_json::to_vec(&flow))?;
    put(&open_key(upstream, &person.id), serde_json::to_vec(&open))?;
    Ok(link)
}

/// Whether there is a link for this already, so that giving it again is no further try.
pub fn is_open(bucket: &Bucket, upstream: &str, principal: &str, issuer: &str, scopes: &[String]) -> Result<bool, Problem> {
    already_open(bucket, upstream, principal, issuer, scopes).map(|link| link.is_some())
}

fn already_open(bucket: &Bucket, upstream: &str, principal: &str, issuer: &str, scopes: &[String]) -> Result<Option<String>, Problem> {
    let open = read_open(bucket, upstream, principal)?.filter(|open| open.issuer == issuer && open.scopes == scopes);
    match open {
        Some(open) => Ok(find(bucket, &open.link)?.map(|_| open.link)),
        None => Ok(None),
    }
}

fn read_open(bucket: &Bucket, upstream: &str, principal: &str) -> Result<Option<Open>, Problem> {
    let text = bucket.get(&open_key(upstream, principal)).map_err(problem::store)?;
    Ok(text.and_then(|text| serde_json::from_slice(&text).ok()))
}

/// Ends whatever this principal has on its way to the upstream.
fn close(bucket: &Bucket, upstream: &str, principal: &str) -> Result<(), Problem> {
    if let Some(open) = read_open(bucket, upstream, principal)? {
        bucket.delete(&flow_key(&open.link)).map_err(problem::store)?;
        bucket.delete(&open_key(upstream, principal)).map_err(problem::store)?;
    }
    Ok(())
}

/// The flow of a link, while it lasts.
pub fn find(bucket: &Bucket, link: &str) -> Result<Option<Read>, Problem> {
    read(bucket, flow_key(link))
}

/// The flow and the state itself, from what a browser brings back.
pub fn of_state(bucket: &Bucket, state: &str) -> Result<Option<Read>, Problem> {
    match state.split_once('.') {
        Some((name, _)) if name.len() <= 64 => read(bucket, alloc::format!("flow:{name}")),
        _ => Ok(None),
    }
}

fn read(bucket: &Bucket, key: String) -> Result<Option<Read>, Problem> {
    let Some(text) = bucket.get(&key).map_err(problem::store)? else { return Ok(None) };
    let flow = serde_json::from_slice::<Flow>(&text).ok().filter(|flow| clock::unix_seconds() < flow.ends);
    Ok(flow.map(|flow| Read { flow, key, text }))
}

impl Read {
    /// A name of the flow that gives nothing away, for its cookie and its states.
    pub fn name(&self) -> &str {
        self.key.split_once(':').map_or("", |(_, name)| name)
    }

    /// A new step, and the state that its browser is to bring back.
    pub fn step(&self, cookie: &str) -> (Step, String) {
        let state = alloc::format!("{}.{}", self.name(), random::token());
        let step =
            Step { state: random::digest(&state), verifier: random::token(), nonce: random::token(), browser: random::digest(cookie) };
        (step, state)
    }

    /// Takes a step, if nobody took another since this was read.
    pub fn change(&self, bucket: &Bucket, change: impl FnOnce(&mut Flow)) -> Result<bool, Problem> {
        let mut flow = self.flow.clone();
        change(&mut flow);
        let text = serde_json::to_vec(&flow).map_err(|error| problem::unwritable(&error))?;
        let left_ms = flow.ends.saturating_sub(clock::unix_seconds()).saturating_mul(1000).clamp(1, LIFE_MS.into());
        bucket.swap(&self.key, Some(&self.text), &text, Some(left_ms as u32)).map_err(problem::store)
    }

    /// The link is good for nothing any more.
    pub fn burn(&self, bucket: &Bucket) -> Result<(), Problem> {
        bucket.delete(&self.key).map_err(problem::store)?;
        bucket.delete(&open_key(&self.flow.upstream, &self.flow.person.id)).map_err(problem::store)
    }
}
