//! What a request to an upstream leaves with, and what is done when the upstream refuses it.

use alloc::format;
use alloc::string::{String, ToString};

use sluice_sdk::kv::Bucket;
use sluice_sdk::log::{self, Level};
use sluice_sdk::prelude::*;
use sluice_sdk::secrets::{self, Owner, Secret};

use crate::config::{Config, Mode, Upstream};
use crate::exchange;
use crate::problem::{self, Blame, NOBODY, Problem};
use crate::random;
use crate::subject::Who;
use crate::turn;

/// How long a no is remembered: policies and settings do not change by the second, what is away may be back.
const REFUSED_MS: u32 = 30_000;
const AWAY_MS: u32 = 3_000;
/// A token refused so soon after it came is not outdated: it is not wanted.
const NEW_MS: u32 = 10_000;

/// One request on its way.
pub struct Departure<'a> {
    /// The operator's id.
    pub upstream: &'a str,
    /// As configured.
    pub url: &'a str,
    /// The tool whose call it is part of, as the client sees it.
    pub tool: Option<&'a str>,
    /// How the upstream answered it a moment ago: the status.
    pub challenge: Option<u16>,
    /// Whether it was sent with this secret then.
    pub refused: &'a dyn Fn(&Secret) -> bool,
}

/// Why a request does not leave.
#[derive(Debug)]
pub enum Stop {
    /// There is no token.
    Problem(Problem),
    /// A person is to open a page first.
    Ask(Suspension),
    /// For a reason that is no problem of anybody's.
    No(Rejection),
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Stop::Problem(problem)
    }
}

/// The bearer token of one request; none for upstreams that are nothing to this plugin.
pub fn decide(config: &Config, bucket: &Bucket, departure: &Departure<'_>, x: &Exchange) -> Result<Option<Secret>, Stop> {
    let Some(upstream) = config.upstreams.get(departure.upstream) else { return Ok(None) };
    let who = match upstream.is_shared() {
        true => Who::Anybody,
        false => Who::of(x).ok_or_else(|| {
            let said = format!("{} is used as whoever calls, and this call has no name", departure.upstream);
            Stop::No(Rejection::new(NOBODY, &said))
        })?,
    };
    let scopes = upstream.scopes_of(departure.tool).join(" ");
    let key = random::key("token", &[&upstream.fingerprint, departure.upstream, departure.url, who.id(), &scopes]);
    let road = Road { config, bucket, departure, upstream, x, who, key };
    road.token().map(Some)
}

struct Road<'a> {
    config: &'a Config,
    bucket: &'a Bucket,
    departure: &'a Departure<'a>,
    upstream: &'a Upstream,
    x: &'a Exchange,
    who: Who,
    key: String,
}

impl Road<'_> {
    fn token(&self) -> Result<Secret, Stop> {
        match self.departure.challenge {
            None => {}
            Some(403) => {
                let said = "it wants more scope than the gateway asks for";
                let detail = format!("{}: HTTP 403; see scopes and tools of upstreams.{}", self.departure.url, self.departure.upstream);
                return Err(Problem::operator(said, detail).into());
            }
            Some(status) => self.drop_refused(status)?,
        }
        if self.upstream.is_per_call(self.departure.tool) {
            // Nobody else's, so there is nothing to wait for; but who was refused a moment ago is.
            self.remembered()?;
            return self.noted(self.get(false));
        }
        turn::take(self.bucket, &self.key, || self.find(), || self.noted(self.get(true)))
    }

    /// The upstream refuses a token: the one that is kept goes, unless it is another already.
    fn drop_refused(&self, status: u16) -> Result<(), Problem> {
        if self.kept()?.is_some_and(|secret| !(self.departure.refused)(&secret)) {
            return Ok(());
        }
        let is_new = self.upstream.is_per_call(self.departure.tool) || self.bucket.get(&self.new_key()).map_err(problem::store)?.is_some();
        if is_new {
            let said = format!("it refuses the tokens that {} has just issued for it", self.upstream.server);
            return Err(Problem::operator(said, format!("{}: HTTP {status}", self.departure.url)));
        }
        secrets::remove(self.x, self.owner(), &self.key).map_err(problem::secret)
    }

    /// The token that is kept, or why there is none now.
    fn find(&self) -> Result<Option<Secret>, Stop> {
        match self.kept()?.filter(|secret| !(self.departure.refused)(secret)) {
            Some(secret) => Ok(Some(secret)),
            None => self.remembered().map(|()| None),
        }
    }

    fn kept(&self) -> Result<Option<Secret>, Problem> {
        open(self.x, self.owner(), &self.key)
    }

    fn remembered(&self) -> Result<(), Stop> {
        let text = self.bucket.get(&self.failed_key()).map_err(problem::store)?;
        match text.and_then(|text| serde_json::from_slice::<Problem>(&text).ok()) {
            Some(problem) => Err(problem.into()),
            None => Ok(()),
        }
    }

    fn get(&self, is_kept: bool) -> Result<Secret, Stop> {
        let issued = exchange::token(self.config, self.bucket, self.departure, self.upstream, &self.who, self.x)?;
        if is_kept {
            self.bucket.set(&self.new_key(), b"1", Some(NEW_MS)).map_err(problem::store)?;
            if let Err(error) = issued.token.keep(self.x, self.owner(), &self.key, Some(issued.kept_ms)) {
                // It is good for this request all the same.
                log::write(Level::Warn, "a token cannot be kept for the next request", &[("detail", &problem::secret(error).detail)]);
            }
        }
        Ok(issued.token)
    }

    /// Remembers a no.
    fn noted(&self, got: Result<Secret, Stop>) -> Result<Secret, Stop> {
        if let Err(Stop::Problem(problem)) = &got {
            let text = serde_json::to_vec(problem).map_err(|error| problem::unwritable(&error))?;
            let ms = if problem.blame == Blame::Network { AWAY_MS } else { REFUSED_MS };
            self.bucket.set(&self.failed_key(), &text, Some(ms)).map_err(problem::store)?;
        }
        got
    }

    fn owner(&self) -> Owner {
        self.who.owner()
    }

    fn new_key(&self) -> String {
        format!("new-{}", self.key)
    }

    fn failed_key(&self) -> String {
        format!("failed-{}", self.key)
    }
}

/// A secret that is kept; none if it is not, or not any more.
pub fn open(x: &Exchange, owner: Owner, name: &str) -> Result<Option<Secret>, Problem> {
    match secrets::open_own(x, owner, name) {
        Ok(secret) => Ok(Some(secret)),
        Err(secrets::Error::Missing) => Ok(None),
        Err(error) => Err(problem::secret(error)),
    }
}

/// The upstream, as its tokens are to name it (RFC 8693 section 2.1, RFC 8707): by its URL, unless the operator has a name for it.
pub fn resource(upstream: &Upstream, url: &str) -> Option<String> {
    match (&upstream.resource, upstream.mode, &upstream.audience) {
        (Some(resource), _, _) => Some(resource.clone()),
        (None, Mode::Exchange, Some(_)) => None,
        (None, _, _) => Some(url.to_string()),
    }
}
