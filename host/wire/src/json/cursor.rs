//! Where the pass stands in the text, and the tokens it steps over there.

use super::error::{Refusal, refusal};
use super::{DecodeError, strings};

/// A place in a text. Kept apart from the rest of the pass, and all its steps inlined, so that
/// it lives in registers.
pub(super) struct Cursor<'a> {
    pub(super) bytes: &'a [u8],
    /// At most the length of `bytes`.
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Cursor { bytes, at: 0 }
    }

    /// Skips white space and looks at the next byte.
    #[inline(always)]
    pub(super) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.at) {
                // Most texts are written without white space: one compare tells.
                Some(&byte) if byte > b' ' => return Some(byte),
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    #[inline(always)]
    pub(super) fn expect_any(&mut self) -> Result<u8, Refusal> {
        match self.peek() {
            Some(byte) => Ok(byte),
            None => Err(refusal(DecodeError::Truncated)),
        }
    }

    /// Steps over a string at its opening quote; tells whether it holds escapes.
    #[inline(always)]
    pub(super) fn string(&mut self) -> Result<bool, Refusal> {
        let string = strings::check(self.bytes, self.at + 1)?;
        self.at = string.end as usize;
        Ok(string.escaped)
    }

    /// One of the three literal names.
    #[inline(always)]
    pub(super) fn literal(&mut self, word: &[u8]) -> Result<(), Refusal> {
        for &wanted in word {
            match self.bytes.get(self.at) {
                Some(&byte) if byte == wanted => self.at += 1,
                Some(_) => return Err(self.syntax()),
                None => return Err(refusal(DecodeError::Truncated)),
            }
        }
        Ok(())
    }

    /// `-? (0 | [1-9] digits) (. digits)? ([eE] [+-]? digits)?`, RFC 8259 §6.
    #[inline(always)]
    pub(super) fn number(&mut self) -> Result<(), Refusal> {
        self.take(|byte| byte == b'-');
        if !self.take(|byte| byte == b'0') {
            self.digits()?;
        }
        if self.take(|byte| byte == b'.') {
            self.digits()?;
        }
        if self.take(|byte| byte | 0x20 == b'e') {
            self.take(|byte| byte == b'+' || byte == b'-');
            self.digits()?;
        }
        Ok(())
    }

    #[inline(always)]
    fn take(&mut self, wanted: impl Fn(u8) -> bool) -> bool {
        let found = self.bytes.get(self.at).is_some_and(|&byte| wanted(byte));
        self.at += found as usize;
        found
    }

    /// One digit or more.
    #[inline(always)]
    fn digits(&mut self) -> Result<(), Refusal> {
        match self.bytes.get(self.at) {
            Some(b'0'..=b'9') => {}
            Some(_) => return Err(self.syntax()),
            None => return Err(refusal(DecodeError::Truncated)),
        }
        while self.take(|byte| byte.is_ascii_digit()) {}
        Ok(())
    }

    /// The error that the byte here is not the one the grammar wants.
    #[inline(always)]
    pub(super) fn syntax(&self) -> Refusal {
        refusal(DecodeError::Syntax { offset: self.at })
    }
}
