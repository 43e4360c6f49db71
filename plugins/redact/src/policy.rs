//! From settings to a ruling on one message.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Range;

use sluice_sdk::glob;
use sluice_sdk::json::decode_string;
use sluice_sdk::patterns::Pattern;
use sluice_sdk::prelude::*;

use crate::config::{Action, Check, Config, Directions};
use crate::found::{Found, Held};
use crate::spans::Span;
use crate::token::{self, NotKept, Tokens, Whose};
use crate::veil::Veil;
use crate::{SET, TOKENS_SET, detectors, digits, names, places};

/// The message holds data that must not pass.
pub const REFUSED: i32 = 4031;
/// The message could not be looked through, so it does not pass either.
pub const NOT_EXAMINED: i32 = 4032;

/// What becomes of a message. Edits are staged by then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// It goes on.
    Pass,
    /// It does not.
    Refuse(Rejection),
}

/// Bytes of texts that are read because there are tokens in them. What stands behind that keeps its tokens.
const READ_BYTES_MAX: usize = 4 << 20;

/// The settings, ready for use.
#[derive(Debug)]
pub struct Policy {
    watches: Vec<Watch>,
    /// Those of the watches, and behind them that of tokens, if there are any.
    patterns: Vec<Pattern>,
    /// Of each pattern of a watch, the watch.
    owners: Vec<usize>,
    allow: Vec<String>,
    directions: Directions,
    veil: Veil,
    tokens: Option<Tokens>,
}

/// A string, or the name of a member.
type Place = (String, bool);

/// A part of a text and what is to stand there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) text: String,
}

/// What is done with messages that go this way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    /// The host's set of patterns.
    pub(crate) set: &'static str,
    detects: bool,
    /// Tokens of messages that went the other way are turned back.
    pub(crate) restores: bool,
}

/// One detector as it is used here.
#[derive(Debug)]
struct Watch {
    name: String,
    action: Action,
    check: fn(&str) -> Vec<Range<usize>>,
}

impl Policy {
    /// Checks what a schema cannot say.
    pub fn new(config: Config) -> Result<Self, String> {
        let mut watches = Vec::new();
        let mut patterns = Vec::new();
        let mut owners = Vec::new();
        let action = |name: &str| config.actions.get(name).copied().unwrap_or(config.action);
        // In the order of the table, whatever the settings' order: it decides who wins a tie.
        for built_in in detectors::ALL.iter().filter(|d| config.detectors.iter().any(|name| name == d.name)) {
            for regex in built_in.regexes {
                patterns.push(Pattern { regex: regex.to_string(), case_insensitive: false });
                owners.push(watches.len());
            }
            watches.push(Watch { name: built_in.name.to_string(), action: action(built_in.name), check: built_in.check });
        }
        if let Some(unknown) = config.detectors.iter().find(|name| detectors::named(name).is_none()) {
            return Err(format!("there is no detector {unknown}"));
        }
        for own in &config.patterns {
            if detectors::named(&own.name).is_some() || watches.iter().any(|watch| watch.name == own.name) {
                return Err(format!("two detectors are named {}", own.name));
            }
            owners.push(watches.len());
            let check = match own.check {
                Check::None => detectors::all,
                Check::Luhn => digits::checked,
            };
            watches.push(Watch { name: own.name.clone(), action: action(&own.name), check });
            patterns.push(Pattern { regex: own.regex.clone(), case_insensitive: own.case_insensitive });
        }
        if let Some(unknown) = config.actions.keys().find(|name| watches.iter().all(|watch| watch.name != **name)) {
            return Err(format!("actions names {unknown}, which is no detector that runs"));
        }
        if watches.is_empty() {
            return Err("there is nothing to look for: detectors and patterns are both empty".to_string());
        }
        for (action, name) in [(Action::Hash, "hash"), (Action::Token, "token")] {
            if config.salt.is_none() && watches.iter().any(|watch| watch.action == action) {
                return Err(format!("the action {name} needs a salt: without one, what stands for short data can be guessed"));
            }
        }
        let has_tokens = watches.iter().any(|watch| watch.action == Action::Token);
        let salt = config.salt.as_deref().filter(|_| has_tokens);
        let tokens = salt.map(|salt| Tokens::new(salt, config.token_ttl_s, config.tokens_per_principal));
        patterns.extend(tokens.as_ref().map(|_| token_pattern()));
        let veil = Veil::new(config.replacement, config.salt);
        Ok(Policy { watches, patterns, owners, allow: config.allow, directions: config.directions, veil, tokens })
    }

    /// Whether some data is kept to come back.
    pub fn has_tokens(&self) -> bool {
        self.tokens.is_some()
    }

    /// What is to be done with a message; nothing if it goes a way that is of no interest.
    pub(crate) fn way(&self, direction: Direction) -> Option<Way> {
        let (this, other) = match direction {
            Direction::ToServer => (Directions::Request, Directions::Response),
            Direction::ToClient => (Directions::Response, Directions::Request),
        };
        let is_on = |way| self.directions == way || self.directions == Directions::Both;
        let (detects, restores) = (is_on(this), self.has_tokens() && is_on(other));
        (detects || restores).then_some(Way { set: if detects { SET } else { TOKENS_SET }, detects, restores })
    }

    /// What the host is to look for.
    pub fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// Looks through a message, stages what is to change, and rules.
    pub fn rule(&self, head: &Head, x: &(impl Scan + Payload + Facts)) -> Ruling {
        let Some(way) = self.way(head.direction) else { return Ruling::Pass };
        let Ok(hits) = x.scan(way.set, &[]) else {
            return refuse(head, NOT_EXAMINED, "this message has too much in it that looks like personal data or secrets");
        };
        if hits.is_empty() {
            return Ruling::Pass;
        }
        let mut found = self.sift(way, hits);
        if let Some(span) = found.values().flat_map(|found| &found.spans).find(|span| span.action == Action::Refuse) {
            let name = &self.watches[span.detector].name;
            return refuse(head, REFUSED, &format!("this message holds what looks like data of the kind {name}"));
        }
        self.keep_in_addresses(x, &mut found);
        if found.is_empty() {
            return Ruling::Pass;
        }
        let kept = match self.kept(head, found.values().flat_map(|found| &found.spans), x) {
            Ok(kept) => kept,
            Err(why) => return refuse(head, NOT_EXAMINED, told(why)),
        };
        let restored = self.restored(head, found.values().flat_map(|found| &found.tokens), x);
        let parts: BTreeMap<_, _> = found.iter().map(|(place, found)| (place, self.parts_of(found, &kept, &restored))).collect();
        let staged = self.edits(x, &parts).is_some_and(|edits| edits.is_empty() || x.stage(&edits).is_ok());
        if !staged {
            return refuse(head, NOT_EXAMINED, "personal data or secrets in this message could not be taken out");
        }
        self.note(head.kind, found.values().flat_map(|found| &found.spans), x);
        Ruling::Pass
    }

    /// The real finds among the hits, by place.
    fn sift(&self, way: Way, hits: Vec<Hit>) -> BTreeMap<Place, Found> {
        let mut found: BTreeMap<Place, Found> = BTreeMap::new();
        for hit in hits {
            if places::is_protocol(&hit.pointer, hit.in_key) {
                continue;
            }
            let Some(owner) = self.owner(way, hit.pattern) else {
                if way.restores {
                    let held = Held { start: hit.start, end: hit.end, text: hit.text };
                    found.entry((hit.pointer, hit.in_key)).or_default().tokens.push(held);
                }
                continue;
            };
            let spans = self.spans(owner, hit.start, &hit.text);
            if !spans.is_empty() {
                found.entry((hit.pointer, hit.in_key)).or_default().spans.extend(spans);
            }
        }
        found.values_mut().for_each(Found::settle);
        found
    }

    /// Forgets the tokens that are not to be turned back: those within an address, and those in more text than can be read.
    fn keep_in_addresses(&self, x: &impl Payload, found: &mut BTreeMap<Place, Found>) {
        let mut read = 0;
        let pointers: Vec<&str> = found
            .iter()
            .filter(|((_, in_key), found)| !in_key && !found.tokens.is_empty())
            .map(|((pointer, _), _)| pointer.as_str())
            .collect();
        // One at a time: a message of many long texts would not fit beside itself.
        let texts: BTreeMap<String, String> = pointers
            .into_iter()
            .take(token::TOKENS_MAX)
            .map_while(|pointer| {
                let text = x.get(pointer).and_then(|json| decode_string(&json))?;
                read += text.len();
                (read <= READ_BYTES_MAX).then(|| (pointer.to_string(), text))
            })
            .collect();
        for ((pointer, in_key), found) in found.iter_mut() {
            let name = if *in_key { names::split(pointer).map(|(_, name)| name) } else { None };
            match name.as_ref().or_else(|| texts.get(pointer)) {
                Some(text) => found.keep_in_addresses(text, false),
                None => found.tokens.clear(),
            }
        }
        found.retain(|_, found| !found.spans.is_empty() || !found.tokens.is_empty());
    }

    /// Keeps what is to come back, and the token of each such value.
    pub(crate) fn kept<'s>(
        &self,
        head: &Head,
        spans: impl Iterator<Item = &'s Span>,
        x: &impl Facts,
    ) -> Result<BTreeMap<(String, String), String>, NotKept> {
        let values: BTreeSet<_> = spans
            .filter(|span| span.action == Action::Token)
            .map(|span| (self.name(span.detector).to_string(), span.text.clone()))
            .collect();
        let Some(tokens) = self.tokens.as_ref().filter(|_| !values.is_empty()) else { return Ok(BTreeMap::new()) };
        let whose = Whose::of(head.direction, head, x).ok_or(NotKept::NoStore)?;
        let made = tokens.keep(&whose, &values)?;
        Ok(values.into_iter().zip(made).collect())
    }

    /// What tokens stand for, as far as that is theirs to see who get this message.
    pub(crate) fn restored<'h>(&self, head: &Head, held: impl Iterator<Item = &'h Held>, x: &impl Facts) -> BTreeMap<String, String> {
        let made = match head.direction {
            Direction::ToServer => Direction::ToClient,
            Direction::ToClient => Direction::ToServer,
        };
        let asked: BTreeSet<&str> = held.map(|held| held.text.as_str()).collect();
        match (&self.tokens, Whose::of(made, head, x)) {
            (Some(tokens), Some(whose)) if !asked.is_empty() => tokens.open(&whose, &asked),
            _ => BTreeMap::new(),
        }
    }

    fn parts_of(&self, found: &Found, kept: &BTreeMap<(String, String), String>, restored: &BTreeMap<String, String>) -> Vec<Part> {
        let spans = found.spans.iter().map(|span| Part { start: span.start, end: span.end, text: self.write(span, kept) });
        let tokens =
            found.tokens.iter().filter_map(|held| Some(Part { start: held.start, end: held.end, text: restored.get(&held.text)?.clone() }));
        spans.chain(tokens).collect()
    }

    /// Nothing if a name that has to change cannot be read.
    fn edits(&self, x: &impl Payload, found: &BTreeMap<&Place, Vec<Part>>) -> Option<Vec<Edit>> {
        let mut edits = Vec::new();
        let mut siblings: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for ((pointer, in_key), parts) in found.iter().filter(|(_, parts)| !parts.is_empty()) {
            if !in_key {
                edits.extend(parts.iter().map(|part| Edit::splice(pointer, part.start..part.end, &part.text)));
                continue;
            }
            let (object, name) = names::split(pointer)?;
            if !siblings.contains_key(object) {
                siblings.insert(object, names::of_object(&x.get(object)?)?);
            }
            let wanted = names::splice(&name, parts)?;
            let new = names::unique(wanted, siblings.get_mut(object)?);
            edits.push(Edit::splice_key(pointer, 0..name.len() as u32, &new));
        }
        Some(edits)
    }

    /// What is to stand where this was found.
    pub(crate) fn write(&self, span: &Span, kept: &BTreeMap<(String, String), String>) -> String {
        let name = self.name(span.detector);
        let token = if span.action == Action::Token { kept.get(&(name.to_string(), span.text.clone())) } else { None };
        token.cloned().unwrap_or_else(|| self.veil.over(&span.text, name, span.action))
    }

    /// The detector that a pattern is of; none if it is that of tokens.
    pub(crate) fn owner(&self, way: Way, pattern: u32) -> Option<usize> {
        self.owners.get(pattern as usize).copied().filter(|_| way.detects)
    }

    pub(crate) fn name(&self, detector: usize) -> &str {
        &self.watches[detector].name
    }

    /// What of a candidate that begins at this place is the data.
    pub(crate) fn spans(&self, detector: usize, start: u32, text: &str) -> Vec<Span> {
        let Watch { action, check, .. } = self.watches[detector];
        let is_data = |part: &Range<usize>| !part.is_empty() && !glob::any(&self.allow, &text[part.clone()]);
        let span = |part: Range<usize>| Span {
            start: start + part.start as u32,
            end: start + part.end as u32,
            text: text[part].to_string(),
            detector,
            action,
        };
        check(text).into_iter().filter(is_data).map(span).collect()
    }

    /// For the audit log: "email=2 iban=1", beside what was noted of this message before. Losing the note is not worth losing the message.
    pub(crate) fn note<'s>(&self, kind: Kind, found: impl Iterator<Item = &'s Span>, x: &impl Facts) {
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        for span in found {
            *counts.entry(span.detector).or_default() += 1;
        }
        if counts.is_empty() {
            return;
        }
        let before = x.attr(&format!("redact.{}", note_name(kind))).filter(|_| kind == Kind::Response).unwrap_or_default();
        for (name, count) in before.split(' ').filter_map(|part| part.rsplit_once('=')) {
            let known = self.watches.iter().position(|watch| watch.name == name);
            if let (Some(detector), Ok(count)) = (known, count.parse::<usize>()) {
                *counts.entry(detector).or_default() += count;
            }
        }
        let parts: Vec<_> = counts.iter().map(|(d, n)| format!("{}={n}", self.name(*d))).collect();
        let _ = x.set_attr(note_name(kind), &parts.join(" "));
    }
}

/// What finds a token.
pub fn token_pattern() -> Pattern {
    Pattern { regex: token::PATTERN.to_string(), case_insensitive: false }
}

/// For whoever waits.
pub(crate) fn told(why: NotKept) -> &'static str {
    match why {
        NotKept::NoStore => {
            "personal data or secrets in this message could not be kept for the answer: the gateway's store did not take them"
        }
        NotKept::TooMany => "this message has too much personal data or too many secrets in it to be kept for the answer",
        NotKept::TooOften => "too much personal data or too many secrets were kept for you of late; try again later",
    }
}

fn note_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Request => "request",
        Kind::Response => "response",
        Kind::Notification => "notification",
        Kind::InputRequest => "input-request",
        Kind::InputResponse => "input-response",
    }
}

fn refuse(head: &Head, code: i32, message: &str) -> Ruling {
    Ruling::Refuse(no(head, code, message))
}

/// A refusal that who waits for it can read.
pub(crate) fn no(head: &Head, code: i32, message: &str) -> Rejection {
    let no = Rejection::new(code, message);
    let of_a_call = head.method == Method::ToolsCall && matches!(head.kind, Kind::Request | Kind::Response);
    if of_a_call { no.tool_result() } else { no }
}
