//! Finding duplicate keys and case twins while objects are still open.

use std::cmp::Ordering;

use super::DecodeError;
use super::error::{Refusal, refusal};
use super::text::decode_into;

/// Up to this many keys each new one is compared with all before it; above, the object is
/// sorted once when it closes, so that 100 000 keys cost n log n and not n².
const LINEAR_MAX: usize = 16;

/// Keys there is room for before the first one is read: enough for the usual message.
const ENTRIES_MIN: usize = 32;

/// Which keys are protected from case twins in an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guard {
    /// None: the object is not the protocol's own.
    Open,
    /// The JSON-RPC envelope.
    Envelope,
    /// Its `params`.
    Params,
}

/// Names protected in the envelope, and in `params`.
const ENVELOPE: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];
const PARAMS: [&str; 8] = ["name", "arguments", "uri", "_meta", "cursor", "taskId", "inputResponses", "requestState"];

impl Guard {
    /// Whether a decoded key equals a protected name after folding but not before.
    #[inline]
    pub(super) fn is_twin(self, key: &[u8]) -> bool {
        // Two calls with fixed names, so that the first question compiles to a few compares.
        match self {
            Guard::Open => false,
            Guard::Envelope => !is_any(&ENVELOPE, key) && folds_to_any(&ENVELOPE, key),
            Guard::Params => !is_any(&PARAMS, key) && folds_to_any(&PARAMS, key),
        }
    }
}

#[inline(always)]
fn is_any<const N: usize>(names: &[&str; N], key: &[u8]) -> bool {
    names.iter().any(|name| name.as_bytes() == key)
}

fn folds_to_any(names: &[&str], key: &[u8]) -> bool {
    if key.is_ascii() {
        return names.iter().any(|name| name.as_bytes().eq_ignore_ascii_case(key));
    }
    let Ok(key) = std::str::from_utf8(key) else {
        return false;
    };
    names.iter().any(|name| {
        let plain = name.chars().map(|c| c.to_ascii_lowercase());
        folded(key).eq(plain)
    })
}

/// Upper then lower case, so that everything some peer might fold together meets here:
/// `ſ` with s (Go), `K` (Kelvin) with k (Go), `ı` with i (Java).
fn folded(key: &str) -> impl Iterator<Item = char> + '_ {
    key.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase)
}

/// A key of an object still open, compared by its decoded bytes.
#[derive(Clone, Copy)]
struct Entry {
    /// Settles almost every comparison.
    fingerprint: u64,
    /// Where the decoded bytes start: in the input, or in the arena when `escaped`.
    start: u32,
    len: u32,
    /// Offset of the key's opening quote, for the error.
    at: u32,
    escaped: bool,
}

/// Where the keys of an open object begin; handed back when it closes.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    entries: u32,
    arena: u32,
}

/// The keys of all objects still open, innermost last.
pub(super) struct OpenKeys {
    entries: Vec<Entry>,
    /// Decoded forms of keys that hold escapes.
    arena: Vec<u8>,
}

impl OpenKeys {
    pub(super) fn new() -> OpenKeys {
        OpenKeys { entries: Vec::with_capacity(ENTRIES_MIN), arena: Vec::new() }
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { entries: self.entries.len() as u32, arena: self.arena.len() as u32 }
    }

    /// Adds the key whose opening quote is at `at` and whose raw inside ends at `end`.
    ///
    /// Returns whether it is `params`, which the caller needs to guard the right object.
    #[inline]
    pub(super) fn add(
        &mut self,
        input: &[u8],
        (at, end): (usize, usize),
        escaped: bool,
        mark: Mark,
        guard: Guard,
    ) -> Result<bool, Refusal> {
        let raw = &input[at + 1..end];
        let (start, len) = if escaped {
            let start = self.arena.len();
            decode_into(&mut self.arena, raw);
            (start, self.arena.len() - start)
        } else {
            (at + 1, raw.len())
        };
        let key = if escaped { &self.arena[start..] } else { raw };
        let entry = Entry { fingerprint: fingerprint(key), start: start as u32, len: len as u32, at: at as u32, escaped };
        let before = &self.entries[mark.entries as usize..];
        if before.len() < LINEAR_MAX && before.iter().any(|other| other.fingerprint == entry.fingerprint) && self.holds(input, mark, &entry)
        {
            return Err(refusal(DecodeError::DuplicateKey { offset: at }));
        }
        if guard.is_twin(key) {
            return Err(refusal(DecodeError::CaseTwin { offset: at }));
        }
        let is_params = guard == Guard::Envelope && key == b"params";
        self.entries.push(entry);
        Ok(is_params)
    }

    /// Whether the innermost object has the key already. Out of the way of `add`, since
    /// fingerprints of different keys are hardly ever the same.
    #[cold]
    fn holds(&self, input: &[u8], mark: Mark, entry: &Entry) -> bool {
        let before = &self.entries[mark.entries as usize..];
        before.iter().any(|other| same(input, &self.arena, other, entry))
    }

    /// Forgets the keys of the object that closes, after the late check of a large one.
    pub(super) fn close(&mut self, input: &[u8], mark: Mark) -> Result<(), Refusal> {
        let OpenKeys { entries, arena } = self;
        let own = &mut entries[mark.entries as usize..];
        if own.len() > LINEAR_MAX {
            own.sort_unstable_by(|a, b| order(input, arena, a, b).then(a.at.cmp(&b.at)));
            let twice = own.windows(2).filter(|pair| same(input, arena, &pair[0], &pair[1]));
            if let Some(at) = twice.map(|pair| pair[1].at).min() {
                let offset = at as usize;
                return Err(refusal(DecodeError::DuplicateKey { offset }));
            }
        }
        entries.truncate(mark.entries as usize);
        arena.truncate(mark.arena as usize);
        Ok(())
    }
}

/// Both ends of a key in one word. Names of one namespace begin alike, so the start alone
/// would not do. With the length it tells keys of up to seven bytes apart for certain.
#[inline]
fn fingerprint(key: &[u8]) -> u64 {
    if let (Some(head), Some(tail)) = (key.first_chunk(), key.last_chunk()) {
        return u64::from_le_bytes(*head) ^ u64::from_le_bytes(*tail).rotate_left(32);
    }
    if let (Some(head), Some(tail)) = (key.first_chunk(), key.last_chunk()) {
        return u32::from_le_bytes(*head) as u64 | (u32::from_le_bytes(*tail) as u64) << 32;
    }
    match *key {
        [] => 0,
        [a] => a as u64,
        [a, b] => a as u64 | (b as u64) << 8,
        [a, b, .., c] => a as u64 | (b as u64) << 8 | (c as u64) << 16,
    }
}

fn bytes_of<'a>(input: &'a [u8], arena: &'a [u8], entry: &Entry) -> &'a [u8] {
    let home = if entry.escaped { arena } else { input };
    &home[entry.start as usize..][..entry.len as usize]
}

#[inline]
fn same(input: &[u8], arena: &[u8], a: &Entry, b: &Entry) -> bool {
    a.fingerprint == b.fingerprint && a.len == b.len && (a.len < 8 || bytes_of(input, arena, a) == bytes_of(input, arena, b))
}

/// Any order will do that puts equal keys side by side.
fn order(input: &[u8], arena: &[u8], a: &Entry, b: &Entry) -> Ordering {
    (a.fingerprint, a.len).cmp(&(b.fingerprint, b.len)).then_with(|| bytes_of(input, arena, a).cmp(bytes_of(input, arena, b)))
}
