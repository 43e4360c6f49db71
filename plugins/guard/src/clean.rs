//! A text as it reads: without what nobody sees and what only a terminal obeys.
//!
//! Everything else is looked for in this. Otherwise a joiner in the middle of an order would hide it from the other detectors, and taking
//! the joiner out would put the order together again.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use crate::detectors::Find;
use crate::{hidden, terminal};

/// The text, what was taken out of it, and where each byte of it was.
#[derive(Debug)]
pub(crate) struct Clean<'t> {
    pub(crate) text: Cow<'t, str>,
    /// By place in the raw text.
    pub(crate) finds: Vec<Find>,
    sequences: Map,
    unseen: Map,
}

impl<'t> Clean<'t> {
    /// Sequences first: what parts them may be all that keeps two invisible characters from being a run. After that none is left that
    /// taking out the rest could put together.
    pub(crate) fn of(raw: &'t str) -> Self {
        let (mut finds, mut hidden) = (Vec::new(), Vec::new());
        terminal::find(raw, &mut finds);
        let (text, sequences) = without(Cow::Borrowed(raw), &finds);
        hidden::find(&text, &mut hidden);
        let (text, unseen) = without(text, &hidden);
        finds.extend(hidden.into_iter().map(|find| Find { range: sequences.raw(&find.range), ..find }));
        Clean { text, finds, sequences, unseen }
    }

    /// One with nothing to take out.
    pub(crate) fn whole(raw: &'t str) -> Self {
        Clean { text: Cow::Borrowed(raw), finds: Vec::new(), sequences: Map::default(), unseen: Map::default() }
    }

    /// Where a part of it, not empty, is in the raw text, with what was taken out within.
    pub(crate) fn raw(&self, part: &Range<usize>) -> Range<usize> {
        self.sequences.raw(&self.unseen.raw(part))
    }
}

/// Behind each gap, by place: where one is after, and where one was before.
#[derive(Debug, Default)]
struct Map(Vec<(usize, usize)>);

impl Map {
    fn raw(&self, part: &Range<usize>) -> Range<usize> {
        let place = |at: usize, gaps: usize| match gaps.checked_sub(1).and_then(|last| self.0.get(last)) {
            Some((after, before)) => before + (at - after),
            None => at,
        };
        let start = place(part.start, self.0.partition_point(|(after, _)| *after <= part.start));
        start..place(part.end, self.0.partition_point(|(after, _)| *after < part.end))
    }
}

fn without<'t>(text: Cow<'t, str>, finds: &[Find]) -> (Cow<'t, str>, Map) {
    if finds.is_empty() {
        return (text, Map::default());
    }
    let mut map = Vec::with_capacity(finds.len());
    let left = cut(&text, finds, |after, before| map.push((after, before)));
    (Cow::Owned(left), Map(map))
}

/// A text without these, which are in order and apart.
pub(crate) fn strip(text: &str, finds: &[Find]) -> String {
    cut(text, finds, |_, _| ())
}

/// In one go: each find moving all that follows it would take the square of the time.
fn cut(text: &str, finds: &[Find], mut gap: impl FnMut(usize, usize)) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for find in finds {
        out.push_str(&text[at..find.range.start]);
        out.push_str(find.instead);
        at = find.range.end;
        gap(out.len(), at);
    }
    out.push_str(&text[at..]);
    out
}

/// Finds that overlap become one, since half of it left over is still hidden.
pub(crate) fn join<'f>(finds: impl Iterator<Item = &'f Find>) -> Vec<Find> {
    let mut finds: Vec<_> = finds.cloned().collect();
    finds.sort_by_key(|find| (find.range.start, core::cmp::Reverse(find.range.end)));
    let mut joined: Vec<Find> = Vec::with_capacity(finds.len());
    for find in finds {
        match joined.last_mut() {
            Some(last) if find.range.start < last.range.end => {
                last.range.end = last.range.end.max(find.range.end);
                last.instead = if last.instead.len() < find.instead.len() { find.instead } else { last.instead };
            }
            _ => joined.push(find),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn each_part_is_found_again() {
        let raw = "\u{200B}a\u{2060}b\x1b[1mc\rd\u{FE0F}\x1b[0m\u{200B}e";
        let clean = Clean::of(raw);
        assert_eq!(clean.text, "\u{200B}abc\nde");
        let part = |of: &str| {
            let at = clean.text.find(of).unwrap();
            raw[clean.raw(&(at..at + of.len()))].to_string()
        };
        assert_eq!(part("ab"), "a\u{2060}b");
        assert_eq!(part("bc"), "b\x1b[1mc");
        assert_eq!(part("c\nd"), "c\rd");
        assert_eq!(part("b"), "b");
        assert_eq!(part("de"), "d\u{FE0F}\x1b[0m\u{200B}e");
        assert_eq!(strip(raw, &join(clean.finds.iter())), clean.text);
    }
}
