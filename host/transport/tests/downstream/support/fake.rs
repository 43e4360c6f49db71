//! An upstream in memory.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use sluice_chain::{
    exchange::{Client, Delivery, Interim, Question},
    principal::Principal,
    upstream::{Health, Inbound, Outbound, ServerFacts, Upstream, UpstreamError},
};
use sluice_wire::{
    json::{Document, IndexDepth, Limits},
    message::Message,
    revision::{Era, Revision},
};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// Tools: `echo`, `progress`, `slow` (until cancelled), `held` (until released), `héllo`, `mirror`.
pub struct Fake {
    name: Arc<str>,
    era: Option<Era>,
    /// What reached it: method and name.
    pub calls: Mutex<Vec<String>>,
    /// The requests as they left.
    pub requests: Mutex<Vec<String>>,
    /// `Mcp-Param-*` that no tool's annotation knows.
    pub unknown_params: Mutex<Vec<(String, String)>>,
    /// Who called a tool.
    clients: Mutex<Vec<Arc<Client>>>,
    pub cancelled: Mutex<Vec<String>>,
    pub forgotten: Mutex<Vec<String>>,
    pub release: Notify,
}

impl Fake {
    pub fn new(era: Option<Era>) -> Fake {
        Fake {
            name: "fake".into(),
            era,
            calls: Mutex::default(),
            requests: Mutex::default(),
            unknown_params: Mutex::default(),
            clients: Mutex::default(),
            cancelled: Mutex::default(),
            forgotten: Mutex::default(),
            release: Notify::new(),
        }
    }

    /// Calls that went past the lists.
    pub fn called(&self) -> Vec<String> {
        self.calls.lock().unwrap().iter().filter(|call| !call.contains("/list")).cloned().collect()
    }

    /// The callers of tools, as the chain knows them.
    pub fn clients(&self) -> Vec<Arc<Client>> {
        self.clients.lock().unwrap().clone()
    }

    fn speaks(&self, client: Era) -> Revision {
        match self.era.unwrap_or(client) {
            Era::Modern => Revision::V2026_07_28,
            Era::Legacy => Revision::V2025_11_25,
        }
    }

    async fn answer(&self, outbound: &Outbound, spoken: Revision) -> Result<String, UpstreamError> {
        let message = &outbound.message;
        let name = message.target().and_then(|target| target.as_str()).unwrap_or_default().into_owned();
        let extra = if spoken.era() == Era::Modern { r#","resultType":"complete""# } else { "" };
        let hints = if spoken.era() == Era::Modern { r#","resultType":"complete","ttlMs":0,"cacheScope":"private""# } else { "" };
        Ok(match (message.method(), name.as_str()) {
            ("tools/list", _) => {
                let tool = |name: &str, more: &str| format!(r#"{{"name":"{name}","inputSchema":{{"type":"object"{more}}}}}"#);
                let mirror = r#","properties":{"a":{"type":"string","x-mcp-header":"A"},"n":{"type":"integer","x-mcp-header":"N"}}"#;
                let names = [
                    tool("echo", ""),
                    tool("progress", ""),
                    tool("slow", ""),
                    tool("ask", ""),
                    tool("held", ""),
                    tool("rounds", ""),
                    tool("form", ""),
                    tool("both", ""),
                    tool("hasty", ""),
                    tool("héllo", ""),
                    tool("mirror", mirror),
                ];
                format!(r#""result":{{"tools":[{}]{hints}}}"#, names.join(","))
            }
            ("resources/templates/list", _) => {
                format!(r#""result":{{"resourceTemplates":[{{"name":"t","uriTemplate":"test://{{x}}"}}]{hints}}}"#)
            }
            ("resources/list", _) => format!(r#""result":{{"resources":[]{hints}}}"#),
            ("prompts/list", _) => format!(r#""result":{{"prompts":[]{hints}}}"#),
            ("resources/read", "test://missing") if spoken.era() == Era::Modern => {
                r#""error":{"code":-32602,"message":"no such resource","data":{"uri":"test://missing"}}"#.into()
            }
            ("resources/read", "test://missing") => r#""error":{"code":-32002,"message":"no such resource"}"#.into(),
            ("tools/call", "progress") => {
                for step in 1..=3 {
                    let token = message.meta().and_then(|meta| Some(meta.get("progressToken")?.raw().to_owned())).unwrap_or("null".into());
                    let text = format!(
                        r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{step}}}}}"#
                    );
                    let _ = outbound.interim.send(Interim::Notification(Delivery { message: Arc::new(decode(text)), spoken })).await;
                }
                format!(r#""result":{{"content":[]{extra}}}"#)
            }
            ("tools/call", "ask") => {
                let mut answers = Vec::new();
                for method in ["elicitation/create", "roots/list"] {
                    let text = format!(r#"{{"jsonrpc":"2.0","id":"theirs","method":"{method}","params":{{"n":1.0}}}}"#);
                    let (reply, answer) = tokio::sync::oneshot::channel();
                    let question = Question { delivery: Delivery { message: Arc::new(decode(text)), spoken }, reply };
                    let _ = outbound.interim.send(Interim::Question(question)).await;
                    let answer = answer.await.ok();
                    answers.push(answer.map_or("null".to_owned(), |answer| String::from_utf8_lossy(answer.message.bytes()).into_owned()));
                }
                format!(r#""result":{{"content":[],"answers":[{}]{extra}}}"#, answers.join(","))
            }
            ("tools/call", "rounds") => match (message.param("inputResponses"), message.param("arguments").map(|a| a.raw())) {
                (Some(_), _) => r#""result":{"resultType":"complete","content":[]}"#.into(),
                (None, stateless) => {
                    let state = if stateless == Some("{}") { "" } else { r#","requestState":"s\u0041""# };
                    format!(r#""result":{{"resultType":"input_required","inputRequests":{{"k":{{"method":"roots/list"}}}}{state}}}"#)
                }
            },
            ("tools/call", tool @ ("form" | "both" | "hasty")) => {
                let answers = self.ask_all(outbound, spoken, tool).await;
                if outbound.cancel.is_cancelled() {
                    self.cancelled.lock().unwrap().push(name);
                    return Err(UpstreamError::Cancelled);
                }
                format!(r#""result":{{"content":[],"answers":[{}]{extra}}}"#, answers.join(","))
            }
            ("tools/call", "slow") => {
                outbound.cancel.cancelled().await;
                self.cancelled.lock().unwrap().push(name);
                return Err(UpstreamError::Cancelled);
            }
            ("tools/call", "held") => {
                tokio::select! {
                    () = self.release.notified() => format!(r#""result":{{"content":[]{extra}}}"#),
                    () = outbound.cancel.cancelled() => {
                        self.cancelled.lock().unwrap().push(name);
                        return Err(UpstreamError::Cancelled);
                    }
                }
            }
            _ => {
                let arguments = message.param("arguments").map_or("null", |arguments| arguments.raw());
                format!(r#""result":{{"z":1.10,"content":[],"structuredContent":{{"got":{arguments}}}{extra}}}"#)
            }
        })
    }

    /// Asks all at once; what came back. The hasty tool does not wait for that.
    async fn ask_all(&self, outbound: &Outbound, spoken: Revision, tool: &str) -> Vec<String> {
        let schema = r#"{"type":"object","properties":{"n":{"type":"integer","minimum":1}},"required":["n"]}"#;
        let form = format!(
            r#"{{"jsonrpc":"2.0","id":"f","method":"elicitation/create","params":{{"message":"m","requestedSchema":{schema},"_meta":{{"a":1}},"task":{{}},"elicitationId":"e"}}}}"#
        );
        let roots = r#"{"jsonrpc":"2.0","id":"r","method":"roots/list"}"#.to_owned();
        let texts = if tool == "both" { vec![form, roots] } else { vec![form] };
        let mut waiting = Vec::new();
        for text in texts {
            let (reply, answer) = tokio::sync::oneshot::channel();
            let question = Question { delivery: Delivery { message: Arc::new(decode(text)), spoken }, reply };
            let _ = outbound.interim.send(Interim::Question(question)).await;
            waiting.push(answer);
        }
        if tool == "hasty" {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            return Vec::new();
        }
        let mut answers = Vec::new();
        for answer in waiting {
            let answer = answer.await.ok();
            answers.push(answer.map_or("null".to_owned(), |answer| String::from_utf8_lossy(answer.message.bytes()).into_owned()));
        }
        answers
    }
}

pub fn decode(text: String) -> Message {
    Message::decode(Document::parse(text.into(), &Limits::RESPONSE, IndexDepth::Levels(4)).expect("JSON")).expect("a message")
}

impl Upstream for Fake {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn transport(&self) -> &'static str {
        "builtin"
    }

    fn health(&self) -> Health {
        Health::Up
    }

    fn facts<'a>(&'a self, era: Era, _: &'a Arc<Client>, _: &'a Arc<Principal>) -> BoxFuture<'a, Result<Arc<ServerFacts>, UpstreamError>> {
        let revision = self.speaks(era);
        let capabilities = r#"{"tools":{},"resources":{"subscribe":true},"prompts":{},"logging":{},"completions":{}}"#;
        Box::pin(async move {
            Ok(Arc::new(ServerFacts {
                era: revision.era(),
                revision,
                capabilities: Bytes::from_static(capabilities.as_bytes()),
                info: Some(Bytes::from_static(br#"{"name":"fake","version":"2"}"#)),
                instructions: Some("be \"nice\"".into()),
            }))
        })
    }

    fn send<'a>(&'a self, outbound: Outbound) -> BoxFuture<'a, Result<Inbound, UpstreamError>> {
        Box::pin(async move {
            let target = outbound.message.target().and_then(|target| target.as_str()).unwrap_or_default().into_owned();
            self.calls.lock().unwrap().push(format!("{} {target}", outbound.message.method()));
            self.requests.lock().unwrap().push(String::from_utf8_lossy(outbound.message.bytes()).into_owned());
            self.unknown_params.lock().unwrap().extend(outbound.unknown_params.iter().cloned());
            if outbound.message.method() == "tools/call" {
                self.clients.lock().unwrap().push(outbound.client.clone());
            }
            let spoken = self.speaks(outbound.spoken.era());
            let answer = self.answer(&outbound, spoken).await?;
            let text = format!(r#"{{ "id" : 77,"jsonrpc":"2.0",{answer}}}"#);
            Ok(Inbound::whole(Delivery { message: Arc::new(decode(text)), spoken }))
        })
    }

    fn forget_session<'a>(&'a self, session: &'a str) -> BoxFuture<'a, ()> {
        self.forgotten.lock().unwrap().push(session.to_owned());
        Box::pin(async {})
    }

    fn close<'a>(&'a self) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
}
