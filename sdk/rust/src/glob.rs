//! Names with gaps, as settings of plugins have them.

/// Whether `text` is what the glob says: `*` is any text, everything else is itself. There is no escape and no backtracking: the time
/// is that of one look at `text` for each `*`.
pub fn matches(glob: &str, text: &str) -> bool {
    let mut parts = glob.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Whether any of them says so.
pub fn any<G: AsRef<str>>(globs: &[G], text: &str) -> bool {
    globs.iter().any(|glob| matches(glob.as_ref(), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_is_text_with_gaps() {
        for (glob, text, yes) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*c", "ac", true),
            ("a*a", "a", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c", false),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(glob, text), yes, "{glob} {text}");
        }
        assert!(any(&["x", "a*"], "ab") && !any(&["x", "b*"], "ab") && !any::<&str>(&[], ""));
    }
}
