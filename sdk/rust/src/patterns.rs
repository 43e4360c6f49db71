//! Regular expressions that the host runs, over decoded strings and member names. Imports `sluice:filter/patterns`.

use alloc::string::String;

pub use crate::bindings::base::sluice::filter::patterns::Pattern;

/// Defines a set under a name. Belongs in [`Plugin::new`](crate::plugin::Plugin::new); the host keeps the compiled
/// set, so a repeat is free.
pub fn define(name: &str, patterns: &[Pattern]) -> Result<(), String> {
    #[cfg(target_family = "wasm")]
    return crate::bindings::base::sluice::filter::patterns::define(name, patterns);
    #[cfg(not(target_family = "wasm"))]
    return crate::testing::define_patterns(name, patterns);
}
