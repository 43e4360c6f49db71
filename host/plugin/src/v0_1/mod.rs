//! Contract 0.1.0: its bindings, and the host's side of its imports.
//!
//! A second version gets a folder of its own that converts into the types here, so that every check is
//! made in one place.

#[allow(missing_docs, clippy::all, reason = "generated")]
pub(crate) mod bindings;
pub(crate) mod catalog;
pub(crate) mod convert;
pub(crate) mod exchange;
mod fetch;
pub(crate) mod http;
pub(crate) mod kv;
pub(crate) mod log;
mod metrics;
pub(crate) mod outbound;
pub(crate) mod patterns;
pub(crate) mod payload;
pub(crate) mod secrets;
mod upstream;

use crate::guest::Guest;
use wasmtime::component::{HasSelf, Linker};

/// The version, as messages name it.
pub(crate) const VERSION: &str = "0.1.0";

/// Interfaces a component may import from us.
pub(crate) const IMPORTS: [&str; 11] =
    ["types", "log", "metrics", "payload", "patterns", "kv", "secrets", "fetch", "catalog", "outbound", "upstream"];

/// Put every import of the contract into a linker. What a plugin was not granted answers `denied`.
pub(crate) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    use bindings::sluice::filter as own;
    type Get = HasSelf<Guest>;
    own::types::add_to_linker::<_, Get>(linker, |guest| guest)?;
    own::log::add_to_linker::<_, Get>(linker, |guest| guest)?;
    own::metrics::add_to_linker::<_, Get>(linker, |guest| guest)?;
    own::payload::add_to_linker::<_, Get>(linker, |guest| guest)?;
    own::patterns::add_to_linker::<_, Get>(linker, |guest| guest)?;
    own::kv::add_to_linker::<_, Get>(linker, |guest| guest)?;
    own::secrets::add_to_linker::<_, Get>(linker, |guest| guest)?;
    own::fetch::add_to_linker::<_, Get>(linker, |guest| guest)?;
    own::upstream::add_to_linker::<_, Get>(linker, |guest| guest)?;
    own::outbound::add_to_linker::<_, Get>(linker, |guest| guest)?;
    own::catalog::add_to_linker::<_, Get>(linker, |guest| guest)
}
