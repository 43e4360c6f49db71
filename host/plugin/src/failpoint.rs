//! In builds with debug assertions a test can have the host panic in one of its own functions, to see who notices.

use std::cell::Cell;

thread_local! {
    /// Host calls on this thread until one panics; 0: none will.
    static LEFT: Cell<u32> = const { Cell::new(0) };
}

/// The `nth` host call on this thread panics, counted from 1; 0 takes that back.
pub fn panic_in_host_call(nth: u32) {
    LEFT.set(nth);
}

/// A host call begins.
///
/// # Panics
/// When it is the one.
pub fn host_call() {
    let left = LEFT.get();
    if left > 0 {
        LEFT.set(left - 1);
        assert!(left > 1, "a host call that a test told to panic");
    }
}
