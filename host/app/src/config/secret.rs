//! Texts that must not be shown, and texts that are shown as they were written.

use std::fmt;

use zeroize::Zeroizing;

use super::expand::Piece;

/// A value that nobody may see: no `Debug`, `Display` or serialisation of its content, and its
/// memory is wiped when it is dropped. (The text of the file and the process environment, where it
/// came from, are not ours to wipe.)
#[derive(Clone, PartialEq)]
pub struct Secret {
    content: Zeroizing<String>,
    origin: String,
}

impl Secret {
    pub(super) fn new(content: String, origin: impl Into<String>) -> Secret {
        Secret { content: Zeroizing::new(content), origin: origin.into() }
    }

    /// The content. Whoever calls this answers for where it goes.
    pub fn reveal(&self) -> &str {
        &self.content
    }

    /// Where it came from, fit to be shown: `env:NAME`, `file:PATH`, or `inline`.
    pub fn origin(&self) -> &str {
        &self.origin
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.origin)
    }
}

/// A text with its references filled in. It shows itself as it was written, so a variable's value
/// does not end up in a log by way of an argument or a URL.
#[derive(Clone, PartialEq)]
pub struct Text {
    shown: String,
    value: Zeroizing<String>,
}

impl Text {
    pub(super) fn new(written: &str, value: String) -> Text {
        let shown = if looks_secret(written) { "…".to_owned() } else { written.to_owned() };
        Text { shown, value: Zeroizing::new(value) }
    }

    /// The text to use.
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.shown)
    }
}

/// Whether a written value was left to the environment, in part at least ("Bearer ${TOKEN}").
pub(super) fn is_referred(pieces: &[Piece]) -> bool {
    pieces.iter().any(|piece| matches!(piece, Piece::Reference(_)))
}

/// The shapes of well-known tokens and keys. Meant to be right rather than complete: a hit under
/// `sluice` stops the start.
pub(crate) fn looks_secret(written: &str) -> bool {
    (written.contains("-----BEGIN ") && written.contains("PRIVATE KEY-----"))
        || written.split([' ', '\t', '\n', '=', '&', '?', ',', ';', '"', '\'', ':']).any(is_token)
}

fn is_token(word: &str) -> bool {
    const PREFIXES: [&str; 16] = [
        "ghp_",
        "gho_",
        "ghu_",
        "ghs_",
        "ghr_",
        "github_pat_",
        "glpat-",
        "xoxb-",
        "xoxp-",
        "xoxa-",
        "sk-",
        "sk_live_",
        "rk_live_",
        "hf_",
        "npm_",
        "pypi-",
    ];
    const LENGTH_MIN: usize = 20;
    let plain = |rest: &str| rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    // A word of letters only is a sentence with dashes, not a token.
    let has_digit = word.bytes().any(|b| b.is_ascii_digit());
    let prefixed = PREFIXES.iter().filter_map(|prefix| word.strip_prefix(prefix)).any(plain);
    let aws = (word.starts_with("AKIA") || word.starts_with("ASIA"))
        && word.len() == 20
        && word.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    let jwt = word.starts_with("eyJ") && word.split('.').count() == 3 && word.len() > 40;
    (prefixed && has_digit && word.len() >= LENGTH_MIN) || aws || jwt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_shows_a_secret() {
        let secret = Secret::new("hunter2".into(), "env:PASSWORD");
        assert_eq!(format!("{secret:?}"), "Secret(env:PASSWORD)");
        assert_eq!(secret.reveal(), "hunter2");
        let text = Text::new("--key=${KEY}", "--key=hunter2".into());
        assert_eq!(format!("{text} {text:?}"), "--key=${KEY} \"--key=${KEY}\"");
        let inline = Text::new("--key=ghp_0123456789abcdefghij", String::new());
        assert_eq!(inline.to_string(), "…");
    }

    #[test]
    fn token_shapes_are_told_from_words() {
        for secret in [
            "ghp_0123456789abcdefghij0123456789abcdef",
            "Bearer sk-proj-0123456789abcdefghij",
            "--api-key=xoxb-1234567890-abcdefghij",
            "AKIAIOSFODNN7EXAMPLE",
            "-----BEGIN RSA PRIVATE KEY-----\nMII",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
            "https://mcp.example.com/?key=sk_live_0123456789abcdef",
        ] {
            assert!(looks_secret(secret), "{secret}");
        }
        for word in [
            "sk-learn",
            "the-quick-brown-fox-jumps",
            "sk-this-is-a-sentence-with-dashes",
            "env:GITHUB_TOKEN",
            "ghp_",
            "\\bAKIA[0-9A-Z]{16}\\b",
            "ghp_[A-Za-z0-9]{36}",
            "eyJ",
            "npm_config_yes",
            "true",
            "",
        ] {
            assert!(!looks_secret(word), "{word}");
        }
    }
}
