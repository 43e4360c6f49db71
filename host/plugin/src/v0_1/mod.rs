//! Contract 0.1.0: its bindings, and the host's side of its imports.
//!
//! A second version gets a folder of its own that converts into the types here, so that every check is
//! made in one place.

#[allow(missing_docs, clippy::all, reason = "generated")]
pub(crate) mod bindings;
pub(crate) mod catalog;
pub(crate) mod chunks;
pub(crate) mod convert;
pub(crate) mod exchange;
mod fetch;
pub(crate) mod http;
pub(crate) mod kv;
mod listed;
pub(crate) mod log;
mod metrics;
pub(crate) mod outbound;
pub(crate) mod patterns;
pub(crate) mod payload;
pub(crate) mod secrets;
mod upstream;

use crate::{
    guest::Guest,
    import::{Import, Link},
};
use wasmtime::component::{HasSelf, Linker};

/// The version, as messages name it.
pub(crate) const VERSION: &str = "0.1.0";

type Get = HasSelf<Guest>;

/// One interface with the words for what it lets a plugin do. What a plugin was not granted answers `denied`.
macro_rules! own {
    ($name:literal, $module:ident, $allows:literal) => {
        Import {
            interface: $name,
            allows: Some($allows),
            link: Link::Own(|linker: &mut Linker<Guest>| bindings::sluice::filter::$module::add_to_linker::<_, Get>(linker, |guest| guest)),
        }
    };
}

/// Interfaces a component may import from us.
pub(crate) static IMPORTS: [Import; 12] = [
    own!("types", types, "see who calls which method and tool, and label the exchange"),
    own!("payload", payload, "read and edit arguments and results"),
    own!("patterns", patterns, "search arguments and results"),
    own!("chunks", chunks, "read, search and edit answers that are too long to be held, piece by piece"),
    own!("kv", kv, "keep values between calls in a bucket of its own"),
    own!("secrets", secrets, "keep secrets of its own and use granted ones, unseen"),
    own!("fetch", fetch, "send requests to granted hosts"),
    own!("catalog", catalog, "see who looks at a list, and the definitions in it"),
    own!("outbound", outbound, "see what leaves for a granted upstream, without its credentials"),
    own!("upstream", upstream, "see and call tools of granted upstreams, in the name of who asks"),
    own!("metrics", metrics, "count under its own name"),
    own!("log", log, "write to the log"),
];
