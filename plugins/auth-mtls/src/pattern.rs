//! Patterns of names. A `*` never stands for a mark that divides a name, so what it stands for is one part or some of one: nobody's name
//! reaches into the part beside it.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;

/// What a certificate is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The one URI of a certificate that is an X.509-SVID.
    Spiffe,
    /// Any of its URIs.
    Uri,
    /// Any of its DNS names; in lower case.
    Dns,
    /// Any of its mail addresses.
    Email,
    /// Any of its IP addresses.
    Ip,
    /// Its subject, as RFC 4514 writes it.
    Subject,
    /// `sha256:` and hex.
    Fingerprint,
}

/// A kind of name, and which.
#[derive(Debug)]
pub struct Pattern {
    /// Of what.
    pub kind: Kind,
    parts: Vec<Part>,
    /// All parts that are left, at least one.
    takes_rest: bool,
}

#[derive(Debug)]
enum Part {
    Exact(String),
    /// Text before and after what is any.
    Any(String, String),
}

impl Kind {
    const ALL: [(&str, Kind); 7] = [
        ("spiffe", Kind::Spiffe),
        ("URI", Kind::Uri),
        ("DNS", Kind::Dns),
        ("email", Kind::Email),
        ("IP", Kind::Ip),
        ("subject", Kind::Subject),
        ("fingerprint", Kind::Fingerprint),
    ];

    fn divider(self) -> Option<char> {
        match self {
            Kind::Spiffe | Kind::Uri => Some('/'),
            Kind::Dns => Some('.'),
            Kind::Email => Some('@'),
            Kind::Subject => Some(','),
            Kind::Ip | Kind::Fingerprint => None,
        }
    }

    /// What `*` does not stand for, besides the divider: marks with which one part would be read as two, or as another.
    fn is_any(self, text: &str) -> bool {
        let marks: &[char] = match self {
            Kind::Spiffe | Kind::Uri => &['%', '?', '#', ':', '@', '\\'],
            Kind::Subject => &['\\', '+', '=', '"', ';', '<', '>', '#'],
            Kind::Dns => &['*'],
            Kind::Email => &['"', '\\'],
            Kind::Ip | Kind::Fingerprint => &[],
        };
        // Dots alone are a step up a path to somebody.
        !text.is_empty() && !text.contains(marks) && !text.chars().all(|c| c == '.')
    }

    /// The spelling that is compared.
    pub fn spelled(self, name: &str) -> String {
        if matches!(self, Kind::Dns | Kind::Fingerprint) { name.to_ascii_lowercase() } else { name.to_string() }
    }
}

impl Pattern {
    /// Reads `kind:pattern`. The error is for the operator.
    pub fn new(written: &str) -> Result<Self, String> {
        let (kind, pattern) = match written.split_once(':') {
            // As everybody writes them.
            Some(("spiffe", rest)) if rest.starts_with("//") => (Kind::Spiffe, written),
            Some((kind, rest)) => match Kind::ALL.iter().find(|(name, _)| *name == kind) {
                Some((_, kind)) => (*kind, rest),
                None => return Err(format!("{kind:?} is no kind of name: known are {}", known())),
            },
            None => return Err(format!("{written:?} has no kind: write one of {} before it", known())),
        };
        if pattern.is_empty() || pattern.chars().any(|c| c.is_control()) {
            return Err(format!("{written:?} names nothing"));
        }
        if matches!(kind, Kind::Spiffe | Kind::Uri)
            && !pattern.split_once("://").is_some_and(|(scheme, _)| !scheme.is_empty() && !scheme.contains('*'))
        {
            return Err(format!("{pattern:?} is no URI with a scheme of its own"));
        }
        if kind == Kind::Fingerprint && !is_fingerprint(pattern) {
            return Err(format!("{pattern:?} is not sha256: and 64 hex digits"));
        }
        let pattern = match kind {
            Kind::Ip => pattern.parse::<IpAddr>().map_err(|_| format!("{pattern:?} is no IP address"))?.to_canonical().to_string(),
            _ => kind.spelled(pattern),
        };
        let mut texts: Vec<&str> = divided(kind, &pattern).collect();
        let takes_rest = matches!(kind, Kind::Spiffe | Kind::Uri) && texts.len() > 3 && texts.last() == Some(&"**");
        if takes_rest {
            texts.pop();
        }
        let parts: Result<Vec<Part>, String> = texts.into_iter().map(|text| part(kind, text)).collect();
        let pattern = Pattern { kind, parts: parts?, takes_rest };
        if kind == Kind::Spiffe {
            pattern.check_spiffe()?;
        }
        Ok(pattern)
    }

    /// A trust domain is one that this operator trusts, by its name.
    fn check_spiffe(&self) -> Result<(), String> {
        match &self.parts[..] {
            [Part::Exact(scheme), Part::Exact(empty), Part::Exact(domain), ..]
                if scheme == "spiffe:" && empty.is_empty() && is_trust_domain(domain) =>
            {
                Ok(())
            }
            _ => Err("a SPIFFE ID begins with spiffe:// and the whole name of a trust domain, in lower case".to_string()),
        }
    }

    /// How many gaps there are.
    pub fn gaps(&self) -> usize {
        self.parts.iter().filter(|part| matches!(part, Part::Any(..))).count() + usize::from(self.takes_rest)
    }

    /// What the gaps stand for in this name; nothing if it does not fit.
    pub fn fit<'n>(&self, name: &'n str) -> Option<Vec<&'n str>> {
        let mut found = Vec::new();
        let mut rest = Some(name);
        for part in &self.parts {
            let (text, after) = match self.kind.divider().and_then(|divider| rest?.split_once(divider)) {
                Some((text, after)) => (text, Some(after)),
                None => (rest?, None),
            };
            rest = after;
            match part {
                Part::Exact(exact) if exact == text => {}
                Part::Exact(_) => return None,
                Part::Any(before, behind) => {
                    let any = text.strip_prefix(before.as_str())?.strip_suffix(behind.as_str())?;
                    if !self.kind.is_any(any) {
                        return None;
                    }
                    found.push(any);
                }
            }
        }
        match (rest, self.takes_rest) {
            (None, false) => Some(found),
            (Some(rest), true) if rest.split('/').all(|text| self.kind.is_any(text)) => {
                found.push(rest);
                Some(found)
            }
            _ => None,
        }
    }
}

/// The parts of a text: all of it where nothing divides it.
fn divided(kind: Kind, text: &str) -> impl Iterator<Item = &str> {
    text.split(move |c| Some(c) == kind.divider())
}

fn part(kind: Kind, text: &str) -> Result<Part, String> {
    match text.split_once('*') {
        None => Ok(Part::Exact(text.to_string())),
        Some(_) if matches!(kind, Kind::Ip | Kind::Fingerprint) => Err("it has one value, so a * stands for nothing".to_string()),
        Some((_, after)) if after.contains('*') => {
            Err("one part of a name has one * at most, and ** stands alone at the end of an URI".to_string())
        }
        Some((before, after)) => Ok(Part::Any(before.to_string(), after.to_string())),
    }
}

fn known() -> String {
    Kind::ALL.map(|(name, _)| format!("{name}:")).join(", ")
}

fn is_fingerprint(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn is_trust_domain(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b))
}

/// As the SPIFFE-ID standard has it (section 2): a trust domain, and a path of plain parts, none of them a step.
pub fn is_spiffe_id(uri: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && part != "." && part != ".." && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
    };
    let Some(rest) = uri.strip_prefix("spiffe://").filter(|_| uri.len() <= 2048) else { return false };
    let mut parts = rest.split('/');
    parts.next().is_some_and(is_trust_domain) && parts.all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stays_in_its_part() {
        for (pattern, name, found) in [
            ("spiffe://prod.example/ns/*/sa/*", "spiffe://prod.example/ns/payments/sa/api", Some(vec!["payments", "api"])),
            ("spiffe:spiffe://prod.example/ns/*/sa/*", "spiffe://prod.example/ns/a/sa/b", Some(vec!["a", "b"])),
            ("spiffe://prod.example/ns/*/sa/*", "spiffe://prod.example/ns/a/x/sa/b", None),
            ("spiffe://prod.example/ns/*/sa/*", "spiffe://prod.example/ns/a/sa/b/c", None),
            ("spiffe://prod.example/ns/*/sa/*", "spiffe://prod.example/ns/a/sa", None),
            ("spiffe://prod.example/ns/*/sa/*", "spiffe://prod.example/ns/../sa/b", None),
            ("spiffe://prod.example/ns/*/sa/*", "spiffe://prod.example/ns//sa/b", None),
            ("spiffe://prod.example/ns/*/sa/*", "spiffe://other.example/ns/a/sa/b", None),
            ("spiffe://prod.example/agent-*", "spiffe://prod.example/agent-7", Some(vec!["7"])),
            ("spiffe://prod.example/agent-*", "spiffe://prod.example/agent-", None),
            ("spiffe://prod.example/team/**", "spiffe://prod.example/team/a/b", Some(vec!["a/b"])),
            ("spiffe://prod.example/team/**", "spiffe://prod.example/team", None),
            ("spiffe://prod.example/team/**", "spiffe://prod.example/team/", None),
            ("spiffe://prod.example/team/**", "spiffe://prod.example/team/a/../b", None),
            ("spiffe://prod.example", "spiffe://prod.example", Some(vec![])),
            ("URI:https://*/a", "https://x/a", Some(vec!["x"])),
            ("URI:https://*/a", "https://x@y/a", None),
            ("URI:https://x/*", "https://x/a?b", None),
            ("URI:https://x/*", "https://x/a%2Fb", None),
            ("DNS:*.agents.example", "ci.agents.example", Some(vec!["ci"])),
            ("DNS:*.Agents.Example", "ci.agents.example", Some(vec!["ci"])),
            ("DNS:*.agents.example", "a.ci.agents.example", None),
            ("DNS:*.agents.example", "agents.example", None),
            ("DNS:*.agents.example", "*.agents.example", None),
            ("email:*@example.com", "ada@example.com", Some(vec!["ada"])),
            ("email:*@example.com", "ada@example.com.evil.example", None),
            ("email:*@example.com", "a@b@example.com", None),
            ("IP:10.0.0.7", "10.0.0.7", Some(vec![])),
            ("IP:2001:db8:0::7", "2001:db8::7", Some(vec![])),
            ("subject:CN=*,O=Acme", "CN=ada,O=Acme", Some(vec!["ada"])),
            ("subject:CN=*,O=Acme", "CN=ada,OU=x,O=Acme", None),
            // The name holds a comma: it is somebody else's.
            ("subject:CN=*,O=Acme", "CN=ada\\,O=Acme", None),
            ("subject:CN=*,O=Acme", "CN=x+CN=ada,O=Acme", None),
            ("subject:CN=*", "CN=a\\2CO=b", None),
        ] {
            let read = Pattern::new(pattern).unwrap();
            assert_eq!(read.fit(name), found, "{pattern} {name}");
            if let Some(found) = found {
                assert_eq!(read.gaps(), found.len(), "{pattern}");
            }
        }
        let hex = "ab".repeat(32);
        assert!(Pattern::new(&format!("fingerprint:sha256:{}", hex.to_uppercase())).unwrap().fit(&format!("sha256:{hex}")).is_some());
    }

    #[test]
    fn patterns_that_say_too_much_or_nothing_are_refused() {
        for (bad, says) in [
            ("", "has no kind"),
            ("ada", "has no kind"),
            ("dns:x", "is no kind of name"),
            ("DNS:", "names nothing"),
            ("spiffe://*/ns/a", "whole name of a trust domain"),
            ("spiffe://*.example/ns/a", "whole name of a trust domain"),
            ("spiffe://Prod.example/a", "whole name of a trust domain"),
            ("spiffe://**", "one * at most"),
            ("spiffe:https://prod.example/a", "begins with spiffe://"),
            ("URI:*", "is no URI"),
            ("URI:*://x/a", "is no URI"),
            ("URI:https://x/**/a", "one * at most"),
            ("URI:https://x/a*b*c", "one * at most"),
            ("DNS:**", "one * at most"),
            ("IP:10.0.0.*", "is no IP address"),
            ("fingerprint:sha256:ab", "is not sha256:"),
            ("subject:CN=a\nb", "names nothing"),
        ] {
            let error = Pattern::new(bad).unwrap_err();
            assert!(error.contains(says), "{bad}: {error}");
        }
    }

    #[test]
    fn a_spiffe_id_is_written_plainly() {
        for good in ["spiffe://a", "spiffe://a.b-c_d/x", "spiffe://a/X/y-z_1.2"] {
            assert!(is_spiffe_id(good), "{good}");
        }
        for bad in [
            "spiffe://",
            "spiffe:///x",
            "SPIFFE://a/x",
            "spiffe://A/x",
            "spiffe://a/",
            "spiffe://a//x",
            "spiffe://a/./x",
            "spiffe://a/../x",
            "spiffe://a:1/x",
            "spiffe://u@a/x",
            "spiffe://a/x?y",
            "spiffe://a/x#y",
            "spiffe://a/%2e",
            "https://a/x",
        ] {
            assert!(!is_spiffe_id(bad), "{bad}");
        }
    }
}
