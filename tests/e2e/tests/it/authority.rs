//! Authorization servers and identity providers inside the test: what they say is what a test makes of it.

use crate::{
    backend::{Backend, Offer},
    connection::{Connection, Reply},
    server::{Answering, Response, Seen, Server},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

/// Grants whatever it is asked for. At one that says who somebody is, the code is `subject.nonce`.
pub struct Authority {
    pub server: Server,
    pub issuer: String,
}

impl Authority {
    /// `bend` changes its metadata.
    pub async fn start(bend: fn(&mut Value)) -> Self {
        let server = Server::start(true, move |seen| -> Answering { Box::pin(std::future::ready(answer(&seen, bend))) }).await;
        let issuer = format!("http://{}", server.address);
        Self { server, issuer }
    }

    pub async fn honest() -> Self {
        Self::start(|_| {}).await
    }

    /// Paths that were asked for, in order.
    pub fn asked(&self) -> Vec<String> {
        self.server.seen().iter().map(|seen| seen.target.clone()).collect()
    }

    pub fn was_asked(&self, path: &str) -> bool {
        self.asked().iter().any(|asked| asked == path)
    }

    /// A grant of requests to it, which are to this machine.
    pub fn grant(&self) -> String {
        format!("fetch:{} GET,POST private", self.issuer)
    }

    /// The access token that it gives.
    pub fn token(&self) -> String {
        token_of(&self.issuer)
    }
}

/// The assertion that it gives in an exchange (ID-JAG).
pub fn assertion_of(issuer: &str) -> String {
    format!("assertion-of-{issuer}")
}

fn token_of(issuer: &str) -> String {
    format!("access-token-of-{issuer}")
}

fn answer(seen: &Seen, bend: fn(&mut Value)) -> Response {
    let issuer = format!("http://{}", seen.header("host").unwrap_or_default());
    match seen.target.split('?').next().unwrap_or_default() {
        "/.well-known/oauth-authorization-server" => {
            let mut metadata = json!({
                "issuer": issuer,
                "authorization_endpoint": format!("{issuer}/authorize"),
                "token_endpoint": format!("{issuer}/token"),
                "registration_endpoint": format!("{issuer}/register"),
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["client_secret_post", "none"],
                "authorization_response_iss_parameter_supported": true,
            });
            bend(&mut metadata);
            Response::json(metadata.to_string())
        }
        "/register" => {
            // With a secret, which can be looked for where it does not belong.
            let client = json!({
                "client_id": format!("client-of-{issuer}"),
                "client_secret": format!("client-secret-of-{issuer}"),
                "token_endpoint_auth_method": "client_secret_post",
            });
            Response { status: 201, ..Response::json(client.to_string()) }
        }
        "/token" => {
            let form = members(&String::from_utf8_lossy(&seen.body));
            let mut tokens = json!({
                "access_token": token_of(&issuer),
                "refresh_token": format!("refresh-token-of-{issuer}"),
                "token_type": "Bearer",
                "expires_in": 3600,
            });
            if let Some((subject, nonce)) = form.get("code").and_then(|code| code.split_once('.')) {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
                let claims = json!({"iss": issuer, "aud": form["client_id"], "sub": subject, "nonce": nonce, "iat": now, "exp": now + 60});
                tokens["id_token"] = json!(format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string())));
                tokens["access_token"] = json!(format!("{subject}.{}", token_of(&issuer)));
            }
            // RFC 8693: what was asked for, whatever that is.
            if let Some(requested) = form.get("requested_token_type") {
                tokens["issued_token_type"] = json!(requested);
                if requested.ends_with(":id-jag") {
                    tokens["access_token"] = json!(assertion_of(&issuer));
                    tokens["token_type"] = json!("N_A");
                }
            }
            Response::json(tokens.to_string())
        }
        "/userinfo" => {
            let subject = seen.header("authorization").and_then(|value| value.strip_prefix("Bearer ")?.split_once('.')).map(|(who, _)| who);
            Response::json(json!({"sub": subject}).to_string())
        }
        _ => Response::status(404),
    }
}

/// A server whose requests, or whose calls alone, need a token of the authorization server that it names at that time.
pub async fn protected(names: Arc<Mutex<String>>, only_calls: bool) -> Backend {
    let guard = move |seen: &Seen| {
        let issuer = names.lock().expect("nobody panics with it").clone();
        if seen.target == "/.well-known/oauth-protected-resource/mcp" {
            let resource = format!("http://{}/mcp", seen.header("host").unwrap_or_default());
            return Some(Response::json(json!({"resource": resource, "authorization_servers": [issuer]}).to_string()));
        }
        let is_call = serde_json::from_slice::<Value>(&seen.body).is_ok_and(|body| body["method"] == "tools/call");
        let is_fine = (only_calls && !is_call) || seen.header("authorization") == Some(&format!("Bearer {}", token_of(&issuer)));
        (!is_fine).then(|| Response { headers: vec![("www-authenticate", "Bearer".to_owned())], ..Response::status(401) })
    };
    Backend::start(Offer::tools(&["echo"]).keeping().guarded(guard), |call| async move { call.echo() }).await
}

/// A person's browser, as far as the gateway's pages go: it keeps cookies, and goes nowhere by itself.
#[derive(Default)]
pub struct Browser {
    cookies: BTreeMap<String, String>,
}

impl Browser {
    pub async fn open(&mut self, url: &str) -> Reply {
        self.send("GET", url, "").await
    }

    /// Fills in the page's form, and presses yes.
    pub async fn agree(&mut self, url: &str, page: &Reply) -> Reply {
        let html = String::from_utf8_lossy(&page.body).into_owned();
        let (_, rest) = html.split_once("name=\"csrf\" value=\"").unwrap_or_else(|| panic!("no form: {} {html}", page.status));
        let body = format!("csrf={}&answer=yes", rest.split('"').next().unwrap_or_default());
        self.send("POST", url, &body).await
    }

    /// Opens a connect link, and signs in at the identity provider as this one. What comes of it.
    pub async fn sign_in(&mut self, link: &str, provider: &Authority, subject: &str) -> Reply {
        let sent = self.open(link).await;
        let location = sent.header("location").unwrap_or_else(|| panic!("{} {}", sent.status, String::from_utf8_lossy(&sent.body)));
        assert!(location.starts_with(&format!("{}/authorize?", provider.issuer)), "{location}");
        let query = query(location);
        let code = format!("{subject}.{}", query["nonce"]);
        self.open(&back(link, &query["state"], &code, &provider.issuer)).await
    }

    /// As far as the authorization server's page: the query it was sent there with.
    pub async fn go_to_authorize(&mut self, link: &str, provider: &Authority, subject: &str) -> BTreeMap<String, String> {
        let signed_in = self.sign_in(link, provider, subject).await;
        assert_eq!(signed_in.header("location"), Some(link), "{}", String::from_utf8_lossy(&signed_in.body));
        let page = self.open(link).await;
        let sent = self.agree(link, &page).await;
        query(sent.header("location").unwrap_or_else(|| panic!("{} {}", sent.status, String::from_utf8_lossy(&sent.body))))
    }

    /// Opens a page that sends it on to sign in, and comes back from there as this one, to where it was told. What comes of it.
    pub async fn come_back(&mut self, link: &str, subject: &str, issuer: &str) -> Reply {
        let sent = self.open(link).await;
        let asked = query(sent.header("location").unwrap_or_else(|| panic!("{} {}", sent.status, String::from_utf8_lossy(&sent.body))));
        self.open(&format!("{}?code={subject}.&state={}&iss={issuer}", asked["redirect_uri"], asked["state"])).await
    }

    async fn send(&mut self, verb: &str, url: &str, body: &str) -> Reply {
        let (host, path) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).expect("a page of the gateway");
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = format!(
            "{verb} /{path} HTTP/1.1\r\nhost: {host}\r\norigin: http://{host}\r\ncookie: {}\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
            cookies.join("; "),
            body.len()
        );
        let mut connection = Connection::open(host).await.expect("the gateway");
        let reply = connection.exchange(request.as_bytes()).await.expect("an answer");
        for (name, value) in
            reply.headers.iter().filter(|(name, _)| name == "set-cookie").filter_map(|(_, value)| value.split(';').next()?.split_once('='))
        {
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        reply
    }
}

/// Where a server sends the browser back to.
pub fn back(link: &str, state: &str, code: &str, issuer: &str) -> String {
    let (origin, _) = link.split_once("/connect?").expect("a link");
    format!("{origin}/callback?code={code}&state={state}&iss={issuer}")
}

fn query(url: &str) -> BTreeMap<String, String> {
    members(url.split_once('?').expect("a query").1)
}

fn members(text: &str) -> BTreeMap<String, String> {
    let decoded = |text: &str| {
        let mut bytes = Vec::new();
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            let digits = [rest.clone().next(), rest.clone().nth(1)];
            match (byte, digits) {
                (b'%', [Some(high), Some(low)]) => {
                    let text = [high, low].map(char::from).iter().collect::<String>();
                    bytes.push(u8::from_str_radix(&text, 16).expect("two digits"));
                    rest.nth(1);
                }
                (b'+', _) => bytes.push(b' '),
                _ => bytes.push(byte),
            }
        }
        String::from_utf8(bytes).expect("UTF-8")
    };
    text.split('&').filter_map(|pair| pair.split_once('=')).map(|(name, value)| (decoded(name), decoded(value))).collect()
}
