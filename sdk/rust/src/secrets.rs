//! Secrets that stay with the host: the operator's (`Secret::open`, with the grant `secret:<name>`), and those the plugin keeps
//! ([`put`], [`open_own`], [`remove`]). Imports `sluice:filter/secrets`.
//!
//! A [`Secret`] compares (`equals`), authenticates (`hmac_sha256`), makes further keys (`derive`), signs (`sign`) and is kept under
//! another name or for another owner (`keep`); its bytes come out only with the grant `reveal:<name>` (`reveal`).

use alloc::format;
use alloc::string::{String, ToString};

pub use crate::bindings::base::sluice::filter::secrets::{Algorithm, Error, Owner};

/// A handle to a secret: `open`, `equals`, `hmac_sha256`, `derive`, `sign`, `keep`, `reveal`.
#[cfg(target_family = "wasm")]
pub use crate::bindings::base::sluice::filter::secrets::Secret;
#[cfg(not(target_family = "wasm"))]
pub use crate::testing::FakeSecret as Secret;

use crate::exchange::Exchange;

/// Why a secret cannot be used, and what the operator can do about it: the end of a sentence, for the log and for what `new` refuses.
///
/// ```
/// use sluice_sdk::secrets::{Error, why};
/// assert_eq!(why(Error::Missing), "it is not there; write it under sluice.secrets");
/// ```
pub fn why(error: Error) -> String {
    match error {
        Error::Denied(why) => format!("{why}; it is granted with grants = [\"secret:<name>\"] in the sidecar"),
        Error::Missing => "it is not there; write it under sluice.secrets".to_string(),
        Error::Unsuited(why) | Error::Unavailable(why) => why,
    }
}

/// Keeps a secret for an owner until its time is over, in the place of an earlier one of this name.
pub fn put(x: &Exchange, owner: Owner, name: &str, value: &[u8], ttl_ms: Option<u32>) -> Result<(), Error> {
    #[cfg(target_family = "wasm")]
    return crate::bindings::base::sluice::filter::secrets::put(x, owner, name, value, ttl_ms);
    #[cfg(not(target_family = "wasm"))]
    crate::testing::put(x, owner, name, value, ttl_ms)
}

/// One that the plugin keeps.
pub fn open_own(x: &Exchange, owner: Owner, name: &str) -> Result<Secret, Error> {
    #[cfg(target_family = "wasm")]
    return crate::bindings::base::sluice::filter::secrets::open_own(x, owner, name);
    #[cfg(not(target_family = "wasm"))]
    crate::testing::open_own(x, owner, name)
}

/// Keeps it no longer.
pub fn remove(x: &Exchange, owner: Owner, name: &str) -> Result<(), Error> {
    #[cfg(target_family = "wasm")]
    return crate::bindings::base::sluice::filter::secrets::remove(x, owner, name);
    #[cfg(not(target_family = "wasm"))]
    crate::testing::remove(x, owner, name)
}
