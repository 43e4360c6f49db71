//! The name of an upstream. It is part of tool names, so it keeps to what every client takes there.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use crate::config::problem::quoted;
use crate::config::reader::Reader;
use crate::config::tree::Entry;

const CHARS_MAX: usize = 64;

/// The name for a server's key; a key with other characters gets a plain one and a warning.
pub(super) fn take(entry: &Entry, folded: &mut HashMap<String, String>, reader: &mut Reader) -> Option<String> {
    let written = &entry.key;
    let name = plain(written);
    if name.is_empty() || name.len() > CHARS_MAX {
        let what = format!("{} is no name for a server", quoted(written));
        let suggestion = format!("letters, digits, - and _, from 1 to {CHARS_MAX} of them");
        reader.wrong(entry.key_at, what, Some(suggestion));
        return None;
    }
    match folded.entry(name.to_ascii_lowercase()) {
        Slot::Occupied(other) => {
            let what = format!("server {} has the name of {}", quoted(written), quoted(other.get()));
            reader.wrong(entry.key_at, what, Some("rename one; upper and lower case are the same here".to_owned()));
            return None;
        }
        Slot::Vacant(slot) => slot.insert(written.clone()),
    };
    if name != *written {
        let what = format!("server {} is called {} here", quoted(written), quoted(&name));
        reader.warn(entry.key_at, what, None);
    }
    Some(name)
}

/// `microsoft/playwright-mcp` ⇒ `microsoft-playwright-mcp`.
pub(crate) fn plain(written: &str) -> String {
    let mut name = String::new();
    for c in written.chars() {
        match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' => name.push(c),
            _ if name.is_empty() || name.ends_with('-') => {}
            _ => name.push('-'),
        }
    }
    // A key that is plain already stays as it is, whatever it ends in.
    let is_plain = written.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if is_plain && written.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return written.to_owned();
    }
    name.trim_matches(['-', '_']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_names() {
        for (written, name) in [
            ("github", "github"),
            ("My_Server-2", "My_Server-2"),
            ("a--b-", "a--b-"),
            ("microsoft/playwright-mcp", "microsoft-playwright-mcp"),
            ("io.github.upstash/context7", "io-github-upstash-context7"),
            ("@scope/pkg", "scope-pkg"),
            ("My Server (dev)", "My-Server-dev"),
            ("_x_", "x"),
            ("日本", ""),
            ("", ""),
        ] {
            assert_eq!(plain(written), name, "{written}");
        }
    }
}
