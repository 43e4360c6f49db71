//! The texts of a long answer in the hands of one filter: what is gathered for its next batch, and what of it may go on.

use crate::chunk::{BATCH_BYTES, BATCH_CHUNKS_MAX, Batch, Chunk, Splice};
use sluice_wire::json::{Place, Sink, Token, escape_into};
use std::sync::Arc;

/// A text longer than this is handed on in parts.
const PART: usize = 16 << 10;
/// Members of the message that are the protocol's: no filter sees them.
const ENVELOPE: [&str; 3] = ["jsonrpc", "id", "method"];
/// Names of members that everybody's messages have.
const BODIES: [&str; 3] = ["params", "result", "error"];

/// A part of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    /// Structure, numbers, and what no filter sees, as sent.
    Raw(Vec<u8>),
    /// A string, a part of one, or a name.
    Text(Text),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text {
    pointer: Arc<str>,
    text: String,
    /// Of a name: as sent.
    key: Option<Vec<u8>>,
    /// The string begins with it.
    first: bool,
    /// The string ends with it.
    last: bool,
}

/// Takes a message apart.
#[derive(Default)]
pub(super) struct Items {
    done: Vec<Item>,
    open: Option<Text>,
    /// As sent, of the name that is read now.
    key: Vec<u8>,
    /// What is read now is the protocol's.
    is_hidden: bool,
}

impl Items {
    /// What came since it was last asked. A string that goes on later is given as far as it has come.
    pub(super) fn take(&mut self) -> Vec<Item> {
        self.give_part(0);
        std::mem::take(&mut self.done)
    }

    fn raw(&mut self, bytes: &[u8]) {
        match self.done.last_mut() {
            Some(Item::Raw(raw)) => raw.extend_from_slice(bytes),
            _ => self.done.push(Item::Raw(bytes.to_vec())),
        }
    }

    /// Hands the open text on, if it is longer than `least`.
    fn give_part(&mut self, least: usize) {
        if let Some(open) = self.open.as_mut().filter(|open| open.key.is_none() && open.text.len() > least) {
            let part = Text { text: std::mem::take(&mut open.text), ..open.clone() };
            open.first = false;
            self.done.push(Item::Text(part));
        }
    }

    fn end(&mut self, at: Place<'_>, key: bool) {
        let Some(mut text) = self.open.take() else { return self.raw(b"\"") };
        text.last = true;
        if key {
            let name = text.text.as_str();
            let raw = std::mem::take(&mut self.key);
            if at.depth() == 1 && (ENVELOPE.contains(&name) || BODIES.contains(&name)) {
                self.raw(b"\"");
                self.raw(&raw);
                return self.raw(b"\"");
            }
            text.pointer = at.pointer().into();
            text.key = Some(raw);
        }
        self.done.push(Item::Text(text));
    }
}

impl Sink for Items {
    fn token(&mut self, at: Place<'_>, token: Token<'_>) {
        match token {
            Token::Open(byte) | Token::Close(byte) => self.raw(&[byte]),
            Token::Comma => self.raw(b","),
            Token::Colon => self.raw(b":"),
            Token::Space(raw) | Token::Scalar(raw) => self.raw(raw),
            Token::Begin { key } => {
                self.is_hidden = !key && at.depth() == 1 && at.name(1).is_some_and(|name| ENVELOPE.contains(&name));
                if self.is_hidden {
                    return self.raw(b"\"");
                }
                let pointer = if key { "".into() } else { at.pointer().into() };
                self.open = Some(Text { pointer, text: String::new(), key: key.then(Vec::new), first: true, last: false });
            }
            Token::Text { raw, .. } if self.is_hidden => self.raw(raw),
            Token::Text { raw, decoded } => {
                if let Some(open) = &mut self.open {
                    open.text.push_str(decoded);
                    if open.key.is_some() {
                        self.key.extend_from_slice(raw);
                    }
                }
                self.give_part(PART);
            }
            Token::End { key } => {
                self.is_hidden = false;
                self.end(at, key);
            }
        }
    }
}

/// Puts a message together again. What is written anew means what was sent, in the shortest spelling.
pub(super) fn write(items: Vec<Item>) -> Vec<u8> {
    let mut out = Vec::with_capacity(items.iter().map(Item::size).sum::<usize>() + 16);
    for item in items {
        match item {
            Item::Raw(raw) => out.extend_from_slice(&raw),
            Item::Text(Text { key: Some(raw), .. }) => {
                out.push(b'"');
                out.extend_from_slice(&raw);
                out.push(b'"');
            }
            Item::Text(Text { text, first, last, .. }) => {
                if first {
                    out.push(b'"');
                }
                escape_into(&mut out, &text);
                if last {
                    out.push(b'"');
                }
            }
        }
    }
    out
}

impl Item {
    fn size(&self) -> usize {
        match self {
            Item::Raw(raw) => raw.len(),
            Item::Text(text) => text.text.len() + text.pointer.len(),
        }
    }
}

/// What waits for one filter.
pub(super) struct Lane {
    /// The filter's place in the chain.
    pub(super) depth: usize,
    overlap: usize,
    pending: Vec<Item>,
    /// Of `pending`.
    bytes: usize,
    texts: usize,
    /// Of the string that the pending texts begin in the middle of: its bytes that have gone on, and the last character of them.
    offset: u64,
    before: Option<char>,
}

impl Lane {
    pub(super) fn new(depth: usize, overlap: usize) -> Self {
        Self { depth, overlap, pending: Vec::new(), bytes: 0, texts: 0, offset: 0, before: None }
    }

    /// Adds a part. Whether a batch is due.
    pub(super) fn push(&mut self, item: Item) -> bool {
        self.bytes += item.size();
        match (self.pending.last_mut(), item) {
            (Some(Item::Raw(before)), Item::Raw(raw)) => before.extend_from_slice(&raw),
            (Some(Item::Text(open)), Item::Text(part)) if !open.last => {
                open.text.push_str(&part.text);
                open.last = part.last;
            }
            (_, item) => {
                self.texts += usize::from(matches!(item, Item::Text(_)));
                self.pending.push(item);
            }
        }
        self.bytes >= BATCH_BYTES || self.texts >= BATCH_CHUNKS_MAX
    }

    /// What the filter is to see now, and where each text stands among what is pending. A window that could not move on waits.
    pub(super) fn batch(&mut self, ends: bool) -> (Batch, Vec<usize>) {
        let (mut chunks, mut places) = (Vec::new(), Vec::new());
        for (at, item) in self.pending.iter_mut().enumerate() {
            let Item::Text(text) = item else { continue };
            let held = if text.last { 0 } else { text.text.len() - floor(&text.text, text.text.len().saturating_sub(self.overlap)) };
            if !text.last && held == text.text.len() {
                continue;
            }
            let goes_on = !text.first;
            chunks.push(Chunk {
                pointer: text.pointer.clone(),
                key: text.key.is_some(),
                offset: if goes_on { self.offset } else { 0 },
                before: self.before.filter(|_| goes_on),
                text: std::mem::take(&mut text.text),
                held,
                last: text.last,
            });
            places.push(at);
        }
        (Batch { chunks, ends }, places)
    }

    /// Takes the texts back, changed so. What may go on.
    pub(super) fn released(&mut self, batch: Batch, places: Vec<usize>, splices: Vec<Splice>) -> Vec<Item> {
        let mut splices = splices.into_iter().peekable();
        let mut pending = std::mem::take(&mut self.pending);
        let mut rest = None;
        for (index, (chunk, at)) in batch.chunks.into_iter().zip(places).enumerate() {
            let own: Vec<Splice> = std::iter::from_fn(|| splices.next_if(|splice| splice.chunk == index)).collect();
            let Some(Item::Text(text)) = pending.get_mut(at) else { continue };
            let edited = own.last().map_or(0, |last| last.range.end);
            let end = if chunk.last { chunk.text.len() } else { edited.max(chunk.text.len() - chunk.held) };
            if !chunk.last {
                self.offset = chunk.offset + end as u64;
                self.before = chunk.text[..end].chars().next_back().or(chunk.before);
                rest = Some(Text { text: chunk.text[end..].to_owned(), first: false, last: false, ..text.clone() });
            }
            text.text = spliced(chunk.text, end, &own);
        }
        // One that was not shown is the last, too, and waits as it is.
        let waits = matches!(pending.last(), Some(Item::Text(text)) if !text.last) && rest.is_none();
        if waits {
            self.pending.extend(pending.pop());
        }
        self.pending.extend(rest.map(Item::Text));
        self.bytes = self.pending.iter().map(Item::size).sum();
        self.texts = self.pending.len();
        pending
    }
}

/// The text up to `end`, with these parts replaced.
fn spliced(mut text: String, end: usize, splices: &[Splice]) -> String {
    if splices.is_empty() {
        text.truncate(end);
        return text;
    }
    let mut out = String::with_capacity(end);
    let mut from = 0;
    for splice in splices {
        out.push_str(&text[from..splice.range.start]);
        out.push_str(&splice.text);
        from = splice.range.end;
    }
    out.push_str(&text[from..end]);
    out
}

/// The last place at or before `at` where a character begins.
fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_wire::json::{Incremental, PassingLimits};

    const LIMITS: PassingLimits =
        PassingLimits { bytes_max: 1 << 30, depth_max: 64, nodes_max: 1 << 20, keys_max: 1 << 20, path_bytes_max: 1 << 16 };

    /// Everything through one lane, whose filter puts `with` in the place of each `what` that begins in what is fresh.
    fn through(text: &str, cut: usize, overlap: usize, what: &str, with: &str) -> (String, Vec<Batch>) {
        let (mut pass, mut items, mut lane) = (Incremental::new(LIMITS), Items::default(), Lane::new(0, overlap));
        let (mut out, mut batches) = (Vec::new(), Vec::new());
        let mut judge = |lane: &mut Lane, ends: bool| {
            let (batch, places) = lane.batch(ends);
            let mut splices = Vec::new();
            for (index, chunk) in batch.chunks.iter().enumerate().filter(|(_, chunk)| !chunk.key) {
                let fresh = chunk.text.len() - chunk.held;
                let found = chunk.text.match_indices(what).filter(|(at, _)| !what.is_empty() && *at < fresh.max(usize::from(chunk.last)));
                splices.extend(found.map(|(at, found)| Splice { chunk: index, range: at..at + found.len(), text: with.into() }));
            }
            batches.push(batch.clone());
            write(lane.released(batch, places, splices))
        };
        for piece in text.as_bytes().chunks(cut) {
            pass.push(piece, &mut items).unwrap();
            for item in items.take() {
                if lane.push(item) {
                    out.extend(judge(&mut lane, false));
                }
            }
        }
        pass.finish().unwrap();
        out.extend(judge(&mut lane, true));
        (String::from_utf8(out).unwrap(), batches)
    }

    #[test]
    fn what_no_filter_touches_comes_out_as_it_went_in() {
        let text = r#"{"jsonrpc":"2.0","id":"i","result":{ "a/b":["x",1.50,true,null,{}],"é\u0041":"\"\\\n€","":""},"more":"m"}"#;
        for cut in 1..text.len() {
            let (out, batches) = through(text, cut, 8, "", "");
            assert_eq!(out, text, "{cut}");
            let shown: Vec<_> = batches.iter().flat_map(|batch| &batch.chunks).map(|c| (&*c.pointer, c.key, c.text.as_str())).collect();
            let expected = [
                ("/result/a~1b", true, "a/b"),
                ("/result/a~1b/0", false, "x"),
                ("/result/éA", true, "éA"),
                ("/result/éA", false, "\"\\\n€"),
                ("/result/", true, ""),
                ("/result/", false, ""),
                ("/more", true, "more"),
                ("/more", false, "m"),
            ];
            assert_eq!(shown, expected);
            assert!(batches.iter().all(|batch| batch.ends) && batches.len() == 1);
        }
    }

    #[test]
    fn a_long_string_comes_in_windows_that_overlap() {
        let long = "0123456789é".repeat(30_000);
        let text = format!(r#"{{"result":["{long}","{long}"]}}"#);
        let (out, batches) = through(&text, 7_001, 1_000, "", "");
        assert_eq!(out, text);
        for pointer in ["/result/0", "/result/1"] {
            let windows: Vec<_> = batches.iter().flat_map(|batch| &batch.chunks).filter(|chunk| &*chunk.pointer == pointer).collect();
            assert!(windows.len() > 4);
            for pair in windows.windows(2) {
                let (one, next) = (pair[0], pair[1]);
                assert!(!one.last && (999..=1_001).contains(&one.held), "{}", one.held);
                assert_eq!(next.offset, one.offset + (one.text.len() - one.held) as u64);
                assert!(next.text.starts_with(&one.text[one.text.len() - one.held..]));
                assert_eq!(next.before, one.text[..one.text.len() - one.held].chars().next_back());
                assert!(one.text.len() <= BATCH_BYTES + PART + 1_000, "{}", one.text.len());
            }
            assert!(windows.last().unwrap().last);
            assert!(windows.iter().all(|window| long[window.offset as usize..].starts_with(&window.text)));
        }
        for batch in &batches {
            let text: usize = batch.chunks.iter().map(|chunk| chunk.text.len()).sum();
            assert!(text <= BATCH_BYTES + PART + 1_000, "{text}");
            let mut pointers: Vec<_> = batch.chunks.iter().map(|chunk| (&chunk.pointer, chunk.key)).collect();
            pointers.dedup();
            assert_eq!(pointers.len(), batch.chunks.len(), "two chunks of one string in one batch");
        }
    }

    #[test]
    fn each_find_is_replaced_once_wherever_windows_end() {
        let mut long = "lorem ipsum ".repeat(20_000);
        for at in (0..long.len() - 10).step_by(9_973) {
            long.replace_range(at..at + 6, "SECRET");
        }
        let text = format!(r#"{{"result":"{long}"}}"#);
        let expected = text.replace("SECRET", "-");
        for (cut, overlap) in [(8_192, 6), (65_536, 64), (1_000, 16_384), (300_000, 6)] {
            let (out, _) = through(&text, cut, overlap, "SECRET", "-");
            assert_eq!(out == expected, true, "{cut} {overlap}");
        }
        // The control: without overlap those at a window's end are missed.
        let all = "SECRET".repeat(40_000);
        let missed = (0..6).filter(|&more| {
            let text = format!(r#"{{"result":"{}{all}"}}"#, "x".repeat(more));
            through(&text, 8_192, 0, "SECRET", "-").0.contains("SECRET")
        });
        assert!(missed.count() >= 5);
    }

    #[test]
    fn many_short_strings_come_in_batches() {
        let items: Vec<String> = (0..5_000).map(|n| format!("\"s{n}\"")).collect();
        let text = format!(r#"{{"result":[{}]}}"#, items.join(","));
        let (out, batches) = through(&text, 10_000, 16_384, "", "");
        assert_eq!(out, text);
        assert!(batches.len() >= 5 && batches.iter().all(|batch| batch.chunks.len() <= BATCH_CHUNKS_MAX));
        assert_eq!(batches.iter().map(|batch| batch.chunks.len()).sum::<usize>(), 5_000);
    }
}
