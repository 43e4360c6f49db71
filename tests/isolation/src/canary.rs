//! Texts that say whose they are. Everything that a caller sends holds one, so whatever holds one says where it came from.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use memchr::memmem::Finder;
use std::cell::Cell;

use crate::people::{People, Who};

/// What a canary stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An argument, an id, a token: for its caller and its server alone, and in no record.
    Value,
    /// What a record of the call names, and nothing else: a URI, a tool.
    Name,
    /// A client's own name for itself: for its server.
    Client,
    /// A credential: for nobody.
    Key,
    /// A tenant's name: for the records. Its owner is the tenant.
    Tenant,
}

const KINDS: [(Kind, u8); 5] = [(Kind::Value, b'v'), (Kind::Name, b'n'), (Kind::Client, b'c'), (Kind::Key, b'k'), (Kind::Tenant, b't')];

/// One, as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canary {
    pub kind: Kind,
    pub owner: usize,
    /// All of it.
    pub text: String,
}

/// Those of one run. `zq`, the run, a letter for the kind, the owner, a number.
pub struct Canaries {
    mark: String,
    plain: Finder<'static>,
    /// What the mark looks like in base64, by where it stands in a group of three; how many bytes of it are left of that.
    coded: [(Finder<'static>, usize); 3],
    made: Cell<u32>,
}

const RUN: usize = 8;
const MARK: usize = 2 + RUN;
/// Behind the mark.
const REST: usize = 1 + 2 + 8;
/// All of one.
pub const LENGTH: usize = MARK + REST;
/// Signs of base64 in which there is all of one, in whole groups.
const CODED: usize = 32;

impl Canaries {
    pub fn new(run: u32) -> Self {
        let mark = format!("zq{run:08x}");
        let coded = [0, 1, 2].map(|at| {
            let skipped = (3 - at) % 3;
            let whole = (MARK - skipped) / 3 * 3;
            let text = STANDARD_NO_PAD.encode(&mark.as_bytes()[skipped..skipped + whole]);
            (Finder::new(&text).into_owned(), skipped + whole)
        });
        Self { plain: Finder::new(&mark).into_owned(), mark, coded, made: Cell::new(0) }
    }

    /// One that was never there.
    pub fn make(&self, kind: Kind, owner: usize) -> String {
        let number = self.made.get();
        self.made.set(number.wrapping_add(1));
        let letter = KINDS.iter().find(|(known, _)| *known == kind).map_or('v', |(_, letter)| char::from(*letter));
        format!("{}{letter}{owner:02x}{number:08x}", self.mark)
    }

    /// All that stand in these bytes, also those in base64.
    pub fn each(&self, bytes: &[u8], mut found: impl FnMut(Canary)) {
        for at in self.plain.find_iter(bytes) {
            let rest = &bytes[at + MARK..];
            if let Some(canary) = self.read(rest) {
                found(canary);
            }
        }
        for (finder, known) in &self.coded {
            for at in finder.find_iter(bytes) {
                let rest: Vec<u8> = bytes[at..].iter().map_while(|byte| sign(*byte)).take(CODED).collect();
                let Ok(said) = STANDARD_NO_PAD.decode(&rest) else { continue };
                // Of the mark so many bytes stand before what was found.
                let begins = known - known_length(finder);
                if let Some(canary) = said.get(MARK - begins..).and_then(|rest| self.read(rest)) {
                    found(canary);
                }
            }
        }
    }

    fn read(&self, rest: &[u8]) -> Option<Canary> {
        let rest = std::str::from_utf8(rest.get(..REST)?).ok()?;
        let (kind, _) = KINDS.into_iter().find(|(_, letter)| *letter == rest.as_bytes()[0])?;
        let owner = usize::from_str_radix(rest.get(1..3)?, 16).ok()?;
        Some(Canary { kind, owner, text: format!("{}{rest}", self.mark) })
    }

    /// What `reader` must not have been told, who had sent `sent`.
    pub fn foreign(&self, people: &People, reader: Who, sent: &[u8], told: &[u8]) -> Option<Canary> {
        let mut first = None;
        self.each(told, |canary| {
            let is_own = match canary.kind {
                Kind::Key => false,
                Kind::Tenant => canary.owner == people.tenant(reader),
                Kind::Value | Kind::Name | Kind::Client => canary.owner == reader,
            };
            let is_echo = || canary.kind != Kind::Key && memchr::memmem::find(sent, canary.text.as_bytes()).is_some();
            if first.is_none() && !is_own && !is_echo() {
                first = Some(canary);
            }
        });
        first
    }

    /// What a request of `owner` must not have brought its server.
    pub fn foreign_at_server(&self, owner: Who, body: &[u8]) -> Option<Canary> {
        let mut first = None;
        self.each(body, |canary| {
            let is_fine = match canary.kind {
                // Whoever knows a URI asks for it.
                Kind::Name => true,
                Kind::Value | Kind::Client => canary.owner == owner,
                Kind::Key | Kind::Tenant => false,
            };
            if first.is_none() && !is_fine {
                first = Some(canary);
            }
        });
        first
    }

    /// What no line of a log or an audit file may hold.
    pub fn unrecorded(&self, line: &[u8]) -> Option<Canary> {
        self.first(line, |kind| !matches!(kind, Kind::Name | Kind::Tenant))
    }

    /// What no metric may hold: anything of anybody.
    pub fn any(&self, text: &[u8]) -> Option<Canary> {
        self.first(text, |_| true)
    }

    fn first(&self, text: &[u8], counts: impl Fn(Kind) -> bool) -> Option<Canary> {
        let mut first = None;
        self.each(text, |canary| {
            if first.is_none() && counts(canary.kind) {
                first = Some(canary);
            }
        });
        first
    }
}

/// A sign of base64, in either alphabet, as the first has it.
fn sign(byte: u8) -> Option<u8> {
    match byte {
        b'-' => Some(b'+'),
        b'_' => Some(b'/'),
        b'+' | b'/' => Some(byte),
        _ => byte.is_ascii_alphanumeric().then_some(byte),
    }
}

/// Bytes that a finder's base64 stands for.
fn known_length(finder: &Finder<'_>) -> usize {
    finder.needle().len() / 4 * 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_is_found_as_it_is_and_in_base64_wherever_it_stands() {
        let canaries = Canaries::new(0x00c0_ffee);
        let text = canaries.make(Kind::Value, 0x2a);
        assert_eq!(text.len(), LENGTH);
        for before in ["", "a", "ab", "abc", "{\"q\":\""] {
            for coded in [false, true] {
                let mut said = format!("{before}{text} and so on");
                if coded {
                    said = STANDARD_NO_PAD.encode(said);
                }
                let mut all = Vec::new();
                canaries.each(said.as_bytes(), |canary| all.push(canary));
                let expected = Canary { kind: Kind::Value, owner: 0x2a, text: text.clone() };
                assert_eq!(all, [expected], "{before:?}, base64: {coded}");
            }
        }
    }

    #[test]
    fn another_runs_are_none() {
        let mut all = 0;
        Canaries::new(1).each(Canaries::new(2).make(Kind::Key, 1).as_bytes(), |_| all += 1);
        assert_eq!(all, 0);
    }

    #[test]
    fn who_sent_it_may_read_it() {
        let (canaries, people) = (Canaries::new(3), People::new(&Canaries::new(3)));
        let own = canaries.make(Kind::Value, 4);
        let other = canaries.make(Kind::Value, 5);
        let told = format!("{own} {other}");
        assert_eq!(canaries.foreign(&people, 4, b"", told.as_bytes()).map(|canary| canary.owner), Some(5));
        assert_eq!(canaries.foreign(&people, 4, other.as_bytes(), told.as_bytes()), None);
        let key = canaries.make(Kind::Key, 4);
        assert!(canaries.foreign(&people, 4, key.as_bytes(), key.as_bytes()).is_some(), "a key is told to nobody");
    }
}
