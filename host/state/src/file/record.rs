//! What a key holds, as it stands in the file.
//!
//! When it ends, in milliseconds since 1970 (8 bytes, little endian; all ones: never), a byte that says of which kind it is, and the value: bytes as
//! they are; a counter in 8 bytes; a token bucket as its tokens (a double) and the time at which there were so many.

use crate::memory::{Kept, KeptValue};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const NEVER: u64 = u64::MAX;
const BYTES: u8 = 0;
const NUMBER: u8 = 1;
const TOKENS: u8 = 2;

/// Of one key.
pub(super) struct Record;

impl Record {
    pub(super) fn of(kept: &Kept, now: SystemTime) -> Vec<u8> {
        let ends = kept.ends_in.and_then(|left| now.checked_add(left)).map_or(NEVER, millis);
        let mut record = ends.to_le_bytes().to_vec();
        match &kept.value {
            KeptValue::Bytes(bytes) => {
                record.push(BYTES);
                record.extend_from_slice(bytes);
            }
            KeptValue::Number(number) => {
                record.push(NUMBER);
                record.extend_from_slice(&number.to_le_bytes());
            }
            KeptValue::Tokens { left, idle } => {
                record.push(TOKENS);
                record.extend_from_slice(&left.to_le_bytes());
                record.extend_from_slice(&now.checked_sub(*idle).map_or(0, millis).to_le_bytes());
            }
        }
        record
    }

    /// None: it has ended, or is none.
    pub(super) fn read(record: &[u8], now: SystemTime) -> Option<Kept> {
        let ends_in = match ends(record)? {
            NEVER => None,
            ends => Some(since(now, ends)?),
        };
        let value = match record.get(8..)?.split_first()? {
            (&BYTES, bytes) => KeptValue::Bytes(bytes.into()),
            (&NUMBER, bytes) => KeptValue::Number(i64::from_le_bytes(bytes.try_into().ok()?)),
            (&TOKENS, bytes) => {
                let (left, at) = bytes.split_first_chunk()?;
                let at = UNIX_EPOCH.checked_add(Duration::from_millis(u64::from_le_bytes(at.try_into().ok()?)))?;
                // A clock that was set back since gives nobody tokens.
                KeptValue::Tokens { left: f64::from_le_bytes(*left), idle: now.duration_since(at).unwrap_or_default() }
            }
            _ => return None,
        };
        Some(Kept { value, ends_in })
    }

    /// Whether it has, so that nobody will ask for it.
    pub(super) fn has_ended(record: &[u8], now: SystemTime) -> bool {
        ends(record).is_none_or(|ends| ends != NEVER && since(now, ends).is_none())
    }
}

fn ends(record: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(*record.first_chunk()?))
}

/// What is left until then.
fn since(now: SystemTime, ends: u64) -> Option<Duration> {
    let left = UNIX_EPOCH.checked_add(Duration::from_millis(ends))?.duration_since(now).ok()?;
    (!left.is_zero()).then_some(left)
}

/// Rounded up, so that nothing ends too early.
fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos().div_ceil(1_000_000)).unwrap_or(NEVER - 1)
}
