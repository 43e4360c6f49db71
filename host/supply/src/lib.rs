//! Who published a plugin, and whether this is the one that the operator means. No file is opened here, and nothing is run.
//!
//! Reading order: [`key`] (publishers' keys), [`signature`] (what stands beside a plugin), [`seen`] (versions do not go back),
//! [`lock`] (files do not change).
//!
//! Invariants:
//! - A signature names plugin, version and digest at once: none can be exchanged against another's.
//! - Only keys that the operator pinned say anything. What is in a plugin or beside it names no key that is believed for it.

#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod key;
pub mod lock;
pub mod seen;
pub mod signature;

pub use key::{PrivateKey, PublicKey};
pub use lock::{Lock, Locked};
pub use seen::Seen;
pub use signature::{Signed, Statement};
