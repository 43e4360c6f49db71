//! An MCP server over HTTP, in either era or both, whose calls a test answers.

use crate::{
    caller::{Era, MODERN},
    server::{Answering, Response, Seen, Server},
};
use serde_json::{Value, json, value::RawValue};
use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// A `tools/call`, or any other request that a test answers itself.
pub struct Call {
    /// The id's token.
    pub id: String,
    pub era: Era,
    pub method: String,
    /// Tool, prompt or URI.
    pub name: String,
    /// As sent.
    pub arguments: String,
    pub progress_token: Option<String>,
}

impl Call {
    /// This `result`, as it is.
    pub fn result(&self, result: &str) -> Response {
        Response::json(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, self.id))
    }

    /// A result around these members; `resultType` is added where the era has it.
    pub fn members(&self, members: &str) -> Response {
        match self.era {
            Era::Legacy => self.result(&format!("{{{members}}}")),
            Era::Modern => self.result(&format!(r#"{{{members},"resultType":"complete"}}"#)),
        }
    }

    /// A text and the arguments back.
    pub fn echo(&self) -> Response {
        let text = serde_json::to_string(&self.arguments).expect("a string");
        self.members(&format!(r#""content":[{{"type":"text","text":{text}}}],"structuredContent":{}"#, self.arguments))
    }

    pub fn error(&self, code: i64, message: &str, data: &str) -> Response {
        let error = format!(r#"{{"code":{code},"message":{message:?},"data":{data}}}"#);
        Response::json(format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, self.id))
    }
}

/// Serves until it is dropped.
pub struct Backend {
    pub url: String,
    pub server: Server,
}

type Guard = Arc<dyn Fn(&Seen) -> Option<Response> + Send + Sync>;

/// What it offers.
#[derive(Clone, Default)]
pub struct Offer {
    pub legacy: bool,
    pub modern: bool,
    /// Definitions.
    pub tools: Vec<Value>,
    pub prompts: Vec<Value>,
    pub resources: Vec<Value>,
    /// Requests are kept for the test to read.
    pub keeps: bool,
    /// Answers in its place, before it looks; without one no request may bring a credential.
    pub guard: Option<Guard>,
}

impl Offer {
    /// Both eras, these tools.
    pub fn tools(names: &[&str]) -> Self {
        Self { legacy: true, modern: true, tools: names.iter().map(|name| tool(name)).collect(), ..Self::default() }
    }

    pub fn keeping(mut self) -> Self {
        self.keeps = true;
        self
    }

    pub fn guarded(mut self, guard: impl Fn(&Seen) -> Option<Response> + Send + Sync + 'static) -> Self {
        self.guard = Some(Arc::new(guard));
        self
    }

    pub fn only(mut self, era: Era) -> Self {
        (self.legacy, self.modern) = (era == Era::Legacy, era == Era::Modern);
        self
    }
}

pub fn tool(name: &str) -> Value {
    json!({"name": name, "description": "of the tests", "inputSchema": {"type": "object"}})
}

impl Backend {
    /// `answer` gets every request that is not a handshake or a list.
    pub async fn start<F>(offer: Offer, answer: impl Fn(Call) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Response> + Send + 'static,
    {
        let (sessions, answer) = (AtomicU64::new(0), Arc::new(answer));
        let keeps = offer.keeps;
        let server = Server::start(keeps, move |seen| -> Answering {
            if let Some(response) = offer.guard.as_ref().and_then(|guard| guard(&seen)) {
                return Box::pin(std::future::ready(response));
            }
            match offer.route(seen, &sessions) {
                Ok(call) => Box::pin(answer(call)),
                Err(response) => Box::pin(std::future::ready(response)),
            }
        })
        .await;
        Self { url: format!("http://{}/mcp", server.address), server }
    }

    /// Every call is answered with what it brought.
    pub async fn echo(tools: &[&str]) -> Self {
        Self::start(Offer::tools(tools), |call| async move { call.echo() }).await
    }

    /// The same, and every request is kept.
    pub async fn recording(tools: &[&str]) -> Self {
        Self::start(Offer::tools(tools).keeping(), |call| async move { call.echo() }).await
    }

    /// How often this method was asked.
    pub fn asked(&self, method: &str) -> usize {
        let is = |seen: &&Seen| serde_json::from_slice::<Value>(&seen.body).is_ok_and(|body| body["method"] == method);
        self.server.seen().iter().filter(is).count()
    }

    /// The body of the last `tools/call`. Not of the last request: the gateway opens a session's stream beside its first call, and
    /// that `GET` may well come in after it.
    pub fn last_call(&self) -> String {
        let is = |seen: &&Seen| serde_json::from_slice::<Value>(&seen.body).is_ok_and(|body| body["method"] == "tools/call");
        let body = self.server.seen().iter().rev().find(is).expect("a call").body.clone();
        String::from_utf8(body).expect("UTF-8")
    }
}

#[derive(serde::Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    method: String,
    #[serde(borrow, default)]
    params: Params<'a>,
}

#[derive(serde::Deserialize, Default)]
struct Params<'a> {
    name: Option<String>,
    uri: Option<String>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(rename = "protocolVersion")]
    version: Option<String>,
    #[serde(rename = "_meta", borrow, default)]
    meta: Meta<'a>,
}

#[derive(serde::Deserialize, Default)]
struct Meta<'a> {
    #[serde(rename = "io.modelcontextprotocol/protocolVersion")]
    version: Option<String>,
    #[serde(rename = "progressToken", borrow)]
    progress_token: Option<&'a RawValue>,
}

impl Offer {
    fn route(&self, seen: Seen, sessions: &AtomicU64) -> Result<Call, Response> {
        match seen.verb.as_str() {
            "POST" => {}
            "DELETE" => return Err(Response::status(200)),
            _ => return Err(Response::status(405)),
        }
        let request: Request<'_> = serde_json::from_slice(&seen.body).expect("the gateway writes JSON-RPC");
        let era = if request.params.meta.version.is_some() { Era::Modern } else { Era::Legacy };
        let Some(id) = request.id.map(|id| id.get().to_owned()) else { return Err(Response::status(202)) };
        let serves = if era == Era::Modern { self.modern } else { self.legacy };
        if !serves {
            let error = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32600,"message":"another era"}}}}"#);
            return Err(Response { status: 400, ..Response::json(error) });
        }
        self.headers(&request, &seen, era);
        let call = Call {
            id,
            era,
            name: request.params.name.or(request.params.uri).unwrap_or_default(),
            arguments: request.params.arguments.map_or("{}", RawValue::get).to_owned(),
            progress_token: request.params.meta.progress_token.map(|token| token.get().to_owned()),
            method: request.method,
        };
        let version = request.params.version.unwrap_or_default();
        match call.method.as_str() {
            "initialize" => {
                let mut response = call.result(&json!({"protocolVersion": version, "capabilities": self.capabilities(), "serverInfo": {"name": "backend", "version": "1"}}).to_string());
                response.headers.push(("mcp-session-id", format!("session-{}", sessions.fetch_add(1, Relaxed))));
                Err(response)
            }
            "server/discover" => {
                let mut versions = vec![MODERN];
                versions.extend(self.legacy.then_some("2025-11-25"));
                Err(call.result(&self.list(era, json!({"supportedVersions": versions, "capabilities": self.capabilities()}))))
            }
            "ping" => Err(call.result("{}")),
            "tools/list" => Err(call.result(&self.list(era, json!({"tools": self.tools})))),
            "prompts/list" => Err(call.result(&self.list(era, json!({"prompts": self.prompts})))),
            "resources/list" => Err(call.result(&self.list(era, json!({"resources": self.resources})))),
            "resources/templates/list" => Err(call.result(&self.list(era, json!({"resourceTemplates": []})))),
            _ => Ok(call),
        }
    }

    /// What the gateway must have got right.
    fn headers(&self, request: &Request<'_>, seen: &Seen, era: Era) {
        if era == Era::Modern {
            assert_eq!(seen.header("mcp-protocol-version"), request.params.meta.version.as_deref(), "recomputed headers");
            assert_eq!(seen.header("mcp-method"), Some(request.method.as_str()), "recomputed headers");
        }
        assert!(self.guard.is_some() || seen.header("authorization").is_none(), "a client's credential must not pass");
    }

    fn capabilities(&self) -> Value {
        let mut capabilities = json!({"tools": {}, "logging": {}});
        if !self.prompts.is_empty() {
            capabilities["prompts"] = json!({});
        }
        if !self.resources.is_empty() {
            capabilities["resources"] = json!({});
        }
        capabilities
    }

    fn list(&self, era: Era, mut result: Value) -> String {
        if era == Era::Modern {
            result["resultType"] = json!("complete");
            result["ttlMs"] = json!(60_000);
            result["cacheScope"] = json!("public");
        }
        result.to_string()
    }
}
