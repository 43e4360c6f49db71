//! What a request to an upstream leaves with, and what is done when the upstream wants something else.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use sluice_sdk::clock;
use sluice_sdk::kv::Bucket;
use sluice_sdk::prelude::*;
use sluice_sdk::secrets::Secret;

use crate::challenge::Demand;
use crate::client::Client;
use crate::config::{Config, Header, Mode, Upstream};
use crate::discovery::{self, Discovered};
use crate::flow;
use crate::grant::{Grant, Held};
use crate::problem::{self, DECLINED, NOBODY, Problem};
use crate::random;
use crate::scope;
use crate::token::{self, Refused};

/// `principal.authority` of callers whom the host let in without a name.
const NAMELESS: &str = "host-anonymous";
/// How often more scope is asked for the same operation, and fresh tokens are refused, before it is given up.
const TRIES_MAX: u8 = 2;
/// How long that is remembered.
const MEMORY_MS: u32 = 10 * 60 * 1000;
/// How long a refusal of this host's own credentials is remembered: they do not get better by the second.
const REFUSED_MS: u32 = 30_000;
/// A token refused so soon after it came is not outdated: it is not wanted.
const FRESH_S: u64 = 10;

/// One request on its way.
pub struct Departure<'a> {
    /// The operator's id.
    pub upstream: &'a str,
    /// As configured.
    pub url: &'a str,
    /// What it does there, so that failures are remembered for this and not for everything.
    pub operation: &'a str,
    /// How the upstream answered it a moment ago.
    pub challenge: Option<Challenge>,
    /// Whether it was sent with this secret then.
    pub refused: &'a dyn Fn(&Secret) -> bool,
}

/// An upstream's no.
pub struct Challenge {
    /// 401 or 403.
    pub status: u16,
    /// What it wants.
    pub demand: Demand,
}

/// What becomes of the request.
#[derive(Debug)]
pub enum Decision {
    /// It leaves as it is.
    Bare,
    /// It leaves with a header of this name: this text, and the secret behind it.
    With(String, String, Secret),
    /// It does not leave.
    Reject(Rejection),
    /// A person is to open a page.
    Suspend(Suspension),
}

impl Decision {
    fn bearer(secret: Secret) -> Decision {
        Decision::With("authorization".to_string(), "Bearer ".to_string(), secret)
    }
}

/// Decides on one request.
pub fn decide(config: &Config, bucket: &Bucket, departure: &Departure<'_>, x: &Exchange) -> Decision {
    let Some(upstream) = config.upstreams.get(departure.upstream) else { return Decision::Bare };
    let road = Road { config, bucket, departure, upstream, x };
    let decided = match (upstream.mode, &upstream.header) {
        (Mode::Header, Some(header)) => road.header(header),
        (Mode::ClientCredentials, _) => road.as_this_host(),
        _ => road.as_the_caller(),
    };
    decided.unwrap_or_else(|problem| Decision::Reject(problem.reject(departure.upstream)))
}

struct Road<'a> {
    config: &'a Config,
    bucket: &'a Bucket,
    departure: &'a Departure<'a>,
    upstream: &'a Upstream,
    x: &'a Exchange,
}

impl Road<'_> {
    fn header(&self, header: &Header) -> Result<Decision, Problem> {
        if self.departure.challenge.is_some() {
            return Err(Problem::operator("it refuses the credential that the gateway has for it", self.departure.url));
        }
        let secret = Secret::open(&header.secret).map_err(problem::secret)?;
        Ok(Decision::With(header.name.clone(), header.prefix.clone(), secret))
    }

    // ---- as this host ----

    fn as_this_host(&self) -> Result<Decision, Problem> {
        let failed = random::key("failed", &[self.departure.upstream]);
        if self.bucket.get(&failed).map_err(problem::store)?.is_some() {
            return Err(Problem::operator("its authorization server refused the gateway a moment ago", self.departure.url));
        }
        let decided = match &self.departure.challenge {
            None => self.host_token(),
            Some(challenge) => self.host_challenged(challenge),
        };
        if let Err(Problem { blame: problem::Blame::Operator, .. }) = &decided {
            self.bucket.set(&failed, b"1", Some(REFUSED_MS)).map_err(problem::store)?;
        }
        decided
    }

    /// What is known from before; an upstream that is asked for the first time says itself what it wants.
    fn host_token(&self) -> Result<Decision, Problem> {
        let Some(found) = self.known()? else { return Ok(Decision::Bare) };
        let held = Held::of_host(&found.server.issuer, self.departure.upstream);
        match held.find(self.x, self.bucket)? {
            Some(grant) => match self.usable(&held, &grant)? {
                Some(secret) => Ok(Decision::bearer(secret)),
                None => self.host_asks(&held, &found, grant.generation, &grant.scopes),
            },
            None => self.host_asks(&held, &found, 0, &scope::choose(None, &self.upstream.scopes, &found.scopes)),
        }
    }

    fn host_challenged(&self, challenge: &Challenge) -> Result<Decision, Problem> {
        let found = self.found(challenge)?;
        let held = Held::of_host(&found.server.issuer, self.departure.upstream);
        let challenged = challenge.demand.scope.as_deref();
        let Some(grant) = held.find(self.x, self.bucket)? else {
            return self.host_asks(&held, &found, 0, &scope::choose(challenged, &self.upstream.scopes, &found.scopes));
        };
        if let Some(newer) = self.not_refused(&held, &grant)? {
            return Ok(newer);
        }
        let wanted = match challenged {
            Some(text) => scope::union(&grant.scopes, text.split(' ')),
            None => grant.scopes.clone(),
        };
        let is_pointless = wanted == grant.scopes && clock::unix_seconds() < grant.since + FRESH_S;
        if is_pointless || !self.may_try(challenged)? {
            return Err(Problem::operator("it refuses the tokens that the gateway gets for it", format!("HTTP {}", challenge.status)));
        }
        self.host_asks(&held, &found, grant.generation, &wanted)
    }

    fn host_asks(&self, held: &Held, found: &Discovered, before: u64, scopes: &[String]) -> Result<Decision, Problem> {
        let client = Client::at(self.x, self.bucket, self.config, self.upstream, &found.server)?;
        let renewed = held.renew(self.x, self.bucket, before, |generation| {
            let scope = scopes.join(" ");
            let mut members = Vec::from([("grant_type", "client_credentials"), ("resource", found.resource.as_str())]);
            if !scope.is_empty() {
                members.push(("scope", &scope));
            }
            match token::ask(self.x, &found.server, &client, &members, None, &held.pair()) {
                Ok(answer) => Ok(Grant::new(&client, scopes, &answer, generation)),
                Err(Refused::Grant(detail)) => Err(Problem::operator("its authorization server refuses the gateway", detail)),
                Err(Refused::Problem(problem)) => Err(problem),
            }
        })?;
        let secret = renewed.map_or(Ok(None), |_| held.access(self.x))?;
        let secret = secret.ok_or_else(|| Problem::network("its token is gone as soon as it came", ""))?;
        Ok(Decision::bearer(secret))
    }

    // ---- as the caller ----

    fn as_the_caller(&self) -> Result<Decision, Problem> {
        // Somebody else with the next request, so no token could be found again.
        let is_nameless = self.x.attr("principal.authority").as_deref() == Some(NAMELESS);
        let Some(principal) = self.x.attr("principal.id").filter(|_| !is_nameless) else {
            return Ok(Decision::Reject(Rejection::new(
                NOBODY,
                &format!("{} is used as whoever calls, and this call has no name", self.departure.upstream),
            )));
        };
        match &self.departure.challenge {
            None => self.callers_token(&principal),
            Some(challenge) => self.caller_challenged(&principal, challenge),
        }
    }

    fn callers_token(&self, principal: &str) -> Result<Decision, Problem> {
        let Some(found) = self.known()? else { return Ok(Decision::Bare) };
        let held = Held::of(&found.server.issuer, self.departure.upstream, principal);
        let Some(grant) = held.find(self.x, self.bucket)? else { return Ok(Decision::Bare) };
        if let Some(secret) = self.usable(&held, &grant)? {
            return Ok(Decision::bearer(secret));
        }
        // Without a token the upstream says what it wants now.
        Ok(self.refreshed(&held, &found, &grant)?.unwrap_or(Decision::Bare))
    }

    fn caller_challenged(&self, principal: &str, challenge: &Challenge) -> Result<Decision, Problem> {
        let found = self.found(challenge)?;
        let held = Held::of(&found.server.issuer, self.departure.upstream, principal);
        let challenged = challenge.demand.scope.as_deref();
        let Some(grant) = held.find(self.x, self.bucket)? else {
            return self.connect(principal, &found, scope::choose(challenged, &self.upstream.scopes, &found.scopes));
        };
        if let Some(newer) = self.not_refused(&held, &grant)? {
            return Ok(newer);
        }
        if challenge.status == 403 {
            return self.step_up(principal, &found, &grant, challenged);
        }
        let is_fresh = clock::unix_seconds() < grant.since + FRESH_S;
        if !is_fresh && let Some(decision) = self.refreshed(&held, &found, &grant)? {
            return Ok(decision);
        }
        if !self.may_try(None)? {
            return Err(Problem::server("it refuses the tokens that its authorization server has just issued", self.departure.url));
        }
        held.forget(self.x, self.bucket)?;
        let wanted = challenged.map_or_else(|| grant.scopes.clone(), |text| scope::union(&grant.scopes, text.split(' ')));
        self.connect(principal, &found, wanted)
    }

    /// The grant stays: it is good for everything else.
    fn step_up(&self, principal: &str, found: &Discovered, grant: &Grant, challenged: Option<&str>) -> Result<Decision, Problem> {
        let wanted = scope::union(&grant.scopes, challenged.unwrap_or_default().split(' '));
        if !flow::is_open(self.bucket, self.departure.upstream, principal, &found.server.issuer, &wanted)? && !self.may_try(challenged)? {
            return Err(Problem::server("it goes on asking for more scope than its authorization server grants", self.departure.url));
        }
        self.connect(principal, found, wanted)
    }

    fn refreshed(&self, held: &Held, found: &Discovered, grant: &Grant) -> Result<Option<Decision>, Problem> {
        if !grant.refreshes {
            return Ok(None);
        }
        match held.refresh(self.x, self.bucket, found, grant)? {
            Some(_) => Ok(held.access(self.x)?.map(Decision::bearer)),
            None => {
                held.forget(self.x, self.bucket)?;
                Ok(None)
            }
        }
    }

    /// Asks the person behind the client to open the connect page.
    fn connect(&self, principal: &str, found: &Discovered, mut scopes: Vec<String>) -> Result<Decision, Problem> {
        if matches!(self.x.elicited("oauth-client"), Some(Elicited::Decline | Elicited::Cancel)) {
            let no = format!("{} needs an account of yours, and connecting one was declined", self.departure.upstream);
            return Ok(Decision::Reject(Rejection::new(DECLINED, &no)));
        }
        let person = flow::Person::of(self.x, principal);
        person.may_sign_in(self.config)?;
        found.server.authorizes()?;
        let client = Client::at(self.x, self.bucket, self.config, self.upstream, &found.server)?;
        if found.server.has_offline {
            scopes = scope::union(&scopes, [scope::OFFLINE]);
        }
        let link = flow::open(self.bucket, self.departure.upstream, &person, found, &client, &scopes)?;
        let message = format!("{} needs an account of yours. Open this page of the gateway to connect one.", self.departure.upstream);
        let page = self.config.page(&format!("connect?link={link}"));
        Ok(Decision::Suspend(Suspension::url(&message, &page).within_ms(flow::LIFE_MS)))
    }

    // ---- both ----

    /// The token, if it is neither over nor lost: a host that has been started anew keeps none, whatever kv says of them.
    fn usable(&self, held: &Held, grant: &Grant) -> Result<Option<Secret>, Problem> {
        if grant.is_over() { Ok(None) } else { held.access(self.x) }
    }

    /// The token, if it is another than the refused one: somebody has got it since this request was sent.
    fn not_refused(&self, held: &Held, grant: &Grant) -> Result<Option<Decision>, Problem> {
        let secret = self.usable(held, grant)?.filter(|secret| !(self.departure.refused)(secret));
        Ok(secret.map(Decision::bearer))
    }

    /// Counts a try, if there may be one more.
    fn may_try(&self, scopes: Option<&str>) -> Result<bool, Problem> {
        let principal = self.x.attr("principal.id").unwrap_or_default();
        let key = random::key("tries", &[self.departure.upstream, &principal, self.departure.operation, scopes.unwrap_or_default()]);
        // Not `incr`, which counts all rounds of an exchange as one: each round here is a further try.
        for _ in 0..TRIES_MAX {
            let tried = self.bucket.get(&key).map_err(problem::store)?;
            let count = tried.as_ref().and_then(|count| count.first()).copied().unwrap_or(0);
            if count >= TRIES_MAX {
                return Ok(false);
            }
            if self.bucket.swap(&key, tried.as_deref(), &[count + 1], Some(MEMORY_MS)).map_err(problem::store)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn known_key(&self) -> String {
        random::key("found", &[self.departure.upstream, self.departure.url])
    }

    fn known(&self) -> Result<Option<Discovered>, Problem> {
        let text = self.bucket.get(&self.known_key()).map_err(problem::store)?;
        Ok(text.and_then(|text| serde_json::from_slice(&text).ok()))
    }

    /// What the upstream says of itself now: a challenge is a reason to look again, since the authorization server may be another.
    fn found(&self, challenge: &Challenge) -> Result<Discovered, Problem> {
        let wanted = self.config.issuer_of(self.upstream);
        let found = discovery::discover(self.x, self.departure.url, challenge.demand.resource_metadata.as_deref(), wanted)?;
        let text = serde_json::to_vec(&found).map_err(|error| problem::unwritable(&error))?;
        self.bucket.set(&self.known_key(), &text, None).map_err(problem::store)?;
        Ok(found)
    }
}
