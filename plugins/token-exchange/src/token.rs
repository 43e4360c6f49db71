//! Token endpoints: what is asked of them, and what of their answers is seen here. Tokens are not: the host keeps them, and this plugin has
//! handles.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::Value;
use sluice_sdk::fetch::{self, Capture, Place, Request};
use sluice_sdk::log::{self, Level};
use sluice_sdk::prelude::*;
use sluice_sdk::secrets::{self, Owner, Secret};

use crate::assertion;
use crate::config::{ClientAuth, Named};
use crate::problem::{self, Problem};
use crate::random;
use crate::url;

/// An assertion that one authorization server takes of an identity provider (draft-ietf-oauth-identity-assertion-authz-grant).
pub const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";
/// RFC 8693 section 2.1.
pub const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// RFC 7523 section 2.1.
pub const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// How long an answer's tokens lie where nobody looks, until it is known what they are.
const ASIDE_MS: u32 = 60_000;
/// A token that ends within this is as good as over: it would be on the way when it does.
const EARLY_S: u64 = 30;
/// How long a token is kept of which nobody says when it ends, and the longest of those where somebody does.
const UNSAID_S: u64 = 60;
const LONGEST_S: u64 = 24 * 3600;

/// Codes that clients may hear: of RFC 6749 section 5.2, RFC 8693, RFC 8707, RFC 9470 and OpenID Connect Core. Any other is somebody's text.
const CODES: [&str; 17] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "invalid_target",
    "invalid_token",
    "access_denied",
    "interaction_required",
    "login_required",
    "consent_required",
    "account_selection_required",
    "insufficient_user_authentication",
    "temporarily_unavailable",
    "server_error",
    "slow_down",
];

/// What is posted to a token endpoint.
#[derive(Debug, Default)]
pub struct Form {
    text: String,
    secrets: Vec<(Place, Secret)>,
}

impl Form {
    /// One for this kind of grant.
    pub fn new(grant_type: &str) -> Form {
        Form::default().with("grant_type", grant_type)
    }

    /// With a further member.
    pub fn with(mut self, name: &str, value: &str) -> Form {
        if !self.text.is_empty() {
            self.text.push('&');
        }
        self.text.push_str(&url::form(&[(name, value)]));
        self
    }

    /// With a further member that is not seen here.
    pub fn with_secret(mut self, name: &str, secret: Secret) -> Form {
        self.secrets.push((Place::form(name), secret));
        self
    }

    /// With what says who asks.
    fn shown(self, server: Named<'_>) -> Result<Form, Problem> {
        if let Some(key) = &server.client_key {
            let assertion = assertion::of_client(key, server)?;
            return Ok(self
                .with("client_id", &server.client_id)
                .with("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
                .with("client_assertion", &assertion));
        }
        let Some(name) = &server.client_secret else { return Ok(self.with("client_id", &server.client_id)) };
        let secret = Secret::open(name).map_err(problem::secret)?;
        Ok(match server.client_auth {
            ClientAuth::Post => self.with("client_id", &server.client_id).with_secret("client_secret", secret),
            ClientAuth::Basic => {
                // RFC 6749 section 2.3.1: user and password are form-encoded first.
                let mut user = String::new();
                url::encode(&server.client_id, &mut user);
                let mut form = self;
                form.secrets.push((Place::basic(&user), secret));
                form
            }
        })
    }
}

/// What is seen of an answer.
#[derive(Debug)]
pub struct Answer {
    /// Whatever stood where the access token stands.
    pub token: Option<Secret>,
    /// From which there are new ones.
    pub refresh: Option<Secret>,
    /// Who signed in, where that was the question.
    pub id_token: Option<Secret>,
    token_type: String,
    issued_token_type: Option<String>,
    /// Seconds the token lives, if the server says so.
    pub expires_in: Option<u64>,
    scope: Option<String>,
}

/// A token, and how long it may be used.
#[derive(Debug)]
pub struct Issued {
    /// It.
    pub token: Secret,
    /// From now on.
    pub kept_ms: u32,
}

/// Why there are no tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// Perhaps for what was shown, which may be over: with another it may be different.
    Shown(Problem),
    /// For anything else.
    Problem(Problem),
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Refused::Problem(problem)
    }
}

impl Refused {
    /// The problem, where there is nothing else to show.
    pub fn into_problem(self) -> Problem {
        match self {
            Refused::Shown(problem) | Refused::Problem(problem) => problem,
        }
    }
}

/// Asks a server for tokens.
pub fn ask(x: &Exchange, server: Named<'_>, form: Form) -> Result<Answer, Refused> {
    let form = form.shown(server)?;
    let used: Vec<(Place, &Secret)> = form.secrets.iter().map(|(place, secret)| (place.clone(), secret)).collect();
    let request = Request::post(&server.token_endpoint, form.text.as_bytes())
        .header("content-type", "application/x-www-form-urlencoded")
        .header("accept", "application/json");
    let aside = ["access_token", "refresh_token", "id_token"].map(|member| (member, random::token()));
    let captures = aside.each_ref().map(|(member, name)| Capture::new(&format!("/{member}"), Owner::Plugin, name).for_ms(ASIDE_MS));
    let answer =
        fetch::send(x, &request, &used, &captures).map_err(|error| Problem::of_fetch(server.name, &server.token_endpoint, error))?;
    let mut taken = aside.iter().zip(&answer.captured).map(|((_, name), was_there)| take(x, name, *was_there));
    let [token, refresh, id_token] = [(); 3].map(|()| taken.next().flatten());
    let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if answer.status != 200 {
        return Err(refusal(answer.status, &document, server));
    }
    let text = |name: &str| document[name].as_str().map(ToString::to_string);
    Ok(Answer {
        token,
        refresh,
        id_token,
        token_type: text("token_type").unwrap_or_default(),
        issued_token_type: text("issued_token_type"),
        expires_in: document["expires_in"].as_u64().or_else(|| document["expires_in"].as_str()?.parse().ok()),
        scope: text("scope"),
    })
}

/// What was captured, from where nobody will look for it. A handle goes on meaning what it meant.
fn take(x: &Exchange, name: &str, was_there: bool) -> Option<Secret> {
    let secret = was_there.then(|| secrets::open_own(x, Owner::Plugin, name).ok()).flatten();
    // One that cannot be removed ends within the minute.
    let _ = secrets::remove(x, Owner::Plugin, name);
    secret
}

impl Answer {
    /// The access token that it has to be: of an exchange, the answer says so itself (RFC 8693 section 2.2.1).
    pub fn into_access_token(self, server: Named<'_>, is_exchange: bool, asked: &[&str]) -> Result<Issued, Problem> {
        if is_exchange {
            self.check_issued(server, ACCESS_TOKEN)?;
        }
        self.check_type(server, "Bearer")?;
        if let Some(more) =
            self.scope.as_deref().and_then(|scope| scope.split(' ').find(|scope| !scope.is_empty() && !asked.contains(scope)))
        {
            let fields = [("server", server.name), ("scope", &*word(more))];
            log::write(Level::Warn, "a server grants more scope than it was asked for", &fields);
        }
        self.issued(server)
    }

    /// The assertion that it has to be, which is no access token.
    pub fn into_assertion(self, server: Named<'_>) -> Result<Secret, Problem> {
        self.check_issued(server, ID_JAG)?;
        self.check_type(server, "N_A")?;
        self.issued(server).map(|issued| issued.token)
    }

    fn check_issued(&self, server: Named<'_>, wanted: &str) -> Result<(), Problem> {
        let issued = self.issued_token_type.as_deref().unwrap_or_default();
        if issued == wanted {
            return Ok(());
        }
        let detail = format!("{}: issued_token_type {:?}, not {wanted}", server.token_endpoint, word(issued));
        Err(Problem::server(format!("{} answers with another kind of token than it was asked for", server.name), detail))
    }

    fn check_type(&self, server: Named<'_>, wanted: &str) -> Result<(), Problem> {
        if self.token_type.eq_ignore_ascii_case(wanted) {
            return Ok(());
        }
        let detail = format!("{}: token_type {:?}, not {wanted}", server.token_endpoint, word(&self.token_type));
        Err(Problem::server(format!("{} answers with a token that cannot be used in this way", server.name), detail))
    }

    fn issued(self, server: Named<'_>) -> Result<Issued, Problem> {
        let useless = |why: &str| {
            let detail = format!("{}: {why}", server.token_endpoint);
            Problem::server(format!("{} answers without a token that can be kept", server.name), detail)
        };
        let token = self.token.ok_or_else(|| useless("access_token is not there, or longer than a secret may be"))?;
        let seconds = self.expires_in.unwrap_or(UNSAID_S).min(LONGEST_S);
        if seconds == 0 {
            return Err(useless("the token is over as it comes"));
        }
        let kept_ms = (seconds - EARLY_S.min(seconds / 2)) * 1000;
        Ok(Issued { token, kept_ms: kept_ms as u32 })
    }
}

fn refusal(status: u16, document: &Value, server: Named<'_>) -> Refused {
    let code = document["error"].as_str().unwrap_or_default();
    let known = CODES.into_iter().find(|known| *known == code);
    let detail = format!("{}: HTTP {status} {}", server.token_endpoint, word(code));
    let said = |what: &str| match known {
        Some(code) => format!("{} {what} ({code})", server.name),
        None => format!("{} {what}", server.name),
    };
    match (status, known.unwrap_or_default()) {
        (300..400, _) => Problem::server(said("sends elsewhere, where no token is asked for"), detail).into(),
        (429 | 500.., _) | (_, "temporarily_unavailable" | "server_error" | "slow_down") => {
            Problem::network(said("cannot answer right now"), detail).into()
        }
        (_, "invalid_grant" | "invalid_request" | "invalid_token") => {
            Refused::Shown(Problem::policy(said("does not take what it was shown"), detail))
        }
        (
            _,
            "interaction_required"
            | "login_required"
            | "consent_required"
            | "account_selection_required"
            | "insufficient_user_authentication",
        ) => Refused::Shown(Problem::policy(said("wants to see the caller again"), detail)),
        (_, "invalid_scope" | "invalid_target" | "access_denied") => {
            Problem::policy(said("refuses this caller a token for it"), detail).into()
        }
        _ => Problem::operator(said("refuses the gateway"), detail).into(),
    }
}

/// What a server says, if it is a word. Anything else is somebody's text, and stands in no log.
pub fn word(text: &str) -> String {
    let is_word = text.len() <= 128 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.:/".contains(&b));
    if is_word { text.to_string() } else { "(unreadable)".to_string() }
}
