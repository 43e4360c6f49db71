//! Where plugins come from that are no files here: OCI registries and URLs, and the copies kept of them. Nothing is compiled or judged.
//!
//! Reading order: [`reference`] (what is written), [`registries`] (asking), `login` and `challenge` (who we are, and showing it),
//! [`artifact`] (how a plugin lies in a registry), [`kept`] (copies, by digest), [`error`].
//!
//! Invariants:
//! - What comes back has the digest that was asked for, or was named by a manifest that has it. Where there is none in the reference, the
//!   registry's word is believed, and the lock and the signatures judge it.
//! - No login and no token goes without TLS but to this machine and to hosts that the operator named so, and no request for a file behind a
//!   URL or for a token does, redirects included. Where a registry redirects the request for a manifest or a blob to, oci-client follows,
//!   with nothing shown to another host or without TLS.
//! - Every answer has a bound but a registry's manifests and errors, which oci-client reads whole; every request ends.

#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod artifact;
mod challenge;
pub mod error;
pub mod kept;
mod login;
mod oci;
pub mod reference;
pub mod registries;
mod url;

pub use artifact::Artifact;
pub use error::{FetchError, Kind};
pub use kept::{Copy, Kept};
pub use reference::Reference;
pub use registries::{Host, Login, Registries, Settings};

use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// sha256, lower-case hex.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// 64 hexadecimal digits, in lower case.
fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
