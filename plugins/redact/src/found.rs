//! What was found in one text, judged.

use alloc::string::String;
use alloc::vec::Vec;

use crate::address;
use crate::spans::{self, Span};

/// What of a text is to change.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) spans: Vec<Span>,
    pub(crate) tokens: Vec<Held>,
}

/// A token that may be turned back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) text: String,
}

impl Found {
    /// Once all of it is there: what overlaps becomes one, and a token that a find overlaps stays, since of such a find nothing may be left.
    pub(crate) fn settle(&mut self) {
        self.spans = spans::join(core::mem::take(&mut self.spans));
        self.tokens.retain(|held| self.spans.iter().all(|span| span.end <= held.start || held.end <= span.start));
    }

    /// Leaves the tokens that stand in no address of this text, or of the longer one that it `goes_on` with.
    pub(crate) fn keep_in_addresses(&mut self, text: &str, goes_on: bool) {
        if self.tokens.is_empty() {
            return;
        }
        self.tokens.sort_by_key(|held| held.start);
        let mut within = address::within(text, goes_on, self.tokens.iter().map(|held| held.start as usize)).into_iter();
        self.tokens.retain(|_| !within.next().unwrap_or(true));
    }
}
