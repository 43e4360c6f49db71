//! What is outside of the plugin, as a test wants it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use serde_json::{Value, json};
use sluice_plugin_token_exchange::{TokenExchange, url};
use sluice_sdk::fetch::{Error, Place, Response};
use sluice_sdk::prelude::*;
use sluice_sdk::testing::{self, FakeDeparture, FakeExchange};
use sluice_sdk::verdict::Ask;

pub const UPSTREAM: &str = "https://tools.example.com/mcp";
pub const STS: &str = "https://sts.example.com/token";
pub const IDP: &str = "https://id.example.com";
pub const IDP_TOKEN: &str = "https://id.example.com/token";
pub const USERINFO: &str = "https://id.example.com/userinfo";

/// One request that left: its form with what the host put in, and the header that shows who asks.
#[derive(Debug, Clone)]
pub struct Asked {
    pub url: String,
    pub form: Vec<(String, String)>,
    pub header: Option<String>,
    /// What of the form this plugin wrote itself, and so saw.
    pub seen: String,
}

impl Asked {
    pub fn of(&self, name: &str) -> Option<&str> {
        self.form.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

type Answering = Box<dyn Fn(&Asked) -> Result<(u16, String), Error>>;

pub struct World {
    pub plugin: TokenExchange,
    pub asked: Rc<RefCell<Vec<Asked>>>,
    answers: Rc<RefCell<HashMap<String, Answering>>>,
}

/// The gateway's own token, in one step.
pub fn exchange(more: Value) -> Value {
    let mut upstream = json!({"mode": "exchange", "server": "sts", "subject": {"secret": "own"}});
    upstream.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({
        "servers": {"sts": {"issuer": "https://sts.example.com", "token_endpoint": STS, "client_id": "sluice", "client_secret": "client"}},
        "upstreams": {"tools": upstream},
    })
}

/// The caller, signed in at the provider, in two steps.
pub fn id_jag() -> Value {
    json!({
        "public_url": "https://mcp.example.com",
        "servers": {
            "sts": {"issuer": "https://sts.example.com", "token_endpoint": STS, "client_id": "at-sts", "client_secret": "client", "client_auth": "basic"},
            "corp": {"issuer": IDP, "token_endpoint": IDP_TOKEN, "client_id": "at-idp", "client_secret": "idp-client",
                "sign_in": {"authorization_endpoint": "https://id.example.com/authorize?x=y", "userinfo_endpoint": USERINFO}},
        },
        "upstreams": {"tools": {"mode": "id-jag", "server": "sts", "idp": "corp", "subject": {"signed_in": "id_token"}, "scopes": ["read"]}},
    })
}

pub fn caller(subject: &str) -> FakeExchange {
    FakeExchange::default()
        .with_upstream("tools")
        .with_attr("principal.id", &format!("8:auth-jwt/-/{subject}"))
        .with_attr("principal.subject", subject)
        .with_attr("principal.authority", "auth-jwt")
}

/// In the course of a call of this tool.
pub fn calling(subject: &str, tool: &str) -> FakeExchange {
    caller(subject).with_attr("token-exchange.tool", tool)
}

pub fn issued(token: &str) -> Value {
    json!({
        "access_token": token, "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "token_type": "Bearer", "expires_in": 600,
    })
}

pub fn assertion() -> Value {
    json!({"access_token": "the-id-jag", "issued_token_type": "urn:ietf:params:oauth:token-type:id-jag", "token_type": "N_A", "expires_in": 300})
}

pub fn signed_in(round: u32) -> Value {
    json!({
        "access_token": format!("idp-access-{round}"), "id_token": format!("idp-id-{round}"), "refresh_token": format!("idp-refresh-{round}"),
        "token_type": "Bearer", "expires_in": 600,
    })
}

impl World {
    pub fn new(config: Value) -> World {
        testing::reset();
        testing::set_clock_ms(1_000_000_000);
        for (name, value) in [("own", "own-token"), ("client", "client-secret"), ("idp-client", "idp-secret"), ("actor", "actor-token")] {
            testing::set_secret(name, value.as_bytes());
        }
        let plugin = testing::plugin(&config.to_string()).unwrap_or_else(|why| panic!("{why}"));
        let world = World { plugin, asked: Rc::default(), answers: Rc::default() };
        let (asked, answers) = (world.asked.clone(), world.answers.clone());
        testing::answer_fetches(move |sent| {
            let seen = String::from_utf8_lossy(&sent.request.body).into_owned();
            let mut request = Asked { url: sent.request.url.clone(), form: url::members(&seen).unwrap(), header: None, seen };
            for (place, bytes) in &sent.secrets {
                let text = String::from_utf8_lossy(bytes).into_owned();
                match place {
                    Place::Form(name) => request.form.push((name.clone(), text)),
                    Place::Basic(user) => request.header = Some(format!("{user}:{text}")),
                    Place::Header((_, prefix)) => request.header = Some(format!("{prefix}{text}")),
                }
            }
            asked.borrow_mut().push(request.clone());
            let answers = answers.borrow();
            let (status, body) =
                answers.get(&request.url).map_or_else(|| Err(Error::Unreachable("gone".into())), |answer| answer(&request))?;
            Ok(Response { status, headers: vec![], body: body.into_bytes(), captured: vec![] })
        });
        world.answers(STS, 200, issued("access-1"));
        world
    }

    /// From now on this URL answers so.
    pub fn answers(&self, url: &str, status: u16, body: Value) {
        self.answers_with(url, move |_| Ok((status, body.to_string())));
    }

    pub fn answers_with(&self, url: &str, answer: impl Fn(&Asked) -> Result<(u16, String), Error> + 'static) {
        self.answers.borrow_mut().insert(url.to_string(), Box::new(answer));
    }

    pub fn asked(&self, url: &str) -> Vec<Asked> {
        self.asked.borrow().iter().filter(|asked| asked.url == url).cloned().collect()
    }

    /// A first send.
    pub fn leaves(&self, x: &FakeExchange) -> OutboundVerdict {
        self.plugin.on_outbound(&FakeDeparture::new("tools", UPSTREAM), x)
    }

    /// The upstream says no to a send with this token.
    pub fn challenged(&self, x: &FakeExchange, status: u16, sent: &str) -> OutboundVerdict {
        self.plugin.on_outbound(&FakeDeparture::new("tools", UPSTREAM).refused(status, &["Bearer"]).with_sent(sent.as_bytes()), x)
    }

    pub fn visit(&self, url: &str, cookie: &str) -> HttpResponse {
        let path_and_query = url.strip_prefix("https://mcp.example.com").unwrap_or(url);
        let (path, query) = path_and_query.split_once('?').map_or((path_and_query, None), |(path, query)| (path, Some(query.to_string())));
        let headers = if cookie.is_empty() { vec![] } else { vec![("cookie".to_string(), cookie.to_string())] };
        let request =
            HttpRequest { method: "GET".into(), path: path.into(), query, headers, body: vec![], base: "https://mcp.example.com".into() };
        self.plugin.on_http(&request, &FakeExchange::default())
    }

    /// As far as the provider's page: what it was asked, and the cookie.
    pub fn begin(&self, link: &str) -> (Vec<(String, String)>, String) {
        let sent = self.visit(link, "");
        assert_eq!(sent.status, 303, "{}", text(&sent));
        let query = url::members(header(&sent, "location").split_once('?').unwrap().1).unwrap();
        (query, header(&sent, "set-cookie").split(';').next().unwrap().to_string())
    }

    /// The browser comes back, and the provider says that it is this person's.
    pub fn back(&self, asked: &[(String, String)], cookie: &str, subject: &str) -> HttpResponse {
        self.answers(USERINFO, 200, json!({"sub": subject}));
        let members = url::form(&[("code", "good"), ("state", of(asked, "state")), ("iss", IDP)]);
        self.visit(&format!("/-/token-exchange/callback/corp?{members}"), cookie)
    }

    /// The whole of it.
    pub fn sign_in(&self, x: &FakeExchange, subject: &str) {
        let link = link_of(self.leaves(x));
        let (asked, cookie) = self.begin(&link);
        let done = self.back(&asked, &cookie, subject);
        assert_eq!(done.status, 200, "{}", text(&done));
    }
}

#[track_caller]
pub fn bearer(verdict: OutboundVerdict) -> String {
    let sent = testing::sent(&verdict);
    match &sent[..] {
        [(name, value)] if name == "authorization" => value.strip_prefix("Bearer ").unwrap().to_string(),
        _ => panic!("no token: {verdict:?}"),
    }
}

#[track_caller]
pub fn rejected(verdict: OutboundVerdict) -> (i32, String) {
    match verdict {
        OutboundVerdict::Reject(no) => (no.code, no.message),
        other => panic!("not rejected: {other:?}"),
    }
}

#[track_caller]
pub fn link_of(verdict: OutboundVerdict) -> String {
    match verdict {
        OutboundVerdict::Suspend(Suspension { ask: Ask::Url(url), .. }) => url,
        other => panic!("no link: {other:?}"),
    }
}

pub fn text(response: &HttpResponse) -> String {
    String::from_utf8_lossy(&response.body).into_owned()
}

pub fn header<'a>(response: &'a HttpResponse, name: &str) -> &'a str {
    response.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
}

pub fn of<'a>(members: &'a [(String, String)], name: &str) -> &'a str {
    members.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
}
