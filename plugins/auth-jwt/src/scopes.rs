//! Which scopes a request needs, and whether those of a token are enough.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::{Config, Requirement};

/// The operator's rules about scopes.
pub struct Scopes {
    base: Vec<String>,
    includes: BTreeMap<String, Vec<String>>,
    requires: Vec<Requirement>,
}

impl Scopes {
    /// As the settings have them.
    pub fn new(config: &Config) -> Self {
        Scopes { base: config.scopes.clone(), includes: config.includes.clone(), requires: config.requires.clone() }
    }

    /// What every token needs.
    pub fn base(&self) -> &[String] {
        &self.base
    }

    /// Everything that a request needs: each rule that speaks of it, and what all need.
    pub fn needed(&self, method: &str, name: Option<&str>) -> Vec<&str> {
        let is_meant = |patterns: &[String], text: &str| patterns.is_empty() || patterns.iter().any(|pattern| matches(pattern, text));
        let rules = self.requires.iter().filter(|rule| is_meant(&rule.methods, method));
        let rules = rules.filter(|rule| rule.names.is_empty() || name.is_some_and(|name| is_meant(&rule.names, name)));
        unique(self.base.iter().chain(rules.flat_map(|rule| &rule.scopes)).map(String::as_str))
    }

    /// A broad scope is worth every narrower one in it, and those in that.
    pub fn are_enough(&self, granted: &[&str], needed: &[&str]) -> bool {
        let (mut held, mut open) = (BTreeSet::new(), granted.to_vec());
        while let Some(scope) = open.pop() {
            if held.insert(scope) {
                open.extend(self.includes.get(scope).into_iter().flatten().map(String::as_str));
            }
        }
        needed.iter().all(|scope| held.contains(scope))
    }

    /// What a client is to ask for, so that what it could do before it can do after: some ask for just what they are told. Scopes of a
    /// token that nothing here speaks of are not repeated.
    pub fn to_ask_for<'s>(&'s self, granted: &[&'s str], needed: &[&'s str]) -> Vec<&'s str> {
        let rules = self.requires.iter().flat_map(|rule| &rule.scopes);
        let known: BTreeSet<&str> =
            self.includes.iter().flat_map(|(broad, narrow)| narrow.iter().chain([broad])).chain(rules).map(String::as_str).collect();
        let kept = granted.iter().copied().filter(|scope| known.contains(scope));
        unique(self.base.iter().map(String::as_str).chain(kept).chain(needed.iter().copied()))
    }
}

fn unique<'s>(scopes: impl Iterator<Item = &'s str>) -> Vec<&'s str> {
    let mut seen = BTreeSet::new();
    scopes.filter(|scope| seen.insert(*scope)).collect()
}

/// `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    text.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes() -> Scopes {
        let config = r#"{"resource": "https://h/mcp", "issuers": [], "scopes": ["mcp"],
            "includes": {"admin": ["write"], "write": ["read"], "read": ["admin"]},
            "requires": [{"methods": ["tools/call"], "scopes": ["call"]}, {"names": ["notes_*"], "scopes": ["read"]},
                         {"methods": ["tools/*"], "names": ["*_add", "notes_rm"], "scopes": ["write", "call"]}]}"#;
        Scopes::new(&serde_json::from_str(config).unwrap())
    }

    #[test]
    fn every_rule_that_speaks_of_a_request_counts() {
        for (method, name, needed) in [
            ("tools/list", None, &["mcp"][..]),
            ("tools/call", Some("clock"), &["mcp", "call"]),
            ("tools/call", Some("notes_get"), &["mcp", "call", "read"]),
            ("tools/call", Some("notes_add"), &["mcp", "call", "read", "write"]),
            ("prompts/get", Some("notes_rm"), &["mcp", "read"]),
        ] {
            assert_eq!(scopes().needed(method, name), needed, "{method} {name:?}");
        }
    }

    #[test]
    fn a_broad_scope_is_worth_the_narrower_ones() {
        for (granted, needed, enough) in [
            (&["admin"][..], &["read"][..], true),
            (&["write"], &["read", "write"], true),
            (&["call"], &["read"], false),
            (&["call"], &[], true),
            (&[], &["read"], false),
            (&["Read"], &["read"], false),
        ] {
            assert_eq!(scopes().are_enough(granted, needed), enough, "{granted:?} {needed:?}");
        }
    }

    #[test]
    fn what_was_granted_is_asked_for_again() {
        assert_eq!(scopes().to_ask_for(&["read", "openid"], &["mcp", "call"]), ["mcp", "read", "call"]);
    }

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text, is_match) in [
            ("*", "", true),
            ("a*", "a", true),
            ("*a", "ba", true),
            ("a*c", "abc", true),
            ("a*b*c", "a--b--c", true),
            ("a*a", "a", false),
            ("a", "ab", false),
            ("*b", "a", false),
            ("a*b*c", "ac", false),
        ] {
            assert_eq!(matches(pattern, text), is_match, "{pattern} {text}");
        }
    }
}
