//! An endpoint over a fake upstream, and a client that writes exactly the bytes it is told.

mod certificates;
mod fake;
mod guard;
mod log;
mod raw;
mod scripted;
mod tailor;
pub mod tls;

pub use certificates::{Authority, Certificates};
pub use fake::{Fake, decode};
pub use guard::guard;
pub use log::Log;
pub use raw::{Connection, Reply, request};
pub use scripted::{Far, Scripted, tools};
pub use tailor::Tailor;

use http::HeaderName;
use sluice_chain::{
    canary::Worse,
    filter::{Hook, Identity},
    gate::Access,
    host::{Host, Listening, Parking, Settings as HostSettings},
    record::{Ended, Observer, RouteCall},
    upstream::Upstream,
};
use sluice_transport::downstream::{Settings, serve};
use sluice_wire::revision::Era;
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// What the host reported.
#[derive(Default)]
pub struct Seen {
    pub turned_away: Mutex<Vec<&'static str>>,
    pub abandoned: Mutex<Vec<Ended>>,
    pub ended: Mutex<Vec<Ended>>,
    /// Name, version and why.
    pub taken_back: Mutex<Vec<String>>,
    /// Method, path, verdict and status.
    pub routes: Mutex<Vec<String>>,
}

impl Observer for Seen {
    fn ended(&self, ended: &Ended) {
        self.ended.lock().unwrap().push(ended.clone());
    }
    fn faulted(&self, _: &Identity, _: Hook, _: &'static str, _: &str) {}
    fn taken_back(&self, candidate: &Identity, worse: &Worse) {
        self.taken_back.lock().unwrap().push(format!("{} {}: {worse}", candidate.name, candidate.version));
    }
    fn route_called(&self, call: &RouteCall<'_>) {
        self.routes.lock().unwrap().push(format!("{} {} {} {:?}", call.method, call.path, call.verdict, call.status));
    }
    fn turned_away(&self, reason: &'static str) {
        self.turned_away.lock().unwrap().push(reason);
    }
    fn abandoned(&self, last: &Ended) {
        self.abandoned.lock().unwrap().push(last.clone());
    }
}

pub const TOKEN: &str = "let-me-in";

/// How an endpoint is set up.
pub struct Rig {
    pub settings: Settings,
    pub access: Access,
    pub era: Option<Era>,
    /// These instead of the fake.
    pub upstreams: Vec<Arc<dyn Upstream>>,
    pub parking: Parking,
    pub listening: Listening,
    pub route_calls_max: usize,
}

impl Default for Rig {
    /// Loopback token, an upstream of both eras, short deadlines.
    fn default() -> Rig {
        let mut settings = Settings::new("sluice", "0.0.0");
        settings.credential_headers = vec![HeaderName::from_static("x-api-key")];
        settings.limits.drain_grace = Duration::from_secs(2);
        Rig {
            settings,
            access: Access::Token(TOKEN.into()),
            era: None,
            upstreams: Vec::new(),
            parking: Parking::default(),
            listening: Listening::default(),
            route_calls_max: 32,
        }
    }
}

/// A running endpoint.
pub struct Endpoint {
    pub address: SocketAddr,
    pub fake: Arc<Fake>,
    pub host: Arc<Host>,
    pub seen: Arc<Seen>,
    pub drain: CancellationToken,
    pub serving: JoinHandle<()>,
}

impl Rig {
    /// An upstream that speaks this era only.
    pub fn era(era: Era) -> Rig {
        Rig { era: Some(era), ..Rig::default() }
    }

    /// Over these upstreams.
    pub fn over(upstreams: Vec<Arc<dyn Upstream>>) -> Rig {
        Rig { upstreams, ..Rig::default() }
    }

    pub fn settings(mut self, change: impl FnOnce(&mut Settings)) -> Rig {
        change(&mut self.settings);
        self
    }

    pub fn host(&self) -> (Arc<Host>, Arc<Fake>, Arc<Seen>) {
        let fake = Arc::new(Fake::new(self.era));
        let seen = Arc::new(Seen::default());
        let upstreams = if self.upstreams.is_empty() { vec![fake.clone() as Arc<dyn Upstream>] } else { self.upstreams.clone() };
        let Self { parking, listening, route_calls_max, .. } = *self;
        let settings = HostSettings { parking, listening, route_calls_max, ..HostSettings::new(self.access.clone()) };
        let host = Host::new(upstreams, settings, seen.clone()).expect("randomness");
        (host, fake, seen)
    }

    pub async fn start(self) -> Endpoint {
        let (host, fake, seen) = self.host();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let drain = CancellationToken::new();
        let serving = serve(vec![listener.into()], host.clone(), self.settings, drain.clone());
        let serving = tokio::spawn(async move { serving.await.expect("a safe address") });
        Endpoint { address, fake, host, seen, drain, serving }
    }
}

/// A running endpoint with everything at its default.
pub async fn start() -> Endpoint {
    Rig::default().start().await
}

pub const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"test","version":"1"}}"#;

impl Endpoint {
    pub async fn connect(&self) -> Connection {
        Connection::open(self.address).await
    }

    /// One POST on a connection of its own, with the ordinary headers and these. A header given
    /// here takes the place of the ordinary one; an empty value leaves it out.
    pub async fn post(&self, headers: &[(&str, &str)], body: &str) -> Reply {
        self.connect().await.ask(&request("POST", "/mcp", headers, body.as_bytes())).await
    }

    /// A modern request with right headers.
    pub async fn modern(&self, id: &str, method: &str, params: &str) -> Reply {
        self.post(&modern_headers(method, params), &modern_body(id, method, params)).await
    }

    /// The result of a modern request.
    pub async fn result(&self, method: &str, params: &str) -> serde_json::Value {
        let mut json = self.modern("1", method, params).await.json();
        assert!(json["result"].is_object(), "{json}");
        json["result"].take()
    }

    /// Names in a list, as it is shown now.
    pub async fn tool_names(&self) -> Vec<String> {
        let list = self.result("tools/list", "").await;
        list["tools"].as_array().expect("tools").iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect()
    }

    /// Proof that the endpoint still serves others.
    pub async fn is_well(&self) {
        let reply = self.modern("1", "tools/call", r#""name":"echo","arguments":{"a":1}"#).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert!(reply.json()["result"]["content"].is_array(), "{}", reply.text());
    }

    /// Proof that it still serves others, by a tool of this name.
    pub async fn is_well_with(&self, tool: &str) {
        let reply = self.modern("1", "tools/call", &format!(r#""name":"{tool}""#)).await;
        assert!(reply.json()["result"]["content"].is_array(), "{}", reply.text());
    }

    /// Opens a legacy session; its id.
    pub async fn initialize(&self, version: &str) -> String {
        let reply = self.post(&[], &initialize(version)).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.header("mcp-session-id").expect("a session").to_owned()
    }

    /// A message in a legacy session.
    pub async fn legacy(&self, session: &str, body: &str) -> Reply {
        self.post(&[("mcp-session-id", session), ("mcp-protocol-version", "2025-11-25")], body).await
    }
}

pub fn initialize(version: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{"protocolVersion":"{version}","capabilities":{{}},"clientInfo":{{"name":"t","version":"1"}}}}}}"#
    )
}

pub fn modern_body(id: &str, method: &str, params: &str) -> String {
    let comma = if params.is_empty() { "" } else { "," };
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{params}{comma}{META}}}}}"#)
}

pub fn modern_headers<'a>(method: &'a str, params: &'a str) -> Vec<(&'a str, &'a str)> {
    let mut headers = vec![("mcp-protocol-version", "2026-07-28"), ("mcp-method", method)];
    let name = ["\"name\":\"", "\"uri\":\""].iter().find_map(|key| params.split_once(key)?.1.split('"').next());
    headers.extend(name.map(|name| ("mcp-name", name)));
    headers
}

/// Waits until something has become true.
pub async fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    for _ in 0..200 {
        if is_true() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never came true: {what}");
}
