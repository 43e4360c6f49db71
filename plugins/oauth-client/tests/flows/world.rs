//! What is outside of the plugin, as a test wants it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sluice_plugin_oauth_client::challenge::Demand;
use sluice_plugin_oauth_client::config::Config;
use sluice_plugin_oauth_client::outbound::{self, Challenge, Decision, Departure};
use sluice_plugin_oauth_client::{connect, url};
use sluice_sdk::fetch::{Error, Place, Response};
use sluice_sdk::kv::Bucket;
use sluice_sdk::prelude::*;
use sluice_sdk::testing::{self, FakeExchange};

pub const UPSTREAM: &str = "https://tools.example.com/mcp";
pub const METADATA: &str = "https://tools.example.com/.well-known/oauth-protected-resource/mcp";
pub const AS: &str = "https://as.example.com";
pub const AS_METADATA: &str = "https://as.example.com/.well-known/oauth-authorization-server";
pub const IDP: &str = "https://id.example.com";

/// One request that left, with the secrets that the host put in.
#[derive(Debug, Clone)]
pub struct Asked {
    pub url: String,
    pub form: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub secrets: Vec<(String, String)>,
}

impl Asked {
    pub fn of(&self, name: &str) -> Option<&str> {
        self.form.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

type Answers = Rc<RefCell<HashMap<String, (u16, Value)>>>;

pub struct World {
    pub config: Config,
    pub bucket: Bucket,
    pub asked: Rc<RefCell<Vec<Asked>>>,
    answers: Answers,
    /// `sub` and nonce of the next identity token are put in when it is asked for.
    pub signs_in: Rc<RefCell<String>>,
    pub nonce: Rc<RefCell<String>>,
}

pub fn per_person() -> Value {
    json!({
        "public_url": "https://mcp.example.com",
        "sign_in": {"issuer": IDP, "client_id": "sluice"},
        "upstreams": {"tools": {"mode": "authorization_code"}},
    })
}

pub fn server(issuer: &str) -> Value {
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "registration_endpoint": format!("{issuer}/register"),
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none", "client_secret_post", "client_secret_basic"],
        "authorization_response_iss_parameter_supported": true,
    })
}

pub fn caller(subject: &str) -> FakeExchange {
    FakeExchange::default().with_attr("principal.id", &format!("8:auth-jwt/-/{subject}")).with_attr("principal.subject", subject)
}

impl World {
    pub fn new(config: Value) -> World {
        testing::reset();
        testing::set_clock_ms(1_000_000_000);
        let config: Config = serde_json::from_value(config).unwrap();
        let world = World {
            config: config.check().unwrap(),
            bucket: Bucket::open("grants").unwrap(),
            asked: Rc::default(),
            answers: Rc::default(),
            signs_in: Rc::default(),
            nonce: Rc::default(),
        };
        let (asked, answers) = (world.asked.clone(), world.answers.clone());
        let (signs_in, nonce) = (world.signs_in.clone(), world.nonce.clone());
        testing::answer_fetches(move |sent| {
            let body = sent.request.body.clone();
            let place = |place: &Place| match place {
                Place::Header((name, _)) => name.clone(),
                Place::Basic(user) => format!("basic:{user}"),
                Place::Form(name) => name.clone(),
            };
            let secrets = sent.secrets.iter().map(|(at, bytes)| (place(at), String::from_utf8_lossy(bytes).into_owned())).collect();
            let form = url::members(&String::from_utf8_lossy(&body)).unwrap_or_default();
            asked.borrow_mut().push(Asked { url: sent.request.url.clone(), form, body, secrets });
            let Some((status, mut body)) = answers.borrow().get(&sent.request.url).cloned() else {
                return Ok(Response { status: 404, headers: vec![], body: vec![], captured: vec![] });
            };
            if status == 0 {
                return Err(Error::Unreachable("gone".into()));
            }
            if body["id_token"] == "made" {
                let claims = json!({"iss": IDP, "aud": "sluice", "sub": *signs_in.borrow(), "nonce": *nonce.borrow(),
                    "exp": 2_000_000_u64, "iat": 1_000_000_u64});
                body["id_token"] = json!(format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string())));
            }
            Ok(Response { status, headers: vec![], body: body.to_string().into_bytes(), captured: vec![] })
        });
        world.answers(METADATA, 200, json!({"resource": UPSTREAM, "authorization_servers": [AS]}));
        world.answers(AS_METADATA, 200, server(AS));
        world.answers(&format!("{AS}/register"), 201, json!({"client_id": "registered", "token_endpoint_auth_method": "none"}));
        world.answers(&format!("{AS}/token"), 200, tokens("access-1", "refresh-1"));
        world.answers(&format!("{IDP}/.well-known/oauth-authorization-server"), 200, server(IDP));
        let who = json!({"access_token": "unwanted", "token_type": "Bearer", "id_token": "made"});
        world.answers(&format!("{IDP}/token"), 200, who);
        world
    }

    /// From now on this URL answers so.
    pub fn answers(&self, url: &str, status: u16, body: Value) {
        self.answers.borrow_mut().insert(url.to_string(), (status, body));
    }

    pub fn asked(&self, url: &str) -> Vec<Asked> {
        self.asked.borrow().iter().filter(|asked| asked.url == url).cloned().collect()
    }

    /// A first send.
    pub fn leaves(&self, x: &FakeExchange) -> Decision {
        self.decide(x, None, None)
    }

    /// The upstream says no to a send with this token.
    pub fn challenged(&self, x: &FakeExchange, status: u16, header: &str, sent: Option<&str>) -> Decision {
        let demand = Demand::read(&[header.to_string()]);
        self.decide(x, Some(Challenge { status, demand }), sent)
    }

    fn decide(&self, x: &FakeExchange, challenge: Option<Challenge>, sent: Option<&str>) -> Decision {
        let sent = sent.map(str::to_string);
        let refused = move |secret: &sluice_sdk::secrets::Secret| sent.as_ref().is_some_and(|sent| secret.equals(sent.as_bytes()));
        let departure = Departure { upstream: "tools", url: UPSTREAM, operation: "tools/call x", challenge, refused: &refused };
        outbound::decide(&self.config, &self.bucket, &departure, x)
    }

    /// A link for this caller, whose upstream wants a token.
    pub fn link(&self, x: &FakeExchange) -> String {
        link_of(self.challenged(x, 401, "Bearer", None))
    }

    pub fn visit(&self, method: &str, url: &str, cookie: &str, body: &str) -> HttpResponse {
        let path_and_query = url.strip_prefix("https://mcp.example.com").unwrap_or(url);
        let (path, query) = path_and_query.split_once('?').map_or((path_and_query, None), |(path, query)| (path, Some(query.to_string())));
        let headers = if cookie.is_empty() { vec![] } else { vec![("cookie".to_string(), cookie.to_string())] };
        let request = HttpRequest {
            method: method.into(),
            path: path.into(),
            query,
            headers,
            body: body.as_bytes().to_vec(),
            base: "https://mcp.example.com".into(),
        };
        connect::answer(&self.config, &self.bucket, &request, &FakeExchange::default().with_attr("transport.peer", "203.0.113.9"))
    }

    /// A browser with nobody signed in yet opens a link, and signs in as this one. The answer to that, and the cookie.
    pub fn sign_in(&self, link: &str, subject: &str) -> (HttpResponse, String) {
        let sent = self.visit("GET", link, "", "");
        assert_eq!(sent.status, 303, "{}", text(&sent));
        let (cookie, query) = (cookie(&sent), query(&sent));
        *self.nonce.borrow_mut() = of(&query, "nonce").to_string();
        *self.signs_in.borrow_mut() = subject.to_string();
        let back = url::form(&[("code", "who"), ("state", of(&query, "state")), ("iss", IDP)]);
        let answer = self.visit("GET", &format!("/-/oauth-client/callback?{back}"), &cookie, "");
        let cookie = if answer.status == 303 { self::cookie(&answer) } else { cookie };
        (answer, cookie)
    }

    /// As far as the authorization server's page. What it was asked, and the cookie.
    pub fn consent(&self, link: &str, subject: &str) -> (Vec<(String, String)>, String) {
        let (answer, cookie) = self.sign_in(link, subject);
        assert_eq!((answer.status, header(&answer, "location")), (303, link), "{}", text(&answer));
        let page = self.visit("GET", link, &cookie, "");
        let sent = self.visit("POST", link, &cookie, &format!("csrf={}&answer=yes", csrf(&page)));
        assert_eq!(sent.status, 303, "{}", text(&sent));
        (query(&sent), cookie)
    }

    /// The authorization server sends the browser back with these members and the right state.
    pub fn back(&self, asked: &[(String, String)], cookie: &str, members: &[(&str, &str)]) -> HttpResponse {
        let mut members = members.to_vec();
        members.push(("state", of(asked, "state")));
        self.visit("GET", &format!("/-/oauth-client/callback?{}", url::form(&members)), cookie, "")
    }

    /// The whole of it.
    pub fn connect(&self, x: &FakeExchange, subject: &str) {
        let link = self.link(x);
        let (asked, cookie) = self.consent(&link, subject);
        let done = self.back(&asked, &cookie, &[("code", "good"), ("iss", AS)]);
        assert_eq!(done.status, 200, "{}", text(&done));
    }
}

pub fn tokens(access: &str, refresh: &str) -> Value {
    json!({"access_token": access, "refresh_token": refresh, "token_type": "Bearer", "expires_in": 3600})
}

#[track_caller]
pub fn link_of(decision: Decision) -> String {
    match decision {
        Decision::Suspend(Suspension { ask: sluice_sdk::verdict::Ask::Url(url), .. }) => url,
        other => panic!("no link: {other:?}"),
    }
}

#[track_caller]
pub fn bearer(decision: Decision) -> String {
    match decision {
        Decision::With(name, prefix, secret) => {
            assert_eq!((name.as_str(), prefix.as_str()), ("authorization", "Bearer "));
            ["access-1", "access-2", "access-3", "access-4"].into_iter().find(|known| secret.equals(known.as_bytes())).unwrap().to_string()
        }
        other => panic!("no token: {other:?}"),
    }
}

#[track_caller]
pub fn rejected(decision: Decision) -> (i32, String) {
    match decision {
        Decision::Reject(no) => (no.code, no.message),
        other => panic!("not rejected: {other:?}"),
    }
}

pub fn text(response: &HttpResponse) -> String {
    String::from_utf8_lossy(&response.body).into_owned()
}

pub fn header<'a>(response: &'a HttpResponse, name: &str) -> &'a str {
    response.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
}

pub fn cookie(response: &HttpResponse) -> String {
    header(response, "set-cookie").split(';').next().unwrap_or_default().to_string()
}

pub fn query(response: &HttpResponse) -> Vec<(String, String)> {
    url::members(header(response, "location").split_once('?').unwrap_or_default().1).unwrap()
}

pub fn of<'a>(members: &'a [(String, String)], name: &str) -> &'a str {
    members.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
}

pub fn csrf(page: &HttpResponse) -> String {
    let html = text(page);
    let (_, rest) = html.split_once("name=\"csrf\" value=\"").unwrap_or_else(|| panic!("no form: {html}"));
    rest.split('"').next().unwrap().to_string()
}
