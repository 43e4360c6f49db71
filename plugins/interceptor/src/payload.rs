//! A message as an interceptor is shown it, and what it sends back as edits.
//!
//! Everything stays text: what was not changed is not written again, and what was is written as the interceptor sent it.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::value::RawValue;
use sluice_sdk::json;
use sluice_sdk::prelude::*;

use crate::config::Form;

type Members<'a> = BTreeMap<String, &'a RawValue>;

/// What interceptors are shown of one message.
#[derive(Debug, PartialEq, Eq)]
pub struct Shown {
    /// JSON text.
    pub text: String,
    /// Where in the message it stands; empty: it is the message.
    root: &'static str,
}

impl Shown {
    /// Of a message; none if there is nothing to show.
    pub fn of(message: &str, form: Form) -> Option<Self> {
        let members: Members<'_> = serde_json::from_str(message).ok()?;
        let body = |name: &str| Some(without_protocol(name, members.get(name)?.get()));
        match form {
            Form::Message => {
                let kept = members.iter().filter(|(name, _)| !matches!(name.as_str(), "jsonrpc" | "id"));
                Some(Shown { text: join(kept.map(|(name, value)| (name, without_protocol(name, value.get())))), root: "" })
            }
            Form::Params if members.contains_key("method") => {
                Some(Shown { text: body("params").unwrap_or_else(|| "{}".into()), root: "/params" })
            }
            Form::Params => Some(Shown { text: body("result")?, root: "/result" }),
        }
    }

    /// What makes this one of what an interceptor sent back.
    ///
    /// # Errors
    /// It is of another shape than what was sent.
    pub fn edits(&self, changed: &str) -> Result<Vec<Edit>, &'static str> {
        let mut edits = Vec::new();
        match (object(&self.text), object(changed)) {
            (Some(old), Some(new)) => members(self.root, &old, &new, &mut edits),
            _ => return Err("it sent back something that is no object"),
        }
        Ok(edits)
    }
}

/// Without what the protocol keeps in `_meta`, which is nobody's to read here or to change.
fn without_protocol(name: &str, value: &str) -> String {
    let is_body = matches!(name, "params" | "result");
    let rest = is_body.then(|| {
        let body = object(value)?;
        let meta = object(body.get("_meta")?.get())?;
        meta.keys().any(|key| is_protocol(key)).then(|| {
            let meta = join(meta.iter().filter(|(key, _)| !is_protocol(key)).map(|(key, value)| (key, value.get().to_string())));
            join(body.iter().map(|(key, value)| (key, if key == "_meta" { meta.clone() } else { value.get().to_string() })))
        })
    });
    rest.flatten().unwrap_or_else(|| value.to_string())
}

fn join<'a>(members: impl Iterator<Item = (&'a String, String)>) -> String {
    let members: Vec<String> = members.map(|(key, value)| format!("{}:{value}", json::string(key))).collect();
    format!("{{{}}}", members.join(","))
}

/// As the host has it: `basic/index` of 2026-07-28.
fn is_protocol(key: &str) -> bool {
    let label = key.split_once('/').and_then(|(prefix, _)| prefix.split('.').nth(1));
    matches!(key, "progressToken" | "traceparent" | "tracestate" | "baggage") || matches!(label, Some("modelcontextprotocol" | "mcp"))
}

fn object(text: &str) -> Option<Members<'_>> {
    serde_json::from_str(text).ok()
}

fn members(pointer: &str, old: &Members<'_>, new: &Members<'_>, edits: &mut Vec<Edit>) {
    for (key, value) in new {
        let at = below(pointer, key);
        match old.get(key) {
            Some(before) => differences(&at, before.get(), value.get(), edits),
            None => edits.push(Edit::set(&at, value.get().to_string())),
        }
    }
    for (key, value) in old.iter().filter(|(key, _)| !new.contains_key(*key)) {
        let at = below(pointer, key);
        // What the protocol keeps there was not shown, so it was not taken out either.
        match object(value.get()) {
            Some(meta) if matches!(at.as_str(), "/params/_meta" | "/result/_meta") => members(&at, &meta, &Members::new(), edits),
            _ => edits.push(Edit::remove(&at)),
        }
    }
}

fn differences(pointer: &str, old: &str, new: &str, edits: &mut Vec<Edit>) {
    if old == new {
        return;
    }
    if let (Some(old), Some(new)) = (object(old), object(new)) {
        return members(pointer, &old, &new, edits);
    }
    let items = |text| serde_json::from_str::<Vec<&RawValue>>(text).ok();
    if let (Some(old), Some(new)) = (items(old), items(new))
        && old.len() == new.len()
    {
        for (at, (old, new)) in old.iter().zip(&new).enumerate() {
            differences(&format!("{pointer}/{at}"), old.get(), new.get(), edits);
        }
        return;
    }
    // The same string may be written in many ways. Anything else that is written otherwise is another: two long numbers may be one for whoever
    // reads them as floating point, and not for a server.
    let string = |text| serde_json::from_str::<String>(text).ok();
    if string(old).is_none() || string(old) != string(new) {
        edits.push(Edit::set(pointer, new.to_string()));
    }
}

fn below(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use sluice_sdk::testing::FakeExchange;

    use super::*;

    fn of(message: &Value, form: Form) -> Shown {
        Shown::of(&message.to_string(), form).unwrap()
    }

    fn parsed(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_is_the_connections_and_the_protocols_is_not_shown() {
        let meta = json!({"progressToken": 1, "io.modelcontextprotocol/clientInfo": {}, "com.example/x": "own"});
        let call =
            json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "a", "arguments": {"b": 1}, "_meta": meta}});
        let params = json!({"name": "a", "arguments": {"b": 1}, "_meta": {"com.example/x": "own"}});
        assert_eq!(parsed(&of(&call, Form::Message).text), json!({"method": "tools/call", "params": params}));
        assert_eq!(parsed(&of(&call, Form::Params).text), params);
        let answer = json!({"jsonrpc": "2.0", "id": 7, "result": {"content": [], "resultType": "complete"}});
        assert_eq!(parsed(&of(&answer, Form::Params).text), json!({"content": [], "resultType": "complete"}));
        let error = json!({"jsonrpc": "2.0", "id": 7, "error": {"code": 1, "message": "m"}});
        assert_eq!(parsed(&of(&error, Form::Message).text), json!({"error": {"code": 1, "message": "m"}}));
        assert_eq!(Shown::of(&error.to_string(), Form::Params), None);
        let bare = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/list"});
        assert_eq!(of(&bare, Form::Params).text, "{}");
    }

    #[test]
    fn only_what_changed_is_written() {
        let call = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "a", "arguments": {"x/y": ["one", "two"], "n": 1, "gone": 0}}});
        let payload = of(&call, Form::Message);
        let same = r#"{ "method" : "tools/call", "params" : { "name":"\u0061", "arguments": {"gone": 0, "n": 1, "x/y": ["one","two"]} } }"#;
        assert_eq!(payload.edits(same), Ok(Vec::new()));
        let changed = r#"{"method":"tools/call","params":{"name":"a","arguments":{"x/y":["one","2"],"n":1.10,"new":null}}}"#;
        let expected = [
            Edit::set("/params/arguments/n", "1.10".into()),
            Edit::set("/params/arguments/new", "null".into()),
            Edit::set("/params/arguments/x~1y/1", "\"2\"".into()),
            Edit::remove("/params/arguments/gone"),
        ];
        assert_eq!(payload.edits(changed).unwrap(), expected);
        assert!(payload.edits("[]").is_err() && payload.edits("{").is_err());
    }

    #[test]
    fn the_protocols_meta_stays_where_it_is() {
        let call =
            json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "a", "_meta": {"progressToken": 1, "own": 1}}});
        let payload = of(&call, Form::Params);
        assert_eq!(payload.edits(r#"{"name":"a"}"#).unwrap(), [Edit::remove("/params/_meta/own")]);
        assert_eq!(payload.edits(r#"{"name":"a","_meta":{"own":2}}"#).unwrap(), [Edit::set("/params/_meta/own", "2".into())]);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            "[a~/é\"]{0,3}".prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[ab~/]{0,2}", inner, 0..4).prop_map(|map| json!(map))
            ]
        })
    }

    proptest! {
        /// Whatever is sent back, the message becomes that.
        #[test]
        fn the_edits_make_the_one_of_the_other(before in any_json(), after in any_json()) {
            let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "a", "arguments": before}});
            let x = FakeExchange::new(&call.to_string());
            let wanted = json!({"method": "tools/call", "params": {"name": "a", "arguments": after}});
            let edits = of(&call, Form::Message).edits(&wanted.to_string()).unwrap();
            x.stage(&edits).unwrap();
            let edited = x.edited().unwrap();
            prop_assert_eq!(&edited["params"], &wanted["params"]);
        }
    }
}
