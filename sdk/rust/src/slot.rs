//! Where the one plugin value of an instance lives.

#![allow(unsafe_code, reason = "one line, explained where it stands")]

use core::cell::OnceCell;

/// A static that is filled once.
pub struct Slot<T>(OnceCell<T>);

// SAFETY: a component instance of this contract has one thread (no shared memory, no threads in any world), so
// nothing is ever shared between threads.
unsafe impl<T> Sync for Slot<T> {}

impl<T> Slot<T> {
    /// One that waits for `init`.
    pub const fn empty() -> Self {
        Slot(OnceCell::new())
    }

    /// Puts the plugin in. The host calls `init` once; a second plugin would have no place.
    pub fn fill(&self, value: T) -> Result<(), alloc::string::String> {
        self.0.set(value).map_err(|_| "init was called twice".into())
    }

    /// The plugin. A hook before `init` is the host's fault and traps.
    pub fn get(&self) -> &T {
        self.0.get().expect("init comes first")
    }
}
