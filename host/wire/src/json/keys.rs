//! Finding duplicate keys and case twins while objects are still open.

use std::cmp::Ordering;

use super::DecodeError;
use super::text::decode_into;

/// Up to this many keys each new one is compared with all before it; above, the object is
/// sorted once when it closes, so that 100 000 keys cost n log n and not n².
const LINEAR_MAX: usize = 16;

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

impl Guard {
    fn names(self) -> &'static [&'static str] {
        match self {
            Guard::Open => &[],
            Guard::Envelope => &["jsonrpc", "id", "method", "params", "result", "error"],
            Guard::Params => &[
                "name",
                "arguments",
                "uri",
                "_meta",
                "cursor",
                "taskId",
                "inputResponses",
                "requestState",
            ],
        }
    }

    /// Whether a decoded key equals a protected name after folding but not before.
    fn is_twin(self, key: &[u8]) -> bool {
        let names = self.names();
        if names.is_empty() || names.iter().any(|name| name.as_bytes() == key) {
            return false;
        }
        if key.is_ascii() {
            return names
                .iter()
                .any(|name| name.as_bytes().eq_ignore_ascii_case(key));
        }
        let Ok(key) = std::str::from_utf8(key) else {
            return false;
        };
        names.iter().any(|name| {
            let plain = name.chars().map(|c| c.to_ascii_lowercase());
            folded(key).eq(plain)
        })
    }
}

/// Upper then lower case, so that everything some peer might fold together meets here:
/// `ſ` with s (Go), `K` (Kelvin) with k (Go), `ı` with i (Java).
fn folded(key: &str) -> impl Iterator<Item = char> + '_ {
    key.chars()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
}

/// A key of an object still open, compared by its decoded bytes.
#[derive(Clone, Copy)]
struct Entry {
    /// The first eight bytes, big-endian and zero-filled: settles almost every comparison.
    prefix: u64,
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
#[derive(Default)]
pub(super) struct OpenKeys {
    entries: Vec<Entry>,
    /// Decoded forms of keys that hold escapes.
    arena: Vec<u8>,
}

impl OpenKeys {
    pub(super) fn mark(&self) -> Mark {
        Mark {
            entries: self.entries.len() as u32,
            arena: self.arena.len() as u32,
        }
    }

    /// Adds the key whose opening quote is at `at` and whose raw inside ends at `end`.
    ///
    /// Returns whether it is `params`, which the caller needs to guard the right object.
    pub(super) fn add(
        &mut self,
        input: &[u8],
        (at, end): (usize, usize),
        escaped: bool,
        mark: Mark,
        guard: Guard,
    ) -> Result<bool, DecodeError> {
        let raw = &input[at + 1..end];
        let (start, len) = if escaped {
            let start = self.arena.len();
            decode_into(&mut self.arena, raw);
            (start, self.arena.len() - start)
        } else {
            (at + 1, raw.len())
        };
        let key = if escaped { &self.arena[start..] } else { raw };
        let entry = Entry {
            prefix: prefix_of(key),
            start: start as u32,
            len: len as u32,
            at: at as u32,
            escaped,
        };
        let before = &self.entries[mark.entries as usize..];
        if before.len() < LINEAR_MAX
            && before
                .iter()
                .any(|other| same(input, &self.arena, other, &entry))
        {
            return Err(DecodeError::DuplicateKey { offset: at });
        }
        if guard != Guard::Open && guard.is_twin(key) {
            return Err(DecodeError::CaseTwin { offset: at });
        }
        let is_params = guard == Guard::Envelope && key == b"params";
        self.entries.push(entry);
        Ok(is_params)
    }

    /// Forgets the keys of the object that closes, after the late check of a large one.
    pub(super) fn close(&mut self, input: &[u8], mark: Mark) -> Result<(), DecodeError> {
        let OpenKeys { entries, arena } = self;
        let own = &mut entries[mark.entries as usize..];
        if own.len() > LINEAR_MAX {
            own.sort_unstable_by(|a, b| order(input, arena, a, b).then(a.at.cmp(&b.at)));
            let twice = own
                .windows(2)
                .find(|pair| same(input, arena, &pair[0], &pair[1]));
            if let Some(pair) = twice {
                let offset = pair[1].at as usize;
                return Err(DecodeError::DuplicateKey { offset });
            }
        }
        entries.truncate(mark.entries as usize);
        arena.truncate(mark.arena as usize);
        Ok(())
    }
}

fn prefix_of(key: &[u8]) -> u64 {
    match key.first_chunk::<8>() {
        Some(chunk) => u64::from_be_bytes(*chunk),
        None => {
            let word = key.iter().fold(0, |word, &byte| word << 8 | byte as u64);
            // A shift by 64 would overflow: the empty key is all padding.
            word.checked_shl(64 - 8 * key.len() as u32).unwrap_or(0)
        }
    }
}

fn bytes_of<'a>(input: &'a [u8], arena: &'a [u8], entry: &Entry) -> &'a [u8] {
    let home = if entry.escaped { arena } else { input };
    &home[entry.start as usize..][..entry.len as usize]
}

fn same(input: &[u8], arena: &[u8], a: &Entry, b: &Entry) -> bool {
    a.prefix == b.prefix
        && a.len == b.len
        && (a.len <= 8 || bytes_of(input, arena, a) == bytes_of(input, arena, b))
}

fn order(input: &[u8], arena: &[u8], a: &Entry, b: &Entry) -> Ordering {
    a.prefix
        .cmp(&b.prefix)
        .then_with(|| bytes_of(input, arena, a).cmp(bytes_of(input, arena, b)))
}
