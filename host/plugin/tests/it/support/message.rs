//! Messages as the chain lends them.

use serde_json::{Value, json};
use sluice_chain::{
    attributes::Attributes,
    exchange::{Direction, Head, Kind},
    fault::Fault,
    filter::{Filter, NotificationVerdict, Pass, Verdict},
    principal::Principal,
};
use sluice_plugin::WasmFilter;
use sluice_wire::{
    json::{Document, IndexDepth, Limits},
    message::Message,
    revision::Revision,
};
use std::{sync::Arc, time::Instant};

/// A pass in the making.
pub struct Call {
    pub pass: Held,
}

/// What a pass is lent from.
pub struct Held {
    pub head: Head,
    pub principal: Arc<Principal>,
    pub attributes: Attributes,
    pub message: Arc<Message>,
    pub asked: Option<Arc<Message>>,
    /// Was here in an earlier round.
    pub again: bool,
}

impl Held {
    fn lend(&mut self) -> Pass<'_> {
        Pass {
            head: &self.head,
            principal: &self.principal,
            attributes: &mut self.attributes,
            message: &self.message,
            asked: self.asked.clone(),
            again: self.again,
            began: Instant::now(),
            origin: None,
        }
    }
}

fn message(text: &str) -> Arc<Message> {
    let document = Document::parse(text.to_owned().into(), &Limits::RESPONSE, IndexDepth::Full).expect("strict JSON");
    Arc::new(Message::decode(document).expect("a message"))
}

/// A `tools/call` of `tool` by the local principal.
pub fn call(tool: &str, arguments: Value) -> Call {
    let text = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {
        "name": tool, "arguments": arguments, "_meta": {"progressToken": "p", "own": "o"}}});
    Call::raw(tool, &text.to_string())
}

impl Call {
    /// The same from text.
    pub fn raw(tool: &str, text: &str) -> Self {
        let head = Head {
            exchange: 1,
            round: 0,
            direction: Direction::ToServer,
            kind: Kind::Request,
            method: "tools/call".into(),
            name: Some(tool.into()),
            upstream: Some("files".into()),
            protocol: Revision::V2026_07_28,
        };
        let call = Self {
            pass: Held {
                head,
                principal: Arc::new(Principal::local()),
                attributes: Attributes::default(),
                message: message(text),
                asked: None,
                again: false,
            },
        };
        call.by("local")
    }

    /// From this principal.
    pub fn by(mut self, subject: &str) -> Self {
        self.pass.principal = Arc::new(Principal::new("test", subject, None));
        let facts = vec![
            ("principal.id".into(), subject.into()),
            ("principal.subject".into(), subject.into()),
            ("client.name".into(), "test".into()),
        ];
        self.pass.attributes = Attributes::new(Arc::new(facts));
        self
    }

    /// As the answer to what it was.
    pub fn answered(mut self, result: Value) -> Self {
        let text = json!({"jsonrpc": "2.0", "id": 7, "result": result}).to_string();
        self.pass.asked = Some(std::mem::replace(&mut self.pass.message, message(&text)));
        (self.pass.head.kind, self.pass.head.direction) = (Kind::Response, Direction::ToClient);
        self
    }

    /// As a notification on the way to the client.
    pub fn notified(mut self, method: &str, params: Value) -> Self {
        let text = json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string();
        self.pass.asked = Some(std::mem::replace(&mut self.pass.message, message(&text)));
        (self.pass.head.kind, self.pass.head.direction) = (Kind::Notification, Direction::ToClient);
        (self.pass.head.method, self.pass.head.name) = (method.into(), None);
        self
    }

    pub async fn request(&mut self, filter: &WasmFilter) -> Result<Verdict, Fault> {
        filter.on_request(&mut self.pass.lend()).await
    }

    pub async fn response(&mut self, filter: &WasmFilter) -> Result<Verdict, Fault> {
        filter.on_response(&mut self.pass.lend()).await
    }

    pub async fn notification(&mut self, filter: &WasmFilter) -> Result<NotificationVerdict, Fault> {
        filter.on_notification(&mut self.pass.lend()).await
    }
}

/// The labels a filter set, as `key=value`.
pub fn labels(call: &Call) -> Vec<String> {
    call.pass.attributes.labels().map(|(key, value)| format!("{key}={value}")).collect()
}
