//! Who is in: a value of the store with one entry for each call that runs, each with the second at which its place is free again. A counter
//! would do until the first end that nobody is told of, and be wrong from then on.

use alloc::vec::Vec;

use sluice_sdk::kv::{Bucket, Error};

/// An exchange and the second of its lease's end.
const ENTRY_BYTES: usize = 16;
/// Others change the value meanwhile; so often it is read again.
const TRIES: usize = 16;

/// Takes a place, or says that all are taken. A call that comes again, in another round, has its own already.
pub fn enter(bucket: &Bucket, key: &str, exchange: u64, at_once: usize, now_s: u64, lease_s: u32) -> Result<bool, Error> {
    changed(bucket, key, now_s, |entries| {
        let until = now_s + u64::from(lease_s);
        if let Some(own) = entries.iter_mut().find(|(of, _)| *of == exchange) {
            own.1 = until;
            return Some(());
        }
        if entries.len() >= at_once {
            return None;
        }
        entries.push((exchange, until));
        Some(())
    })
    .map(|done| done.is_some())
}

/// Gives a place back.
pub fn leave(bucket: &Bucket, key: &str, exchange: u64, now_s: u64) -> Result<(), Error> {
    changed(bucket, key, now_s, |entries| {
        let before = entries.len();
        entries.retain(|(of, _)| *of != exchange);
        (entries.len() < before).then_some(())
    })
    .map(|_| ())
}

/// Changes the entries that still hold, all at once or not at all. `None` of `change` leaves them as they are.
fn changed(bucket: &Bucket, key: &str, now_s: u64, change: impl Fn(&mut Vec<(u64, u64)>) -> Option<()>) -> Result<Option<()>, Error> {
    for _ in 0..TRIES {
        let old = bucket.get(key)?;
        let mut entries: Vec<(u64, u64)> = old.as_deref().map(read).unwrap_or_default();
        entries.retain(|(_, until)| *until > now_s);
        if change(&mut entries).is_none() {
            return Ok(None);
        }
        // As long as the last entry holds; an empty one is soon gone.
        let last = entries.iter().map(|(_, until)| until - now_s).max().unwrap_or(1);
        let ttl_ms = u32::try_from(last * 1000).unwrap_or(u32::MAX);
        if bucket.swap(key, old.as_deref(), &written(&entries), Some(ttl_ms))? {
            return Ok(Some(()));
        }
    }
    Err(Error::Conflict)
}

fn read(bytes: &[u8]) -> Vec<(u64, u64)> {
    let number = |part: &[u8]| part.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    bytes.chunks_exact(ENTRY_BYTES).map(|entry| (number(&entry[..8]), number(&entry[8..]))).collect()
}

fn written(entries: &[(u64, u64)]) -> Vec<u8> {
    entries.iter().flat_map(|(exchange, until)| [exchange.to_le_bytes(), until.to_le_bytes()]).flatten().collect()
}
