//! Newline-delimited framing, as on stdio (mcp-protocol §2.1). No input or output of its own.

use bytes::{Buf, Bytes, BytesMut};

use crate::flat::flatten_into;

/// A line was longer than the decoder's limit and was skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line is longer than {limit} bytes")]
pub struct LineTooLong {
    /// The bound, in bytes, line end not counted.
    pub limit: usize,
}

/// Cuts a byte stream into lines.
///
/// Holds at most `limit` bytes plus what one [`push`](LineDecoder::push) brought. An overlong
/// line is reported once, as soon as it is known to be too long, and skipped to its end.
#[derive(Debug)]
pub struct LineDecoder {
    limit: usize,
    buffer: BytesMut,
    /// Bytes at the front of the buffer known to hold no newline.
    scanned: usize,
    is_skipping: bool,
    /// What is overlong is left where it is, for who wants to pass it on.
    keeps_overlong: bool,
}

/// A buffer that becomes longer than this grows once, to what it may hold: to double it, both copies would have to be held.
const LONG: usize = 1 << 20;

/// Appends to a buffer that holds up to `limit` bytes and the piece that exceeds them.
pub(crate) fn append(buffer: &mut BytesMut, bytes: &[u8], limit: usize) {
    let needed = buffer.len() + bytes.len();
    if needed > LONG && needed > buffer.capacity() {
        let room = limit.saturating_add(LONG).saturating_sub(buffer.len()).min(32 << 20);
        buffer.reserve(room.max(bytes.len()));
    }
    buffer.extend_from_slice(bytes);
}

impl LineDecoder {
    /// A decoder for lines of up to `limit` bytes, line end not counted.
    pub fn new(limit: usize) -> LineDecoder {
        LineDecoder { limit, buffer: BytesMut::new(), scanned: 0, is_skipping: false, keeps_overlong: false }
    }

    /// The same, but after [`LineTooLong`] the caller says what becomes of that line, by [`skip_overlong`](LineDecoder::skip_overlong) or
    /// [`take_overlong`](LineDecoder::take_overlong).
    pub fn keeping_overlong(limit: usize) -> LineDecoder {
        LineDecoder { keeps_overlong: true, ..LineDecoder::new(limit) }
    }

    /// What there is of an overlong line.
    pub fn overlong(&self) -> &[u8] {
        &self.buffer[..self.scanned]
    }

    /// Forgets an overlong line to its end.
    pub fn skip_overlong(&mut self) {
        self.buffer.advance(self.scanned);
        self.scanned = 0;
        self.is_skipping = true;
        let rest = std::mem::take(&mut self.buffer);
        self.push(&rest);
    }

    /// Takes what there is of an overlong line, and whether that is all of it. If not, the rest is what comes next, up to a newline, and
    /// the caller's to pass on before it pushes anything.
    pub fn take_overlong(&mut self) -> (Bytes, bool) {
        let line = self.buffer.split_to(std::mem::take(&mut self.scanned)).freeze();
        let has_ended = self.buffer.first() == Some(&b'\n');
        if has_ended {
            self.buffer.advance(1);
        }
        (line, has_ended)
    }

    /// What comes up to the end of a line that was passed on is not wanted any more.
    pub fn skip_rest(&mut self) {
        self.is_skipping = true;
    }

    /// Adds bytes as they came.
    pub fn push(&mut self, mut bytes: &[u8]) {
        if self.is_skipping {
            let Some(end) = memchr::memchr(b'\n', bytes) else {
                return;
            };
            bytes = &bytes[end + 1..];
            self.is_skipping = false;
        }
        append(&mut self.buffer, bytes, self.limit);
    }

    /// The next complete line without its line end; `None` when more bytes are needed.
    ///
    /// Accepts LF and CRLF. Empty and blank lines are passed over.
    #[expect(clippy::should_implement_trait, reason = "None means not yet, not the end")]
    pub fn next(&mut self) -> Option<Result<Bytes, LineTooLong>> {
        let too_long = LineTooLong { limit: self.limit };
        loop {
            let Some(found) = memchr::memchr(b'\n', &self.buffer[self.scanned..]) else {
                self.scanned = self.buffer.len();
                // One byte more may yet prove to be the CR of a CRLF.
                if self.scanned > self.limit.saturating_add(1) {
                    if self.keeps_overlong {
                        return Some(Err(too_long));
                    }
                    self.buffer.clear();
                    self.scanned = 0;
                    self.is_skipping = true;
                    return Some(Err(too_long));
                }
                return None;
            };
            let has_cr = (self.scanned + found).checked_sub(1).is_some_and(|last| self.buffer[last] == b'\r');
            if self.keeps_overlong && self.scanned + found - usize::from(has_cr) > self.limit {
                self.scanned += found;
                return Some(Err(too_long));
            }
            let line = self.buffer.split_to(self.scanned + found);
            self.buffer.advance(1);
            self.scanned = 0;
            if let Some(line) = finished(line) {
                let fits = line.len() <= self.limit;
                return Some(if fits { Ok(line) } else { Err(too_long) });
            }
        }
    }

    /// What is left when the stream ends without a last newline.
    ///
    /// Some peers forget it; whether that is a message, strict JSON decoding will tell.
    /// Call after [`next`](LineDecoder::next) returned `None`.
    pub fn finish(self) -> Option<Bytes> {
        finished(self.buffer).filter(|line| line.len() <= self.limit)
    }
}

/// Strips the CR of a CRLF; `None` when nothing but blanks is left.
fn finished(mut line: BytesMut) -> Option<Bytes> {
    if line.last() == Some(&b'\r') {
        line.truncate(line.len() - 1);
    }
    let is_blank = line.iter().all(u8::is_ascii_whitespace);
    (!is_blank).then(|| line.freeze())
}

/// One frame: the JSON text on one line, with its newline.
///
/// Raw line ends between tokens become spaces, so a pretty-printed text may be handed in.
pub fn frame(json: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(json.len() + 1);
    flatten_into(&mut out, json);
    out.push(b'\n');
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(limit: usize, chunks: &[&[u8]]) -> Vec<Result<Bytes, LineTooLong>> {
        let mut decoder = LineDecoder::new(limit);
        let mut out = Vec::new();
        for chunk in chunks {
            decoder.push(chunk);
            out.extend(std::iter::from_fn(|| decoder.next()));
        }
        out
    }

    #[test]
    fn lines_end_in_lf_or_crlf_and_blanks_vanish() {
        let out = decode(9, &[b"a\r\n\n \r\nb", b"c\r", b"\n\r\nd"]);
        assert_eq!(out, [Ok("a".into()), Ok("bc".into())]);
    }

    #[test]
    fn an_overlong_line_is_reported_once_and_skipped() {
        let too_long = LineTooLong { limit: 4 };
        let expected = [Ok("1234".into()), Err(too_long), Ok("ok".into())];
        assert_eq!(decode(4, &[b"1234\r\n12345\nok\n"]), expected);
        assert_eq!(decode(4, &[b"1234\r", b"\n123456789", b"123456789", b"12\nok\n"]), expected);
        let bytes: Vec<&[u8]> = b"1234\r\n1234567890\nok\n".chunks(1).collect();
        assert_eq!(decode(4, &bytes), expected);
    }

    #[test]
    fn an_endless_line_holds_no_memory() {
        let mut decoder = LineDecoder::new(100);
        let mut reports = 0;
        for _ in 0..10_000 {
            decoder.push(&[b'x'; 64]);
            reports += decoder.next().is_some() as u32;
            assert!(decoder.buffer.len() <= 200);
        }
        assert_eq!(reports, 1);
    }

    #[test]
    fn an_overlong_line_can_be_passed_on_or_forgotten() {
        for chunk in [1, 3, 5, 7, 100] {
            for (is_passed, long) in [(true, "0123456789"), (false, "0123456789"), (true, "01234"), (false, "01234")] {
                let stream = format!("ab\n{long}\ncd\n1234\r\n");
                let mut decoder = LineDecoder::keeping_overlong(4);
                let (mut out, mut passed, mut is_passing) = (Vec::new(), Vec::new(), false);
                for bytes in stream.as_bytes().chunks(chunk) {
                    let mut bytes = bytes;
                    if is_passing {
                        let end = bytes.iter().position(|&byte| byte == b'\n');
                        passed.extend_from_slice(&bytes[..end.unwrap_or(bytes.len())]);
                        bytes = &bytes[end.map_or(bytes.len(), |end| end + 1)..];
                        is_passing = end.is_none();
                    }
                    decoder.push(bytes);
                    while let Some(line) = decoder.next() {
                        match line {
                            Ok(line) => out.push(line),
                            Err(_) if is_passed => {
                                assert!(decoder.overlong().starts_with(b"01234"));
                                let (line, has_ended) = decoder.take_overlong();
                                passed.extend_from_slice(&line);
                                is_passing = !has_ended;
                                if is_passing {
                                    break;
                                }
                            }
                            Err(_) => decoder.skip_overlong(),
                        }
                    }
                }
                assert_eq!(out, ["ab", "cd", "1234"], "{chunk} {is_passed}");
                assert_eq!(passed, if is_passed { long.as_bytes() } else { b"" });
            }
        }
    }

    #[test]
    fn what_is_left_at_the_end_is_handed_out() {
        let mut decoder = LineDecoder::new(9);
        decoder.push(b"a\nlast\r");
        assert_eq!(decoder.next(), Some(Ok("a".into())));
        assert_eq!(decoder.next(), None);
        assert_eq!(decoder.finish(), Some("last".into()));
        assert_eq!(LineDecoder::new(9).finish(), None);
    }

    #[test]
    fn pretty_printed_json_goes_on_one_line() {
        assert_eq!(frame(b"{\r\n  \"a\": \"\\n\"\n}"), "{    \"a\": \"\\n\" }\n");
    }

    proptest! {
        #[test]
        fn frames_come_back_however_they_are_cut(
            lines in prop::collection::vec("[a-z\"{}\n\r ]{0,9}x", 0..8), cut in 1usize..7,
        ) {
            let stream: Vec<u8> = lines.iter().flat_map(|line| frame(line.as_bytes())).collect();
            let chunks: Vec<&[u8]> = stream.chunks(cut).collect();
            let flat: Vec<_> = lines.iter().map(|l| Ok(Bytes::from(l.replace(['\n', '\r'], " ")))).collect();
            prop_assert_eq!(decode(100, &chunks), flat);
        }
    }
}
