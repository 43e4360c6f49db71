//! What a server says of its tool (2025-03-26 and later, `ToolAnnotations`). It is a hint: for servers that the operator trusts that far.

use alloc::collections::BTreeMap;
use alloc::string::String;

use serde_json::value::RawValue;

/// Whether it says plainly that the tool changes nothing. What contradicts itself, or is not written as the protocol has it, says nothing.
pub(crate) fn say_read_only(definition: &str) -> bool {
    let Ok(Tool { annotations: Some(said) }) = serde_json::from_str::<Tool>(definition) else { return false };
    let hint = |name: &str| said.get(name).map(|value| value.get());
    hint("readOnlyHint") == Some("true") && matches!(hint("destructiveHint"), None | Some("false" | "null"))
}

#[derive(serde::Deserialize)]
struct Tool<'a> {
    /// A map and not a struct, which would be read from an array as well, by the order of its fields.
    #[serde(borrow)]
    annotations: Option<BTreeMap<String, &'a RawValue>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_yes_is_one() {
        for yes in [
            r#"{"name":"a","annotations":{"title":"A","readOnlyHint":true}}"#,
            r#"{"annotations":{"readOnlyHint":true,"destructiveHint":false}}"#,
            r#"{"annotations":{"readOnlyHint":true,"destructiveHint":null,"openWorldHint":true}}"#,
        ] {
            assert!(say_read_only(yes), "{yes}");
        }
        for no in [
            r#"{"name":"a"}"#,
            r#"{"annotations":null}"#,
            r#"{"annotations":{}}"#,
            r#"{"annotations":{"destructiveHint":false}}"#,
            r#"{"annotations":{"readOnlyHint":false}}"#,
            r#"{"annotations":{"readOnlyHint":"true"}}"#,
            r#"{"annotations":{"readOnlyHint":1}}"#,
            r#"{"annotations":{"readOnlyHint":true,"destructiveHint":true}}"#,
            r#"{"annotations":{"readOnlyHint":true,"destructiveHint":"false"}}"#,
            r#"{"annotations":{"readOnlyHint":true,"destructiveHint":0}}"#,
            r#"{"readOnlyHint":true}"#,
            r#"{"annotations":[true]}"#,
            "",
        ] {
            assert!(!say_read_only(no), "{no}");
        }
    }
}
