//! What wasmtime says about a call that went wrong, in the chain's words.

use crate::{guest::Guest, limits::Limits};
use sluice_chain::fault::Fault;
use wasmtime::Trap;

/// The fault behind an error of a guest call. Ours travel inside wasmtime's error type; the rest are traps
/// and values that could not be lifted.
pub(crate) fn fault(error: wasmtime::Error, guest: &Guest) -> Fault {
    let error = match error.downcast::<Fault>() {
        Ok(ours) => return ours,
        Err(other) => other,
    };
    let limits = guest.limits();
    match error.downcast_ref::<Trap>() {
        // An allocation that was refused ends in an abort of the guest's own making.
        Some(Trap::UnreachableCodeReached) if guest.caps.memory_refused => over_memory(limits),
        Some(Trap::StackOverflow) => Fault::Trap("its stack is full".into()),
        Some(trap) => Fault::Trap(trap.to_string()),
        None => unlifted(&error, limits),
    }
}

/// The same for an instance that could not be made.
pub(crate) fn instantiation(error: wasmtime::Error, guest: &Guest) -> Fault {
    if error.is::<wasmtime::PoolConcurrencyLimitError>() {
        return Fault::Saturated;
    }
    match fault(error, guest) {
        Fault::Trap(text) => Fault::Instantiate(text),
        other => other,
    }
}

fn over_memory(limits: &Limits) -> Fault {
    Fault::Limit(format!("more than {} MiB of memory", limits.memory_bytes_max >> 20))
}

/// wasmtime has no types for these, so its texts are matched; a test holds each of them.
fn unlifted(error: &wasmtime::Error, limits: &Limits) -> Fault {
    let text = error.root_cause().to_string();
    if text.contains("fuel allocated for hostcalls") {
        return Fault::Limit(format!("more than {} bytes in one value", limits.host_bytes_max));
    }
    if text.contains("handle limit exceeded") {
        return Fault::Limit(format!("more than {} handles", limits.handles_max));
    }
    Fault::Trap(one_line(&text))
}

/// wasmtime's texts may hold several lines and, through names in the binary, the guest's own words.
fn one_line(text: &str) -> String {
    text.chars().take(300).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
