//! An MCP client that writes its own bytes.

use crate::connection::{Connection, Reply};
use serde_json::Value;
use std::{io, time::Duration};

pub const LEGACY: &str = "2025-11-25";
pub const MODERN: &str = "2026-07-28";

/// Which half of MCP's history somebody speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Era {
    Legacy,
    Modern,
}

impl Era {
    pub const BOTH: [Self; 2] = [Self::Legacy, Self::Modern];
}

/// One client, one connection at a time, requests in turn.
pub struct Caller {
    pub address: String,
    /// Of the endpoint.
    pub path: String,
    pub era: Era,
    pub key: String,
    pub session: Option<String>,
    connection: Option<Connection>,
    next_id: u64,
    /// No answer takes longer.
    pub patience: Duration,
}

/// Members of `params._meta` that a modern request must have.
pub fn stamp() -> String {
    format!(
        r#""io.modelcontextprotocol/protocolVersion":"{MODERN}","io.modelcontextprotocol/clientInfo":{{"name":"e2e","version":"1"}},"io.modelcontextprotocol/clientCapabilities":{{}}"#
    )
}

impl Caller {
    /// A client; a legacy one has opened its session.
    pub async fn new(address: &str, era: Era, key: &str) -> Self {
        let mut caller = Self::silent(address, era, key);
        if era == Era::Legacy {
            caller.initialize().await;
        }
        caller
    }

    /// The same at a group's endpoint.
    pub async fn at(address: &str, path: &str, era: Era, key: &str) -> Self {
        let mut caller = Self { path: path.into(), ..Self::silent(address, era, key) };
        if era == Era::Legacy {
            caller.initialize().await;
        }
        caller
    }

    /// A client that has said nothing yet.
    pub fn silent(address: &str, era: Era, key: &str) -> Self {
        Self {
            address: address.into(),
            path: "/mcp".into(),
            era,
            key: key.into(),
            session: None,
            connection: None,
            next_id: 1,
            patience: Duration::from_secs(30),
        }
    }

    pub async fn initialize(&mut self) -> Value {
        let params = format!(r#"{{"protocolVersion":"{LEGACY}","capabilities":{{}},"clientInfo":{{"name":"e2e","version":"1"}}}}"#);
        let body = format!(r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{params}}}"#);
        let reply = self.post("initialize", None, &body).await.expect("initialize is answered");
        assert_eq!(reply.status, 200, "initialize: {}", reply.answer());
        self.session = Some(reply.header("mcp-session-id").expect("a session").to_owned());
        let note = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        assert_eq!(self.post("notifications/initialized", None, note).await.expect("an answer").status, 202);
        reply.json()
    }

    /// Headers of one request, ended. `extra` are whole lines.
    pub fn head(&self, verb: &str, method: &str, name: Option<&str>, length: usize, extra: &str) -> String {
        let (path, address) = (&self.path, &self.address);
        let mut head = format!("{verb} {path} HTTP/1.1\r\nhost: {address}\r\naccept: application/json, text/event-stream\r\n");
        if !self.key.is_empty() {
            head += &format!("authorization: Bearer {}\r\n", self.key);
        }
        if verb == "POST" {
            head += &format!("content-type: application/json\r\ncontent-length: {length}\r\n");
        }
        match (self.era, &self.session) {
            (Era::Legacy, Some(session)) => head += &format!("mcp-session-id: {session}\r\nmcp-protocol-version: {LEGACY}\r\n"),
            (Era::Legacy, None) => {}
            (Era::Modern, _) => {
                head += &format!("mcp-protocol-version: {MODERN}\r\nmcp-method: {method}\r\n");
                if let Some(name) = name {
                    head += &format!("mcp-name: {name}\r\n");
                }
            }
        }
        head + extra + "\r\n"
    }

    /// Send this body as it is.
    pub async fn post(&mut self, method: &str, name: Option<&str>, body: &str) -> io::Result<Reply> {
        self.post_with(method, name, body, "").await
    }

    pub async fn post_with(&mut self, method: &str, name: Option<&str>, body: &str, extra: &str) -> io::Result<Reply> {
        let request = self.head("POST", method, name, body.len(), extra) + body;
        self.send(request.as_bytes()).await
    }

    /// Send these bytes and wait for the answer. A connection that failed is not used again, and nothing is repeated.
    pub async fn send(&mut self, request: &[u8]) -> io::Result<Reply> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(&self.address).await?,
        };
        let answered = tokio::time::timeout(self.patience, connection.exchange(request)).await;
        let reply = answered.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no answer in time"))??;
        if reply.header("connection") != Some("close") {
            self.connection = Some(connection);
        }
        Ok(reply)
    }

    /// A request as text; `members` are those of `params`, without braces.
    pub fn text(&self, id: &str, method: &str, members: &str) -> String {
        let comma = if members.is_empty() { "" } else { "," };
        let params = match self.era {
            Era::Legacy => format!("{{{members}}}"),
            Era::Modern => format!(r#"{{{members}{comma}"_meta":{{{}}}}}"#, stamp()),
        };
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#)
    }

    pub fn next_id(&mut self) -> String {
        self.next_id += 1;
        self.next_id.to_string()
    }

    /// Ask; `name` is what the method's header mirrors.
    pub async fn ask(&mut self, method: &str, name: Option<&str>, members: &str) -> io::Result<Reply> {
        let id = self.next_id();
        let body = self.text(&id, method, members);
        self.post(method, name, &body).await
    }

    pub async fn call(&mut self, tool: &str, arguments: &str) -> io::Result<Reply> {
        self.ask("tools/call", Some(tool), &format!(r#""name":"{tool}","arguments":{arguments}"#)).await
    }

    /// Call and expect a result.
    pub async fn result(&mut self, tool: &str, arguments: &str) -> Value {
        let reply = self.call(tool, arguments).await.unwrap_or_else(|error| panic!("{tool}: {error}"));
        let mut answer = reply.json();
        assert!(answer.get("result").is_some(), "{tool}: {answer}");
        answer["result"].take()
    }

    pub async fn names(&mut self, list: &str) -> Vec<String> {
        let reply = self.ask(&format!("{list}/list"), None, "").await.expect("a list");
        let answer = reply.json();
        let entries = answer["result"][list].as_array().unwrap_or_else(|| panic!("{answer}"));
        entries.iter().map(|entry| entry["name"].as_str().unwrap_or_default().to_owned()).collect()
    }
}
