//! A server's question in the form of a legacy client's revision (mcp-protocol §3.4 and §3.5).

use bytes::Bytes;
use sluice_wire::{
    json::{Kind, Value, quote},
    message::Message,
    method,
    patch::Patch,
    revision::Revision,
};

/// The first revision with links, choices with titles, lists of them, defaults of all kinds, and sampled messages of several
/// contents.
const FULL: Revision = Revision::V2025_11_25;

/// A question for a client of this revision; none when the revision has no form for it, so that nobody can be asked.
pub fn shaped(question: &Message, to: Revision) -> Option<Bytes> {
    let whole = question.clone().deepen();
    let mut patch = Patch::new(whole.document());
    let has_form = match (whole.method(), whole.params()) {
        (method::ELICITATION_CREATE, Some(params)) => shape_elicitation(&mut patch, params, to),
        (method::SAMPLING_CREATE_MESSAGE, Some(params)) if to < FULL => shape_sampling(&mut patch, params, to),
        _ => true,
    };
    has_form.then(|| patch.apply().ok()).flatten()
}

fn shape_elicitation(patch: &mut Patch<'_>, params: Value<'_>, to: Revision) -> bool {
    let mode = params.get("mode");
    if mode.is_some_and(|mode| mode.is_str("url")) {
        if params.get("elicitationId").is_none() {
            patch.insert(params, "elicitationId", quote(&format!("sluice-{:016x}", fingerprint(params.raw_bytes()))));
        }
        return to >= FULL;
    }
    if to >= FULL {
        return true;
    }
    // Before there were two of them, nobody named the one.
    mode.into_iter().for_each(|mode| patch.remove(mode));
    let fields = params.get("requestedSchema").and_then(|schema| schema.get("properties"));
    fields.into_iter().flat_map(|fields| fields.members()).all(|field| shape_field(patch, field.value))
}

/// One field of a form; false for a list of choices, which has no older form.
fn shape_field(patch: &mut Patch<'_>, field: Value<'_>) -> bool {
    let is = |kind: &str| field.get("type").is_some_and(|said| said.is_str(kind));
    if !is("boolean") {
        field.get("default").into_iter().for_each(|default| patch.remove(default));
    }
    if let Some(choices) = field.get("oneOf") {
        let said =
            |choice: Value<'_>, key: &str| choice.get(key).or_else(|| choice.get("const")).map_or("null", |said| said.raw()).to_owned();
        let all = |key: &str| choices.items().map(|choice| said(choice, key)).collect::<Vec<_>>().join(",");
        patch.remove(choices);
        patch.insert(field, "enum", format!("[{}]", all("const")));
        patch.insert(field, "enumNames", format!("[{}]", all("title")));
    }
    !is("array")
}

/// Sampling without tools, each message with one content: several become several messages.
fn shape_sampling(patch: &mut Patch<'_>, params: Value<'_>, to: Revision) -> bool {
    if uses_tools(params) {
        return false;
    }
    let knows = |content: Value<'_>| {
        let is = |kind: &str| content.get("type").is_some_and(|said| said.is_str(kind));
        is("text") || is("image") || (is("audio") && to >= Revision::V2025_03_26)
    };
    params.get("messages").into_iter().flat_map(|messages| messages.items()).all(|message| match message.get("content") {
        Some(contents) if contents.kind() == Kind::Array => {
            let each: Vec<String> = contents.items().map(|content| with_content(message, content)).collect();
            patch.replace(message, each.join(","));
            !each.is_empty() && contents.items().all(knows)
        }
        content => content.is_none_or(knows),
    })
}

/// Whether a sampling request brings tools (2025-11-25 client/sampling, Tool Use).
pub(crate) fn uses_tools(params: Value<'_>) -> bool {
    ["tools", "toolChoice"].iter().any(|key| params.get(key).is_some())
}

fn with_content(message: Value<'_>, content: Value<'_>) -> String {
    let member = |key: &str, raw: &str| format!("{key}:{raw}");
    let members: Vec<String> =
        message.members().map(|at| member(at.key.raw(), if at.key.is("content") { content.raw() } else { at.value.raw() })).collect();
    format!("{{{}}}", members.join(","))
}

/// Tells two links apart; what it is made of the client sees anyway.
fn fingerprint(bytes: &[u8]) -> u64 {
    // FNV-1a.
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rounds::message;

    const OLD: Revision = Revision::V2025_06_18;

    fn asked(method: &str, params: &str) -> Message {
        message(format!(r#"{{"jsonrpc":"2.0","id":0,"method":"{method}","params":{params}}}"#).into()).expect("a message")
    }

    fn params(method: &str, params: &str, to: Revision) -> Option<String> {
        let shaped = message(shaped(&asked(method, params), to)?).expect("a message").deepen();
        Some(shaped.params().expect("params").raw().to_owned())
    }

    #[test]
    fn a_question_takes_the_form_of_its_revision() {
        let form = asked("elicitation/create", r#"{"mode":"form","message":"m"}"#);
        assert_eq!(params("elicitation/create", r#"{"mode":"form","message":"m"}"#, OLD).unwrap(), r#"{"message":"m"}"#);
        assert_eq!(shaped(&form, FULL).unwrap(), form.bytes());
        let url = r#"{"mode":"url","url":"https://a"}"#;
        assert!(params("elicitation/create", url, FULL).unwrap().contains(r#""elicitationId":"sluice-"#));
        assert_eq!(params("elicitation/create", url, OLD), None, "links came later");
    }

    #[test]
    fn an_old_form_has_names_for_choices_and_no_defaults_but_of_booleans() {
        let fields = |all: &str| format!(r#"{{"message":"m","requestedSchema":{{"type":"object","properties":{{{all}}}}}}}"#);
        for (new, old) in [
            (r#""a":{"type":"string","default":"x","title":"A"}"#, r#""a":{"type":"string","title":"A"}"#),
            (r#""n":{"type":"number","default":1.0}"#, r#""n":{"type":"number"}"#),
            (r#""b":{"type":"boolean","default":true}"#, r#""b":{"type":"boolean","default":true}"#),
            (r#""e":{"type":"string","enum":["x"],"enumNames":["X"]}"#, r#""e":{"type":"string","enum":["x"],"enumNames":["X"]}"#),
            (
                r#""e":{"type":"string","oneOf":[{"const":"r","title":"R\u0041"},{"const":"g"}],"default":"r"}"#,
                r#""e":{"type":"string","enum":["r","g"],"enumNames":["R\u0041","g"]}"#,
            ),
        ] {
            assert_eq!(params("elicitation/create", &fields(new), OLD), Some(fields(old)));
            assert_eq!(params("elicitation/create", &fields(new), FULL), Some(fields(new)));
        }
        let list = fields(r#""l":{"type":"array","items":{"type":"string","enum":["x"]}}"#);
        assert_eq!(params("elicitation/create", &list, OLD), None, "a list of choices has no older form");
    }

    #[test]
    fn an_old_sampled_message_has_one_content() {
        let text = |text: &str| format!(r#"{{"type":"text","text":"{text}"}}"#);
        let several = format!(r#"{{"messages":[{{"role":"user","content":[{},{}],"x":1.0}}],"maxTokens":1}}"#, text("a"), text("b"));
        let one = |said: &str| format!(r#"{{"role":"user","content":{},"x":1.0}}"#, text(said));
        let old = format!(r#"{{"messages":[{},{}],"maxTokens":1}}"#, one("a"), one("b"));
        assert_eq!(params("sampling/createMessage", &several, OLD), Some(old.clone()));
        assert_eq!(params("sampling/createMessage", &old, OLD), Some(old));
        assert_eq!(params("sampling/createMessage", &several, FULL), Some(several));
        let audio = r#"{"messages":[{"role":"user","content":{"type":"audio","data":"","mimeType":"audio/wav"}}]}"#;
        assert_eq!(params("sampling/createMessage", audio, OLD).as_deref(), Some(audio));
        assert_eq!(params("sampling/createMessage", audio, Revision::V2024_11_05), None);
        for unknown in [
            r#"{"messages":[],"tools":[]}"#,
            r#"{"messages":[],"toolChoice":{}}"#,
            r#"{"messages":[{"role":"user","content":[]}]}"#,
            r#"{"messages":[{"role":"user","content":[{"type":"tool_result"}]}]}"#,
        ] {
            assert_eq!(params("sampling/createMessage", unknown, OLD), None, "{unknown}");
        }
    }
}
