//! Server-sent events: the framing of streamed HTTP replies. No input or output of its own.
//!
//! Reading follows the WHATWG HTML standard (§9.2.6); writing puts one JSON text on one
//! `data:` line, so that nothing inside can be taken for a field or an event's end.

use bytes::{Buf, Bytes, BytesMut};

use crate::{flat::flatten_into, line::append};

mod through;

pub use through::{Part, Through};

/// One event as its block of lines gave it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// The `event` field; `None` means `message`.
    pub event: Option<String>,
    /// The `data` lines joined by newlines. May be empty: a block with only an `id` or
    /// `retry` is yielded too, because both bear on resuming (2025-11-25 priming event),
    /// although a browser would not dispatch it.
    pub data: Bytes,
    /// The `id` field of this very block; unlike in the standard, not carried over.
    pub id: Option<String>,
    /// The `retry` field, in milliseconds.
    pub retry: Option<u64>,
}

/// An event was longer than the decoder's limit and was skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("event is longer than {limit} bytes")]
pub struct EventTooLong {
    /// The bound, in bytes.
    pub limit: usize,
}

/// Cuts a byte stream into events.
///
/// `limit` bounds each line and the joined data of one event. An overlong event is reported
/// once and skipped to its end. An event cut off by the end of the stream is never yielded,
/// as the standard demands: drop the decoder.
#[derive(Debug)]
pub struct SseDecoder {
    limit: usize,
    buffer: BytesMut,
    /// Bytes at the front of the buffer known to hold no line end.
    scanned: usize,
    at_start: bool,
    /// The last line ended in CR: an LF right after it belongs to it.
    after_cr: bool,
    /// The rest of the current line belongs to an overlong event.
    skips_line: bool,
    skips_event: bool,
    /// What is overlong is left where it is, for who wants to pass it on.
    keeps_overlong: bool,
    block: Block,
}

/// The event being gathered.
#[derive(Debug, Default)]
struct Block {
    event: Option<String>,
    id: Option<String>,
    retry: Option<u64>,
    data: Data,
}

#[derive(Debug, Default)]
enum Data {
    #[default]
    None,
    /// A single line shares the buffer's memory.
    One(Bytes),
    Joined(BytesMut),
}

impl Data {
    fn len(&self) -> usize {
        match self {
            Data::None => 0,
            Data::One(line) => line.len() + 1,
            Data::Joined(lines) => lines.len() + 1,
        }
    }

    fn push(&mut self, line: Bytes) {
        *self = match std::mem::take(self) {
            Data::None => Data::One(line),
            Data::One(first) => {
                let mut lines = BytesMut::with_capacity(first.len() + line.len() + 1);
                lines.extend_from_slice(&first);
                Data::Joined(join(lines, &line))
            }
            Data::Joined(lines) => Data::Joined(join(lines, &line)),
        };
    }
}

fn join(mut lines: BytesMut, line: &[u8]) -> BytesMut {
    lines.extend_from_slice(b"\n");
    lines.extend_from_slice(line);
    lines
}

impl Block {
    /// The finished event; `None` when the block said nothing worth passing on.
    fn finish(self) -> Option<Event> {
        let is_silent = matches!(self.data, Data::None);
        if is_silent && self.id.is_none() && self.retry.is_none() {
            return None;
        }
        Some(Event {
            event: self.event,
            data: match self.data {
                Data::None => Bytes::new(),
                Data::One(line) => line,
                Data::Joined(lines) => lines.freeze(),
            },
            id: self.id,
            retry: self.retry,
        })
    }

    fn field(&mut self, line: Bytes) {
        let colon = memchr::memchr(b':', &line).unwrap_or(line.len());
        let mut from = (colon + 1).min(line.len());
        if line.get(from) == Some(&b' ') {
            from += 1;
        }
        let value = line.slice(from..);
        match &line[..colon] {
            b"data" => self.data.push(value),
            b"event" => self.event = Some(lossy(&value)).filter(|name| !name.is_empty()),
            b"id" if !value.contains(&0) => self.id = Some(lossy(&value)),
            b"retry" if value.iter().all(u8::is_ascii_digit) => {
                self.retry = lossy(&value).parse().ok().or(self.retry);
            }
            _ => {}
        }
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl SseDecoder {
    /// A decoder for lines and events of up to `limit` bytes.
    pub fn new(limit: usize) -> SseDecoder {
        SseDecoder {
            limit,
            buffer: BytesMut::new(),
            scanned: 0,
            at_start: true,
            after_cr: false,
            skips_line: false,
            skips_event: false,
            keeps_overlong: false,
            block: Block::default(),
        }
    }

    /// After [`EventTooLong`] nothing is skipped: the caller goes on with [`through`](SseDecoder::through), or drops the decoder.
    pub fn keep_overlong(&mut self) {
        self.keeps_overlong = true;
    }

    /// What there is of the data of an overlong event, and who reads the rest.
    pub fn through(self) -> (Bytes, Through) {
        let before = match self.block.data {
            Data::None => BytesMut::new(),
            Data::One(line) => BytesMut::from(&line[..]),
            Data::Joined(lines) => lines,
        };
        Through::new(before, self.buffer)
    }

    /// Adds bytes as they came.
    pub fn push(&mut self, mut bytes: &[u8]) {
        if self.skips_line {
            let Some(end) = memchr::memchr2(b'\r', b'\n', bytes) else {
                return;
            };
            self.after_cr = bytes[end] == b'\r';
            self.skips_line = false;
            bytes = &bytes[end + 1..];
        }
        append(&mut self.buffer, bytes, self.limit);
    }

    /// The next complete event; `None` when more bytes are needed.
    #[expect(clippy::should_implement_trait, reason = "None means not yet, not the end")]
    pub fn next(&mut self) -> Option<Result<Event, EventTooLong>> {
        loop {
            let Some(line) = self.line() else {
                return self.check_partial_line();
            };
            if line.is_empty() {
                let block = std::mem::take(&mut self.block);
                let was_skipped = std::mem::take(&mut self.skips_event);
                match block.finish().filter(|_| !was_skipped) {
                    Some(event) => return Some(Ok(event)),
                    None => continue,
                }
            }
            if self.skips_event || line.first() == Some(&b':') {
                continue;
            }
            if line.len() + self.block.data.len() > self.limit.saturating_add(FIELD_NAME) {
                if self.keeps_overlong {
                    // As it was: the line, and its end.
                    let rest = std::mem::take(&mut self.buffer);
                    self.buffer = BytesMut::from(&line[..]);
                    self.buffer.extend_from_slice(if std::mem::take(&mut self.after_cr) { b"\r" } else { b"\n" });
                    self.buffer.extend_from_slice(&rest);
                    return Some(Err(EventTooLong { limit: self.limit }));
                }
                return Some(Err(self.skip_event()));
            }
            self.block.field(line);
        }
    }

    /// The next complete line without its end: CR, LF or CRLF.
    fn line(&mut self) -> Option<Bytes> {
        if self.after_cr && !self.buffer.is_empty() {
            self.after_cr = false;
            if self.buffer[0] == b'\n' {
                self.buffer.advance(1);
            }
        }
        let rest = &self.buffer[self.scanned..];
        let Some(found) = memchr::memchr2(b'\r', b'\n', rest) else {
            self.scanned = self.buffer.len();
            return None;
        };
        let mut line = self.buffer.split_to(self.scanned + found);
        self.after_cr = self.buffer[0] == b'\r';
        self.buffer.advance(1);
        self.scanned = 0;
        if std::mem::take(&mut self.at_start) && line.starts_with(b"\xEF\xBB\xBF") {
            line.advance(3);
        }
        Some(line.freeze())
    }

    /// Drops a line that is too long before its end came.
    fn check_partial_line(&mut self) -> Option<Result<Event, EventTooLong>> {
        if self.scanned <= self.limit.saturating_add(FIELD_NAME) {
            return None;
        }
        if self.keeps_overlong && !self.skips_event {
            return Some(Err(EventTooLong { limit: self.limit }));
        }
        self.buffer.clear();
        self.scanned = 0;
        self.at_start = false;
        self.skips_line = true;
        (!self.skips_event).then(|| Err(self.skip_event()))
    }

    fn skip_event(&mut self) -> EventTooLong {
        self.skips_event = true;
        self.block = Block::default();
        EventTooLong { limit: self.limit }
    }
}

/// Length of `data: `, which the limit on an event does not count.
const FIELD_NAME: usize = 6;

/// One event carrying one JSON text.
///
/// Raw line ends in `data` become spaces. Line ends and NUL in `id` and `event` are dropped:
/// both are ours to choose, and no choice may start another field.
pub fn encode(data: &[u8], id: Option<&str>, event: Option<&str>) -> Bytes {
    let named = id.map_or(0, str::len) + event.map_or(0, str::len);
    let mut out = Vec::with_capacity(data.len() + named + 32);
    for (name, value) in [("id: ", id), ("event: ", event)] {
        if let Some(value) = value {
            out.extend_from_slice(name.as_bytes());
            out.extend(value.bytes().filter(|byte| !b"\r\n\0".contains(byte)));
            out.push(b'\n');
        }
    }
    out.extend_from_slice(b"data: ");
    flatten_into(&mut out, data);
    out.extend_from_slice(b"\n\n");
    out.into()
}

/// A comment, which receivers ignore: keeps idle connections open.
pub fn comment() -> Bytes {
    Bytes::from_static(b":\n\n")
}

/// Tells the client how long to wait before it reconnects, in milliseconds.
pub fn retry(ms: u64) -> Bytes {
    format!("retry: {ms}\n\n").into()
}

#[cfg(test)]
mod tests;
