//! `WWW-Authenticate` (RFC 9110 section 11.6.1): what an upstream wants before it runs a request.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// What the upstream's `Bearer` challenge says; of several the first that says anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Demand {
    /// Where the resource describes itself (RFC 9728 section 5.1).
    pub resource_metadata: Option<String>,
    /// The scopes that this request needs.
    pub scope: Option<String>,
    /// `invalid_token`, `insufficient_scope`, … (RFC 6750 section 3.1).
    pub error: Option<String>,
}

impl Demand {
    /// Reads the values of all headers of that name.
    pub fn read(headers: &[String]) -> Demand {
        let bearers =
            headers.iter().flat_map(|value| challenges(value)).filter(|challenge| challenge.scheme.eq_ignore_ascii_case("bearer"));
        let demands: Vec<Demand> = bearers.map(Challenge::demand).collect();
        demands.into_iter().find(|demand| *demand != Demand::default()).unwrap_or_default()
    }

    /// More scopes are wanted than the token has.
    pub fn wants_more_scope(&self) -> bool {
        self.error.as_deref() == Some("insufficient_scope")
    }
}

struct Challenge {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    fn demand(self) -> Demand {
        let of = |name: &str| self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        Demand { resource_metadata: of("resource_metadata"), scope: of("scope"), error: of("error") }
    }
}

/// Commas part both challenges and parameters. A word with `=` and a value behind it is a parameter; any other begins a challenge, and
/// what follows it directly may be its `token68`.
fn challenges(header: &str) -> Vec<Challenge> {
    let mut reader = Reader { rest: header };
    let mut found: Vec<Challenge> = Vec::new();
    while reader.skip_separators() {
        let Some(word) = reader.token() else { break };
        match (reader.value(), found.last_mut()) {
            (Some(value), Some(last)) => last.parameters.push((word.to_ascii_lowercase(), value)),
            (Some(_), None) => break,
            (None, _) => {
                found.push(Challenge { scheme: word.to_string(), parameters: Vec::new() });
                reader.skip_token68();
            }
        }
    }
    found
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    /// Whether anything is left.
    fn skip_separators(&mut self) -> bool {
        self.rest = self.rest.trim_start_matches([' ', '\t', ',']);
        !self.rest.is_empty()
    }

    fn token(&mut self) -> Option<&'a str> {
        let end = self.rest.find(|c: char| !is_token(c)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!token.is_empty()).then_some(token)
    }

    /// What stands behind `=`, which may have space around it.
    fn value(&mut self) -> Option<String> {
        let rest = self.rest.trim_start_matches([' ', '\t']).strip_prefix('=')?;
        let mut reader = Reader { rest: rest.trim_start_matches([' ', '\t']) };
        let value = match reader.rest.strip_prefix('"') {
            Some(rest) => reader.quoted(rest)?,
            None => reader.token()?.to_string(),
        };
        self.rest = reader.rest;
        Some(value)
    }

    fn quoted(&mut self, text: &'a str) -> Option<String> {
        let mut out = String::new();
        let mut chars = text.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = &text[at + 1..];
                    return Some(out);
                }
                '\\' => out.push(chars.next()?.1),
                c => out.push(c),
            }
        }
        None
    }

    /// `Negotiate abc==`: no parameter, whatever its `=` look like.
    fn skip_token68(&mut self) {
        let text = self.rest.trim_start_matches(' ');
        let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "-._~+/".contains(c))).unwrap_or(text.len());
        let padded = text[end..].trim_start_matches('=');
        if end > 0 && text.len() < self.rest.len() && (padded.is_empty() || padded.trim_start_matches([' ', '\t']).starts_with(',')) {
            self.rest = padded;
        }
    }
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[&str]) -> Demand {
        Demand::read(&headers.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    fn demand(metadata: &str, scope: &str, error: &str) -> Demand {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_string());
        Demand { resource_metadata: some(metadata), scope: some(scope), error: some(error) }
    }

    #[test]
    fn the_bearer_challenge_is_found_among_others() {
        let metadata = "https://h/.well-known/oauth-protected-resource";
        let plain = format!("Bearer resource_metadata=\"{metadata}\", scope=\"a b\"");
        for header in [
            plain.clone(),
            format!("Basic realm=\"x, y\", {plain}"),
            format!("Negotiate, {plain}"),
            format!("Negotiate abc==, {plain}"),
            format!("Negotiate abc, {plain}"),
            format!("Digest realm=\"a\\\"b\", nonce=xyz,qop=\"auth,auth-int\" , {plain}, DPoP algs=\"ES256\""),
            format!("bearer   Resource_Metadata = \"{metadata}\" ,, SCOPE=\"a b\","),
            format!("Bearer, {plain}"),
        ] {
            assert_eq!(read(&[&header]), demand(metadata, "a b", ""), "{header}");
        }
        assert_eq!(read(&["Basic realm=x", &plain]), demand(metadata, "a b", ""));
    }

    #[test]
    fn values_are_tokens_or_quoted_strings() {
        assert_eq!(read(&["Bearer error=insufficient_scope, scope=\"a\\\\b \\\"c\\\"\""]), demand("", "a\\b \"c\"", "insufficient_scope"));
        assert!(read(&["Bearer error=\"insufficient_scope\""]).wants_more_scope());
        assert!(!read(&["Bearer error=\"invalid_token\""]).wants_more_scope());
    }

    #[test]
    fn what_is_broken_says_nothing_and_stops_nobody() {
        for header in [
            "",
            ",",
            "=",
            "Bearer scope=\"open",
            "scope=\"a\"",
            "Bearer scope=",
            "Basic scope=\"a\"",
            "\u{e9}",
            "Bearer \"a\"",
            "Bearer a==",
        ] {
            assert_eq!(read(&[header]), Demand::default(), "{header}");
        }
        assert_eq!(read(&["Bearer scope=\"open", "Bearer scope=\"fine\""]), demand("", "fine", ""));
    }
}
