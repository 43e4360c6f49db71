//! Which traffic enters a filter: the plugin's own selectors and the operator's conditions, compiled
//! once a generation.

use crate::{attributes::Attributes, filter::Selector};

/// One pattern in which `*` matches any run of characters.
#[derive(Clone, Debug)]
pub enum Glob {
    /// `*`
    All,
    /// No `*` in it: the common case costs one comparison.
    Exact(Box<str>),
    /// The literal pieces between the stars.
    Pieces(Box<[Box<str>]>),
}

impl Glob {
    /// Compile one pattern. Every text is a valid pattern.
    pub fn new(pattern: &str) -> Self {
        if pattern.bytes().all(|b| b == b'*') && !pattern.is_empty() {
            Self::All
        } else if pattern.contains('*') {
            Self::Pieces(pattern.split('*').map(Into::into).collect())
        } else {
            Self::Exact(pattern.into())
        }
    }

    /// Does the whole of `text` match?
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::All => true,
            Self::Exact(exact) => **exact == *text,
            Self::Pieces(pieces) => matches_pieces(pieces, text),
        }
    }
}

/// Greedy from the left is right for `*`-only patterns: the first and last piece are anchored.
fn matches_pieces(pieces: &[Box<str>], text: &str) -> bool {
    let [first, middle @ .., last] = pieces else { return false };
    let Some(mut rest) = text.strip_prefix(&**first) else { return false };
    for piece in middle {
        match rest.find(&**piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.len() >= last.len() && rest.ends_with(&**last)
}

/// A list of patterns; empty matches everything.
#[derive(Clone, Debug, Default)]
pub struct Globs(Box<[Glob]>);

impl Globs {
    /// Compile a list.
    pub fn new<S: AsRef<str>>(patterns: &[S]) -> Self {
        Self(patterns.iter().map(|p| Glob::new(p.as_ref())).collect())
    }

    /// Does any pattern match, or is there none?
    pub fn matches(&self, text: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|g| g.matches(text))
    }

    pub(crate) fn matches_optional(&self, text: Option<&str>) -> bool {
        self.0.is_empty() || text.is_some_and(|t| self.matches(t))
    }
}

/// A compiled [`Selector`].
#[derive(Clone, Debug, Default)]
pub struct Scope {
    methods: Globs,
    names: Globs,
}

impl Scope {
    /// Compile a selector.
    pub fn new(selector: &Selector) -> Self {
        Self { methods: Globs::new(&selector.methods), names: Globs::new(&selector.names) }
    }

    /// Does this message enter?
    pub fn matches(&self, method: &str, name: Option<&str>) -> bool {
        self.methods.matches(method) && self.names.matches_optional(name)
    }
}

/// The operator's conditions on a filter (`when`).
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    /// Methods and names, as in a selector.
    pub scope: Scope,
    /// Configured upstream names.
    pub upstreams: Globs,
    /// Tenants; a principal without one matches only an empty list.
    pub tenants: Globs,
    /// Labels that must be there, by their whole key (`<plugin>.<key>`), each with a value that matches.
    pub labels: Vec<(Box<str>, Globs)>,
}

impl Conditions {
    /// Does the filter take part in this message?
    pub fn hold(&self, method: &str, name: Option<&str>, upstream: Option<&str>, tenant: Option<&str>) -> bool {
        self.scope.matches(method, name) && self.upstreams.matches_optional(upstream) && self.tenants.matches_optional(tenant)
    }

    /// The part that speaks of labels, as they are now.
    pub fn hold_for_labels(&self, attributes: &Attributes) -> bool {
        self.labels.iter().all(|(key, values)| attributes.label(key).is_some_and(|value| values.matches(value)))
    }

    /// The part of the conditions that a request on its way out can meet, besides its upstream.
    pub fn hold_for_tenant(&self, tenant: Option<&str>) -> bool {
        self.tenants.matches_optional(tenant)
    }

    /// The part that an entry of a list can meet: whose it is. What a filter made is no server's.
    pub fn hold_for_entry(&self, upstream: Option<&str>) -> bool {
        self.upstreams.matches_optional(upstream)
    }

    /// The part of the conditions that a list as a whole can meet: it has no name and no single upstream.
    pub fn hold_for_viewer(&self, method: &str, attributes: &Attributes) -> bool {
        self.scope.methods.matches(method) && self.tenants.matches_optional(attributes.find("principal.tenant"))
    }

    /// Does the answer of `hold_for_viewer` depend on the tenant?
    pub fn depend_on_tenant(&self) -> bool {
        !self.tenants.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_must_be_there_with_a_value_that_matches() {
        let conditions = |labels: &[(&str, &[&str])]| Conditions {
            labels: labels.iter().map(|(key, values)| ((*key).into(), Globs::new(values))).collect(),
            ..Conditions::default()
        };
        let facts = vec![("principal.tenant".into(), "acme".into())];
        let mut attributes = Attributes::new(std::sync::Arc::new(facts));
        attributes.set_label("guard", "risk", "high");
        for (labels, expected) in [
            (&[][..], true),
            (&[("guard.risk", &[][..])], true),
            (&[("guard.risk", &["low", "h*"])], true),
            (&[("guard.risk", &["low"])], false),
            (&[("guard.risk", &[]), ("other.risk", &[])], false),
            // A fact is no label: its client may have said it.
            (&[("principal.tenant", &[])], false),
        ] {
            assert_eq!(conditions(labels).hold_for_labels(&attributes), expected, "{labels:?}");
        }
    }

    #[test]
    fn globs_match_whole_texts() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("tools/call", "tools/call", true),
            ("tools/call", "tools/calls", false),
            ("tools/*", "tools/list", true),
            ("*_read", "file_read", true),
            ("*_read", "file_reads", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a*a", "a", false),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(Glob::new(pattern).matches(text), expected, "{pattern} on {text}");
        }
    }
}
