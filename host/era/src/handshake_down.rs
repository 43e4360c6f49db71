//! Toward a client: its opening words read, ours written.

use crate::capability;
use bytes::Bytes;
use std::borrow::Cow;

use sluice_wire::{
    json::{Kind, Value, quote_into},
    message::Message,
    meta,
    revision::Revision,
};

/// A legacy client's `initialize`, and the revision it gets.
#[derive(Debug, Clone)]
pub struct Opening {
    /// The one it asked for if it is served, else the newest legacy one.
    pub revision: Revision,
    /// Its capabilities, JSON text of an object.
    pub capabilities: Bytes,
    /// Its `clientInfo`, JSON text of an object; unverified.
    pub info: Option<Bytes>,
}

/// A member of `initialize` or of a modern request's `_meta` is missing or of the wrong type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{member} {problem}")]
pub struct BadOpening {
    /// Which, as a path in `params`.
    pub member: &'static str,
    /// What is wrong with it.
    pub problem: &'static str,
}

fn missing(member: &'static str) -> BadOpening {
    BadOpening { member, problem: "is missing" }
}

fn object(value: Value<'_>, member: &'static str) -> Result<Bytes, BadOpening> {
    let is_object = value.kind() == Kind::Object;
    is_object.then(|| value.to_bytes()).ok_or(BadOpening { member, problem: "is not an object" })
}

/// Reads `initialize`. `served` holds the legacy revisions of this endpoint, newest first.
///
/// # Errors
/// [`BadOpening`], which is answered with -32602.
pub fn opening(message: &Message, served: &[Revision]) -> Result<Opening, BadOpening> {
    let version = message.param("protocolVersion").ok_or(missing("protocolVersion"))?;
    let wanted = version.as_str().ok_or(BadOpening { member: "protocolVersion", problem: "is not a string" })?;
    let capabilities = message.param("capabilities").map(|value| object(value, "capabilities"));
    let info = message.param("clientInfo").map(|value| object(value, "clientInfo"));
    let newest = *served.first().unwrap_or(&Revision::LEGACY[0]);
    let revision = served.iter().copied().find(|revision| revision.as_str() == wanted).unwrap_or(newest);
    Ok(Opening {
        revision,
        capabilities: capability::known(&capabilities.transpose()?.unwrap_or(Bytes::from_static(b"{}")), revision),
        info: info.transpose()?,
    })
}

/// What a modern request declares in its `_meta`.
#[derive(Debug, Clone)]
pub struct Declared<'a> {
    /// The version, not yet checked against what is served.
    pub version: Cow<'a, str>,
    /// `clientCapabilities`, an object.
    pub capabilities: Value<'a>,
    /// `clientInfo`, an object; unverified.
    pub info: Option<Value<'a>>,
}

/// Reads a modern request's `_meta`.
///
/// # Errors
/// [`BadOpening`], which is answered with -32602 and HTTP 400.
pub fn declared(message: &Message) -> Result<Declared<'_>, BadOpening> {
    let meta = message.meta().ok_or(missing("_meta"))?;
    if meta.kind() != Kind::Object {
        return Err(BadOpening { member: "_meta", problem: "is not an object" });
    }
    let mut found = (None, None, None);
    for member in meta.members() {
        let key = member.key;
        let slot = if key.is(meta::PROTOCOL_VERSION) {
            &mut found.0
        } else if key.is(meta::CLIENT_CAPABILITIES) {
            &mut found.1
        } else if key.is(meta::CLIENT_INFO) {
            &mut found.2
        } else {
            if key.is(meta::PROGRESS_TOKEN) {
                progress_token(member.value)?;
            }
            continue;
        };
        *slot = Some(member.value);
    }
    let version = found.0.ok_or(missing(meta::PROTOCOL_VERSION))?;
    let capabilities = found.1.ok_or(missing(meta::CLIENT_CAPABILITIES))?;
    for (value, member) in [(Some(capabilities), meta::CLIENT_CAPABILITIES), (found.2, meta::CLIENT_INFO)] {
        if value.is_some_and(|value| value.kind() != Kind::Object) {
            return Err(BadOpening { member, problem: "is not an object" });
        }
    }
    Ok(Declared {
        version: version.as_str().ok_or(BadOpening { member: meta::PROTOCOL_VERSION, problem: "is not a string" })?,
        capabilities,
        info: found.2,
    })
}

fn progress_token(token: Value<'_>) -> Result<(), BadOpening> {
    match token.kind() {
        Kind::String | Kind::Number => Ok(()),
        _ => Err(BadOpening { member: meta::PROGRESS_TOKEN, problem: "is neither a string nor a number" }),
    }
}

/// Whether the message says of itself that it is modern.
pub fn declares_version(message: &Message) -> bool {
    message.meta().is_some_and(|meta| meta.get(meta::PROTOCOL_VERSION).is_some())
}

/// What we say about ourselves; raw members are JSON objects.
#[derive(Debug, Clone, Copy)]
pub struct Introduction<'a> {
    /// Capabilities that can be carried to this client.
    pub capabilities: &'a [u8],
    /// Name and version.
    pub info: &'a [u8],
    /// Text for the model.
    pub instructions: Option<&'a str>,
}

impl Introduction<'_> {
    fn push_instructions(&self, out: &mut Vec<u8>) {
        if let Some(text) = self.instructions {
            out.extend_from_slice(br#","instructions":"#);
            quote_into(out, text);
        }
    }
}

/// The result of `initialize`.
pub fn initialize_result(revision: Revision, introduction: &Introduction<'_>) -> Bytes {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(br#"{"protocolVersion":""#);
    out.extend_from_slice(revision.as_str().as_bytes());
    out.extend_from_slice(br#"","capabilities":"#);
    out.extend_from_slice(&capability::offered(introduction.capabilities, revision));
    out.extend_from_slice(br#","serverInfo":"#);
    out.extend_from_slice(introduction.info);
    introduction.push_instructions(&mut out);
    out.push(b'}');
    out.into()
}

/// The result of `server/discover`. Never shared or kept: lists differ by who asks.
pub fn discover_result(served: &[Revision], introduction: &Introduction<'_>) -> Bytes {
    let mut out = Vec::with_capacity(384);
    out.extend_from_slice(br#"{"resultType":"complete","supportedVersions":"#);
    out.extend_from_slice(versions(served).as_bytes());
    out.extend_from_slice(br#","capabilities":"#);
    out.extend_from_slice(introduction.capabilities);
    introduction.push_instructions(&mut out);
    out.extend_from_slice(br#","ttlMs":0,"cacheScope":"private","_meta":{""#);
    out.extend_from_slice(meta::SERVER_INFO.as_bytes());
    out.extend_from_slice(br#"":"#);
    out.extend_from_slice(introduction.info);
    out.extend_from_slice(b"}}");
    out.into()
}

/// Revisions as a JSON array.
pub fn versions(served: &[Revision]) -> String {
    let quoted: Vec<String> = served.iter().map(|revision| format!("\"{revision}\"")).collect();
    format!("[{}]", quoted.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_wire::json::{Document, IndexDepth, Limits};

    fn request(params: &str) -> Message {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{params}}}"#);
        Message::decode(Document::parse(text.into(), &Limits::REQUEST, IndexDepth::Levels(4)).expect("valid JSON")).expect("a request")
    }

    #[test]
    fn a_served_version_is_echoed_and_an_unknown_one_gets_the_newest() {
        for (wanted, given) in [
            ("2025-06-18", Revision::V2025_06_18),
            ("2025-03-26", Revision::V2025_03_26),
            ("2024-11-05", Revision::V2025_11_25),
            ("2026-07-28", Revision::V2025_11_25),
            ("1999-01-01", Revision::V2025_11_25),
        ] {
            let message =
                request(&format!(r#"{{"protocolVersion":"{wanted}","capabilities":{{"roots":{{}}}},"clientInfo":{{"name":"c"}}}}"#));
            let opening = opening(&message, &Revision::LEGACY[..3]).expect("well formed");
            assert_eq!(opening.revision, given, "{wanted}");
            assert_eq!(opening.capabilities, r#"{"roots":{}}"#);
            assert_eq!(opening.info.as_deref(), Some(&br#"{"name":"c"}"#[..]));
        }
    }

    #[test]
    fn an_opening_that_says_too_little_is_refused() {
        for params in [
            r#"{}"#,
            r#"{"protocolVersion":1}"#,
            r#"{"protocolVersion":"x","capabilities":[]}"#,
            r#"{"protocolVersion":"x","clientInfo":"me"}"#,
        ] {
            assert!(opening(&request(params), &Revision::LEGACY).is_err(), "{params}");
        }
    }

    #[test]
    fn meta_must_carry_version_and_capabilities() {
        let v = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#;
        let c = r#""io.modelcontextprotocol/clientCapabilities":{}"#;
        let i = r#""io.modelcontextprotocol/clientInfo":{"name":"x"}"#;
        let check = |meta: &str| declared(&request(&format!(r#"{{"_meta":{meta}}}"#))).map(|d| d.info.is_some()).map_err(|e| e.to_string());
        assert_eq!(check(&format!("{{{v},{c}}}")), Ok(false));
        assert_eq!(check(&format!("{{{v},{c},{i}}}")), Ok(true));
        for broken in [
            "{}".to_owned(),
            "1".to_owned(),
            format!("{{{v}}}"),
            format!("{{{c}}}"),
            format!(r#"{{{v},"io.modelcontextprotocol/clientCapabilities":[]}}"#),
            format!(r#"{{"io.modelcontextprotocol/protocolVersion":5,{c}}}"#),
            format!(r#"{{{v},{c},"progressToken":{{}}}}"#),
        ] {
            assert!(check(&broken).is_err(), "{broken}");
        }
        assert!(declared(&request("{}")).is_err());
    }

    #[test]
    fn both_introductions_are_valid_json() {
        let introduction =
            Introduction { capabilities: b"{\"tools\":{}}", info: br#"{"name":"s","version":"1"}"#, instructions: Some("a\"b") };
        let initialize: serde_json::Value = serde_json::from_slice(&initialize_result(Revision::V2025_06_18, &introduction)).expect("JSON");
        assert_eq!(initialize["protocolVersion"], "2025-06-18");
        assert_eq!(initialize["serverInfo"]["name"], "s");
        let discover: serde_json::Value = serde_json::from_slice(&discover_result(&Revision::MODERN, &introduction)).expect("JSON");
        assert_eq!(discover["supportedVersions"][0], "2026-07-28");
        assert_eq!(discover["_meta"]["io.modelcontextprotocol/serverInfo"]["version"], "1");
        assert_eq!(discover["instructions"], "a\"b");
    }
}
