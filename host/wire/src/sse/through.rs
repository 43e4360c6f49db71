//! An event that is too long to be held, while it passes.

use bytes::{Buf, Bytes, BytesMut};

/// The rest of one event's data.
#[derive(Debug)]
pub struct Through {
    buffer: BytesMut,
    state: State,
    /// Some data came before: a further line of it stands behind a newline.
    has_data: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the start of a line; true after a CR, to which an LF belongs.
    Start(bool),
    /// In a line of data; true before its first byte, where a space may stand.
    Data(bool),
    /// In another line.
    Other,
    Ended,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    /// Data as it came; lines are joined by newlines.
    Data(Bytes),
    /// The event has ended.
    End,
}

const FIELD: &[u8] = b"data";

impl Through {
    /// What came of data before, and what is not read yet: it begins with a line.
    pub(super) fn new(before: BytesMut, buffer: BytesMut) -> (Bytes, Through) {
        let has_data = !before.is_empty();
        (before.freeze(), Through { buffer, state: State::Start(false), has_data })
    }

    /// Adds bytes as they came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next part; none when more bytes are needed.
    #[expect(clippy::should_implement_trait, reason = "None means not yet, not the end")]
    pub fn next(&mut self) -> Option<Part> {
        loop {
            match self.state {
                State::Ended => return Some(Part::End),
                State::Start(after_cr) => {
                    if after_cr && self.buffer.first() == Some(&b'\n') {
                        self.buffer.advance(1);
                    }
                    if after_cr && !self.buffer.is_empty() {
                        self.state = State::Start(false);
                    }
                    let part = self.line_start()?;
                    if part.is_some() {
                        return part;
                    }
                }
                State::Data(true) => {
                    if self.buffer.is_empty() {
                        return None;
                    }
                    if self.buffer[0] == b' ' {
                        self.buffer.advance(1);
                    }
                    self.state = State::Data(false);
                }
                State::Data(false) | State::Other => {
                    let data = self.to_line_end()?;
                    if !data.is_empty() {
                        return Some(Part::Data(data));
                    }
                }
            }
        }
    }

    /// What kind of line begins here; the outer none: too little is there to tell.
    fn line_start(&mut self) -> Option<Option<Part>> {
        let buffer = &self.buffer[..];
        let first = *buffer.first()?;
        if first == b'\r' || first == b'\n' {
            self.state = State::Ended;
            return Some(None);
        }
        let is_field = buffer.iter().zip(FIELD).all(|(a, b)| a == b);
        if is_field && buffer.len() <= FIELD.len() {
            return None;
        }
        match buffer.get(FIELD.len()) {
            Some(b':') if is_field => {
                self.buffer.advance(FIELD.len() + 1);
                self.state = State::Data(true);
                let joins = std::mem::replace(&mut self.has_data, true);
                return Some(joins.then(|| Part::Data(Bytes::from_static(b"\n"))));
            }
            _ => self.state = State::Other,
        }
        Some(None)
    }

    /// Bytes of this line. At its end, whatever they are, the next begins.
    fn to_line_end(&mut self) -> Option<Bytes> {
        if self.buffer.is_empty() {
            return None;
        }
        let found = memchr::memchr2(b'\r', b'\n', &self.buffer);
        let line = self.buffer.split_to(found.unwrap_or(self.buffer.len()));
        let is_data = self.state == State::Data(false);
        if found.is_some() {
            self.state = State::Start(self.buffer[0] == b'\r');
            self.buffer.advance(1);
        }
        Some(if is_data { line.freeze() } else { Bytes::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{SseDecoder, encode};
    use super::*;

    /// The data of the first event over the limit, however it is cut.
    fn passed(stream: &[u8], cut: usize, limit: usize) -> Option<Vec<u8>> {
        let mut decoder = SseDecoder::new(limit);
        decoder.keep_overlong();
        let mut chunks = stream.chunks(cut);
        loop {
            match decoder.next() {
                Some(Err(_)) => break,
                Some(Ok(_)) => {}
                None => decoder.push(chunks.next()?),
            }
        }
        let (before, mut through) = decoder.through();
        let mut out = before.to_vec();
        loop {
            match through.next() {
                Some(Part::Data(data)) => out.extend_from_slice(&data),
                Some(Part::End) => return Some(out),
                None => through.push(chunks.next()?),
            }
        }
    }

    #[test]
    fn an_overlong_event_passes_however_it_is_cut() {
        let long = "x".repeat(40);
        for (stream, expected) in [
            (format!("data: short\n\ndata: {long}\n\ndata: next\n\n"), long.clone()),
            (format!("id: 1\r\nevent: message\r\ndata: {long}\r\nid: 2\r\n\r\n"), long.clone()),
            (format!("data:{long}\ndata\n: comment\ndatum: no\ndata: more\ndata:  two\n\n"), format!("{long}\nmore\n two")),
            (format!("data: 12\ndata: 345\rdata: {long}\r\rdata: next\r\r"), format!("12\n345\n{long}")),
            (format!("data: 1234567\ndata: 123456789\ndata: {long}\n\n"), format!("1234567\n123456789\n{long}")),
        ] {
            for cut in 1..stream.len() + 1 {
                let passed = passed(stream.as_bytes(), cut, 12).map(|data| String::from_utf8(data).unwrap());
                assert_eq!(passed.as_deref(), Some(expected.as_str()), "{cut} {stream:?}");
            }
        }
        let encoded = encode(format!("{{\"a\":\n\"{long}\"}}").as_bytes(), Some("7"), None);
        assert_eq!(passed(&encoded, 5, 12).unwrap(), format!("{{\"a\": \"{long}\"}}").as_bytes());
        assert_eq!(passed(b"data: 0123456789abcdefghijk", 3, 12), None, "cut off, it never ends");
    }
}
