//! Which scopes are asked for.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// So many scopes are asked for at once, and no more are kept.
pub const SCOPES_MAX: usize = 64;
const SCOPE_BYTES_MAX: usize = 256;

/// The scope that brings a refresh token at servers that have it.
pub const OFFLINE: &str = "offline_access";

/// The scopes of a space-separated list, each once; what cannot be one (RFC 6749 section 3.3) is left out.
pub fn list(text: &str) -> Vec<String> {
    union(&[], text.split(' '))
}

/// Both, in order, each once, as many as are allowed.
pub fn union<'a>(before: &[String], more: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut out = before.to_vec();
    for scope in more {
        if is_scope(scope) && out.len() < SCOPES_MAX && !out.iter().any(|known| known == scope) {
            out.push(scope.to_string());
        }
    }
    out
}

fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.len() <= SCOPE_BYTES_MAX && text.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
}

/// What a first authorization asks for: what the challenge says, else what the operator says, else all that the resource knows; nothing
/// leaves it to the authorization server.
pub fn choose(challenged: Option<&str>, configured: &[String], supported: &[String]) -> Vec<String> {
    match challenged.map(list).filter(|scopes| !scopes.is_empty()) {
        Some(scopes) => scopes,
        None if !configured.is_empty() => union(&[], configured.iter().map(String::as_str)),
        None => union(&[], supported.iter().map(String::as_str)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(ToString::to_string).collect()
    }

    #[test]
    fn the_challenge_comes_before_the_settings_and_those_before_what_is_supported() {
        for (challenged, configured, supported, chosen) in [
            (Some("a b"), "c", "d", "a b"),
            (Some(""), "c", "d", "c"),
            (None, "c", "d", "c"),
            (None, "", "d e", "d e"),
            (None, "", "", ""),
            (Some("a  a \"x\" é"), "", "", "a"),
        ] {
            assert_eq!(choose(challenged, &words(configured), &words(supported)), words(chosen), "{challenged:?}");
        }
    }

    #[test]
    fn a_step_up_keeps_what_there_was_and_is_bounded() {
        assert_eq!(union(&words("a b"), ["b", "c"]), words("a b c"));
        let many: Vec<String> = (0..100).map(|i| i.to_string()).collect();
        assert_eq!(union(&words("a"), many.iter().map(String::as_str)).len(), SCOPES_MAX);
    }
}
