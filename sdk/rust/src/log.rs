//! Lines in the host's log, tagged with the plugin. Rate- and size-capped there.

use alloc::string::ToString;
use alloc::vec::Vec;

pub use crate::bindings::base::sluice::filter::log::Level;

/// Writes one line.
pub fn write(level: Level, message: &str, fields: &[(&str, &str)]) {
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    #[cfg(target_family = "wasm")]
    crate::bindings::base::sluice::filter::log::log(level, message, &fields);
    #[cfg(not(target_family = "wasm"))]
    crate::testing::note_log(level, message, fields);
}

/// Something an author wants to know.
pub fn debug(message: &str) {
    write(Level::Debug, message, &[]);
}

/// Something an operator may want to know.
pub fn info(message: &str) {
    write(Level::Info, message, &[]);
}

/// Something an operator should look at.
pub fn warn(message: &str) {
    write(Level::Warn, message, &[]);
}

/// Something that is broken.
pub fn error(message: &str) {
    write(Level::Error, message, &[]);
}
