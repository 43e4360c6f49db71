//! The pages: from a link to the tokens. A link is only as good as the person who opens it: before anything is connected, the browser has
//! shown that it is the principal's for whom the link was made, and every later step is that browser's.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use sluice_sdk::kv::Bucket;
use sluice_sdk::log::{self, Level};
use sluice_sdk::prelude::*;

use crate::client;
use crate::config::{Config, Provider, SignIn};
use crate::flow::{self, LIFE_MS, Read, Step};
use crate::grant::{self, Grant, Held};
use crate::pages;
use crate::problem::{Blame, Problem};
use crate::random;
use crate::redirect;
use crate::sign_in;
use crate::token::{self, Refused};
use crate::url;

/// Below which all pages are.
pub const ROOT: &str = "/-/oauth-client/";

/// Answers one request of a browser.
pub fn answer(config: &Config, bucket: &Bucket, request: &HttpRequest, x: &Exchange) -> HttpResponse {
    let visit = Visit { config, bucket, request, x };
    let members = url::members(request.query.as_deref().unwrap_or_default()).unwrap_or_default();
    // In the query, which the host writes down nowhere: neither links nor codes are for the readers of logs.
    let link = of(&members, "link").unwrap_or_default();
    let answered = match (request.method.as_str(), request.path.strip_prefix(ROOT).unwrap_or_default()) {
        ("GET", "client.json") => Ok(client::document(config).map_or_else(|| HttpResponse::empty(404), HttpResponse::json)),
        ("GET", "callback") => visit.callback(&members),
        ("GET", "connect") => visit.show(link),
        ("POST", "connect") => visit.answer(link),
        _ => Ok(pages::notice(404, "There is nothing here", "Open the whole link that your client has shown.")),
    };
    answered.unwrap_or_else(|problem| {
        problem.note("");
        let status = if problem.blame == Blame::Network { 503 } else { 502 };
        pages::notice(
            status,
            "That did not work",
            &format!("Nothing was connected: {}. The operator of this gateway finds more in its log.", problem.said),
        )
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
    /// The link is opened: who is that, and is this wanted?
    fn show(&self, link: &str) -> Answered {
        let Some(read) = flow::find(self.bucket, link)? else { return Ok(no_flow()) };
        // The settings may be others than when the link was made.
        read.flow.person.may_sign_in(self.config)?;
        match &self.config.sign_in {
            Some(SignIn::Local(_)) if self.is_here() => {
                let cookie = random::token();
                Ok(self.with_cookie(pages::consent(&read.flow, &csrf(&cookie)), &read, &cookie))
            }
            Some(SignIn::Provider(provider)) => match self.cookie(&read) {
                Some(cookie) if read.flow.browser == Some(random::digest(&cookie)) => Ok(pages::consent(&read.flow, &csrf(&cookie))),
                _ => self.send_to_sign_in(provider, &read),
            },
            _ => Ok(nobody()),
        }
    }

    fn send_to_sign_in(&self, provider: &Provider, read: &Read) -> Answered {
        let server = sign_in::provider(self.x, provider)?;
        let cookie = random::token();
        let (step, state) = read.step(&cookie);
        let page = sign_in::page(provider, &server, &step, &state, &self.config.redirect_uri())?;
        match read.change(self.bucket, |flow| flow.signing_in = Some(step))? {
            true => Ok(self.with_cookie(HttpResponse::see_other(&page), read, &cookie)),
            false => Ok(again()),
        }
    }

    /// The form comes back.
    fn answer(&self, link: &str) -> Answered {
        let Some(read) = flow::find(self.bucket, link)? else { return Ok(no_flow()) };
        let Some(cookie) = self.cookie(&read) else { return Ok(other_browser()) };
        read.flow.person.may_sign_in(self.config)?;
        let is_known = match &self.config.sign_in {
            Some(SignIn::Local(_)) => self.is_here(),
            Some(SignIn::Provider(_)) => read.flow.browser == Some(random::digest(&cookie)),
            None => false,
        };
        let members = core::str::from_utf8(&self.request.body).ok().and_then(url::members).unwrap_or_default();
        if !is_known || of(&members, "csrf") != Some(csrf(&cookie).as_str()) {
            return Ok(other_browser());
        }
        if of(&members, "answer") != Some("yes") {
            read.burn(self.bucket)?;
            return Ok(pages::notice(200, "Nothing was connected", "You may close this page. To connect later, use the tool again."));
        }
        self.send_to_authorize(&read, &cookie)
    }

    fn send_to_authorize(&self, read: &Read, cookie: &str) -> Answered {
        let flow = &read.flow;
        let endpoint = flow.found.server.authorizes()?;
        let (step, state) = read.step(cookie);
        let (challenge, redirect_uri, scope) = (random::digest(&step.verifier), self.config.redirect_uri(), flow.scopes.join(" "));
        let mut members = Vec::from([
            ("response_type", "code"),
            ("client_id", flow.client.id.as_str()),
            ("redirect_uri", &redirect_uri),
            ("state", &state),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("resource", &flow.found.resource),
        ]);
        if !scope.is_empty() {
            members.push(("scope", &scope));
        }
        if flow.scopes.iter().any(|scope| scope == crate::scope::OFFLINE) {
            // OpenID Connect Core section 11: without it the scope is ignored.
            members.push(("prompt", "consent"));
        }
        let browser = Some(random::digest(cookie));
        let is_ours = read.change(self.bucket, |flow| (flow.browser, flow.signing_in, flow.authorizing) = (browser, None, Some(step)))?;
        Ok(if is_ours { HttpResponse::see_other(&redirect::to(&endpoint, &members)) } else { again() })
    }

    /// A browser comes back from a server.
    fn callback(&self, members: &[(String, String)]) -> Answered {
        let state = of(members, "state").unwrap_or_default();
        let Some(read) = flow::of_state(self.bucket, state)? else { return Ok(no_flow()) };
        let digest = Some(random::digest(state));
        let is_it = |step: &Option<Step>| step.as_ref().is_some_and(|step| Some(&step.state) == digest.as_ref());
        let (step, is_sign_in) = match (&read.flow.authorizing, &read.flow.signing_in) {
            (authorizing, _) if is_it(authorizing) => (authorizing.clone(), false),
            (_, signing_in) if is_it(signing_in) => (signing_in.clone(), true),
            _ => (None, false),
        };
        let Some(step) = step else { return Ok(no_flow()) };
        if self.cookie(&read).map(|cookie| random::digest(&cookie)).as_ref() != Some(&step.browser) {
            // Somebody was sent here with what another browser began.
            read.burn(self.bucket)?;
            self.warn(&read, "a browser came back with what another one began; the link is burnt");
            return Ok(other_browser());
        }
        // Each state is good once, whatever comes of it.
        if !read.change(self.bucket, |flow| if is_sign_in { flow.signing_in = None } else { flow.authorizing = None })? {
            return Ok(again());
        }
        let Some(read) = flow::of_state(self.bucket, state)? else { return Ok(no_flow()) };
        match (is_sign_in, &self.config.sign_in) {
            (true, Some(SignIn::Provider(provider))) => self.signed_in(provider, &read, &step, members),
            (true, _) => Ok(nobody()),
            (false, _) => self.authorized(&read, &step, members),
        }
    }

    fn signed_in(&self, provider: &Provider, read: &Read, step: &Step, members: &[(String, String)]) -> Answered {
        let server = sign_in::provider(self.x, provider)?;
        if !redirect::is_from(&server.issuer, server.says_iss, of(members, "iss")) {
            return self.not_from_there(read);
        }
        let Some(code) = of(members, "code") else {
            return Ok(pages::notice(403, "You did not sign in", "Nothing was connected. Open the link once more to try again."));
        };
        if !sign_in::is(self.x, provider, &server, step, code, &self.config.redirect_uri(), &read.flow.person)? {
            read.burn(self.bucket)?;
            self.warn(read, "a connect link was opened by somebody else than it was made for; it is burnt");
            return Ok(nobody());
        }
        // Another cookie than before the sign-in, so that none that was planted is worth anything after it.
        let cookie = random::token();
        let browser = Some(random::digest(&cookie));
        match read.change(self.bucket, |flow| flow.browser = browser)? {
            true => {
                Ok(self.with_cookie(HttpResponse::see_other(&self.config.page(&format!("connect?link={}", read.flow.link))), read, &cookie))
            }
            false => Ok(again()),
        }
    }

    fn authorized(&self, read: &Read, step: &Step, members: &[(String, String)]) -> Answered {
        let (flow, server) = (&read.flow, &read.flow.found.server);
        // Before anything else of the answer is looked at, an error included.
        if !redirect::is_from(&server.issuer, server.says_iss, of(members, "iss")) {
            return self.not_from_there(read);
        }
        let Some(code) = of(members, "code") else {
            return Ok(pages::notice(
                403,
                "Nothing was connected",
                "The server did not give its permission. Open the link once more to try again.",
            ));
        };
        let waiting = grant::waiting(format!("waiting:{}", random::token()));
        let redirect_uri = self.config.redirect_uri();
        let members = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri.as_str()),
            ("code_verifier", step.verifier.as_str()),
            ("resource", flow.found.resource.as_str()),
        ];
        let answer = token::ask(self.x, server, &flow.client, &members, None, &waiting).map_err(|refused| match refused {
            Refused::Grant(detail) => Problem::server("its authorization server does not take its own code back", detail),
            Refused::Problem(problem) => problem,
        })?;
        let held = Held::of(&server.issuer, &flow.upstream, &flow.person.id);
        let grant = Grant::new(&flow.client, &flow.scopes, &answer, held.next_generation(self.bucket)?);
        held.arrive(self.bucket, grant, &waiting)?;
        read.burn(self.bucket)?;
        let text = format!("Your account for {} is connected. You may close this page and go back to your client.", flow.upstream);
        Ok(pages::notice(200, "Connected", &text))
    }

    fn not_from_there(&self, read: &Read) -> Answered {
        read.burn(self.bucket)?;
        self.warn(read, "an answer came from another server than the one that was asked; the link is burnt");
        Ok(pages::notice(400, "That did not work", "Nothing was connected: the answer is not from the server that you were sent to."))
    }

    fn warn(&self, read: &Read, message: &str) {
        log::write(Level::Warn, message, &[("upstream", &read.flow.upstream), ("issuer", &read.flow.found.server.issuer)]);
    }

    /// On this very machine.
    fn is_here(&self) -> bool {
        matches!(self.x.attr("transport.peer").as_deref(), Some("127.0.0.1" | "::1"))
    }

    /// Of this flow: each has its own, so that several can be under way in one browser.
    fn cookie(&self, read: &Read) -> Option<String> {
        let cookies = self.request.header("cookie")?;
        let mut pairs = cookies.split(';').filter_map(|cookie| cookie.trim().split_once('='));
        pairs.find(|(name, _)| *name == read.name()).map(|(_, value)| value.to_string())
    }

    fn with_cookie(&self, response: HttpResponse, read: &Read, value: &str) -> HttpResponse {
        let secure = if self.config.public().is_some_and(|url| url.origin.starts_with("https:")) { "; Secure" } else { "" };
        let name = read.name();
        response.header("set-cookie", &format!("{name}={value}; Path={ROOT}; Max-Age={}; HttpOnly; SameSite=Lax{secure}", LIFE_MS / 1000))
    }
}

/// What the form brings beside the cookie; who does not know the one cannot make the other.
fn csrf(cookie: &str) -> String {
    random::digest(&format!("csrf.{cookie}"))
}

fn of<'a>(members: &'a [(String, String)], name: &str) -> Option<&'a str> {
    members.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

fn no_flow() -> HttpResponse {
    pages::notice(
        404,
        "This link is not good any more",
        "Each link is good once, and for ten minutes. Use the tool again to get a new one.",
    )
}

fn nobody() -> HttpResponse {
    pages::notice(
        403,
        "This link is not yours",
        "It was made for somebody else, so nothing was connected. If you use the tool yourself, you get a link of your own.",
    )
}

fn other_browser() -> HttpResponse {
    pages::notice(
        403,
        "This is not the browser that began",
        "Nothing was connected. Open the link again, in one browser only, and stay in it.",
    )
}

fn again() -> HttpResponse {
    pages::notice(409, "Something else was going on at this link", "Nothing was connected. Open the link once more.")
}
