//! One at a time asks, and the others wait for what it gets: a hundred calls at once are one request to a server.

use alloc::string::String;

use sluice_sdk::clock;
use sluice_sdk::kv::Bucket;

use crate::problem::{self, Problem};
use crate::random;

/// How long one holder may take before another tries.
const TURN_MS: u32 = 10_000;
/// How long the others wait for it, and how often they look.
const LOOKS: usize = 30;
const LOOK_MS: u32 = 100;

/// What `find` finds, or what `get` gets; `get` runs once for all that ask at the same time, and leaves what it got where `find` looks.
pub fn take<T, E: From<Problem>>(
    bucket: &Bucket,
    key: &str,
    find: impl Fn() -> Result<Option<T>, E>,
    get: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    let (turn, mine): (String, String) = (alloc::format!("turn-{key}"), random::token());
    for look in 0..=LOOKS {
        if let Some(found) = find()? {
            return Ok(found);
        }
        if bucket.swap(&turn, None, mine.as_bytes(), Some(TURN_MS)).map_err(problem::store)? {
            let got = match find() {
                Ok(Some(found)) => Ok(found),
                Ok(None) => get(),
                Err(error) => Err(error),
            };
            // Only if it is still ours: who took too long must not end another's turn.
            bucket.swap(&turn, Some(mine.as_bytes()), &[], Some(1)).map_err(problem::store)?;
            return got;
        }
        if look < LOOKS {
            clock::sleep_ms(LOOK_MS);
        }
    }
    Err(Problem::network("its token is being asked for, and that takes too long", "").into())
}
