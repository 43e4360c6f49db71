//! Toward a client: answers and notifications in the form of its revision.
//!
//! Within one era only the id changes, and not a byte of the body is copied for it. Across eras
//! the members that the other era does not know are spliced out or in; all else stays as sent.

use crate::older;
use bytes::Bytes;
use sluice_wire::{
    code,
    id::RequestId,
    json::{Document, IndexDepth, Kind, Limits, Value},
    message::{self, Message},
    meta, method,
    patch::Patch,
    revision::{Era, Revision},
};

/// What has to be known of a request to shape its answer.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The client's id, echoed to the letter.
    pub id: RequestId,
    /// Its method.
    pub method: &'static str,
    /// For `resources/read`: the URI, which a modern "not found" repeats.
    pub uri: Option<Box<str>>,
    /// The revision the client speaks.
    pub revision: Revision,
}

impl Asked {
    /// What is asked by a request whose method stands in the protocol's table; `None` for others.
    pub fn of(message: &Message, revision: Revision) -> Option<Asked> {
        let method = message.known_method()?;
        let uri = (method == method::RESOURCES_READ).then(|| message.param("uri")?.as_str()).flatten();
        Some(Asked { id: message.id()?.clone(), method, uri: uri.map(|uri| uri.as_ref().into()), revision })
    }

    /// What is asked by a request of a draft, which stands in no revision's table; `None` for others.
    pub fn of_draft(message: &Message, revision: Revision) -> Option<Asked> {
        Some(Asked { id: message.id()?.clone(), method: method::draft(message.method())?, uri: None, revision })
    }
}

/// An answer under the client's id, in up to three pieces so that a large body is not copied.
#[derive(Debug, Clone)]
pub struct Addressed {
    head: Bytes,
    id: Option<RequestId>,
    tail: Bytes,
    error_code: Option<i64>,
}

impl Addressed {
    /// A text that needs no id put in.
    pub fn whole(text: Bytes) -> Addressed {
        Addressed { head: text, id: None, tail: Bytes::new(), error_code: None }
    }

    fn spliced(bytes: &Bytes, old: Value<'_>, id: &RequestId) -> Addressed {
        let span = old.span();
        Addressed { head: bytes.slice(..span.start), id: Some(id.clone()), tail: bytes.slice(span.end..), error_code: None }
    }

    fn with_code(self, error_code: Option<i64>) -> Addressed {
        Addressed { error_code, ..self }
    }

    /// The code the client reads, if it is an error.
    pub fn error_code(&self) -> Option<i64> {
        self.error_code
    }

    /// Length in bytes.
    #[expect(clippy::len_without_is_empty, reason = "an answer is never empty")]
    pub fn len(&self) -> usize {
        self.parts().iter().map(|part| part.len()).sum()
    }

    /// The pieces in order; some may be empty.
    pub fn parts(&self) -> [&[u8]; 3] {
        [&self.head, self.id.as_ref().map_or(&[], RequestId::token_bytes), &self.tail]
    }

    /// The pieces, owned.
    pub fn into_parts(self) -> (Bytes, Option<RequestId>, Bytes) {
        (self.head, self.id, self.tail)
    }

    /// The text in one piece; copied only when it is in several.
    pub fn into_bytes(self) -> Bytes {
        if self.id.is_none() && self.tail.is_empty() {
            return self.head;
        }
        self.parts().concat().into()
    }
}

/// An upstream's response, whoever edited it since, for the client.
pub fn relayed(message: &Message, spoken: Revision, asked: &Asked) -> Addressed {
    let Some(id) = message.id_value() else {
        // An error whose request the server could not tell: ours, since it came on our stream.
        let (code, text) = (message.error_code(), message.error_message());
        let data = message.error().and_then(|error| Some(error.get("data")?.raw().to_owned()));
        let code = code.unwrap_or(code::INTERNAL_ERROR);
        return refused(code, &text.unwrap_or_default(), data.as_deref(), asked);
    };
    let is_newer = asked.revision < spoken && asked.revision < older::LAST && older::concerns(asked.method);
    let is_unspeakable = asked.revision.era() == Era::Modern && message.error_code().is_some_and(is_never_modern);
    if spoken.era() == asked.revision.era() && !is_newer && !is_unspeakable {
        return Addressed::spliced(message.bytes(), id, &asked.id).with_code(message.error_code());
    }
    let shaped = if !is_newer && reaches(message, levels(asked.method)) {
        reshape(message, asked)
    } else {
        reshape(&message.clone().deepen(), asked)
    };
    shaped.map_or_else(
        || untranslatable(asked),
        |text| Addressed::whole(text).with_code(message.error_code().map(|code| translated_code(code, message, asked))),
    )
}

/// Whether the index goes as deep as translation looks.
fn reaches(message: &Message, needed: u16) -> bool {
    match message.document().depth() {
        IndexDepth::Full => true,
        IndexDepth::Levels(levels) => levels >= needed,
    }
}

/// How deep translation looks into a whole message: down to `result._meta.key`, and in a list of
/// tools to `result.tools[].outputSchema.type`.
fn levels(method: &str) -> u16 {
    if method == method::TOOLS_LIST { 5 } else { 3 }
}

/// Swaps id and era-bound members in one pass.
fn reshape(message: &Message, asked: &Asked) -> Option<Bytes> {
    let mut patch = Patch::new(message.document());
    patch.replace(message.id_value()?, Bytes::copy_from_slice(asked.id.token().as_bytes()));
    match (asked.revision.era(), message.result()) {
        (Era::Legacy, Some(result)) => lower_result(&mut patch, result, asked.method, asked.revision),
        (Era::Modern, Some(result)) => raise_result(&mut patch, result, asked.method),
        (_, None) => reshape_error(&mut patch, message, asked),
    }
    patch.apply().ok()
}

fn untranslatable(asked: &Asked) -> Addressed {
    let text = "the upstream's answer cannot be put in the form of this client's protocol revision";
    refused(code::INTERNAL_ERROR, text, None, asked)
}

/// A `result` object made here in modern form, for the client.
pub fn made(result: &Bytes, asked: &Asked) -> Addressed {
    let lowered = match asked.revision.era() {
        Era::Modern => None,
        Era::Legacy => lower_made(result, asked.method, asked.revision),
    };
    let result = lowered.as_ref().unwrap_or(result);
    Addressed::whole(message::result(&asked.id, result))
}

fn lower_made(result: &Bytes, method: &str, to: Revision) -> Option<Bytes> {
    // The result is the root here, not a member of it.
    let depth = if to < older::LAST { IndexDepth::Full } else { IndexDepth::Levels(levels(method) - 1) };
    let document = Document::parse_value(result.clone(), &Limits::RESPONSE, depth).ok()?;
    let mut patch = Patch::new(&document);
    lower_result(&mut patch, document.root(), method, to);
    patch.apply().ok()
}

/// An error made here in modern form, for the client.
pub fn made_error(code: i64, text: &str, data: Option<&str>, asked: &Asked) -> Addressed {
    let names_uri = || {
        let data = data.map(|data| Bytes::copy_from_slice(data.as_bytes()));
        let data = data.and_then(|data| Document::parse_value(data, &Limits::RESPONSE, IndexDepth::Levels(1)).ok());
        data.is_some_and(|data| data.root().get("uri").is_some())
    };
    let code = match asked.revision.era() {
        Era::Modern => code,
        Era::Legacy => lowered_code(code, asked.method, names_uri),
    };
    refused(code, text, data, asked)
}

/// An error made here, for the client, as it is.
fn refused(code: i64, text: &str, data: Option<&str>, asked: &Asked) -> Addressed {
    Addressed::whole(message::error(Some(&asked.id), code, text, data)).with_code(Some(code))
}

/// Members of results that only the modern era knows.
pub(crate) const MODERN_MEMBERS: [&str; 3] = ["resultType", "ttlMs", "cacheScope"];
/// Prefix of `_meta` keys that the protocol itself defines.
const PROTOCOL_META: &str = "io.modelcontextprotocol/";

fn lower_result(patch: &mut Patch<'_>, result: Value<'_>, method: &str, to: Revision) {
    older::lower(patch, result, method, to);
    for member in result.members() {
        let key = member.key.decoded();
        if MODERN_MEMBERS.contains(&key.as_ref()) {
            patch.remove(member.value);
        } else if key == "_meta" {
            lower_meta(patch, member.value);
        } else if key == "structuredContent" && (member.value.kind() != Kind::Object || to < older::LAST) {
            // Legacy knows objects only, and knew none before; the text copy in `content` says the same.
            patch.remove(member.value);
            if result.get("content").is_none_or(|content| content.is_empty()) {
                patch.set(result, "content", older::text_of(member.value.raw()));
            }
        } else if key == "tools" && method == method::TOOLS_LIST {
            for tool in member.value.items() {
                lower_tool(patch, tool, to);
            }
        }
    }
}

/// Takes the protocol's own keys out, and `_meta` itself when nothing else is in it.
pub(crate) fn lower_meta(patch: &mut Patch<'_>, meta: Value<'_>) {
    // The one that is a legacy peer's.
    let is_own = |key: &str| key.starts_with(PROTOCOL_META) && key != meta::RELATED_TASK;
    let all = meta.members().count();
    let own = meta.members().filter(|member| is_own(&member.key.decoded()));
    if all > 0 && own.clone().count() == all {
        return patch.remove(meta);
    }
    own.for_each(|member| patch.remove(member.value));
}

/// A schema that is not of an object goes, as its `structuredContent` does.
fn lower_tool(patch: &mut Patch<'_>, tool: Value<'_>, to: Revision) {
    let Some(schema) = tool.get("outputSchema") else { return };
    let is_object = schema.get("type").is_some_and(|kind| kind.is_str("object"));
    if !is_object || to < older::LAST {
        patch.remove(schema);
    }
}

fn raise_result(patch: &mut Patch<'_>, result: Value<'_>, method: &str) {
    // A legacy server has no other kind of result, whatever it writes.
    if let Some(kind) = result.get("resultType").filter(|kind| !kind.is_str("complete")) {
        patch.replace(kind, br#""complete""#.as_slice());
    }
    let mut add = |key: &str, raw: &'static [u8]| {
        if result.get(key).is_none() {
            patch.insert(result, key, raw);
        }
    };
    add("resultType", br#""complete""#);
    if is_cacheable(method) {
        add("ttlMs", b"0");
        add("cacheScope", br#""private""#);
    }
    if method == method::TOOLS_LIST {
        let tools = result.get("tools").into_iter().flat_map(|tools| tools.items());
        tools.filter_map(|tool| tool.get("execution")).for_each(|execution| patch.remove(execution));
    }
}

/// Results that carry cache hints (2026-07-28 `server/utilities/caching`).
pub(crate) fn is_cacheable(method: &str) -> bool {
    matches!(
        method,
        method::TOOLS_LIST | method::PROMPTS_LIST | method::RESOURCES_LIST | method::RESOURCES_TEMPLATES_LIST | method::RESOURCES_READ
    )
}

/// The code in the words of the client's era.
fn translated_code(sent: i64, message: &Message, asked: &Asked) -> i64 {
    let names_uri = || message.error().and_then(|error| error.get("data")?.get("uri")).is_some();
    match asked.revision.era() {
        Era::Legacy => lowered_code(sent, asked.method, names_uri),
        Era::Modern => code::raised(sent, asked.method),
    }
}

fn lowered_code(sent: i64, method: &str, names_uri: impl Fn() -> bool) -> i64 {
    let is_of_resource = matches!(method, method::RESOURCES_READ | method::RESOURCES_SUBSCRIBE | method::RESOURCES_UNSUBSCRIBE);
    match sent {
        code::INVALID_PARAMS if is_of_resource && names_uri() => code::RESOURCE_NOT_FOUND_LEGACY,
        code::MISSING_CAPABILITY => code::INVALID_PARAMS,
        // About the hop between us and the server, so nothing this client could mend.
        code::HEADER_MISMATCH | code::UNSUPPORTED_VERSION => code::INTERNAL_ERROR,
        code => code,
    }
}

fn reshape_error(patch: &mut Patch<'_>, message: &Message, asked: &Asked) {
    let (Some(error), Some(sent)) = (message.error(), message.error_code()) else { return };
    let code = translated_code(sent, message, asked);
    if let Some(value) = error.get("code").filter(|_| code != sent) {
        patch.replace(value, code.to_string());
    }
    match (asked.revision.era(), sent, &asked.uri) {
        (Era::Modern, code::RESOURCE_NOT_FOUND_LEGACY, Some(uri)) => patch.add_data(error, "uri", sluice_wire::json::quote(uri)),
        (Era::Modern, _, _) if code != sent && sent != code::RESOURCE_NOT_FOUND_LEGACY => {
            patch.add_data(error, "upstreamCode", sent.to_string())
        }
        _ => {}
    }
}

/// Codes that nobody may send a modern client (2026-07-28 basic/index, Error Codes), whoever sends them.
fn is_never_modern(code: i64) -> bool {
    matches!(code, code::RESOURCE_NOT_FOUND_LEGACY | code::URL_ELICITATION)
}

/// A server's notification for a client; `None` when its revision has no such notification.
pub fn notification(message: &Message, spoken: Revision, to: Revision) -> Option<Bytes> {
    if !method::presence(to, message.method()).from_server() {
        return None;
    }
    let crosses_down = spoken.era() == Era::Modern && to.era() == Era::Legacy;
    if !crosses_down {
        return Some(message.bytes().clone());
    }
    let deeper = (!reaches(message, 3)).then(|| message.clone().deepen());
    let message = deeper.as_ref().unwrap_or(message);
    let mut patch = Patch::new(message.document());
    if let Some(meta) = message.meta() {
        lower_meta(&mut patch, meta);
    }
    patch.apply().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODERN: Revision = Revision::V2026_07_28;
    const LEGACY: Revision = Revision::V2025_11_25;

    fn message(text: &str) -> Message {
        let document = Document::parse(text.to_owned().into(), &Limits::RESPONSE, IndexDepth::Levels(4)).expect("valid JSON");
        Message::decode(document).expect("a message")
    }

    fn asked(method: &'static str, revision: Revision) -> Asked {
        let request = message(&format!(r#"{{"jsonrpc":"2.0","id":"\u0041-1","method":"{method}","params":{{"uri":"test://a"}}}}"#));
        Asked::of(&request, revision).expect("a known method")
    }

    #[track_caller]
    fn check(method: &'static str, spoken: Revision, to: Revision, sent: &str, expected: &str) {
        let answer = relayed(&message(sent), spoken, &asked(method, to));
        assert_eq!(answer.len(), answer.clone().into_bytes().len());
        assert_eq!(String::from_utf8_lossy(&answer.into_bytes()), expected);
    }

    #[test]
    fn within_one_era_only_the_id_changes() {
        let sent = r#"{ "result" : {"z":1.10,"content":[], "resultType":"x\u0041"},"id":77 ,"jsonrpc":"2.0","x":9007199254740993}"#;
        let expected =
            r#"{ "result" : {"z":1.10,"content":[], "resultType":"x\u0041"},"id":"\u0041-1" ,"jsonrpc":"2.0","x":9007199254740993}"#;
        check("tools/call", MODERN, MODERN, sent, expected);
        check("tools/call", LEGACY, Revision::V2025_06_18, sent, expected);
    }

    #[test]
    fn a_modern_result_loses_what_legacy_does_not_know() {
        check(
            "tools/call",
            MODERN,
            LEGACY,
            r#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete","content":[1.0],"structuredContent":[1],"_meta":{"io.modelcontextprotocol/serverInfo":{},"a.b/c":1}}}"#,
            r#"{"jsonrpc":"2.0","id":"\u0041-1","result":{"content":[1.0],"_meta":{"a.b/c":1}}}"#,
        );
        check(
            "tools/call",
            MODERN,
            LEGACY,
            r#"{"jsonrpc":"2.0","id":7,"result":{"structuredContent":{"a":1},"_meta":{"io.modelcontextprotocol/serverInfo":{}}}}"#,
            r#"{"jsonrpc":"2.0","id":"\u0041-1","result":{"structuredContent":{"a":1}}}"#,
        );
        check(
            "tools/list",
            MODERN,
            LEGACY,
            r#"{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"a","outputSchema":{"type":"array"}},{"name":"b","outputSchema":{"type":"object"}}],"ttlMs":5,"cacheScope":"public","resultType":"complete"}}"#,
            r#"{"jsonrpc":"2.0","id":"\u0041-1","result":{"tools":[{"name":"a"},{"name":"b","outputSchema":{"type":"object"}}]}}"#,
        );
    }

    #[test]
    fn s086_structured_content_that_legacy_does_not_know_goes_and_its_text_stays() {
        let sent = r#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"[1]"}],"structuredContent":[1]}}"#;
        let kept = r#"{"jsonrpc":"2.0","id":"\u0041-1","result":{"content":[{"type":"text","text":"[1]"}]}}"#;
        check("tools/call", MODERN, LEGACY, sent, kept);
        check(
            "tools/call",
            MODERN,
            LEGACY,
            r#"{"jsonrpc":"2.0","id":7,"result":{"content":[],"structuredContent":["\u00e9"]}}"#,
            r#"{"jsonrpc":"2.0","id":"\u0041-1","result":{"content":[{"type":"text","text":"[\"\\u00e9\"]"}]}}"#,
        );
        let list = r#"{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"a","outputSchema":{"type":"array"}}]}}"#;
        check("tools/list", MODERN, LEGACY, list, r#"{"jsonrpc":"2.0","id":"\u0041-1","result":{"tools":[{"name":"a"}]}}"#);
    }

    #[test]
    fn an_older_client_gets_what_its_revision_knows() {
        let (old, oldest) = (Revision::V2025_03_26, Revision::V2024_11_05);
        let call = r#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"audio","data":"AA==","mimeType":"audio/wav"},{"type":"resource_link","name":"n","uri":"a:b"}],"structuredContent":{"x":1}}}"#;
        let link = r#"{"type":"text","text":"n a:b"}"#;
        let audio = r#"{"type":"audio","data":"AA==","mimeType":"audio/wav"}"#;
        let blob = r#"{"type":"resource","resource":{"uri":"data:,audio","blob":"AA==","mimeType":"audio/wav"}}"#;
        for spoken in [LEGACY, MODERN] {
            for (to, audio) in [(old, audio), (oldest, blob)] {
                let expected = format!(r#"{{"jsonrpc":"2.0","id":"\u0041-1","result":{{"content":[{audio},{link}]}}}}"#);
                check("tools/call", spoken, to, call, &expected);
            }
        }
        let list = r#"{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"a","outputSchema":{"type":"object"}}]}}"#;
        check("tools/list", LEGACY, old, list, r#"{"jsonrpc":"2.0","id":"\u0041-1","result":{"tools":[{"name":"a"}]}}"#);
        let prompt =
            r#"{"jsonrpc":"2.0","id":7,"result":{"messages":[{"role":"user","content":{"type":"resource_link","name":"n","uri":"a:b"}}]}}"#;
        let expected = format!(r#"{{"jsonrpc":"2.0","id":"\u0041-1","result":{{"messages":[{{"role":"user","content":{link}}}]}}}}"#);
        check("prompts/get", LEGACY, old, prompt, &expected);
    }

    #[test]
    fn s063_a_legacy_result_gains_what_modern_demands() {
        check(
            "tools/call",
            LEGACY,
            MODERN,
            r#"{"jsonrpc":"2.0","id":7,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":"\u0041-1","result":{"resultType":"complete"}}"#,
        );
        check(
            "tools/call",
            LEGACY,
            MODERN,
            r#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"input_required","inputRequests":{}}}"#,
            r#"{"jsonrpc":"2.0","id":"\u0041-1","result":{"resultType":"complete","inputRequests":{}}}"#,
        );
        check(
            "resources/read",
            LEGACY,
            MODERN,
            r#"{"jsonrpc":"2.0","id":7,"result":{"contents":[],"ttlMs":9}}"#,
            r#"{"jsonrpc":"2.0","id":"\u0041-1","result":{"contents":[],"ttlMs":9,"resultType":"complete","cacheScope":"private"}}"#,
        );
        check(
            "tools/list",
            LEGACY,
            MODERN,
            r#"{"jsonrpc":"2.0","id":7,"result":{"tools":[{"execution":{"taskSupport":"optional"},"name":"a"}]}}"#,
            r#"{"jsonrpc":"2.0","id":"\u0041-1","result":{"tools":[{"name":"a"}],"resultType":"complete","ttlMs":0,"cacheScope":"private"}}"#,
        );
    }

    #[test]
    fn s061_errors_cross_with_a_code_the_other_era_knows() {
        let error = |rest: &str| format!(r#"{{"jsonrpc":"2.0","id":7,"error":{{{rest}}}}}"#);
        let answer = |rest: &str| format!(r#"{{"jsonrpc":"2.0","id":"\u0041-1","error":{{{rest}}}}}"#);
        for (method, spoken, to, sent, expected) in [
            (
                "resources/read",
                LEGACY,
                MODERN,
                r#""code":-32002,"message":"m""#,
                r#""code":-32602,"message":"m","data":{"uri":"test://a"}"#,
            ),
            (
                "resources/read",
                LEGACY,
                MODERN,
                r#""code":-32002,"message":"m","data":{"uri":"x"}"#,
                r#""code":-32602,"message":"m","data":{"uri":"x"}"#,
            ),
            (
                "tools/call",
                LEGACY,
                MODERN,
                r#""code":-32042,"message":"m""#,
                r#""code":-32603,"message":"m","data":{"upstreamCode":-32042}"#,
            ),
            ("tools/call", LEGACY, MODERN, r#""code":-32601,"message":"m","data":1"#, r#""code":-32603,"message":"m","data":1"#),
            ("tools/call", LEGACY, MODERN, r#""code":-32602,"message":"m""#, r#""code":-32602,"message":"m""#),
            (
                "resources/read",
                MODERN,
                LEGACY,
                r#""code":-32602,"message":"m","data":{"uri":"x"}"#,
                r#""code":-32002,"message":"m","data":{"uri":"x"}"#,
            ),
            ("resources/read", MODERN, LEGACY, r#""code":-32602,"message":"m""#, r#""code":-32602,"message":"m""#),
            ("tools/call", MODERN, LEGACY, r#""code":-32021,"message":"m""#, r#""code":-32602,"message":"m""#),
            (
                "tools/call",
                MODERN,
                MODERN,
                r#""code":-32042,"message":"m""#,
                r#""code":-32603,"message":"m","data":{"upstreamCode":-32042}"#,
            ),
        ] {
            check(method, spoken, to, &error(sent), &answer(expected));
        }
    }

    #[test]
    fn a_result_of_ours_is_lowered_for_legacy_only() {
        let result = Bytes::from_static(br#"{"tools":[{"name":"a","outputSchema":{}}],"resultType":"complete"}"#);
        let to = |revision| made(&result, &asked("tools/list", revision)).into_bytes();
        assert_eq!(
            to(MODERN),
            r#"{"jsonrpc":"2.0","id":"\u0041-1","result":{"tools":[{"name":"a","outputSchema":{}}],"resultType":"complete"}}"#
        );
        assert_eq!(to(LEGACY), r#"{"jsonrpc":"2.0","id":"\u0041-1","result":{"tools":[{"name":"a"}]}}"#);
    }

    #[test]
    fn notifications_pass_where_the_revision_has_them() {
        let tagged = message(
            r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","_meta":{"io.modelcontextprotocol/subscriptionId":1,"x":2}}}"#,
        );
        assert_eq!(notification(&tagged, MODERN, MODERN).as_ref(), Some(tagged.bytes()));
        let lowered = notification(&tagged, MODERN, LEGACY).expect("legacy has it");
        assert_eq!(lowered, r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","_meta":{"x":2}}}"#);
        let complete = message(r#"{"jsonrpc":"2.0","method":"notifications/elicitation/complete"}"#);
        assert!(notification(&complete, LEGACY, LEGACY).is_some());
        assert_eq!(notification(&complete, LEGACY, MODERN), None);
        assert_eq!(notification(&complete, LEGACY, Revision::V2025_06_18), None);
    }
}
