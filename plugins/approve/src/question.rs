//! What the person reads. It is written by a model, or by whoever steers it, so nothing in it may look like something that it is not.

use alloc::format;
use alloc::string::String;

use sluice_sdk::prelude::*;

/// Room for the names in the question; a longer one is cut.
const NAME_BYTES_MAX: usize = 200;

/// The question about one call. With `remember_seconds` the person may say that the same call is not asked about again.
pub fn ask(tool: &str, upstream: &str, arguments: &str, remember_seconds: u32) -> Suspension {
    let (tool, upstream) = (short(tool), short(upstream));
    let message = format!("Run the tool {tool} of the server {upstream} once, with these arguments?\n{}", plain(arguments));
    if remember_seconds == 0 {
        return Suspension::confirm(&message);
    }
    let title = format!("Do not ask again about this very call for {}", span(remember_seconds));
    let remember = format!(r#"{{"type":"boolean","title":"{title}","default":false}}"#);
    Suspension::form(&message, format!(r#"{{"type":"object","properties":{{"remember":{remember}}}}}"#))
}

/// Whether the person wants a yes remembered.
pub fn wants_memory(content: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Said {
        #[serde(default)]
        remember: bool,
    }
    serde_json::from_str::<Said>(content).is_ok_and(|said| said.remember)
}

/// Characters that are not seen, or that change how others are read, are written out.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        // What stands first is escaped for more reasons than not being seen, accents among them.
        let pair = String::from_iter(['a', c]);
        match c {
            ' '..='~' => out.push(c),
            _ => out.extend(pair.escape_debug().skip(1)),
        }
    }
    out
}

fn short(name: &str) -> String {
    let end = name.floor_char_boundary(NAME_BYTES_MAX);
    let rest = if end < name.len() { "…" } else { "" };
    format!("{}{rest}", plain(&name[..end]))
}

fn span(seconds: u32) -> String {
    let (count, unit) = match seconds {
        s if s % 86_400 == 0 => (s / 86_400, "day"),
        s if s % 3600 == 0 => (s / 3600, "hour"),
        s if s % 60 == 0 => (s / 60, "minute"),
        s => (s, "second"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_is_written_out_and_what_is_read_stays() {
        assert_eq!(plain(r#"{"a":"it's \"é\" हिन्दी 漢 🦀"}"#), r#"{"a":"it's \"é\" हिन्दी 漢 🦀"}"#);
        for (hidden, shown) in [
            ("a\u{202e}b", "a\\u{202e}b"),
            ("a\u{200b}b", "a\\u{200b}b"),
            ("a\u{e0041}b", "a\\u{e0041}b"),
            ("a\u{feff}b", "a\\u{feff}b"),
            ("a\nb\u{1b}[2K", "a\\nb\\u{1b}[2K"),
            ("a\u{2028}b\u{a0}c", "a\\u{2028}b\\u{a0}c"),
            ("a\u{2066}b", "a\\u{2066}b"),
        ] {
            assert_eq!(plain(hidden), shown);
        }
        assert_eq!(short(&"ä".repeat(300)), format!("{}…", "ä".repeat(100)));
    }

    #[test]
    fn a_time_is_written_as_people_say_it() {
        let said: Vec<String> = [1, 60, 90, 600, 3600, 86_400, 172_800].into_iter().map(span).collect();
        assert_eq!(said, ["1 second", "1 minute", "90 seconds", "10 minutes", "1 hour", "1 day", "2 days"]);
    }

    #[test]
    fn only_a_plain_yes_is_remembered() {
        assert!(wants_memory(r#"{"remember":true}"#));
        for no in ["{}", r#"{"remember":false}"#, r#"{"remember":"true"}"#, r#"{"remember":null}"#, "", "[]"] {
            assert!(!wants_memory(no), "{no}");
        }
    }
}
