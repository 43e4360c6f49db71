//! An answer as it is kept: what names it, when it was true, and the result without what is said anew each time.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::json::{self, Member, Value};
use crate::question::{Name, hex};

/// Where an answer says that it was kept: milliseconds since it was fetched.
const MARK: &str = "io.github.sluice-mcp/cache";

/// A result worth keeping.
#[derive(Debug)]
pub struct Kept {
    /// Its members but `_meta` and `ttlMs`.
    members: String,
    /// The members of its `_meta`.
    meta: String,
    /// How long it is true, as its server says.
    pub hint_ms: Option<u64>,
    /// Whether its server says that it is the same for everybody, if it says anything about that.
    pub is_public: Option<bool>,
    /// It is of a resource, whose results have hints (2026-07-28 server/utilities/caching).
    has_hints: bool,
}

/// What was kept of a result, read again.
#[derive(Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// When it was fetched, in seconds since 1970.
    pub since_s: u64,
    /// When its server's hint ends; 0: there was none.
    hint_ends_s: u64,
    has_hints: bool,
    members: &'a str,
    meta: &'a str,
}

impl Kept {
    /// Reads a result; nothing if it is an error, a question, a task or anything else but a whole answer.
    pub fn new(result: &str, has_hints: bool) -> Option<Self> {
        let result = json::members(result)?;
        let is_answer = result.iter().all(|(name, value)| match (name.as_ref(), value) {
            ("resultType", value) => json::text(value) == Some("complete"),
            ("isError", value) => *value == Value::Bool(false),
            ("inputRequests" | "requestState" | "task", _) => false,
            ("_meta", value) => matches!(value, Value::Object(_)),
            _ => true,
        });
        if !is_answer {
            return None;
        }
        let kept: Vec<&Member<'_>> = result.iter().filter(|(name, _)| !matches!(name.as_ref(), "_meta" | "ttlMs")).collect();
        let mut members = String::new();
        json::append_members(&kept, false, &mut members);
        // What an older server leaves out, clients of the newer revision must have.
        for (name, value) in [("resultType", "complete"), ("cacheScope", "private")] {
            if json::find(&result, name).is_none() && (has_hints || name == "resultType") {
                members.push_str(&format!("{}\"{name}\":\"{value}\"", if members.is_empty() { "" } else { "," }));
            }
        }
        let mut meta = String::new();
        if let Some(Value::Object(said)) = json::find(&result, "_meta") {
            json::append_members(&said.iter().filter(|(name, _)| name != MARK).collect::<Vec<_>>(), false, &mut meta);
        }
        // A hint that cannot be read says "at once", as a negative one does.
        let hint_ms = json::find(&result, "ttlMs").map(|hint| json::whole(hint).unwrap_or(0));
        let is_public = json::find(&result, "cacheScope").map(|scope| json::text(scope) == Some("public"));
        Some(Kept { members, meta, hint_ms, is_public, has_hints })
    }

    /// As it is kept. No JSON that is written without spaces has a line feed in it.
    pub fn write(&self, name: &Name, tokens: &str, now_s: u64) -> String {
        // The clock stands at the second that has begun, so a hint ends rather too soon.
        let hint_ends_s = self.hint_ms.map_or(0, |ms| now_s.saturating_add(ms / 1000));
        let (name, has_hints) = (hex(name), u8::from(self.has_hints));
        format!("{name}\n{tokens}\n{now_s} {hint_ends_s} {has_hints}\n{}\n{}", self.members, self.meta)
    }
}

impl<'a> Found<'a> {
    /// Reads what was kept; nothing if it is of another question, or what it was true of has changed.
    pub fn read(kept: &'a [u8], name: &Name, tokens: &str) -> Option<Self> {
        let mut lines = core::str::from_utf8(kept).ok()?.splitn(5, '\n');
        if lines.next()? != hex(name) || lines.next()? != tokens {
            return None;
        }
        let mut numbers = lines.next()?.splitn(3, ' ').map(|number| number.parse::<u64>().ok());
        let (since_s, hint_ends_s, has_hints) = (numbers.next()??, numbers.next()??, numbers.next()?? == 1);
        Some(Found { since_s, hint_ends_s, has_hints, members: lines.next()?, meta: lines.next()? })
    }

    /// The result, with what is left of its hint; with the mark if it is to have one.
    pub fn result(&self, now_s: u64, is_marked: bool) -> String {
        let mut meta = self.meta.to_string();
        if is_marked {
            let age_ms = now_s.saturating_sub(self.since_s).saturating_mul(1000);
            meta.push_str(&format!("{}\"{MARK}\":{{\"ageMs\":{age_ms}}}", if meta.is_empty() { "" } else { "," }));
        }
        let mut result = format!("{{{}", self.members);
        if self.has_hints {
            let left_ms = self.hint_ends_s.saturating_sub(now_s).saturating_mul(1000);
            result.push_str(&format!(",\"ttlMs\":{left_ms}"));
        }
        if !meta.is_empty() {
            result.push_str(&format!(",\"_meta\":{{{meta}}}"));
        }
        result.push('}');
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: Name = [7; 32];

    fn again(result: &str, has_hints: bool, after_s: u64) -> String {
        let kept = Kept::new(result, has_hints).unwrap().write(&NAME, "t", 100);
        Found::read(kept.as_bytes(), &NAME, "t").unwrap().result(100 + after_s, true)
    }

    #[test]
    fn only_whole_answers_are_kept() {
        for answer in [r#"{"content":[]}"#, r#"{"content":[],"isError":false,"resultType":"complete","structuredContent":null}"#] {
            assert!(Kept::new(answer, false).is_some(), "{answer}");
        }
        for other in [
            r#"{"content":[],"isError":true}"#,
            r#"{"content":[],"isError":"false"}"#,
            r#"{"resultType":"input_required","inputRequests":{}}"#,
            r#"{"content":[],"inputRequests":{}}"#,
            r#"{"content":[],"requestState":"s"}"#,
            r#"{"resultType":"task","taskId":"t"}"#,
            r#"{"task":{"taskId":"t"}}"#,
            r#"{"resultType":null,"content":[]}"#,
            r#"{"content":[],"_meta":1}"#,
            "[]",
            "null",
        ] {
            assert!(Kept::new(other, false).is_none(), "{other}");
        }
    }

    #[test]
    fn a_result_comes_back_as_it_was_with_its_age() {
        assert_eq!(
            again(r#"{"content":[{"text":"\n1.10","type":"text"}],"structuredContent":{"n":1.10}}"#, false, 3),
            r#"{"content":[{"text":"\n1.10","type":"text"}],"structuredContent":{"n":1.10},"resultType":"complete","_meta":{"io.github.sluice-mcp/cache":{"ageMs":3000}}}"#
        );
        assert_eq!(
            again(r#"{"resultType":"complete","contents":[],"ttlMs":60999,"cacheScope":"public","_meta":{"own":1}}"#, true, 10),
            r#"{"resultType":"complete","contents":[],"cacheScope":"public","ttlMs":50000,"_meta":{"own":1,"io.github.sluice-mcp/cache":{"ageMs":10000}}}"#
        );
        assert!(again(r#"{"contents":[]}"#, true, 1).contains(r#""cacheScope":"private","ttlMs":0"#));
        assert!(again(r#"{"contents":[],"ttlMs":2000}"#, true, 9).contains(r#""ttlMs":0"#), "never negative");
        let twice = again(r#"{"content":[],"_meta":{"io.github.sluice-mcp/cache":{"ageMs":77}}}"#, false, 1);
        assert_eq!(twice.matches("ageMs").count(), 1, "of several proxies in a row the nearest speaks: {twice}");
        let empty = again("{}", false, 0);
        assert!(serde_json::from_str::<serde_json::Value>(&empty).is_ok(), "{empty}");
    }

    #[test]
    fn what_is_of_another_question_or_time_is_not_read() {
        let kept = Kept::new(r#"{"content":[]}"#, false).unwrap().write(&NAME, "t", 100);
        assert!(Found::read(kept.as_bytes(), &NAME, "t").is_some());
        assert_eq!(Found::read(kept.as_bytes(), &[8; 32], "t"), None);
        assert_eq!(Found::read(kept.as_bytes(), &NAME, "u"), None);
        for cut in 0..kept.len() - 1 {
            // Whatever a store makes of it, it is no panic.
            let _ = Found::read(&kept.as_bytes()[..cut], &NAME, "t");
        }
        assert_eq!(Found::read(b"\xff", &NAME, "t"), None);
    }

    #[test]
    fn a_hint_is_what_its_server_says() {
        let hint = |result: &str| Kept::new(result, true).unwrap().hint_ms;
        assert_eq!(hint(r#"{"ttlMs":5}"#), Some(5));
        assert_eq!(hint(r#"{}"#), None);
        for at_once in [r#"{"ttlMs":-5}"#, r#"{"ttlMs":"5"}"#, r#"{"ttlMs":null}"#, r#"{"ttlMs":0}"#] {
            assert_eq!(hint(at_once), Some(0), "{at_once}");
        }
        let is_public = |result: &str| Kept::new(result, true).unwrap().is_public;
        assert_eq!((is_public(r#"{"cacheScope":"public"}"#), is_public("{}")), (Some(true), None));
        assert_eq!((is_public(r#"{"cacheScope":"private"}"#), is_public(r#"{"cacheScope":["public"]}"#)), (Some(false), Some(false)));
    }
}
