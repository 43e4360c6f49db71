//! What stays of data: JSON pointers (RFC 6901) in which `*` is any one member or item. Everything below the end of one stays with it.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::json::Value;

/// One pointer, step by step.
#[derive(Debug, Clone)]
pub struct Path(Vec<Step>);

#[derive(Debug, Clone)]
enum Step {
    Any,
    Named(String),
}

impl Path {
    /// Reads a pointer.
    pub fn read(pointer: &str) -> Result<Self, String> {
        let Some(rest) = pointer.strip_prefix('/') else { return Err(format!("{pointer:?} is no JSON pointer: it does not begin with /")) };
        rest.split('/').map(Step::read).collect::<Option<_>>().map(Path).ok_or_else(|| {
            let advice = "after ~ stands 0 for ~ or 1 for /; * stands alone in its step, and a member that is called * cannot be named";
            format!("{pointer:?} is no JSON pointer: {advice}")
        })
    }
}

impl Step {
    fn read(text: &str) -> Option<Self> {
        match text {
            "*" => Some(Step::Any),
            text if text.contains('*') || text.replace("~0", "").replace("~1", "").contains('~') => None,
            text => Some(Step::Named(text.replace("~1", "/").replace("~0", "~"))),
        }
    }

    fn is(&self, name: &str) -> bool {
        match self {
            Step::Any => true,
            Step::Named(own) => own == name,
        }
    }
}

/// Keeps of a value what the paths name; says whether anything went. Of an array that is gone into, items of which nothing is named go too.
/// A value that has nothing below it stays as it is: there is nothing in it to choose from.
pub fn select(value: &mut Value<'_>, paths: &[Path]) -> bool {
    let paths: Vec<&[Step]> = paths.iter().map(|path| path.0.as_slice()).collect();
    match value {
        Value::Array(_) | Value::Object(_) if !paths.is_empty() => keep(value, &paths).1,
        _ => false,
    }
}

/// Whether the value stays, and whether anything below it went.
fn keep(value: &mut Value<'_>, paths: &[&[Step]]) -> (bool, bool) {
    if paths.iter().any(|path| path.is_empty()) {
        return (true, false);
    }
    let below = |name: &str| -> Vec<&[Step]> {
        paths.iter().filter_map(|path| path.split_first()).filter(|(step, _)| step.is(name)).map(|(_, rest)| rest).collect()
    };
    let mut has_gone = false;
    let mut keep_one = |name: &str, value: &mut Value<'_>| {
        let below = below(name);
        let (stays, went) = if below.is_empty() { (false, true) } else { keep(value, &below) };
        has_gone |= went || !stays;
        stays
    };
    match value {
        Value::Object(members) => members.retain_mut(|(name, member): &mut (Cow<'_, str>, _)| keep_one(name, member)),
        Value::Array(items) => {
            let mut at = 0usize;
            items.retain_mut(|item| {
                at += 1;
                keep_one(&(at - 1).to_string(), item)
            });
        }
        _ => return (false, true),
    }
    (true, has_gone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    fn selected(text: &str, pointers: &[&str]) -> (String, bool) {
        let paths: Vec<_> = pointers.iter().map(|pointer| Path::read(pointer).unwrap()).collect();
        let mut value = json::read(text).unwrap();
        let went = select(&mut value, &paths);
        (json::write(&value), went)
    }

    #[track_caller]
    fn check(text: &str, pointers: &[&str], expected: &str) {
        assert_eq!(selected(text, pointers), (expected.to_string(), text != expected), "{pointers:?}");
    }

    #[test]
    fn what_is_named_stays_where_it_was() {
        let data = r#"{"items":[{"id":1,"user":{"name":"a","mail":"m"}},{"id":2.0},7],"total":9,"a/b":{"~":0},"next":null}"#;
        check(data, &["/items/*/id", "/total"], r#"{"items":[{"id":1},{"id":2.0}],"total":9}"#);
        check(data, &["/items/*/user/name"], r#"{"items":[{"user":{"name":"a"}},{}]}"#);
        check(data, &["/items/1"], r#"{"items":[{"id":2.0}]}"#);
        check(data, &["/items", "/items/*/id"], r#"{"items":[{"id":1,"user":{"name":"a","mail":"m"}},{"id":2.0},7]}"#);
        check(data, &["/a~1b/~0", "/next"], r#"{"a/b":{"~":0},"next":null}"#);
        check(data, &["/*"], data);
        check(data, &["/nothing"], "{}");
        check(r#"[{"a":1,"b":2},{"b":3}]"#, &["/*/a"], r#"[{"a":1},{}]"#);
        check("7", &["/a"], "7");
        check(data, &[], data);
        check(r#"{"":{"a":1},"b":2}"#, &["/"], r#"{"":{"a":1}}"#);
    }

    #[test]
    fn what_is_no_pointer_is_refused() {
        for bad in ["", "a", "$.a", "/a/**", "/a*", "/a~", "/a~2", "/~01~"] {
            assert!(Path::read(bad).is_err(), "{bad}");
        }
        for good in ["/", "/a/*/b", "/~01", "/a~1b", "/0"] {
            assert!(Path::read(good).is_ok(), "{good}");
        }
    }
}
