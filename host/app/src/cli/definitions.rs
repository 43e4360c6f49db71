//! What servers define, as files that a person reads before approving it, and what has changed between two of them.

use anyhow::{Context as _, Result};
use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

/// By digest, canonical JSON.
#[derive(Default)]
pub(super) struct Definitions(BTreeMap<String, String>);

/// Lines of two texts that are compared one with another; beyond that all of them count as changed.
const COMPARED_MAX: usize = 4 << 20;

impl Definitions {
    /// Another one. Of one digest `exact` is the text that the digest is of; any other is what clients of the other era are shown.
    pub(super) fn add(&mut self, digest: &str, canonical: String, exact: bool) {
        if exact || !self.0.contains_key(digest) {
            self.0.insert(digest.to_owned(), canonical);
        }
    }

    /// Writes each into a file named by its digest.
    ///
    /// # Errors
    /// The folder or a file cannot be written.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
        for (digest, canonical) in &self.0 {
            let file = folder.join(format!("{digest}.json"));
            fs::write(&file, laid_out(canonical)).with_context(|| format!("{}", file.display()))?;
        }
        Ok(())
    }

    /// The lines in which one of these differs from an earlier one in the folder; none if that is not there.
    pub(super) fn changes(&self, folder: &Path, before: &str, now: &str) -> Vec<String> {
        // What stands in a sidecar is no path.
        let is_digest = before.len() == 64 && before.bytes().all(|b| b.is_ascii_hexdigit());
        let before = is_digest.then(|| fs::read_to_string(folder.join(format!("{before}.json"))).ok()).flatten();
        match (before, self.0.get(now)) {
            (Some(before), Some(now)) => diff(&before, &laid_out(now)),
            _ => Vec::new(),
        }
    }
}

/// The same JSON with a line for each member and element, in which what nobody sees, and a terminal may obey, is an escape.
fn laid_out(canonical: &str) -> String {
    let (mut out, mut depth) = (String::with_capacity(2 * canonical.len()), 0_usize);
    let mut chars = canonical.chars().peekable();
    let (mut in_text, mut is_escaped) = (false, false);
    while let Some(c) = chars.next() {
        if in_text {
            push_seen(&mut out, c);
            in_text = is_escaped || c != '"';
            is_escaped = !is_escaped && c == '\\';
            continue;
        }
        match c {
            '{' | '[' => {
                out.push(c);
                let is_empty = chars.peek().is_some_and(|next| matches!(next, '}' | ']'));
                if is_empty {
                    out.extend(chars.next());
                } else {
                    depth += 1;
                    new_line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => {
                in_text = c == '"';
                out.push(c);
            }
        }
    }
    out.push('\n');
    out
}

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

fn push_seen(out: &mut String, c: char) {
    // Behind a letter marks are seen; by themselves Rust escapes them, too.
    let is_selector = matches!(c, '\u{34F}' | '\u{FE00}'..='\u{FE0F}' | '\u{E0100}'..='\u{E01EF}');
    let is_seen = c.is_ascii() || (!is_selector && format!("a{c}").escape_debug().count() == 2);
    if is_seen {
        out.push(c);
        return;
    }
    for unit in c.encode_utf16(&mut [0; 2]) {
        // Writing to a string does not fail.
        let _ = write!(out, "\\u{unit:04x}");
    }
}

/// Lines that are gone and lines that are new, in order.
fn diff(before: &str, now: &str) -> Vec<String> {
    let (before, now): (Vec<_>, Vec<_>) = (before.lines().collect(), now.lines().collect());
    let same = before.iter().zip(&now).take_while(|(a, b)| a == b).count();
    let (before, now) = (&before[same..], &now[same..]);
    let same = before.iter().rev().zip(now.iter().rev()).take_while(|(a, b)| a == b).count();
    let (before, now) = (&before[..before.len() - same], &now[..now.len() - same]);
    if before.len().saturating_mul(now.len()) > COMPARED_MAX {
        return before.iter().map(|line| format!("- {line}")).chain(now.iter().map(|line| format!("+ {line}"))).collect();
    }
    // How many lines what is left of both has in common, from each pair of places.
    let width = now.len() + 1;
    let mut common = vec![0_u32; (before.len() + 1) * width];
    for a in (0..before.len()).rev() {
        for b in (0..now.len()).rev() {
            common[a * width + b] = if before[a] == now[b] {
                common[(a + 1) * width + b + 1] + 1
            } else {
                common[(a + 1) * width + b].max(common[a * width + b + 1])
            };
        }
    }
    let (mut a, mut b, mut lines) = (0, 0, Vec::new());
    while a < before.len() || b < now.len() {
        if a < before.len() && b < now.len() && before[a] == now[b] {
            (a, b) = (a + 1, b + 1);
        } else if a < before.len() && (b == now.len() || common[(a + 1) * width + b] >= common[a * width + b + 1]) {
            lines.push(format!("- {}", before[a]));
            a += 1;
        } else {
            lines.push(format!("+ {}", now[b]));
            b += 1;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = r#"{"a":[],"description":"adds","name":"t","x":{"y":[1,2]}}"#;
    const NOW: &str = "{\"a\":[],\"description\":\"adds \\\",{\u{200b}\u{e0041}\u{fe01}é\",\"name\":\"t\",\"x\":{\"y\":[1,3]}}";

    #[test]
    fn a_definition_is_laid_out_and_stays_what_it_is() {
        let text = laid_out(NOW);
        assert!(text.contains("\n  \"a\": [],\n") && text.contains("\n    \"y\": [\n      1,\n      3\n    ]\n"), "{text}");
        assert!(text.contains(r#"adds \",{\u200b\udb40\udc41\ufe01é"#), "{text}");
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&text), value(NOW));
    }

    #[test]
    fn only_what_changed_is_said() {
        let lines = diff(&laid_out(BEFORE), &laid_out(NOW));
        let expected =
            [r#"-   "description": "adds","#, r#"+   "description": "adds \",{\u200b\udb40\udc41\ufe01é","#, "-       2", "+       3"];
        assert_eq!(lines, expected);
        assert_eq!(diff(BEFORE, BEFORE), Vec::<String>::new());
        assert_eq!(diff("a\nb\nc", "b\nc\nd"), ["- a", "+ d"]);
    }

    #[test]
    fn files_are_compared_by_digest() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = ("a".repeat(64), "b".repeat(64));
        let mut seen = Definitions::default();
        seen.add(&old, BEFORE.to_owned(), true);
        seen.add(&old, "{}".to_owned(), false);
        seen.write(folder.path()).unwrap();
        let mut now = Definitions::default();
        now.add(&new, "{}".to_owned(), false);
        now.add(&new, NOW.to_owned(), true);
        assert_eq!(now.changes(folder.path(), &old, &new).len(), 4);
        assert_eq!(now.changes(folder.path(), &new, &new), Vec::<String>::new(), "one that was never written");
        assert_eq!(now.changes(folder.path(), "../x", &new), Vec::<String>::new());
    }
}
