//! What is used again and again, kept in as many parts as there are processors.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread::available_parallelism,
};

/// A part for each processor. What a thread puts into its part it gets back first: it is in that processor's caches,
/// and the lock is nobody else's.
#[derive(Debug)]
pub struct Parted<T>(Box<[Part<T>]>);

/// On cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Part<T>(Mutex<T>);

impl<T: Default> Default for Parted<T> {
    fn default() -> Self {
        let parts = available_parallelism().map_or(1, usize::from);
        Self((0..parts).map(|_| Part::default()).collect())
    }
}

impl<T> Parted<T> {
    /// How many there are; at least one.
    pub fn parts(&self) -> usize {
        self.0.len()
    }

    /// This thread's.
    pub fn own(&self) -> MutexGuard<'_, T> {
        lock(&self.0[thread_number() % self.0.len()])
    }

    /// All of them, this thread's first. One is locked at a time.
    pub fn all(&self) -> impl Iterator<Item = MutexGuard<'_, T>> {
        let (after, from) = self.0.split_at(thread_number() % self.0.len());
        from.iter().chain(after).map(lock)
    }
}

fn lock<T>(part: &Part<T>) -> MutexGuard<'_, T> {
    part.0.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Threads are numbered as they come, so the workers of a runtime have numbers in a row; no two ever have the same.
pub fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static NUMBER: usize = NEXT.fetch_add(1, Relaxed));
    NUMBER.with(|number| *number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_thread_meets_its_own_part_first_and_all_others_once() {
        let parted = Arc::new(Parted::<Vec<u8>>::default());
        parted.own().push(1);
        assert_eq!(parted.all().next().map(|part| part.clone()), Some(vec![1]));
        assert_eq!(parted.all().count(), parted.parts());
        let other = parted.clone();
        let found = std::thread::spawn(move || other.all().flat_map(|part| part.clone()).collect::<Vec<_>>());
        assert_eq!(found.join().unwrap(), [1], "what one thread left another finds");
    }
}
