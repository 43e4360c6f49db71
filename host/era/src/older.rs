//! Results for clients of revisions that did not know all kinds of content yet (mcp-protocol §3.5).

use bytes::Bytes;
use sluice_wire::{
    json::{Value, quote},
    method,
    patch::Patch,
    revision::Revision,
};

/// The first revision that knows links to resources, and structured content and its schema.
pub(crate) const LAST: Revision = Revision::V2025_06_18;

/// Results that may hold what older clients do not know.
pub(crate) fn concerns(asked: &str) -> bool {
    matches!(asked, method::TOOLS_CALL | method::TOOLS_LIST | method::PROMPTS_GET)
}

/// Puts what a client of `to` does not know into what it knows.
pub(crate) fn lower(patch: &mut Patch<'_>, result: Value<'_>, asked: &str, to: Revision) {
    if to >= LAST {
        return;
    }
    let members = |key: &str| result.get(key).into_iter().flat_map(|all| all.items());
    match asked {
        method::TOOLS_CALL => members("content").for_each(|block| lower_block(patch, block, to)),
        method::PROMPTS_GET => {
            members("messages").filter_map(|message| message.get("content")).for_each(|block| lower_block(patch, block, to));
        }
        _ => {}
    }
}

fn lower_block(patch: &mut Patch<'_>, block: Value<'_>, to: Revision) {
    let is = |kind: &str| block.get("type").is_some_and(|said| said.is_str(kind));
    let said = |key: &str| block.get(key).and_then(|said| said.as_str()).unwrap_or_default();
    if is("resource_link") {
        patch.replace(block, text_block(&format!("{} {}", said("name"), said("uri"))));
    } else if is("audio") && to < Revision::V2025_03_26 {
        let raw = |key: &str| block.get(key).map_or("\"\"", |value| value.raw());
        let resource = format!(r#"{{"uri":"data:,audio","blob":{},"mimeType":{}}}"#, raw("data"), raw("mimeType"));
        patch.replace(block, format!(r#"{{"type":"resource","resource":{resource}}}"#));
    }
}

/// Content that says in text what structured content said.
pub(crate) fn text_of(structured: &str) -> Bytes {
    format!("[{}]", text_block(structured)).into()
}

fn text_block(text: &str) -> String {
    format!(r#"{{"type":"text","text":{}}}"#, quote(text))
}
