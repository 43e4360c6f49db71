//! A static MCP server: two tools in both eras and one that asks in the legacy one, one thread. It does the least that is still correct, header checks
//! and sessions included, so that Sluice can probe it and a wrong request fails the run.

use std::cell::RefCell;
use std::collections::HashSet;
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{self, Poll};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::net::TcpListener;

use crate::flags::{Flags, Known};
use crate::replies::{self, Era, Replies, Tool};

/// The command's flags.
pub const FLAGS: Known = &[("listen", "HOST:PORT, 127.0.0.1:0 by default; the ready line has the chosen port")];

type Reply = Response<Said>;

/// What a reply holds.
enum Said {
    /// One text, none once it is written.
    Whole(Option<Bytes>),
    /// A question, after which the stream stays open: nobody answers it here.
    Question(Option<Bytes>),
}

impl Body for Said {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut task::Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Said::Whole(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Said::Question(text) => text.take().map_or(Poll::Pending, |text| Poll::Ready(Some(Ok(Frame::data(text))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Said::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Said::Whole(text) => SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64),
            Said::Question(_) => SizeHint::default(),
        }
    }
}

/// Serves until the process is told to stop.
pub async fn serve(flags: &Flags) -> Result<()> {
    let listener = TcpListener::bind(flags.text("listen").unwrap_or("127.0.0.1:0")).await?;
    println!("backend ready http://{}/mcp", listener.local_addr()?);
    let server = Rc::new(Server { replies: Replies::build(), sessions: RefCell::default() });
    let connections = tokio::task::LocalSet::new();
    let accept = async {
        loop {
            let (stream, _) = listener.accept().await.context("accept")?;
            stream.set_nodelay(true)?;
            let server = server.clone();
            tokio::task::spawn_local(async move {
                let answer = service_fn(|request| async { Ok::<_, Infallible>(server.answer(request).await) });
                // A caller that hangs up ends its connection; that is no error here.
                let _ = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(stream), answer)
                    .await;
            });
        }
    };
    connections.run_until(accept).await
}

/// The parts of a request that decide the answer.
#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    method: &'a str,
    #[serde(borrow, default)]
    params: Params<'a>,
}

#[derive(Deserialize, Default)]
struct Params<'a> {
    name: Option<&'a str>,
    #[serde(rename = "protocolVersion")]
    asked: Option<&'a str>,
    #[serde(rename = "_meta", borrow, default)]
    meta: Meta<'a>,
}

#[derive(Deserialize, Default)]
struct Meta<'a> {
    #[serde(rename = "io.modelcontextprotocol/protocolVersion")]
    revision: Option<&'a str>,
    #[serde(rename = "io.modelcontextprotocol/clientCapabilities", borrow)]
    capabilities: Option<&'a RawValue>,
}

struct Server {
    replies: Replies,
    sessions: RefCell<Sessions>,
}

#[derive(Default)]
struct Sessions {
    opened: u64,
    live: HashSet<String>,
}

impl Server {
    async fn answer(&self, request: http::Request<Incoming>) -> Reply {
        let (parts, body) = request.into_parts();
        match parts.method {
            Method::POST => {}
            Method::DELETE => return self.end_session(&parts.headers),
            _ => return bare(StatusCode::METHOD_NOT_ALLOWED),
        }
        let Ok(body) = body.collect().await else {
            return bare(StatusCode::BAD_REQUEST);
        };
        let body = body.to_bytes();
        let Ok(call) = serde_json::from_slice::<Call<'_>>(&body) else {
            return refusal(StatusCode::BAD_REQUEST, "null", -32700, "not a JSON-RPC request");
        };
        let id = call.id.map_or("null", RawValue::get);
        match call.params.meta.revision {
            Some(revision) => self.modern(&call, id, revision, &parts.headers),
            None => self.legacy(&call, id, &parts.headers),
        }
    }

    fn modern(&self, call: &Call<'_>, id: &str, revision: &str, headers: &HeaderMap) -> Reply {
        let bad = |code, message| refusal(StatusCode::BAD_REQUEST, id, code, message);
        if call.params.meta.capabilities.is_none() {
            return bad(-32602, "clientCapabilities missing");
        }
        if text(headers, "mcp-protocol-version") != Some(revision) || text(headers, "mcp-method") != Some(call.method) {
            return bad(-32020, "headers and body disagree");
        }
        if revision != replies::MODERN {
            let data = format!(r#"{{"supported":["{}"],"requested":"{revision}"}}"#, replies::MODERN);
            let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32022,"message":"unsupported revision","data":{data}}}}}"#);
            return json(StatusCode::BAD_REQUEST, body);
        }
        match call.method {
            "server/discover" => result(id, &self.replies.discover),
            "tools/list" => result(id, self.replies.list(Era::Modern)),
            "tools/call" if text(headers, "mcp-name") != call.params.name => bad(-32020, "Mcp-Name is not the tool"),
            "tools/call" => self.call(Era::Modern, call, id),
            _ => refusal(StatusCode::NOT_FOUND, id, -32601, "unknown method"),
        }
    }

    fn legacy(&self, call: &Call<'_>, id: &str, headers: &HeaderMap) -> Reply {
        if call.method == "initialize" {
            return self.open_session(call.params.asked.unwrap_or_default(), id);
        }
        let Some(session) = text(headers, "mcp-session-id") else {
            return refusal(StatusCode::BAD_REQUEST, id, -32600, "no session");
        };
        if !self.sessions.borrow().live.contains(session) {
            return refusal(StatusCode::NOT_FOUND, id, -32600, "unknown session");
        }
        if call.id.is_none() {
            return bare(StatusCode::ACCEPTED);
        }
        match call.method {
            "ping" => result(id, "{}"),
            "tools/list" => result(id, self.replies.list(Era::Legacy)),
            "tools/call" if call.params.name == Some(replies::ASKING) => question(),
            "tools/call" => self.call(Era::Legacy, call, id),
            _ => refusal(StatusCode::OK, id, -32601, "unknown method"),
        }
    }

    fn call(&self, era: Era, call: &Call<'_>, id: &str) -> Reply {
        match call.params.name.and_then(Tool::named) {
            Some(tool) => result(id, self.replies.call(era, tool)),
            None => refusal(StatusCode::OK, id, -32602, "unknown tool"),
        }
    }

    fn open_session(&self, asked: &str, id: &str) -> Reply {
        let mut sessions = self.sessions.borrow_mut();
        sessions.opened += 1;
        // Guessable, which is no matter for a server that has nothing to hide and lives for minutes on loopback.
        let session = format!("bench-{:08}", sessions.opened);
        let mut reply = result(id, &replies::initialize_result(asked));
        if let Ok(value) = session.parse() {
            reply.headers_mut().insert("mcp-session-id", value);
        }
        sessions.live.insert(session);
        reply
    }

    fn end_session(&self, headers: &HeaderMap) -> Reply {
        match text(headers, "mcp-session-id") {
            None => bare(StatusCode::METHOD_NOT_ALLOWED),
            Some(session) if self.sessions.borrow_mut().live.remove(session) => bare(StatusCode::OK),
            Some(_) => bare(StatusCode::NOT_FOUND),
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn result(id: &str, result: &str) -> Reply {
    let mut body = String::with_capacity(result.len() + id.len() + 40);
    for piece in [r#"{"jsonrpc":"2.0","id":"#, id, r#","result":"#, result, "}"] {
        body.push_str(piece);
    }
    json(StatusCode::OK, body)
}

/// A stream that begins with an elicitation.
fn question() -> Reply {
    let mut reply = bare(StatusCode::OK);
    *reply.body_mut() = Said::Question(Some(Bytes::from_static(replies::QUESTION.as_bytes())));
    reply.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/event-stream"));
    reply
}

fn refusal(status: StatusCode, id: &str, code: i32, message: &str) -> Reply {
    json(status, format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":"{message}"}}}}"#))
}

fn json(status: StatusCode, body: String) -> Reply {
    let mut reply = bare(status);
    *reply.body_mut() = Said::Whole(Some(Bytes::from(body)));
    reply.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    reply
}

fn bare(status: StatusCode) -> Reply {
    let mut reply = Response::new(Said::Whole(None));
    *reply.status_mut() = status;
    if status == StatusCode::METHOD_NOT_ALLOWED {
        reply.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("POST"));
    }
    reply
}
