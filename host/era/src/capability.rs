//! What a client declares, less what this version does not carry.

use crate::{question::uses_tools, request::PART};
use bytes::Bytes;
use sluice_wire::{code, json::Document, message::Message, meta, method, patch::Patch, revision::Revision};

/// Where a declaration goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// To a server of the client's own era.
    SameEra,
    /// To a server of the other era, whose extensions are not the client's.
    OtherEra,
}

/// Tasks that a legacy client would run for its server are not carried.
const NOT_CARRIED: &str = "tasks";

/// What a server was told that it may ask the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Askable {
    elicitation_form: bool,
    elicitation_url: bool,
    sampling: bool,
    sampling_tools: bool,
    sampling_context: bool,
    roots: bool,
}

impl Askable {
    /// Reads a declaration, JSON text of an object. An elicitation without a mode is one by form.
    pub fn of(declared: &Bytes) -> Self {
        if declared.as_ref() == b"{}" {
            return Self::default();
        }
        let (limits, depth) = PART;
        let Ok(document) = Document::parse_value(declared.clone(), &limits, depth) else { return Self::default() };
        let root = document.root();
        let elicitation = root.get("elicitation");
        let has_mode = |mode| elicitation.is_some_and(|elicitation| elicitation.get(mode).is_some());
        Self {
            elicitation_form: elicitation.is_some() && (has_mode("form") || !has_mode("url")),
            elicitation_url: has_mode("url"),
            sampling: root.get("sampling").is_some(),
            sampling_tools: root.get("sampling").is_some_and(|sampling| sampling.get("tools").is_some()),
            sampling_context: root.get("sampling").is_some_and(|sampling| sampling.get("context").is_some()),
            roots: root.get("roots").is_some(),
        }
    }

    /// The declaration that says this and nothing else, the same text for the same things: there are few of them, however many
    /// ways clients have to write them.
    pub fn to_json(self) -> Bytes {
        let object = |members: &[(bool, &str)]| {
            let members: Vec<String> = members.iter().filter(|(has, _)| *has).map(|(_, name)| format!(r#""{name}":{{}}"#)).collect();
            format!("{{{}}}", members.join(","))
        };
        let elicitation = object(&[(self.elicitation_form, "form"), (self.elicitation_url, "url")]);
        let sampling = object(&[(self.sampling_tools, "tools"), (self.sampling_context, "context")]);
        let all = [
            (self.elicitation_form || self.elicitation_url, "elicitation", elicitation.as_str()),
            (self.roots, "roots", "{}"),
            (self.sampling, "sampling", sampling.as_str()),
        ];
        let all: Vec<String> = all.iter().filter(|(has, _, _)| *has).map(|(_, name, what)| format!(r#""{name}":{what}"#)).collect();
        format!("{{{}}}", all.join(",")).into()
    }

    /// Whether anything may be asked at all.
    pub fn is_any(self) -> bool {
        self != Self::default()
    }

    /// Whether the client opens links.
    pub fn opens_links(self) -> bool {
        self.elicitation_url
    }

    /// What a client would have to declare to be asked this; none when it has.
    pub fn missing(self, question: &Message) -> Option<&'static str> {
        self.permits(question).err()?;
        Some(match question.method() {
            method::SAMPLING_CREATE_MESSAGE if question.params().is_some_and(uses_tools) => r#"{"sampling":{"tools":{}}}"#,
            method::SAMPLING_CREATE_MESSAGE => r#"{"sampling":{}}"#,
            method::ROOTS_LIST => r#"{"roots":{}}"#,
            _ if question.param("mode").is_some_and(|mode| mode.is_str("url")) => r#"{"elicitation":{"url":{}}}"#,
            _ => r#"{"elicitation":{"form":{}}}"#,
        })
    }

    /// Whether this may be asked, or the error that says why not.
    ///
    /// # Errors
    /// JSON-RPC code and text (mcp-protocol §3.2: -32601, and -32602 for a mode of elicitation).
    pub fn permits(self, question: &Message) -> Result<(), (i64, &'static str)> {
        let is_declared = match question.method() {
            method::ELICITATION_CREATE => {
                let by_url = question.param("mode").is_some_and(|mode| mode.is_str("url"));
                let is_declared = if by_url { self.elicitation_url } else { self.elicitation_form };
                if !is_declared && (self.elicitation_form || self.elicitation_url) {
                    return Err((code::INVALID_PARAMS, "the client has not declared this mode of elicitation"));
                }
                is_declared
            }
            method::SAMPLING_CREATE_MESSAGE => {
                if self.sampling && !self.sampling_tools && question.params().is_some_and(uses_tools) {
                    return Err((code::INVALID_PARAMS, "the client has not declared sampling with tools"));
                }
                self.sampling
            }
            method::ROOTS_LIST => self.roots,
            _ => false,
        };
        if is_declared { Ok(()) } else { Err((code::METHOD_NOT_FOUND, "the client has not declared this")) }
    }
}

/// Whether a modern client takes tasks for answers.
pub fn declares_tasks(declared: &Bytes) -> bool {
    let (limits, depth) = PART;
    let document = Document::parse_value(declared.clone(), &limits, depth);
    document.is_ok_and(|document| document.root().get("extensions").and_then(|all| all.get(meta::EXTENSION_TASKS)).is_some())
}

/// The declaration of a client for which tasks are taken.
pub fn with_tasks(declared: &Bytes) -> Bytes {
    let own = || format!(r#"{{"{}":{{}}}}"#, meta::EXTENSION_TASKS);
    let (limits, depth) = PART;
    let Ok(document) = Document::parse_value(declared.clone(), &limits, depth) else { return declared.clone() };
    let mut patch = Patch::new(&document);
    match document.root().get("extensions") {
        Some(extensions) => patch.set(extensions, meta::EXTENSION_TASKS, b"{}".as_slice()),
        None => patch.insert(document.root(), "extensions", own()),
    }
    patch.apply().unwrap_or_else(|_| declared.clone())
}

/// What a client can mean by its declaration in its revision: elicitation came with 2025-06-18, and links with 2025-11-25.
/// What is not there when a server is told cannot be asked.
pub fn known(declared: &Bytes, revision: Revision) -> Bytes {
    let (limits, depth) = PART;
    let Some(document) = Document::parse_value(declared.clone(), &limits, depth).ok().filter(|_| revision < Revision::V2025_11_25) else {
        return declared.clone();
    };
    let mut patch = Patch::new(&document);
    match document.root().get("elicitation") {
        Some(elicitation) if revision < Revision::V2025_06_18 => patch.remove(elicitation),
        Some(elicitation) => elicitation.get("url").into_iter().for_each(|url| patch.remove(url)),
        None => return declared.clone(),
    }
    patch.apply().unwrap_or_else(|_| Bytes::from_static(b"{}"))
}

/// What a server can say of itself to a legacy client of `revision`: tasks came with 2025-11-25.
pub fn offered(capabilities: &[u8], revision: Revision) -> Bytes {
    let whole = Bytes::copy_from_slice(capabilities);
    let (limits, depth) = PART;
    let Some(document) = Document::parse_value(whole.clone(), &limits, depth).ok().filter(|_| revision < Revision::V2025_11_25) else {
        return whole;
    };
    let mut patch = Patch::new(&document);
    document.root().get("tasks").into_iter().for_each(|tasks| patch.remove(tasks));
    patch.apply().unwrap_or(whole)
}

/// The declaration to send upstream: the client's, without features that are not carried.
///
/// Shares the client's bytes when there is nothing to take out. Anything but a JSON object
/// declares nothing.
pub fn declarable(declared: &Bytes, peer: Peer) -> Bytes {
    if declared.as_ref() == b"{}" {
        return declared.clone();
    }
    let empty = || Bytes::from_static(b"{}");
    let (limits, depth) = PART;
    let Ok(document) = Document::parse_value(declared.clone(), &limits, depth) else {
        return empty();
    };
    let root = document.root();
    if root.kind() != sluice_wire::json::Kind::Object {
        return empty();
    }
    let mut patch = Patch::new(&document);
    // Changes of roots are not passed on yet, and a modern server has no way to hear of them.
    if let Some(change) = root.get("roots").and_then(|roots| roots.get("listChanged")) {
        patch.remove(change);
    }
    if let Some(value) = root.get(NOT_CARRIED) {
        patch.remove(value);
    }
    match root.get("extensions") {
        Some(extensions) if peer != Peer::SameEra => patch.remove(extensions),
        Some(_) | None => {}
    }
    patch.apply().unwrap_or_else(|_| empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(declared: &'static str, peer: Peer) -> String {
        String::from_utf8(declarable(&Bytes::from_static(declared.as_bytes()), peer).to_vec()).unwrap()
    }

    #[test]
    fn what_is_not_carried_is_not_declared_and_the_rest_keeps_its_bytes() {
        for (declared, same, other) in [
            ("{}", "{}", "{}"),
            (r#"{ "x" : 1.0 }"#, r#"{ "x" : 1.0 }"#, r#"{ "x" : 1.0 }"#),
            (r#"{"roots":{},"x":1e2}"#, r#"{"roots":{},"x":1e2}"#, r#"{"roots":{},"x":1e2}"#),
            (r#"{"elicitation":{},"tasks":{}}"#, r#"{"elicitation":{}}"#, r#"{"elicitation":{}}"#),
            (
                r#"{"extensions":{"io.modelcontextprotocol/tasks":{},"a/b":{}},"y":[]}"#,
                r#"{"extensions":{"io.modelcontextprotocol/tasks":{},"a/b":{}},"y":[]}"#,
                r#"{"y":[]}"#,
            ),
            ("[1]", "{}", "{}"),
            ("{", "{}", "{}"),
        ] {
            assert_eq!(kept(declared, Peer::SameEra), same, "{declared}");
            assert_eq!(kept(declared, Peer::OtherEra), other, "{declared}");
        }
        let declared = r#"{"roots":{"listChanged":true},"tasks":{},"extensions":{"a/b":{}},"x":1e2}"#;
        assert_eq!(kept(declared, Peer::OtherEra), r#"{"roots":{},"x":1e2}"#);
        assert_eq!(kept(declared, Peer::SameEra), r#"{"roots":{},"extensions":{"a/b":{}},"x":1e2}"#);
    }

    #[test]
    fn a_server_asks_what_was_declared() {
        let question = |method: &str, params: &str| {
            let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
            Message::decode(Document::parse(text.into(), &PART.0, PART.1).unwrap()).unwrap()
        };
        let form = question("elicitation/create", r#"{"message":"m"}"#);
        let url = question("elicitation/create", r#"{"mode":"url"}"#);
        let (sampling, roots) = (question("sampling/createMessage", "{}"), question("roots/list", "{}"));
        let code = |declared: &'static str, asked: &Message| {
            Askable::of(&Bytes::from_static(declared.as_bytes())).permits(asked).err().map(|(code, _)| code)
        };
        for (declared, codes) in [
            ("{}", [Some(-32601); 4]),
            (r#"{"elicitation":{}}"#, [None, Some(-32602), Some(-32601), Some(-32601)]),
            (r#"{"elicitation":{"form":{}}}"#, [None, Some(-32602), Some(-32601), Some(-32601)]),
            (r#"{"elicitation":{"url":{}},"roots":{}}"#, [Some(-32602), None, Some(-32601), None]),
            (r#"{"elicitation":{"url":{},"form":{}},"sampling":{}}"#, [None, None, None, Some(-32601)]),
            ("[", [Some(-32601); 4]),
        ] {
            assert_eq!([&form, &url, &sampling, &roots].map(|asked| code(declared, asked)), codes, "{declared}");
        }
        assert_eq!(code(r#"{"sampling":{}}"#, &question("tools/list", "{}")), Some(-32601));
        let with_tools = question("sampling/createMessage", r#"{"tools":[]}"#);
        assert_eq!(code(r#"{"sampling":{}}"#, &with_tools), Some(-32602));
        assert_eq!(code(r#"{"sampling":{"tools":{}}}"#, &with_tools), None);
        let missing = Askable::of(&Bytes::from_static(br#"{"sampling":{}}"#)).missing(&with_tools);
        assert_eq!(missing, Some(r#"{"sampling":{"tools":{}}}"#));
        for (declared, canonical) in [
            (r#"{"x":1, "roots" : {"listChanged":true}}"#, r#"{"roots":{}}"#),
            (r#"{"sampling":{"tools":{},"y":2},"elicitation":{}}"#, r#"{"elicitation":{"form":{}},"sampling":{"tools":{}}}"#),
            ("{}", "{}"),
        ] {
            assert_eq!(Askable::of(&Bytes::from_static(declared.as_bytes())).to_json(), canonical);
        }
    }

    #[test]
    fn s076_an_old_client_does_not_declare_what_its_revision_does_not_know() {
        let declared = Bytes::from_static(br#"{"elicitation":{"form":{},"url":{}},"roots":{}}"#);
        for (revision, expected) in [
            (Revision::V2024_11_05, r#"{"roots":{}}"#),
            (Revision::V2025_03_26, r#"{"roots":{}}"#),
            (Revision::V2025_06_18, r#"{"elicitation":{"form":{}},"roots":{}}"#),
            (Revision::V2025_11_25, r#"{"elicitation":{"form":{},"url":{}},"roots":{}}"#),
        ] {
            assert_eq!(known(&declared, revision), expected, "{revision}");
        }
    }

    #[test]
    fn nothing_taken_out_is_not_copied() {
        let declared = Bytes::from_static(br#"{"experimental":{}}"#);
        assert_eq!(declarable(&declared, Peer::SameEra).as_ptr(), declared.as_ptr());
    }
}
