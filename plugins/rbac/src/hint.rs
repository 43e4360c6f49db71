//! What a server says of its tool. It is the server's word, so rules that go by it are for servers that the operator trusts that far.

/// Whether it says that the tool changes nothing (2026-07-28 server/tools, `ToolAnnotations.readOnlyHint`).
pub(crate) fn is_read_only(definition: &str) -> bool {
    serde_json::from_str::<Tool>(definition).is_ok_and(|tool| tool.annotations.is_some_and(|said| said.read_only))
}

#[derive(serde::Deserialize)]
struct Tool {
    annotations: Option<Annotations>,
}

#[derive(serde::Deserialize)]
struct Annotations {
    #[serde(rename = "readOnlyHint", default)]
    read_only: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_yes_is_one() {
        assert!(is_read_only(r#"{"name":"a","annotations":{"title":"A","readOnlyHint":true}}"#));
        for no in [
            r#"{"name":"a"}"#,
            r#"{"annotations":null}"#,
            r#"{"annotations":{}}"#,
            r#"{"annotations":{"readOnlyHint":false}}"#,
            r#"{"annotations":{"readOnlyHint":"true"}}"#,
            r#"{"annotations":{"readOnlyHint":1}}"#,
            r#"{"readOnlyHint":true}"#,
            "",
        ] {
            assert!(!is_read_only(no), "{no}");
        }
    }
}
