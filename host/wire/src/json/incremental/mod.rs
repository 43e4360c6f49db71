//! The strict pass over a text that comes in pieces and is never held.
//!
//! It accepts what [`Document::parse`](super::Document::parse) accepts, however the text is cut, and tells a [`Sink`] what it steps over.
//! What it keeps is where it stands: the name of each open member, and a keyed hash of each name of an open object.

use std::hash::{BuildHasher, RandomState};

use super::DecodeError;
use super::error::{Refusal, refusal};
use super::keys::Guard;
use super::strings::plain_run;

mod number;
mod place;

pub use place::Place;

use number::Number;
use place::{Frame, Keys, Step};

/// Bounds on a text that is not held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassingLimits {
    /// Longest text, in bytes.
    pub bytes_max: u64,
    /// Most containers open at once.
    pub depth_max: u16,
    /// Most nodes: every value and every object key counts one.
    pub nodes_max: u64,
    /// Most keys of objects open at once, since they are remembered.
    pub keys_max: usize,
    /// Longest way to a value: the names of all open members together, in bytes.
    pub path_bytes_max: usize,
}

/// What the pass steps over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token<'a> {
    /// `{` or `[`; the place is that of the container.
    Open(u8),
    /// `}` or `]`; the place is that of the container.
    Close(u8),
    /// `,`
    Comma,
    /// `:`
    Colon,
    /// White space, in one piece or in several.
    Space(&'a [u8]),
    /// A number, `true`, `false` or `null`, in one piece or in several.
    Scalar(&'a [u8]),
    /// The opening quote of a string, or of an object key.
    Begin {
        /// Of a key.
        key: bool,
    },
    /// A stretch of a string's or key's inside, at least a character.
    Text {
        /// As sent.
        raw: &'a [u8],
        /// What it means.
        decoded: &'a str,
    },
    /// The closing quote. Of a key: from here on the place has it.
    End {
        /// Of a key.
        key: bool,
    },
}

/// Whoever listens to a pass.
pub trait Sink {
    /// The next thing.
    fn token(&mut self, at: Place<'_>, token: Token<'_>);
}

/// Nobody does.
impl Sink for () {
    fn token(&mut self, _: Place<'_>, _: Token<'_>) {}
}

/// What the grammar allows next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Expect {
    Value,
    ValueOrClose,
    Key,
    KeyOrClose,
    Colon,
    CommaOrClose,
    /// The value is complete.
    Nothing,
}

/// A token that was begun.
#[derive(Clone, Copy)]
enum Within {
    None,
    String { key: bool },
    Number(Number),
    Literal { word: &'static [u8], at: usize },
}

/// Bytes of an escape, or of a character, of which more is to come.
#[derive(Default)]
struct Partial {
    bytes: [u8; 12],
    len: usize,
}

impl Partial {
    fn push(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    fn held(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The pass.
pub struct Incremental {
    limits: PassingLimits,
    /// Whether the root is a JSON-RPC envelope whose keys are guarded from twins.
    is_envelope: bool,
    /// The last envelope key read was `params`.
    params_next: bool,
    /// Bytes before the piece that is read now.
    before: u64,
    nodes: u64,
    open_keys: usize,
    path_bytes: usize,
    frames: Vec<Frame>,
    /// Frames of containers that were closed, for their memory.
    spare: Vec<Frame>,
    expect: Expect,
    within: Within,
    partial: Partial,
    /// The key that is read now.
    key: Vec<u8>,
    hashers: (RandomState, RandomState),
}

impl Incremental {
    /// A pass over a JSON-RPC message, as [`Document::parse`](super::Document::parse).
    pub fn new(limits: PassingLimits) -> Incremental {
        Incremental {
            limits,
            is_envelope: true,
            params_next: false,
            before: 0,
            nodes: 0,
            open_keys: 0,
            path_bytes: 0,
            frames: Vec::new(),
            spare: Vec::new(),
            expect: Expect::Value,
            within: Within::None,
            partial: Partial::default(),
            key: Vec::new(),
            hashers: (RandomState::new(), RandomState::new()),
        }
    }

    /// Bytes read so far.
    pub fn bytes(&self) -> u64 {
        self.before
    }

    /// Reads the next piece.
    ///
    /// # Errors
    /// The first [`DecodeError`] met; after it the pass is over.
    pub fn push(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Result<(), DecodeError> {
        let limit = usize::try_from(self.limits.bytes_max).unwrap_or(usize::MAX);
        if self.before + bytes.len() as u64 > self.limits.bytes_max {
            return Err(DecodeError::TooLarge { limit });
        }
        self.walk(bytes, sink).map_err(|refusal| *refusal)?;
        self.before += bytes.len() as u64;
        Ok(())
    }

    /// The text has ended.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] when its value has not.
    pub fn finish(&mut self) -> Result<(), DecodeError> {
        if let Within::Number(number) = self.within
            && number.may_end()
        {
            self.within = Within::None;
            self.after_value();
        }
        let is_whole = self.expect == Expect::Nothing && matches!(self.within, Within::None);
        if is_whole { Ok(()) } else { Err(DecodeError::Truncated) }
    }

    fn place(&self) -> Place<'_> {
        Place { frames: &self.frames }
    }

    fn offset(&self, at: usize) -> usize {
        usize::try_from(self.before).unwrap_or(usize::MAX).saturating_add(at)
    }

    fn syntax(&self, at: usize) -> Refusal {
        refusal(DecodeError::Syntax { offset: self.offset(at) })
    }

    fn walk(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Result<(), Refusal> {
        let mut at = 0;
        while at < bytes.len() {
            at = match self.within {
                Within::None => self.structure(bytes, at, sink)?,
                Within::String { key } => self.string(bytes, at, key, sink)?,
                Within::Number(number) => self.number(bytes, at, number, sink)?,
                Within::Literal { word, at: matched } => self.literal(bytes, at, word, matched, sink)?,
            };
        }
        Ok(())
    }

    /// One token between values, or the beginning of one. Where to go on.
    fn structure(&mut self, bytes: &[u8], at: usize, sink: &mut impl Sink) -> Result<usize, Refusal> {
        let byte = bytes[at];
        if matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
            let blanks = bytes[at..].iter().take_while(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t')).count();
            sink.token(self.place(), Token::Space(&bytes[at..at + blanks]));
            return Ok(at + blanks);
        }
        match (self.expect, byte) {
            (Expect::Nothing, _) => Err(refusal(DecodeError::Trailing { offset: self.offset(at) })),
            (Expect::Key | Expect::KeyOrClose, b'"') => {
                self.count_node()?;
                self.begin_key(sink);
                Ok(at + 1)
            }
            (Expect::KeyOrClose, b'}') | (Expect::ValueOrClose, b']') => self.close(byte, at, sink),
            (Expect::CommaOrClose, b',') => self.comma(at, sink),
            (Expect::CommaOrClose, b'}' | b']') => self.close(byte, at, sink),
            (Expect::Colon, b':') => {
                sink.token(self.place(), Token::Colon);
                self.expect = Expect::Value;
                Ok(at + 1)
            }
            (Expect::Value | Expect::ValueOrClose, _) => self.value(byte, at, sink),
            _ => Err(self.syntax(at)),
        }
    }

    fn value(&mut self, byte: u8, at: usize, sink: &mut impl Sink) -> Result<usize, Refusal> {
        self.count_node()?;
        match byte {
            b'{' | b'[' => self.open(byte, at, sink),
            b'"' => {
                sink.token(self.place(), Token::Begin { key: false });
                self.within = Within::String { key: false };
                Ok(at + 1)
            }
            b't' | b'f' | b'n' => {
                let word: &[u8] = match byte {
                    b't' => b"true",
                    b'f' => b"false",
                    _ => b"null",
                };
                self.within = Within::Literal { word, at: 0 };
                Ok(at)
            }
            b'-' | b'0'..=b'9' => {
                // Before its first byte a number is as after a minus.
                self.within = Within::Number(Number::Minus);
                if byte == b'-' {
                    sink.token(self.place(), Token::Scalar(b"-"));
                    return Ok(at + 1);
                }
                Ok(at)
            }
            _ => Err(self.syntax(at)),
        }
    }

    fn open(&mut self, byte: u8, at: usize, sink: &mut impl Sink) -> Result<usize, Refusal> {
        let level = self.frames.len();
        if level >= self.limits.depth_max as usize {
            return Err(refusal(DecodeError::Depth { limit: self.limits.depth_max }));
        }
        sink.token(self.place(), Token::Open(byte));
        let guard = match level {
            0 if self.is_envelope => Guard::Envelope,
            1 if self.params_next => Guard::Params,
            _ => Guard::Open,
        };
        let mut frame = self.spare.pop().unwrap_or_else(|| Frame { step: Step::Item(0), guard, keys: Keys::default() });
        frame.guard = guard;
        (frame.step, self.expect) = match byte {
            b'{' => (Step::Name(String::new()), Expect::KeyOrClose),
            _ => (Step::Item(0), Expect::ValueOrClose),
        };
        self.frames.push(frame);
        Ok(at + 1)
    }

    fn close(&mut self, byte: u8, at: usize, sink: &mut impl Sink) -> Result<usize, Refusal> {
        let fits = match self.frames.last() {
            Some(Frame { step: Step::Name(_), .. }) => byte == b'}',
            Some(Frame { step: Step::Item(_), .. }) => byte == b']',
            None => false,
        };
        let Some(mut frame) = self.frames.pop().filter(|_| fits) else { return Err(self.syntax(at)) };
        self.open_keys -= frame.keys.len();
        if let Step::Name(name) = &frame.step {
            self.path_bytes -= name.len();
        }
        frame.keys.clear();
        self.spare.push(frame);
        sink.token(self.place(), Token::Close(byte));
        self.after_value();
        Ok(at + 1)
    }

    fn comma(&mut self, at: usize, sink: &mut impl Sink) -> Result<usize, Refusal> {
        sink.token(self.place(), Token::Comma);
        self.expect = match self.frames.last_mut().map(|frame| &mut frame.step) {
            Some(Step::Item(index)) => {
                *index += 1;
                Expect::Value
            }
            Some(Step::Name(_)) => Expect::Key,
            None => return Err(self.syntax(at)),
        };
        Ok(at + 1)
    }

    fn after_value(&mut self) {
        self.expect = if self.frames.is_empty() { Expect::Nothing } else { Expect::CommaOrClose };
    }

    fn begin_key(&mut self, sink: &mut impl Sink) {
        if let Some(Frame { step: Step::Name(name), .. }) = self.frames.last_mut() {
            self.path_bytes -= name.len();
            name.clear();
        }
        self.key.clear();
        sink.token(self.place(), Token::Begin { key: true });
        self.within = Within::String { key: true };
    }

    fn count_node(&mut self) -> Result<(), Refusal> {
        self.nodes += 1;
        if self.nodes > self.limits.nodes_max {
            return Err(refusal(DecodeError::Nodes { limit: u32::try_from(self.limits.nodes_max).unwrap_or(u32::MAX) }));
        }
        Ok(())
    }

    fn number(&mut self, bytes: &[u8], from: usize, mut number: Number, sink: &mut impl Sink) -> Result<usize, Refusal> {
        let mut at = from;
        while let Some(next) = bytes.get(at).and_then(|&byte| number.next(byte)) {
            number = next;
            at += 1;
        }
        if at > from {
            sink.token(self.place(), Token::Scalar(&bytes[from..at]));
        }
        self.within = Within::Number(number);
        if at < bytes.len() {
            if !number.may_end() {
                return Err(self.syntax(at));
            }
            self.within = Within::None;
            self.after_value();
        }
        Ok(at)
    }

    fn literal(&mut self, bytes: &[u8], from: usize, word: &'static [u8], matched: usize, sink: &mut impl Sink) -> Result<usize, Refusal> {
        let (mut at, mut matched) = (from, matched);
        while matched < word.len() && at < bytes.len() {
            if bytes[at] != word[matched] {
                return Err(self.syntax(at));
            }
            (at, matched) = (at + 1, matched + 1);
        }
        sink.token(self.place(), Token::Scalar(&bytes[from..at]));
        if matched == word.len() {
            self.within = Within::None;
            self.after_value();
        } else {
            self.within = Within::Literal { word, at: matched };
        }
        Ok(at)
    }

    /// The next stretch of a string. Where to go on.
    fn string(&mut self, bytes: &[u8], at: usize, key: bool, sink: &mut impl Sink) -> Result<usize, Refusal> {
        match self.partial.held().first() {
            Some(b'\\') => return self.escape(bytes, at, key, sink),
            Some(_) => return self.character(bytes, at, key, sink),
            None => {}
        }
        match bytes[at] {
            b'"' => {
                self.end_string(at, key, sink)?;
                Ok(at + 1)
            }
            b'\\' => self.escape(bytes, at, key, sink),
            0..0x20 => Err(self.syntax(at)),
            _ => {
                let end = plain_run(bytes, at);
                self.plain(bytes, at, end, key, sink)?;
                Ok(end)
            }
        }
    }

    /// Bytes that stand for themselves. A character that goes on in the next piece is kept.
    fn plain(&mut self, bytes: &[u8], at: usize, end: usize, key: bool, sink: &mut impl Sink) -> Result<(), Refusal> {
        let run = &bytes[at..end];
        let text = match std::str::from_utf8(run) {
            Ok(text) => text,
            Err(error) if error.error_len().is_none() && end == bytes.len() => {
                let (whole, rest) = run.split_at(error.valid_up_to());
                rest.iter().for_each(|&byte| self.partial.push(byte));
                std::str::from_utf8(whole).unwrap_or_default()
            }
            Err(error) => return Err(refusal(DecodeError::Utf8 { offset: self.offset(at + error.valid_up_to()) })),
        };
        if !text.is_empty() {
            self.text(text.as_bytes(), text, key, sink)?;
        }
        Ok(())
    }

    /// The rest of a character whose first bytes came before.
    fn character(&mut self, bytes: &[u8], at: usize, key: bool, sink: &mut impl Sink) -> Result<usize, Refusal> {
        self.partial.push(bytes[at]);
        let mut character = [0; 4];
        let length = self.partial.len;
        character[..length].copy_from_slice(self.partial.held());
        match std::str::from_utf8(&character[..length]) {
            Ok(text) => {
                self.partial.len = 0;
                self.text(text.as_bytes(), text, key, sink)?;
            }
            Err(error) if error.error_len().is_none() => {}
            Err(_) => return Err(refusal(DecodeError::Utf8 { offset: self.offset(at).saturating_sub(length - 1) })),
        }
        Ok(at + 1)
    }

    /// An escape, byte for byte: it may be cut anywhere.
    fn escape(&mut self, bytes: &[u8], mut at: usize, key: bool, sink: &mut impl Sink) -> Result<usize, Refusal> {
        while let Some(&byte) = bytes.get(at) {
            self.partial.push(byte);
            let decoded = self.escaped(at)?;
            at += 1;
            if let Some(decoded) = decoded {
                let raw = self.partial.bytes;
                let length = std::mem::take(&mut self.partial.len);
                self.text(&raw[..length], decoded.encode_utf8(&mut [0; 4]), key, sink)?;
                break;
            }
        }
        Ok(at)
    }

    /// The character, once the escape is whole; `at` is where its last byte stands.
    fn escaped(&self, at: usize) -> Result<Option<char>, Refusal> {
        let held = self.partial.held();
        let last = held[held.len() - 1];
        let begins = || self.offset(at).saturating_sub(held.len() - 1);
        let lone = || refusal(DecodeError::LoneSurrogate { offset: begins() });
        Ok(match held.len() {
            1 => None,
            2 => match last {
                b'"' | b'\\' | b'/' => Some(last as char),
                b'b' => Some('\u{8}'),
                b'f' => Some('\u{C}'),
                b'n' => Some('\n'),
                b'r' => Some('\r'),
                b't' => Some('\t'),
                b'u' => None,
                _ => return Err(self.syntax(at)),
            },
            7 if last == b'\\' => None,
            8 if last == b'u' => None,
            7 | 8 => return Err(lone()),
            _ if !last.is_ascii_hexdigit() => return Err(self.syntax(at)),
            6 => match unit(&held[2..]) {
                0xDC00..=0xDFFF => return Err(lone()),
                0xD800..=0xDBFF => None,
                single => char::from_u32(single),
            },
            12 => match unit(&held[8..]) {
                low @ 0xDC00..=0xDFFF => char::from_u32(0x10000 + ((unit(&held[2..6]) - 0xD800) << 10) + (low - 0xDC00)),
                _ => return Err(lone()),
            },
            _ => None,
        })
    }

    fn text(&mut self, raw: &[u8], decoded: &str, key: bool, sink: &mut impl Sink) -> Result<(), Refusal> {
        if key {
            self.key.extend_from_slice(decoded.as_bytes());
            if self.path_bytes + self.key.len() > self.limits.path_bytes_max {
                return Err(refusal(DecodeError::LongNames { limit: self.limits.path_bytes_max }));
            }
        }
        sink.token(self.place(), Token::Text { raw, decoded });
        Ok(())
    }

    fn end_string(&mut self, at: usize, key: bool, sink: &mut impl Sink) -> Result<(), Refusal> {
        self.within = Within::None;
        if !key {
            sink.token(self.place(), Token::End { key });
            self.after_value();
            return Ok(());
        }
        let offset = self.offset(at).saturating_sub(self.key.len() + 1);
        let hash = u128::from(self.hashers.0.hash_one(&self.key)) << 64 | u128::from(self.hashers.1.hash_one(&self.key));
        let Some(frame) = self.frames.last_mut() else { return Err(self.syntax(at)) };
        if !frame.keys.add(hash) {
            return Err(refusal(DecodeError::DuplicateKey { offset }));
        }
        if frame.guard.is_twin(&self.key) {
            return Err(refusal(DecodeError::CaseTwin { offset }));
        }
        self.params_next = frame.guard == Guard::Envelope && self.key == b"params";
        if let (Step::Name(name), Ok(key)) = (&mut frame.step, std::str::from_utf8(&self.key)) {
            name.push_str(key);
            self.path_bytes += key.len();
        }
        self.open_keys += 1;
        if self.open_keys > self.limits.keys_max {
            return Err(refusal(DecodeError::Nodes { limit: u32::try_from(self.limits.keys_max).unwrap_or(u32::MAX) }));
        }
        sink.token(self.place(), Token::End { key });
        self.expect = Expect::Colon;
        Ok(())
    }
}

/// Four hex digits.
fn unit(digits: &[u8]) -> u32 {
    digits[..4].iter().fold(0, |unit, &byte| unit << 4 | (byte as char).to_digit(16).unwrap_or_default())
}

#[cfg(test)]
mod tests;
