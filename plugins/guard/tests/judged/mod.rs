//! What the plugin makes of one text.

use serde_json::json;
use sluice_plugin_guard::Guard;
use sluice_sdk::prelude::*;
use sluice_sdk::testing::{self, FakeExchange, FakeViewer};

/// The detectors that found something in a result.
pub fn labels(plugin: &Guard, text: &str) -> Vec<String> {
    let x = FakeExchange::new(&json!({"result": {"content": [{"type": "text", "text": text}]}}).to_string());
    assert_eq!(plugin.on_response(&testing::head("tools/call").answered(), &x), Verdict::Next);
    x.set_attrs().into_keys().collect()
}

/// Whether the same text as the description of a tool hides it, or would.
pub fn is_hidden(plugin: &Guard, text: &str) -> bool {
    let definition = json!({"name": "t", "description": text, "inputSchema": {}}).to_string();
    let viewer = FakeViewer::of(1).with_definitions(&[&definition]);
    plugin.on_catalog(&viewer, ListKind::Tools, &[Entry::new("s", "t", "")]).changes == [Change::Hide]
}
