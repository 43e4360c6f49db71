//! Requests, as bytes.

use serde_json::{Value, json};

use crate::{
    people::{People, Who},
    server::{LEGACY, MODERN},
};

/// Who speaks, and how.
#[derive(Debug, Clone)]
pub enum Voice {
    /// 2026-07-28.
    Modern,
    /// In this session of 2025-11-25.
    Legacy(String),
}

/// A request on its way to be one.
pub struct Request<'a> {
    pub people: &'a People,
    pub address: &'a str,
    pub who: Who,
    pub voice: Voice,
    /// A token of JSON.
    pub id: String,
}

impl Request<'_> {
    /// This method with these `params`.
    pub fn method(&self, method: &str, mut params: Value) -> Vec<u8> {
        let mut headers = String::new();
        match &self.voice {
            Voice::Modern => {
                let name = match method {
                    "tools/call" | "prompts/get" => &params["name"],
                    "resources/read" => &params["uri"],
                    "tasks/get" | "tasks/cancel" => &params["taskId"],
                    _ => &Value::Null,
                };
                headers = format!("mcp-protocol-version: {MODERN}\r\nmcp-method: {method}\r\n");
                if let Some(name) = name.as_str() {
                    headers += &format!("mcp-name: {name}\r\n");
                }
                let meta = &mut params["_meta"];
                meta["io.modelcontextprotocol/protocolVersion"] = json!(MODERN);
                meta["io.modelcontextprotocol/clientInfo"] = json!({"name": self.people.clients[self.who], "version": "1"});
                meta["io.modelcontextprotocol/clientCapabilities"] =
                    json!({"elicitation": {}, "extensions": {"io.modelcontextprotocol/tasks": {}}});
            }
            Voice::Legacy(session) => headers += &in_session(session),
        }
        let body = format!(r#"{{"jsonrpc":"2.0","id":{},"method":"{method}","params":{params}}}"#, self.id);
        self.post(&headers, body.as_bytes())
    }

    pub fn call(&self, tool: &str, arguments: Value) -> Vec<u8> {
        self.method("tools/call", json!({"name": tool, "arguments": arguments}))
    }

    /// A notification of a session, or an answer in it.
    pub fn message(&self, session: &str, message: &Value) -> Vec<u8> {
        self.post(&in_session(session), message.to_string().as_bytes())
    }

    /// The opening of a session.
    pub fn initialize(&self) -> Vec<u8> {
        let params = json!({
            "protocolVersion": LEGACY,
            "capabilities": {"elicitation": {}},
            "clientInfo": {"name": self.people.clients[self.who], "version": "1"},
        });
        let body = format!(r#"{{"jsonrpc":"2.0","id":{},"method":"initialize","params":{params}}}"#, self.id);
        self.post("", body.as_bytes())
    }

    /// Without a body.
    pub fn bare(&self, verb: &str, session: &str, more: &str) -> Vec<u8> {
        let headers = in_session(session);
        let Self { address, .. } = self;
        let key = &self.people.keys[self.who];
        format!(
            "{verb} /mcp HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\naccept: text/event-stream\r\n{headers}{more}\r\n"
        )
        .into()
    }

    pub fn post(&self, headers: &str, body: &[u8]) -> Vec<u8> {
        self.post_to("/mcp", &self.people.keys[self.who], headers, body)
    }

    pub fn post_to(&self, path: &str, key: &str, headers: &str, body: &[u8]) -> Vec<u8> {
        let (address, length) = (self.address, body.len());
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n\
             accept: application/json, text/event-stream\r\n{headers}content-length: {length}\r\n\r\n"
        );
        [head.as_bytes(), body].concat()
    }
}

pub fn in_session(session: &str) -> String {
    format!("mcp-session-id: {session}\r\nmcp-protocol-version: {LEGACY}\r\n")
}
