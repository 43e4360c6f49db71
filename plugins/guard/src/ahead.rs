//! The next of something, asked for from ever later places.

/// Looks at no byte twice, however often it is asked: what opens a thousand times and closes once, far away, costs one look.
#[derive(Debug)]
pub(crate) struct Ahead<'t, F> {
    text: &'t str,
    search: F,
    /// The last answer: from where it holds, and where it is.
    next: Option<(usize, Option<usize>)>,
}

impl<'t, F: Fn(&'t str) -> Option<usize>> Ahead<'t, F> {
    pub(crate) fn new(text: &'t str, search: F) -> Self {
        Ahead { text, search, next: None }
    }

    /// Where the first one is at `from` or behind it.
    pub(crate) fn from(&mut self, from: usize) -> Option<usize> {
        match self.next {
            Some((asked, known)) if asked <= from && known.is_none_or(|at| at >= from) => known,
            _ => {
                let found = (self.search)(&self.text[from..]).map(|at| from + at);
                self.next = Some((from, found));
                found
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;

    use super::*;

    #[test]
    fn each_byte_is_looked_at_once() {
        let looked = Cell::new(0);
        let text = "[[[[]  [[[[";
        let mut close = Ahead::new(text, |rest: &str| {
            looked.set(looked.get() + 1);
            rest.find(']')
        });
        let all: alloc::vec::Vec<_> = (0..text.len()).map(|at| close.from(at)).collect();
        assert_eq!(all[..6], [Some(4), Some(4), Some(4), Some(4), Some(4), None]);
        assert_eq!(looked.get(), 2);
    }
}
