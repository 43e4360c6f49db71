//! Several detectors may find the same text, or overlapping parts of it.

use alloc::string::String;
use alloc::vec::Vec;

use crate::config::Action;

/// What one detector found in one string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) text: String,
    /// Index into the policy's detectors.
    pub(crate) detector: usize,
    pub(crate) action: Action,
}

/// Overlapping spans become one that covers them all, since a tail left over is still data. It bears the name of the
/// leftmost, then longest, then first detector; what is done to it is the strictest of what any asked for.
pub(crate) fn join(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by(|a, b| (a.start, b.end, a.detector).cmp(&(b.start, a.end, b.detector)));
    let mut joined: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match joined.last_mut() {
            Some(last) if span.start < last.end => {
                last.action = last.action.max(span.action);
                if span.end > last.end {
                    let known = (last.end - span.start) as usize;
                    last.text.push_str(&span.text[known..]);
                    last.end = span.end;
                }
            }
            _ => joined.push(span),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start: u32, text: &str, detector: usize, action: Action) -> Span {
        Span { start, end: start + text.len() as u32, text: text.into(), detector, action }
    }

    #[test]
    fn overlap_is_covered_whole_and_named_after_the_leftmost() {
        let joined = join(vec![span(5, "fghij", 0, Action::Mask), span(0, "abcdefg", 3, Action::Hash), span(20, "xyz", 1, Action::Mask)]);
        assert_eq!(joined, [span(0, "abcdefghij", 3, Action::Hash), span(20, "xyz", 1, Action::Mask)]);
    }

    #[test]
    fn ties_go_to_the_longest_then_the_first_and_the_strictest_action_wins() {
        let joined = join(vec![span(0, "ab", 0, Action::Replace), span(0, "abcd", 2, Action::Mask), span(0, "abcd", 1, Action::Mask)]);
        assert_eq!(joined, [span(0, "abcd", 1, Action::Replace)]);
    }

    #[test]
    fn neighbours_stay_two() {
        let two = vec![span(0, "ab", 0, Action::Mask), span(2, "cd", 0, Action::Mask)];
        assert_eq!(join(two.clone()), two);
    }
}
