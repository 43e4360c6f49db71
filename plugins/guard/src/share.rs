//! How much each server may use of what one look at a list may take.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use sluice_sdk::prelude::Entry;

/// Definitions read in one look: each is a host call, and the host allows a thousand by default.
const ENTRIES_MAX: usize = 850;
/// Bytes of them.
const BYTES_MAX: usize = 1 << 20;

/// The entries that are to be read, those of the server with the fewest first: what it leaves is for the others. So each gets an equal
/// part or all that it asks for, whatever the others ask for.
#[derive(Debug)]
pub(crate) struct Shares {
    /// By server, its entries from the last to the first.
    left: Vec<Vec<usize>>,
    entries: usize,
    bytes: usize,
    /// Of the server whose turn it is: what is left of its entries, and of its share in entries and bytes.
    turn: (Vec<usize>, usize, usize),
}

impl Shares {
    pub(crate) fn of(entries: &[Entry]) -> Self {
        let mut by_server: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, entry) in entries.iter().enumerate().rev() {
            by_server.entry(&entry.upstream).or_default().push(at);
        }
        let mut left: Vec<_> = by_server.into_values().collect();
        left.sort_by_key(|of_server| core::cmp::Reverse(of_server.len()));
        Shares { left, entries: ENTRIES_MAX, bytes: BYTES_MAX, turn: (Vec::new(), 0, 0) }
    }

    /// The next entry, with how many bytes it may have.
    pub(crate) fn next(&mut self) -> Option<(usize, usize)> {
        loop {
            let (of_server, entries, bytes) = &mut self.turn;
            if *entries > 0
                && *bytes > 0
                && let Some(at) = of_server.pop()
            {
                *entries -= 1;
                self.entries -= 1;
                return Some((at, *bytes));
            }
            let servers = self.left.len();
            self.turn = (self.left.pop()?, self.entries / servers, self.bytes / servers);
        }
    }

    /// The one that was given out last had so many.
    pub(crate) fn spend(&mut self, bytes: usize) {
        self.bytes -= bytes.min(self.turn.2);
        self.turn.2 = self.turn.2.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;

    use super::*;

    /// By server: how many it offers, of how many bytes.
    fn read(offers: &[(&str, usize, usize)]) -> BTreeMap<String, usize> {
        let entry = |server: &str, at: usize| Entry::new(server, &format!("{at}"), "");
        let entries: Vec<_> = offers.iter().flat_map(|(server, count, _)| (0..*count).map(move |at| entry(server, at))).collect();
        let mut shares = Shares::of(&entries);
        let mut read = BTreeMap::new();
        while let Some((at, room)) = shares.next() {
            let server = &entries[at].upstream;
            let bytes = offers.iter().find(|(name, ..)| name == server).unwrap().2;
            shares.spend(bytes);
            *read.entry(server.clone()).or_default() += usize::from(bytes <= room);
        }
        read
    }

    #[test]
    fn none_takes_what_another_needs() {
        assert_eq!(read(&[("evil", 100_000, 1), ("good", 90, 1_500)])["good"], 90);
        assert_eq!(read(&[("evil", 800, 60_000), ("good", 90, 1_500)])["good"], 90);
        assert_eq!(read(&[("evil", 1, 30 << 20), ("good", 300, 1_500)])["good"], 300);
        assert_eq!(read(&[("a", 600, 10), ("b", 600, 10)]).values().sum::<usize>(), ENTRIES_MAX);
        assert_eq!(read(&[("only", 850, 1_000)])["only"], ENTRIES_MAX);
    }
}
