//! `patterns`: native search over the strings and keys of a message.

use super::{
    bindings::sluice::filter::{
        patterns::{Hit, Host, Pattern},
        types::AccessError,
    },
    exchange::Exchange,
    payload::is_protocol_key,
};
use crate::{
    guest::{Guest, Phase},
    patterns::{PatternSet, Source},
    settings::Power,
};
use sluice_chain::fault::Fault;
use sluice_wire::json::{Document, Key, Kind, Value};
use std::fmt::Write;
use wasmtime::component::Resource;

/// More is `too-large`.
pub(super) const HITS_MAX: usize = 10_000;
/// Of a hit besides its two strings.
const HIT_BYTES: usize = 24;
/// Bytes searched between two looks at the clock.
pub(super) const STRIDE: usize = 128 << 10;

impl Host for Guest {
    fn define(&mut self, name: String, patterns: Vec<Pattern>) -> wasmtime::Result<Result<(), String>> {
        self.entered_alike(name.len() + patterns.iter().map(|p| p.regex.len() + 1).sum::<usize>())?;
        if self.phase != Phase::Init {
            return Ok(Err("patterns are defined in init".into()));
        }
        if !self.may(Power::Patterns) {
            self.left_trace = true;
            return Ok(Err("patterns is not granted here".into()));
        }
        let sources = patterns.into_iter().map(|p| Source { regex: p.regex, case_insensitive: p.case_insensitive });
        let compiled = self.plugin.patterns.get(sources.collect()).map(|set| {
            self.sets.retain(|(known, _)| **known != *name);
            self.sets.push((name.into(), set));
        });
        // Sets go along with a copy; that one was refused would have to be remembered, too.
        self.left_trace |= compiled.is_err();
        Ok(compiled)
    }

    async fn scan(&mut self, _: Resource<Exchange>, set: String, roots: Vec<String>) -> wasmtime::Result<Result<Vec<Hit>, AccessError>> {
        self.entered(set.len() + roots.iter().map(String::len).sum::<usize>())?;
        let message = match self.message(Power::Patterns) {
            Ok(message) => message,
            Err(error) => return Ok(Err(error)),
        };
        let Some((_, set)) = self.sets.iter().find(|(known, _)| **known == *set) else {
            return Ok(Err(AccessError::Denied(format!("no set of patterns is called {set}"))));
        };
        let set = set.clone();
        match self.scan_all(message.document(), &set, &roots).await? {
            Ok(hits) => {
                self.hand_over(hits.iter().map(|hit| hit.pointer.len() + hit.text.len() + HIT_BYTES).sum())?;
                Ok(Ok(hits))
            }
            Err(error) => Ok(Err(error)),
        }
    }
}

impl Guest {
    async fn scan_all(&mut self, document: &Document, set: &PatternSet, roots: &[String]) -> Result<Result<Vec<Hit>, AccessError>, Fault> {
        let json = document.bytes();
        // Almost always there is nothing, and one look says so. Not in a long text, where one look could not pause.
        if roots.is_empty() && json.len() <= STRIDE && !set.may_match(json) {
            return Ok(Ok(Vec::new()));
        }
        let mut walk = match Walk::new(document, roots) {
            Ok(walk) => walk,
            Err(error) => return Ok(Err(error)),
        };
        let (mut hits, mut searched, mut left) = (Vec::new(), 0, self.budget.bytes_left());
        while let Some(leaf) = walk.next() {
            // The place is only spelled out when something was found there.
            let mut pointer: Option<String> = None;
            let mut room = true;
            set.search(&leaf.text, |pattern, range| {
                let pointer = pointer.get_or_insert_with(|| walk.pointer());
                let after = left.checked_sub(pointer.len() + range.len() + HIT_BYTES);
                room = hits.len() < HITS_MAX && after.is_some();
                if room {
                    left = after.unwrap_or(0);
                    hits.push(Hit {
                        pointer: pointer.clone(),
                        in_key: leaf.in_key,
                        start: range.start as u32,
                        end: range.end as u32,
                        pattern: pattern as u32,
                        text: leaf.text[range].to_owned(),
                    });
                }
                room
            });
            if !room {
                return Ok(Err(AccessError::TooLarge));
            }
            searched += leaf.text.len() + 16;
            if searched >= STRIDE {
                searched = 0;
                self.budget.breathe().await?;
            }
        }
        Ok(Ok(hits))
    }
}

/// One text to search.
struct Leaf<'d> {
    text: std::borrow::Cow<'d, str>,
    in_key: bool,
}

/// Walks the strings and keys below some roots in the order of the text, and knows where it is. Containers that
/// are open lie on a stack, so a pointer costs its own depth and no search.
struct Walk<'d> {
    /// With the key of a member that JSON-RPC does not know: it travels, so it is searched.
    roots: Vec<(String, Option<Key<'d>>, Value<'d>)>,
    open: Vec<Open<'d>>,
    base: String,
    /// A member whose key was given out and whose value comes next.
    pending: Option<Value<'d>>,
}

enum Open<'d> {
    Object { members: sluice_wire::json::Members<'d>, at: Option<Key<'d>>, skips_protocol: bool },
    Array { items: sluice_wire::json::Items<'d>, next: usize },
}

impl<'d> Walk<'d> {
    fn new(document: &'d Document, roots: &[String]) -> Result<Self, AccessError> {
        let mut found = Vec::with_capacity(roots.len());
        for root in roots {
            if !(root.is_empty() || root.starts_with('/')) {
                return Err(AccessError::BadPointer(root.clone()));
            }
            // Arguments may be left out, and an error has no result: there is nothing at or below such a root.
            found.extend(document.pointer(root).map(|value| (root.clone(), None, value)));
        }
        if roots.is_empty() {
            // Members that JSON-RPC does not know travel too, so they are searched too.
            let is_one_of = |key: &Key<'_>, names: &[&str]| names.iter().any(|name| key.is(name));
            let bodies = document.root().members().filter(|member| !is_one_of(&member.key, &["jsonrpc", "id", "method"]));
            found.extend(bodies.map(|member| {
                let is_known = is_one_of(&member.key, &["params", "result", "error"]);
                (document.pointer_of(member.value.node()), (!is_known).then_some(member.key), member.value)
            }));
        }
        found.reverse();
        Ok(Self { roots: found, open: Vec::new(), base: String::new(), pending: None })
    }

    /// Open a container, or give out a string.
    fn enter(&mut self, value: Value<'d>) -> Option<Leaf<'d>> {
        match value.kind() {
            Kind::String => return value.as_str().map(|text| Leaf { text, in_key: false }),
            Kind::Object => {
                let skips_protocol = self.in_meta();
                self.open.push(Open::Object { members: value.members(), at: None, skips_protocol });
            }
            Kind::Array => self.open.push(Open::Array { items: value.items(), next: 0 }),
            _ => {}
        }
        None
    }

    /// Is the value about to be entered the `_meta` of `params` or `result`? What the protocol keeps there is
    /// part of the envelope.
    fn in_meta(&self) -> bool {
        let under_body = matches!(&*self.base, "/params" | "/result");
        match self.open.as_slice() {
            [] => matches!(&*self.base, "/params/_meta" | "/result/_meta"),
            [Open::Object { at: Some(key), .. }] => under_body && key.is("_meta"),
            _ => false,
        }
    }

    fn next(&mut self) -> Option<Leaf<'d>> {
        loop {
            let value = if let Some(value) = self.pending.take() {
                value
            } else {
                match self.open.last_mut() {
                    None => {
                        let (base, key, value) = self.roots.pop()?;
                        self.base = base;
                        if let Some(key) = key {
                            self.pending = Some(value);
                            return Some(Leaf { text: key.decoded(), in_key: true });
                        }
                        value
                    }
                    Some(Open::Object { members, at, skips_protocol }) => match members.next() {
                        None => {
                            self.open.pop();
                            continue;
                        }
                        Some(member) => {
                            let text = member.key.decoded();
                            if *skips_protocol && is_protocol_key(&text) {
                                continue;
                            }
                            *at = Some(member.key);
                            self.pending = Some(member.value);
                            return Some(Leaf { text, in_key: true });
                        }
                    },
                    Some(Open::Array { items, next }) => match items.next() {
                        None => {
                            self.open.pop();
                            continue;
                        }
                        Some(item) => {
                            *next += 1;
                            item
                        }
                    },
                }
            };
            if let Some(leaf) = self.enter(value) {
                return Some(leaf);
            }
        }
    }

    /// Where the leaf is that was given out last.
    fn pointer(&self) -> String {
        let mut out = self.base.clone();
        for open in &self.open {
            out.push('/');
            match open {
                Open::Object { at: Some(key), .. } => out.push_str(&key.decoded().replace('~', "~0").replace('/', "~1")),
                Open::Object { at: None, .. } => {}
                Open::Array { next, .. } => {
                    let _ = write!(out, "{}", next - 1);
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_wire::json::{IndexDepth, Limits};

    fn leaves(text: &str, roots: &[&str]) -> Vec<(String, String, bool)> {
        let document = Document::parse(text.to_owned().into(), &Limits::REQUEST, IndexDepth::Full).unwrap();
        let roots: Vec<String> = roots.iter().map(|root| (*root).to_owned()).collect();
        let mut walk = Walk::new(&document, &roots).unwrap_or_else(|_| panic!("a root is missing"));
        let mut out = Vec::new();
        while let Some(leaf) = walk.next() {
            out.push((walk.pointer(), leaf.text.into_owned(), leaf.in_key));
        }
        out
    }

    #[test]
    fn every_leaf_is_met_once_with_its_place() {
        let text = r#"{"jsonrpc":"2.0","id":"x","method":"m","params":{"a":["s",{"b/~c":"t"},7,[]],"d":{},"é":"\u00e9"}}"#;
        let expected = [
            ("/params/a", "a", true),
            ("/params/a/0", "s", false),
            ("/params/a/1/b~1~0c", "b/~c", true),
            ("/params/a/1/b~1~0c", "t", false),
            ("/params/d", "d", true),
            ("/params/é", "é", true),
            ("/params/é", "é", false),
        ];
        let expected = expected.map(|(pointer, text, in_key)| (pointer.to_owned(), text.to_owned(), in_key));
        assert_eq!(leaves(text, &[]), expected);
        assert_eq!(leaves(text, &["/params/a/1", "/params/a/0"]), [&expected[2..4], &expected[1..2]].concat());
    }

    #[test]
    fn members_that_nobody_knows_are_met_with_their_names() {
        let text = r#"{"jsonrpc":"2.0","j\u006fe":["s"],"id":1,"result":{},"x":7}"#;
        let expected = [("/joe", "joe", true), ("/joe/0", "s", false), ("/x", "x", true)];
        assert_eq!(leaves(text, &[]), expected.map(|(pointer, text, in_key)| (pointer.to_owned(), text.to_owned(), in_key)));
    }

    #[test]
    fn what_the_protocol_keeps_in_meta_is_envelope() {
        let text = r#"{"params":{"_meta":{"progressToken":"p","io.modelcontextprotocol/clientInfo":{"name":"n"},"own":"o"},
            "arguments":{"_meta":{"progressToken":"q"}}}}"#;
        let texts: Vec<_> = leaves(text, &[]).into_iter().map(|(_, text, _)| text).collect();
        assert_eq!(texts, ["_meta", "own", "o", "arguments", "_meta", "progressToken", "q"]);
        assert_eq!(leaves(text, &["/params/_meta"]).len(), 2);
    }
}
