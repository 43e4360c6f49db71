//! One lock's worth of keys, with the queue of their ends.

use super::entry::Entry;
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    sync::Arc,
};
use tokio::time::Instant;

#[derive(Default)]
pub(super) struct Shard {
    entries: HashMap<Arc<str>, Entry>,
    /// At most one note a key. A note may come early (the key lives longer by now): it is then put back.
    ends: BinaryHeap<Reverse<(Instant, Arc<str>)>>,
}

impl Shard {
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key)
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Entry> {
        self.entries.get_mut(key)
    }

    pub(super) fn put(&mut self, key: &str, mut entry: Entry) {
        if let Some(old) = self.entries.get_mut(key) {
            // A note that comes before the new end will be put back; one that comes after it would keep the
            // key too long, so a shorter life needs a note of its own.
            let shortened = entry.until.is_some_and(|new| old.until.is_none_or(|old| new < old));
            entry.is_queued = old.is_queued && !shortened;
            *old = entry;
        } else {
            self.entries.insert(key.into(), entry);
        }
        self.queue(key);
    }

    fn queue(&mut self, key: &str) {
        let Some((name, _)) = self.entries.get_key_value(key) else { return };
        let name = name.clone();
        let Some(entry) = self.entries.get_mut(key) else { return };
        if let (Some(until), false) = (entry.until, entry.is_queued) {
            entry.is_queued = true;
            self.ends.push(Reverse((until, name)));
        }
    }

    pub(super) fn remove(&mut self, key: &str) -> Option<Entry> {
        self.entries.remove(key)
    }

    /// Drop what is due. Returns how many keys and bytes went.
    pub(super) fn expire(&mut self, now: Instant) -> (usize, usize) {
        let (mut keys, mut bytes) = (0, 0);
        while self.ends.peek().is_some_and(|Reverse((at, _))| *at <= now) {
            let Some(Reverse((_, key))) = self.ends.pop() else { break };
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            match entry.until {
                Some(until) if until <= now => {
                    keys += 1;
                    bytes += key.len() + entry.value.bytes();
                    self.entries.remove(&key);
                }
                _ => {
                    entry.is_queued = false;
                    self.queue(&key);
                }
            }
        }
        (keys, bytes)
    }
}
