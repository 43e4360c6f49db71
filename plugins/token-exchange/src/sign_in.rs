//! How a caller signs in (OpenID Connect Core section 3.1, authorization code flow with PKCE), in a browser. A link can be forwarded, so what
//! comes of it is kept only if the provider says that it is of the very person for whom the link was made; the provider is asked, with the
//! access token (section 5.3), since this plugin sees no token that it could read.

use alloc::format;
use alloc::string::{String, ToString};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sluice_sdk::clock;
use sluice_sdk::fetch::{self, Place, Request};
use sluice_sdk::kv::Bucket;
use sluice_sdk::log::{self, Level};
use sluice_sdk::prelude::*;

use crate::config::{Config, Named, SignIn};
use crate::pages;
use crate::problem::{self, Blame, Problem};
use crate::random;
use crate::subject;
use crate::token::{self, Form, Refused};
use crate::url::{self, Url};

/// From the link to the last step.
pub const LIFE_MS: u32 = 10 * 60 * 1000;
const LIFE_S: u64 = LIFE_MS as u64 / 1000;

/// Below which all pages are.
pub const ROOT: &str = "/-/token-exchange/";

/// A sign-in on its way. It is found by its link, which only its principal is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Flow {
    server: String,
    /// `principal.id`.
    id: String,
    /// What the provider has to call this person.
    subject: String,
    tenant: Option<String>,
    /// Seconds since 1970.
    ends: u64,
    /// The browser is at the provider.
    step: Option<Step>,
}

/// A browser that was sent somewhere and is to come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Step {
    /// Digest of the state that it brings back.
    state: String,
    /// For PKCE (RFC 7636).
    verifier: String,
    /// Digest of its cookie.
    browser: String,
}

/// A flow as it was read, which is what a change is made against.
struct Read {
    flow: Flow,
    key: String,
    text: alloc::vec::Vec<u8>,
}

/// The page that this caller is to open: the one that is open already, or a new one.
pub fn link(config: &Config, bucket: &Bucket, idp: Named<'_>, id: &str, x: &Exchange) -> Result<String, Problem> {
    let (Some(sign_in), tenant) = (&idp.sign_in, x.attr("principal.tenant")) else {
        return Err(Problem::operator(format!("nobody can sign in at {}", idp.name), "its sign_in is not set"));
    };
    const NO_WAY: &str = "the gateway has no way to tell in a browser whose sign-in it is";
    if x.attr("principal.claim.iss").is_some_and(|issuer| issuer != idp.issuer) {
        return Err(Problem::operator(NO_WAY, format!("{} is not the issuer that vouches for this principal", idp.issuer)));
    }
    if tenant.is_some() && sign_in.tenant_claim.is_none() {
        return Err(Problem::operator(NO_WAY, format!("principals have tenants, and servers.{}.sign_in has no tenant_claim", idp.name)));
    }
    let open = random::key("open", &[idp.name, id]);
    let known = bucket.get(&open).map_err(problem::store)?.and_then(|link| String::from_utf8(link).ok());
    let link = match known.filter(|link| find(bucket, &flow_key(link)).is_ok_and(|read| read.is_some())) {
        Some(link) => link,
        None => {
            let link = random::token();
            let flow = Flow {
                server: idp.name.to_string(),
                id: id.to_string(),
                subject: x.attr("principal.subject").unwrap_or_default(),
                tenant,
                ends: clock::unix_seconds() + LIFE_S,
                step: None,
            };
            let text = serde_json::to_vec(&flow).map_err(|error| problem::unwritable(&error))?;
            bucket.set(&flow_key(&link), &text, Some(LIFE_MS)).map_err(problem::store)?;
            bucket.set(&open, link.as_bytes(), Some(LIFE_MS)).map_err(problem::store)?;
            link
        }
    };
    Ok(config.page(&format!("sign-in?link={link}")))
}

fn flow_key(link: &str) -> String {
    random::key("flow", &[link])
}

fn find(bucket: &Bucket, key: &str) -> Result<Option<Read>, Problem> {
    let Some(text) = bucket.get(key).map_err(problem::store)? else { return Ok(None) };
    let flow = serde_json::from_slice::<Flow>(&text).ok().filter(|flow| clock::unix_seconds() < flow.ends);
    Ok(flow.map(|flow| Read { flow, key: key.to_string(), text }))
}

impl Read {
    /// A name of the flow that gives nothing away, for its cookie and its states.
    fn name(&self) -> &str {
        self.key.split_once(':').map_or("", |(_, name)| name)
    }

    /// Takes a step, if nobody took another since this was read.
    fn change(&self, bucket: &Bucket, step: Option<Step>) -> Result<bool, Problem> {
        let flow = Flow { step, ..self.flow.clone() };
        let text = serde_json::to_vec(&flow).map_err(|error| problem::unwritable(&error))?;
        let left_ms = flow.ends.saturating_sub(clock::unix_seconds()).saturating_mul(1000).clamp(1, LIFE_MS.into());
        bucket.swap(&self.key, Some(&self.text), &text, Some(left_ms as u32)).map_err(problem::store)
    }

    /// The link is good for nothing any more.
    fn burn(&self, bucket: &Bucket) -> Result<(), Problem> {
        bucket.delete(&self.key).map_err(problem::store)
    }
}

/// Answers one request of a browser.
pub fn answer(config: &Config, bucket: &Bucket, request: &HttpRequest, x: &Exchange) -> HttpResponse {
    let visit = Visit { config, bucket, request, x };
    let members = url::members(request.query.as_deref().unwrap_or_default()).unwrap_or_default();
    let of = |name: &str| members.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let answered = match request.path.strip_prefix(ROOT).unwrap_or_default() {
        // In the query, which the host writes down nowhere: neither links nor codes are for the readers of logs.
        "sign-in" => visit.begin(of("link").unwrap_or_default()),
        path => match path.strip_prefix("callback/") {
            Some(server) => visit.back(server, of("state").unwrap_or_default(), of("code"), of("iss")),
            None => Ok(pages::notice(404, "There is nothing here", "Open the whole link that your client has shown.")),
        },
    };
    answered.unwrap_or_else(|problem| {
        problem.note("");
        let status = if problem.blame == Blame::Network { 503 } else { 502 };
        let text = format!("You are not signed in: {}. The operator of this gateway finds more in its log.", problem.said);
        pages::notice(status, "That did not work", &text)
    })
}

struct Visit<'a> {
    config: &'a Config,
    bucket: &'a Bucket,
    request: &'a HttpRequest,
    x: &'a Exchange,
}

type Answered = Result<HttpResponse, Problem>;

impl Visit<'_> {
    /// The provider of a flow. The settings may be others than when its link was made.
    fn idp(&self, flow: &Flow) -> Option<(Named<'_>, &SignIn)> {
        self.config.servers.get_key_value(&flow.server)?;
        let idp = self.config.of(&flow.server);
        let sign_in = self.config.servers[&flow.server].sign_in.as_ref()?;
        Some((idp, sign_in))
    }

    /// One for each provider: what comes back there was asked of that one (RFC 9700 section 4.4.2.2).
    fn redirect_uri(&self, idp: Named<'_>) -> String {
        self.config.page(&format!("callback/{}", idp.name))
    }

    /// The link is opened: the browser is sent to the provider.
    fn begin(&self, link: &str) -> Answered {
        let Some(read) = find(self.bucket, &flow_key(link))? else { return Ok(no_flow()) };
        let Some((idp, sign_in)) = self.idp(&read.flow) else { return Ok(no_flow()) };
        let (cookie, state) = (random::token(), format!("{}.{}", read.name(), random::token()));
        let step = Step { state: random::digest(&state), verifier: random::token(), browser: random::digest(&cookie) };
        let members = [
            ("response_type", "code"),
            ("client_id", idp.client_id.as_str()),
            ("redirect_uri", &self.redirect_uri(idp)),
            ("scope", &sign_in.scopes.join(" ")),
            ("state", &state),
            ("code_challenge", &random::digest(&step.verifier)),
            ("code_challenge_method", "S256"),
        ];
        let page = page_of(&sign_in.authorization_endpoint, &members);
        if !read.change(self.bucket, Some(step))? {
            return Ok(again());
        }
        let secure = if self.config.public_url.as_deref().is_some_and(|url| url.starts_with("https:")) { "; Secure" } else { "" };
        let name = read.name();
        let cookie = format!("{name}={cookie}; Path={ROOT}; Max-Age={LIFE_S}; HttpOnly; SameSite=Lax{secure}");
        Ok(HttpResponse::see_other(&page).header("set-cookie", &cookie))
    }

    /// A browser comes back from a provider.
    fn back(&self, server: &str, state: &str, code: Option<&str>, iss: Option<&str>) -> Answered {
        let key = state.split_once('.').filter(|(name, _)| name.len() <= 64).map(|(name, _)| format!("flow:{name}"));
        let read = key.map(|key| find(self.bucket, &key)).transpose()?.flatten();
        let Some(read) = read.filter(|read| read.flow.server == server) else { return Ok(no_flow()) };
        let (Some((idp, sign_in)), Some(step)) = (self.idp(&read.flow), &read.flow.step) else { return Ok(no_flow()) };
        if step.state != random::digest(state) {
            return Ok(no_flow());
        }
        if self.cookie(&read).map(|cookie| random::digest(&cookie)).as_ref() != Some(&step.browser) {
            // Somebody was sent here with what another browser began.
            read.burn(self.bucket)?;
            warn(idp, "a browser came back with what another one began; the link is burnt");
            return Ok(pages::notice(
                403,
                "This is not the browser that began",
                "You are not signed in. Use the tool again to get a new link.",
            ));
        }
        // Each state is good once, whatever comes of it.
        if !read.change(self.bucket, None)? {
            return Ok(again());
        }
        // RFC 9207 section 2.4: before anything else of the answer is looked at.
        if iss.is_some_and(|iss| iss != idp.issuer) {
            read.burn(self.bucket)?;
            warn(idp, "an answer came from another server than the one that was asked; the link is burnt");
            return Ok(pages::notice(400, "That did not work", "The answer is not from the server that you were sent to."));
        }
        let Some(code) = code else {
            return Ok(pages::notice(403, "You did not sign in", "Open the link once more to try again."));
        };
        self.signed_in(&read, idp, sign_in, step, code)
    }

    fn signed_in(&self, read: &Read, idp: Named<'_>, sign_in: &SignIn, step: &Step, code: &str) -> Answered {
        let form = Form::new("authorization_code")
            .with("code", code)
            .with("redirect_uri", &self.redirect_uri(idp))
            .with("code_verifier", &step.verifier);
        let answer = token::ask(self.x, idp, form).map_err(|refused| match refused {
            Refused::Shown(problem) => Problem::server(format!("{} does not take its own code back", idp.name), problem.detail),
            Refused::Problem(problem) => problem,
        })?;
        let Some(access) = &answer.token else {
            return Err(Problem::server(format!("{} answers without a token", idp.name), &idp.token_endpoint));
        };
        let request = Request::get(&sign_in.userinfo_endpoint).header("accept", "application/json");
        let place = Place::header("authorization", "Bearer ");
        let said = fetch::send(self.x, &request, &[(place, access)], &[])
            .map_err(|error| Problem::of_fetch(idp.name, &sign_in.userinfo_endpoint, error))?;
        let who: Value = serde_json::from_slice(&said.body).unwrap_or_default();
        let Some(subject) = who["sub"].as_str().filter(|subject| said.status == 200 && !subject.is_empty()) else {
            let detail = format!("{}: HTTP {}", sign_in.userinfo_endpoint, said.status);
            return Err(Problem::server(format!("{} does not say who signed in", idp.name), detail));
        };
        let flow = &read.flow;
        let tenant = sign_in.tenant_claim.as_ref().and_then(|name| who[name.as_str()].as_str());
        let is_it = subject == flow.subject && (flow.tenant.is_none() || flow.tenant.as_deref() == tenant);
        read.burn(self.bucket)?;
        if !is_it {
            warn(idp, "a link was opened by somebody else than it was made for; it is burnt");
            let text = "It was made for somebody else, so you are not signed in. If you use the tool yourself, you get a link of your own.";
            return Ok(pages::notice(403, "This link is not yours", text));
        }
        subject::arrive(self.x, self.bucket, idp, &flow.id, &answer)?;
        Ok(pages::notice(200, "Signed in", "You may close this page and go back to your client."))
    }

    /// Of this flow: each has its own, so that several can be under way in one browser.
    fn cookie(&self, read: &Read) -> Option<String> {
        let cookies = self.request.header("cookie")?;
        let mut pairs = cookies.split(';').filter_map(|cookie| cookie.trim().split_once('='));
        pairs.find(|(name, _)| *name == read.name()).map(|(_, value)| value.to_string())
    }
}

/// A page with these members in its query, behind those it has already (RFC 6749 section 3.1).
fn page_of(endpoint: &str, members: &[(&str, &str)]) -> String {
    let joint = if Url::read(endpoint).is_ok_and(|url| url.query.is_empty()) { "?" } else { "&" };
    format!("{endpoint}{joint}{}", url::form(members))
}

fn warn(idp: Named<'_>, message: &str) {
    log::write(Level::Warn, message, &[("server", idp.name)]);
}

fn no_flow() -> HttpResponse {
    let text = "Each link is good once, and for ten minutes. Use the tool again to get a new one.";
    pages::notice(404, "This link is not good any more", text)
}

fn again() -> HttpResponse {
    pages::notice(409, "Something else was going on at this link", "You are not signed in. Open the link once more.")
}
