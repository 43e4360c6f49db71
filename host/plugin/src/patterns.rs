//! Sets of regular expressions, searched in time linear in the text.
//!
//! The contract promises leftmost-longest matches. `regex-automata` finds the leftmost start fast; from
//! there an anchored search for the longest end runs, on hits only.

use regex_automata::{
    Anchored, Input, MatchKind, PatternSet as Matched,
    meta::{BuildError, Config, Regex},
    util::syntax,
};
use sha2::{Digest, Sha256};
use std::{
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

/// Patterns in one set.
pub(crate) const PATTERNS_MAX: usize = 1_000;
/// Bytes of one pattern.
pub(crate) const PATTERN_BYTES_MAX: usize = 4096;
/// Sets a plugin may define.
const SETS_MAX: usize = 32;
/// Bytes of the compiled form of one set.
const COMPILED_BYTES_MAX: usize = 16 << 20;
/// Bytes of the cache of a lazy automaton, of which there is one a thread.
const LAZY_BYTES_MAX: usize = 1 << 20;
/// Below this, asking which patterns match costs more than searching each.
const FEW: usize = 3;

/// One pattern as the guest gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) regex: String,
    pub(crate) case_insensitive: bool,
}

/// A compiled set.
pub(crate) struct PatternSet {
    /// Does any match? Stops at the first, and skips ahead where the patterns share literals.
    any: Regex,
    /// Some pattern asks where a text or a line begins or ends.
    is_anchored: bool,
    /// Which match? Only for larger sets.
    which: Option<Regex>,
    each: Vec<Pattern>,
    /// sha256 of what it was made of.
    pub(crate) digest: [u8; 32],
}

struct Pattern {
    first: Regex,
    longest: Regex,
}

impl PatternSet {
    /// Compile. The error names the pattern and what is wrong with it.
    pub(crate) fn new(sources: &[Source]) -> Result<Self, String> {
        if sources.is_empty() || sources.len() > PATTERNS_MAX {
            return Err(format!("a set has 1 to {PATTERNS_MAX} patterns, not {}", sources.len()));
        }
        let hirs = sources.iter().enumerate().map(|(i, source)| parse(i, source)).collect::<Result<Vec<_>, _>>()?;
        let config = |kind| Config::new().match_kind(kind).nfa_size_limit(Some(COMPILED_BYTES_MAX)).hybrid_cache_capacity(LAZY_BYTES_MAX);
        let built = |hirs: &[_], config| Regex::builder().configure(config).build_many_from_hir(hirs).map_err(|error| too_big(&error));
        let build = |hirs: &[_], kind| built(hirs, config(kind));
        // Stopping at every digit, say, costs more than the automaton by itself: only what skips ahead fast may skip ahead.
        let alone = |hir: &[_]| match build(hir, MatchKind::LeftmostFirst)? {
            fast if fast.is_accelerated() => Ok(fast),
            _ => built(hir, config(MatchKind::LeftmostFirst).auto_prefilter(false)),
        };
        let which = (hirs.len() > FEW).then(|| build(&hirs, MatchKind::All)).transpose()?;
        let each = hirs.iter().map(|hir| {
            let one = std::slice::from_ref(hir);
            Ok(Pattern { first: alone(one)?, longest: build(one, MatchKind::All)? })
        });
        let is_anchored = hirs.iter().any(|hir| hir.properties().look_set().contains_anchor());
        let (any, digest) = (build(&hirs, MatchKind::LeftmostFirst)?, digest(sources));
        Ok(Self { any, is_anchored, which, each: each.collect::<Result<_, String>>()?, digest })
    }

    /// Whether a string or key inside this JSON can have a match, seen without looking for the strings. Where nothing is
    /// escaped, each stands in the text as it is, between quotes; and a quote is to a word's boundary what an end is. A
    /// `true` may be wrong: it may have matched what lies between the strings.
    pub(crate) fn may_match(&self, json: &[u8]) -> bool {
        self.is_anchored || memchr::memchr(b'\\', json).is_some() || self.any.is_match(json)
    }

    /// Every match in `text`, by pattern and then by place; none overlaps another of its pattern. `found` says
    /// whether to go on.
    pub(crate) fn search(&self, text: &str, found: impl FnMut(usize, Range<usize>) -> bool) {
        self.search_from(text, 0, found);
    }

    /// The same for what begins at `from` or after; what stands before is seen by patterns that look back.
    pub(crate) fn search_from(&self, text: &str, from: usize, mut found: impl FnMut(usize, Range<usize>) -> bool) {
        // Before the first match of any there is none of each.
        let Some(from) = self.any.search(&Input::new(text).range(from..)).map(|first| first.start()) else {
            return;
        };
        let Some(which) = &self.which else {
            for (i, pattern) in self.each.iter().enumerate() {
                if !pattern.search(text, from, |range| found(i, range)) {
                    return;
                }
            }
            return;
        };
        let mut matched = Matched::new(self.each.len());
        which.which_overlapping_matches(&Input::new(text).range(from..), &mut matched);
        for id in matched.iter() {
            if !self.each[id.as_usize()].search(text, from, |range| found(id.as_usize(), range)) {
                return;
            }
        }
    }
}

impl Pattern {
    fn search(&self, text: &str, from: usize, mut found: impl FnMut(Range<usize>) -> bool) -> bool {
        let mut at = from;
        while let Some(first) = self.first.search(&Input::new(text).range(at..)) {
            let rest = Input::new(text).range(first.start()..).anchored(Anchored::Yes);
            let end = self.longest.search(&rest).map_or(first.end(), |longest| longest.end().max(first.end()));
            if end == first.start() {
                // An empty match hides nothing and would not move on.
                let Some(next) = text[end..].chars().next() else { return true };
                at = end + next.len_utf8();
                continue;
            }
            if !found(first.start()..end) {
                return false;
            }
            at = end;
        }
        true
    }
}

fn parse(index: usize, source: &Source) -> Result<regex_syntax::hir::Hir, String> {
    if source.regex.len() > PATTERN_BYTES_MAX {
        return Err(format!("pattern {index} is longer than {PATTERN_BYTES_MAX} bytes"));
    }
    let config = syntax::Config::new().case_insensitive(source.case_insensitive);
    syntax::parse_with(&source.regex, &config).map_err(|error| match error {
        regex_syntax::Error::Parse(error) => format!("pattern {index}: {}", error.kind()),
        regex_syntax::Error::Translate(error) => format!("pattern {index}: {}", error.kind()),
        _ => format!("pattern {index} is not a regular expression"),
    })
}

fn digest(sources: &[Source]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for Source { regex, case_insensitive } in sources {
        digest.update((regex.len() as u64).to_le_bytes());
        digest.update(regex);
        digest.update([u8::from(*case_insensitive)]);
    }
    digest.finalize().into()
}

fn too_big(error: &BuildError) -> String {
    match error.size_limit() {
        Some(limit) => format!("the set compiles to more than {limit} bytes"),
        None => format!("the set does not compile: {error}"),
    }
}

/// What became of some patterns: a mistake is remembered too, or it could be made again and again at our cost.
type Compiled = Result<Arc<PatternSet>, String>;

/// The sets of one plugin under one configuration: an instance that defines a set again gets the compiled one.
#[derive(Default)]
pub(crate) struct PatternCache {
    sets: Mutex<Vec<(Vec<Source>, Compiled)>>,
}

impl PatternCache {
    /// The compiled form of these patterns.
    pub(crate) fn get(&self, sources: Vec<Source>) -> Compiled {
        let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, set)) = sets.iter().find(|(known, _)| *known == sources) {
            return set.clone();
        }
        if sets.len() >= SETS_MAX {
            return Err(format!("more than {SETS_MAX} sets"));
        }
        let set = PatternSet::new(&sources).map(Arc::new);
        sets.push((sources, set.clone()));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(patterns: &[&str], text: &str) -> Vec<(usize, Range<usize>)> {
        let sources: Vec<_> = patterns.iter().map(|p| Source { regex: (*p).into(), case_insensitive: false }).collect();
        let mut hits = Vec::new();
        PatternSet::new(&sources).unwrap().search(text, |i, range| {
            hits.push((i, range));
            true
        });
        hits
    }

    #[test]
    fn the_longest_of_the_leftmost_wins() {
        assert_eq!(hits(&["sam|samwise"], "sam samwise"), [(0, 0..3), (0, 4..11)]);
        assert_eq!(hits(&["a+?"], "aaa"), [(0, 0..3)]);
        assert_eq!(hits(&["", "x*"], "axb"), [(1, 1..2)], "empty matches are no hits");
        assert_eq!(hits(&["\\bkey\\b"], "key monkey key"), [(0, 0..3), (0, 11..14)]);
    }

    #[test]
    fn patterns_overlap_each_other_but_not_themselves() {
        let found = hits(&["abc", "bcd", "cde", "zzz", "aba"], "abcde ababa");
        assert_eq!(found, [(0, 0..3), (1, 1..4), (2, 2..5), (4, 6..9)]);
    }

    #[test]
    fn unicode_is_on_and_nonsense_is_refused() {
        assert_eq!(hits(&["\\w+"], "né\u{301}e"), [(0, 0..6)]);
        for bad in ["(", "a{1000}{1000}", "\\1", "(?<=a)b", &"x".repeat(5000)] {
            let source = Source { regex: bad.into(), case_insensitive: false };
            let error = PatternSet::new(&[source]).err().unwrap_or_else(|| panic!("{bad} was taken"));
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn json_is_ruled_out_only_where_no_string_of_it_matches() {
        let set = |pattern: &str| PatternSet::new(&[Source { regex: pattern.into(), case_insensitive: false }]).unwrap();
        let json = r#"{"key":"some text","é":["42"],"n":7}"#.as_bytes();
        for absent in ["other", "\\b43\\b", "ome\\b.*text2"] {
            assert!(!set(absent).may_match(json), "{absent}");
        }
        for present in ["text", "\\btext\\b", "\\bé\\b", "^some", "text$", "(?m)^42$", "\\Aother", "key", "7"] {
            assert!(set(present).may_match(json), "{present}");
        }
        assert!(set("nowhere").may_match(br#"{"a":"\u006eowhere"}"#), "what is escaped is looked at");
    }

    #[test]
    fn no_match_in_a_string_is_ruled_out() {
        let patterns = [r"\ba", r"a\b", r"\Ba", r"a\B", "^a", "a$", r"\b{start}a", r"a\b{end-half}", "[^a]a", "a.a", r"\b1\b", "a 1?"];
        let mut texts = vec![String::new()];
        for at in 0..400 {
            let longer: Vec<String> = ["a", "1", " ", "."].iter().map(|c| format!("{}{c}", texts[at])).collect();
            texts.extend(longer);
        }
        let mut hits = 0;
        for pattern in patterns {
            let set = PatternSet::new(&[Source { regex: pattern.into(), case_insensitive: false }]).unwrap();
            for text in &texts {
                let mut found = false;
                set.search(text, |_, _| std::mem::replace(&mut found, true));
                hits += usize::from(found);
                assert!(!found || set.may_match(format!(r#"{{"":"{text}"}}"#).as_bytes()), "{pattern} in {text:?}");
            }
        }
        assert!(hits > 3_000, "{hits}");
    }

    #[test]
    fn a_repeat_is_free() {
        let cache = PatternCache::default();
        let source = || vec![Source { regex: "a".into(), case_insensitive: true }];
        assert!(Arc::ptr_eq(&cache.get(source()).unwrap(), &cache.get(source()).unwrap()));
    }
}
