//! The token endpoint (RFC 6749 section 3.2): what is asked of it, and what of its answer is seen here. Tokens are not: the host
//! keeps them, under the names they are captured by.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::Value;
use sluice_sdk::fetch::{self, Capture, Place, Request};
use sluice_sdk::prelude::*;
use sluice_sdk::secrets::{self, Owner, Secret};

use crate::client::Client;
use crate::discovery::Server;
use crate::problem::{self, Blame, Problem};
use crate::url;

/// An access token and its refresh token, where the host keeps them.
#[derive(Debug, Clone)]
pub struct Pair {
    /// Whose they are.
    pub owner: Owner,
    /// What both names begin with.
    pub name: String,
    /// How long, if nobody touches them.
    pub kept_ms: u32,
}

/// What is seen of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Seconds the access token lives, if the server says so.
    pub expires_in: Option<u64>,
    /// What was granted, where the server says so.
    pub scope: Option<String>,
    /// A refresh token came.
    pub has_refresh: bool,
    /// Who signed in, where that was the question.
    pub id_token: Option<String>,
}

/// Why there are no tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// What was shown is not good, or not any more: `invalid_grant` and its like (RFC 6749 section 5.2).
    Grant(String),
    /// Anything else.
    Problem(Problem),
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Refused::Problem(problem)
    }
}

impl Pair {
    fn access_name(&self) -> String {
        format!("{}.access", self.name)
    }

    fn refresh_name(&self) -> String {
        format!("{}.refresh", self.name)
    }

    /// The access token, if it is still kept.
    pub fn access(&self, x: &Exchange) -> Result<Option<Secret>, Problem> {
        open(x, self.owner, &self.access_name())
    }

    /// The refresh token, if there is one.
    pub fn refresh(&self, x: &Exchange) -> Result<Option<Secret>, Problem> {
        open(x, self.owner, &self.refresh_name())
    }

    /// Gives both to another owner or name.
    pub fn hand_over(&self, x: &Exchange, to: &Pair) -> Result<(), Problem> {
        let both = [(self.access(x)?, to.access_name()), (self.refresh(x)?, to.refresh_name())];
        for (secret, name) in both {
            match secret {
                Some(secret) => secret.keep(x, to.owner, &name, Some(to.kept_ms)),
                None => secrets::remove(x, to.owner, &name),
            }
            .map_err(problem::secret)?;
        }
        self.forget(x);
        Ok(())
    }

    /// Keeps them no longer.
    pub fn forget(&self, x: &Exchange) {
        for name in [self.access_name(), self.refresh_name()] {
            // What cannot be removed is not found by anybody else either, and ends with its time.
            let _ = secrets::remove(x, self.owner, &name);
        }
    }

    fn captures(&self) -> [Capture; 2] {
        let capture = |pointer: &str, name: &str| Capture::new(pointer, self.owner, name).for_ms(self.kept_ms);
        [capture("/access_token", &self.access_name()), capture("/refresh_token", &self.refresh_name())]
    }
}

fn open(x: &Exchange, owner: Owner, name: &str) -> Result<Option<Secret>, Problem> {
    match secrets::open_own(x, owner, name) {
        Ok(secret) => Ok(Some(secret)),
        Err(secrets::Error::Missing) => Ok(None),
        Err(error) => Err(problem::secret(error)),
    }
}

/// Asks for tokens with these members of the form, and has the host keep them in `into`.
pub fn ask(
    x: &Exchange,
    server: &Server,
    client: &Client,
    members: &[(&str, &str)],
    refresh: Option<Secret>,
    into: &Pair,
) -> Result<Answer, Refused> {
    let [access, refreshed] = into.captures();
    let id = Capture::new("/id_token", Owner::Plugin, "unused").for_ms(1);
    let answer = send(x, server, client, members, refresh, &[access, refreshed, id]);
    if let Err(Refused::Problem(Problem { blame: Blame::Server, .. })) = &answer {
        // What was captured is no token that can be used, and stands in the place of one that could.
        into.forget(x);
    }
    answer
}

/// Asks who signed in. The tokens that come with the answer are not wanted, and are gone at once.
pub fn ask_who(x: &Exchange, server: &Server, client: &Client, members: &[(&str, &str)]) -> Result<Answer, Refused> {
    let unwanted = |pointer: &str| Capture::new(pointer, Owner::Plugin, "unused").for_ms(1);
    send(x, server, client, members, None, &[unwanted("/access_token"), unwanted("/refresh_token")])
}

fn send(
    x: &Exchange,
    server: &Server,
    client: &Client,
    members: &[(&str, &str)],
    refresh: Option<Secret>,
    captures: &[Capture],
) -> Result<Answer, Refused> {
    let mut form = url::form(members);
    let mut used: Vec<(Place, Secret)> = refresh.into_iter().map(|secret| (Place::form("refresh_token"), secret)).collect();
    used.extend(client.show(x, server, &mut form)?);
    let used: Vec<(Place, &Secret)> = used.iter().map(|(place, secret)| (place.clone(), secret)).collect();
    let endpoint = &server.token_endpoint;
    let request = Request::post(endpoint, form.as_bytes())
        .header("content-type", "application/x-www-form-urlencoded")
        .header("accept", "application/json");
    let answer = fetch::send(x, &request, &used, captures).map_err(|error| Problem::of_fetch(endpoint, error))?;
    let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if answer.status != 200 {
        return Err(refusal(answer.status, &document, endpoint));
    }
    let token_type = document["token_type"].as_str().unwrap_or_default();
    let has_access = answer.captured.first() == Some(&true);
    if !has_access || !token_type.eq_ignore_ascii_case("bearer") {
        let detail = format!("{endpoint}: token_type {token_type:?}, access_token {}", if has_access { "there" } else { "not there" });
        return Err(Problem::server("its authorization server answers with no bearer token", detail).into());
    }
    Ok(Answer {
        expires_in: document["expires_in"].as_u64().or_else(|| document["expires_in"].as_str()?.parse().ok()),
        scope: document["scope"].as_str().map(ToString::to_string),
        has_refresh: answer.captured.get(1) == Some(&true),
        id_token: document["id_token"].as_str().map(ToString::to_string),
    })
}

fn refusal(status: u16, document: &Value, endpoint: &str) -> Refused {
    let code = code_of(document);
    let detail = format!("{endpoint}: HTTP {status} {code}");
    match (status, code.as_str()) {
        (_, "invalid_grant" | "invalid_scope" | "access_denied" | "interaction_required" | "invalid_target") => Refused::Grant(detail),
        (_, "invalid_client" | "unauthorized_client" | "unsupported_grant_type" | "invalid_request") => {
            Problem::operator("its authorization server refuses the gateway", detail).into()
        }
        (429 | 500.., _) => Problem::network("its authorization server cannot answer right now", detail).into(),
        _ => Problem::operator("its authorization server refuses the gateway", detail).into(),
    }
}

/// The `error` of an answer, if it is such a word. What stands beside it is anybody's text.
pub fn code_of(document: &Value) -> String {
    let code = document["error"].as_str().unwrap_or_default();
    let is_word = code.len() <= 64 && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if is_word { code.to_string() } else { "with an unreadable error".to_string() }
}
