//! The load generator's requests: written once, of which only the id's digits change from call to call.

use anyhow::{Context, Result};

use crate::replies::{Era, LEGACY, MODERN};

/// Ids have ten digits, so that a request and its reply keep their length.
const FIRST_ID: u64 = 1_000_000_000;
const ID_DIGITS: usize = 10;
/// Each connection counts in a range of its own: an id must not equal another one that is still awaited.
const IDS_PER_LANE: u64 = 10_000_000;

/// What the backend's tools are called with.
pub const ARGUMENTS: &str = r#"{"text":"open the upper gate at dawn, please"}"#;

const CLIENT_INFO: &str = r#"{"name":"sluice-bench","version":"0.1.0"}"#;

/// Where calls go.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// HOST:PORT.
    pub authority: String,
    /// From the first slash on.
    pub path: String,
}

impl Endpoint {
    /// Reads `http://HOST:PORT/PATH`.
    pub fn parse(url: &str) -> Result<Self> {
        let rest = url.strip_prefix("http://").with_context(|| format!("{url}: only http:// is measured"))?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let path = if path.is_empty() { "/" } else { path };
        Ok(Self { authority: authority.to_owned(), path: path.to_owned() })
    }
}

/// Who calls: a credential, and in the legacy era a session.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// Of `Authorization: Bearer`; without one the header is absent.
    pub bearer: Option<String>,
    /// `Mcp-Session-Id`, once `initialize` was answered.
    pub session: Option<String>,
}

/// A `tools/call`, ready but for its id.
#[derive(Debug)]
pub struct Prepared {
    bytes: Vec<u8>,
    id_at: usize,
}

impl Prepared {
    /// Writes the whole request down, headers and body.
    pub fn call(to: &Endpoint, era: Era, name: &str, arguments: &str, caller: &Caller) -> Self {
        let meta = match era {
            Era::Legacy => String::new(),
            Era::Modern => format!(
                r#""_meta":{{"io.modelcontextprotocol/protocolVersion":"{MODERN}","io.modelcontextprotocol/clientInfo":{CLIENT_INFO},"io.modelcontextprotocol/clientCapabilities":{{}}}},"#
            ),
        };
        let revision = match era {
            Era::Legacy => format!("mcp-protocol-version: {LEGACY}\r\n"),
            Era::Modern => {
                format!("mcp-protocol-version: {MODERN}\r\nmcp-method: tools/call\r\nmcp-name: {name}\r\n")
            }
        };
        let open = r#"{"jsonrpc":"2.0","id":"#;
        let body = format!(r#"{open}{FIRST_ID},"method":"tools/call","params":{{{meta}"name":"{name}","arguments":{arguments}}}}}"#);
        let bytes = post(to, caller, &revision, &body);
        let id_at = bytes.len() - body.len() + open.len();
        Self { bytes, id_at }
    }

    /// The request with this id in its place.
    pub fn with_id(&mut self, id: u64) -> &[u8] {
        let mut rest = id;
        for digit in self.bytes[self.id_at..self.id_at + ID_DIGITS].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        &self.bytes
    }
}

/// The ids of one connection.
pub fn ids(lane: usize) -> std::ops::Range<u64> {
    let first = FIRST_ID + lane as u64 * IDS_PER_LANE;
    first..first + IDS_PER_LANE
}

/// `initialize`, the opening of a legacy session.
pub fn initialize(to: &Endpoint, caller: &Caller) -> Vec<u8> {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{{"protocolVersion":"{LEGACY}","capabilities":{{}},"clientInfo":{CLIENT_INFO}}}}}"#
    );
    post(to, caller, "", &body)
}

/// `notifications/initialized`, after which a session takes calls.
pub fn initialized(to: &Endpoint, caller: &Caller) -> Vec<u8> {
    let revision = format!("mcp-protocol-version: {LEGACY}\r\n");
    post(to, caller, &revision, r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)
}

/// A modern call of a client that can be asked.
pub fn asking_call(to: &Endpoint, caller: &Caller, name: &str) -> Vec<u8> {
    let headers = format!("mcp-protocol-version: {MODERN}\r\nmcp-method: tools/call\r\nmcp-name: {name}\r\n");
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"_meta":{{"io.modelcontextprotocol/protocolVersion":"{MODERN}","io.modelcontextprotocol/clientInfo":{CLIENT_INFO},"io.modelcontextprotocol/clientCapabilities":{{"elicitation":{{}}}}}},"name":"{name}","arguments":{ARGUMENTS}}}}}"#
    );
    post(to, caller, &headers, &body)
}

/// The event stream of a legacy session.
pub fn session_stream(to: &Endpoint, caller: &Caller) -> Vec<u8> {
    let who = credentials(caller);
    let Endpoint { authority, path } = to;
    format!("GET {path} HTTP/1.1\r\nhost: {authority}\r\naccept: text/event-stream\r\nmcp-protocol-version: {LEGACY}\r\n{who}\r\n")
        .into_bytes()
}

/// The event stream of a modern client that wants to hear of changed tools.
pub fn subscription(to: &Endpoint, caller: &Caller) -> Vec<u8> {
    let headers = format!("mcp-protocol-version: {MODERN}\r\nmcp-method: subscriptions/listen\r\n");
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{{"_meta":{{"io.modelcontextprotocol/protocolVersion":"{MODERN}","io.modelcontextprotocol/clientInfo":{CLIENT_INFO},"io.modelcontextprotocol/clientCapabilities":{{}}}},"notifications":{{"toolsListChanged":true}}}}}}"#
    );
    post(to, caller, &headers, &body)
}

/// The end of a legacy session.
pub fn end_session(to: &Endpoint, caller: &Caller) -> Vec<u8> {
    let who = credentials(caller);
    let Endpoint { authority, path } = to;
    format!("DELETE {path} HTTP/1.1\r\nhost: {authority}\r\nmcp-protocol-version: {LEGACY}\r\n{who}\r\n").into_bytes()
}

fn post(to: &Endpoint, caller: &Caller, extra: &str, body: &str) -> Vec<u8> {
    let Endpoint { authority, path } = to;
    let (who, length) = (credentials(caller), body.len());
    format!(
        "POST {path} HTTP/1.1\r\nhost: {authority}\r\nuser-agent: sluice-bench\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\n{extra}{who}content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn credentials(caller: &Caller) -> String {
    let bearer = caller.bearer.as_ref().map(|key| format!("authorization: Bearer {key}\r\n"));
    let session = caller.session.as_ref().map(|session| format!("mcp-session-id: {session}\r\n"));
    bearer.unwrap_or_default() + &session.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_written_in_place() {
        let to = Endpoint::parse("http://127.0.0.1:9/mcp").unwrap();
        let mut call = Prepared::call(&to, Era::Modern, "echo200", ARGUMENTS, &Caller::default());
        let length = call.with_id(FIRST_ID).len();
        let request = String::from_utf8(call.with_id(ids(3).start + 7).to_vec()).unwrap();
        assert_eq!(request.len(), length);
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())));
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["id"], 1_030_000_007);
        assert_eq!(body["params"]["name"], "echo200");
    }

    #[test]
    fn an_url_falls_into_authority_and_path() {
        let to = Endpoint::parse("http://localhost:80").unwrap();
        assert_eq!((to.authority.as_str(), to.path.as_str()), ("localhost:80", "/"));
        assert!(Endpoint::parse("https://localhost").is_err());
    }
}
