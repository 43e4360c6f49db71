//! Clients that ask and servers that answer, well or badly.

pub mod server;

use bytes::Bytes;
use serde_json::{Value, json};
use sluice_chain::{
    exchange::{Client, Delivery, Interim},
    principal::Principal,
    queue::{Receiver, queue},
    upstream::{Inbound, Listener, Outbound, Unsolicited, Upstream, UpstreamError},
};
use sluice_wire::{
    header::Annotation,
    json::{Document, IndexDepth, Limits},
    message::Message,
    revision::Revision,
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

/// Somebody who asks.
#[derive(Clone)]
pub struct Asker {
    pub revision: Revision,
    pub client: Arc<Client>,
    pub principal: Arc<Principal>,
}

impl Asker {
    pub fn legacy(session: &str) -> Self {
        Self::new(Revision::V2025_11_25, Some(session), "{}")
    }

    pub fn modern() -> Self {
        Self::new(Revision::V2026_07_28, None, "{}")
    }

    pub fn new(revision: Revision, session: Option<&str>, capabilities: &str) -> Self {
        let info = match session {
            Some(_) => {
                format!(r#"{{"protocolVersion":"{revision}","capabilities":{capabilities},"clientInfo":{{"name":"asker","version":"1"}}}}"#)
            }
            None => r#"{"name":"asker","version":"1"}"#.to_owned(),
        };
        let client = Client {
            info: Some(Bytes::from(info)),
            capabilities: Bytes::from(capabilities.to_owned()),
            session: session.map(Into::into),
            facts: Arc::default(),
            log_level: Mutex::default(),
        };
        Self { revision, client: Arc::new(client), principal: Arc::new(Principal::local()) }
    }

    pub fn named(mut self, subject: &str) -> Self {
        self.principal = Arc::new(Principal::new("test", subject, None));
        self
    }

    pub fn logging(self, level: &str) -> Self {
        *self.client.log_level.lock().unwrap() = Some(level.into());
        self
    }

    fn is_modern(&self) -> bool {
        self.revision >= Revision::V2026_07_28
    }

    /// A request; modern ones get their `_meta`.
    pub fn request(&self, method: &str, mut params: Value) -> Asked {
        if self.is_modern() {
            let capabilities: Value = serde_json::from_slice(&self.client.capabilities).unwrap();
            let meta = params["_meta"].as_object().cloned().unwrap_or_default();
            let mut meta = Value::Object(meta);
            meta["io.modelcontextprotocol/protocolVersion"] = json!(self.revision.as_str());
            meta["io.modelcontextprotocol/clientCapabilities"] = capabilities;
            params["_meta"] = meta;
        }
        self.raw(&json!({"jsonrpc":"2.0","id":"client-id","method":method,"params":params}).to_string())
    }

    pub fn tool(&self, name: &str, arguments: Value) -> Asked {
        self.request("tools/call", json!({"name":name,"arguments":arguments}))
    }

    /// A request in these very bytes.
    pub fn raw(&self, text: &str) -> Asked {
        let document = Document::parse(Bytes::from(text.to_owned()), &Limits::REQUEST, IndexDepth::Levels(3)).unwrap();
        let (interim, heard) = queue(64);
        let cancel = CancellationToken::new();
        let outbound = Outbound {
            exchange: 1,
            message: Arc::new(Message::decode(document).unwrap()),
            spoken: self.revision,
            original_name: None,
            mirrored: Arc::new([]),
            unknown_params: Vec::new(),
            client: self.client.clone(),
            principal: self.principal.clone(),
            idempotent: false,
            interim,
            latest: None,
            task: None,
            as_task: false,
            pieces_bytes_max: 0,
            departures: None,
            cancel: cancel.clone(),
        };
        Asked { outbound, heard, cancel }
    }
}

/// A request about to be sent.
pub struct Asked {
    pub outbound: Outbound,
    pub heard: Receiver<Interim>,
    pub cancel: CancellationToken,
}

impl Asked {
    pub fn mirrored(mut self, annotations: Vec<Annotation>) -> Self {
        self.outbound.mirrored = annotations.into();
        self
    }

    pub fn renamed(mut self, original: &str) -> Self {
        self.outbound.original_name = Some(original.into());
        self
    }

    /// Sends it; the answer and what was heard before it.
    pub async fn send(mut self, upstream: &dyn Upstream) -> (Result<Inbound, UpstreamError>, Vec<Value>) {
        let mut heard = Vec::new();
        let answer = {
            let sending = upstream.send(self.outbound);
            tokio::pin!(sending);
            loop {
                tokio::select! {
                    biased;
                    interim = self.heard.next() => heard.push(note(interim)),
                    answer = &mut sending => break answer,
                }
            }
        };
        while let Some(interim) = self.heard.try_recv() {
            heard.push(note(interim));
        }
        (answer, heard)
    }

    /// Sends it; the answer, which must be a message.
    pub async fn answer(self, upstream: &dyn Upstream) -> Value {
        let (answer, _) = self.send(upstream).await;
        value(&answer.expect("an answer").response)
    }

    /// Sends it; the error, which must be one.
    pub async fn fail(self, upstream: &dyn Upstream) -> UpstreamError {
        self.send(upstream).await.0.expect_err("an error")
    }
}

/// What was said; a question is answered at once, with what it asked, and one about `nothing` with an error.
pub fn note(interim: Interim) -> Value {
    match interim {
        Interim::Notification(delivery) => value(&delivery),
        Interim::Question(question) => {
            let asked = value(&question.delivery);
            let outcome = match asked["params"]["message"].as_str() {
                Some("nothing") => json!({"error":{"code":-7,"message":"no"}}),
                _ => json!({"result":{"action":"accept","asked":asked["method"]}}),
            };
            let mut answer = json!({"jsonrpc":"2.0","id":99});
            answer.as_object_mut().unwrap().extend(outcome.as_object().unwrap().clone());
            let document = Document::parse(answer.to_string().into(), &Limits::REQUEST, IndexDepth::Levels(3)).unwrap();
            let message = Arc::new(Message::decode(document).unwrap());
            let _ = question.reply.send(Delivery { message, spoken: Revision::LEGACY[0] });
            asked
        }
    }
}

pub fn value(delivery: &Delivery) -> Value {
    serde_json::from_slice(delivery.message.bytes()).unwrap()
}

/// Keeps what no call owns.
#[derive(Default)]
pub struct Ear(Mutex<Vec<Unsolicited>>);

impl Listener for Ear {
    fn unsolicited(&self, notification: Unsolicited) {
        self.0.lock().unwrap().push(notification);
    }
}

impl Ear {
    /// Session and method of everything heard.
    pub fn heard(&self) -> Vec<(Option<String>, String)> {
        let all = self.0.lock().unwrap();
        all.iter().map(|one| (one.session.as_deref().map(Into::into), one.delivery.message.method().to_owned())).collect()
    }
}

/// Waits for something that must come to be.
pub async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..500 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what} never came to be");
}
