//! Lists as one principal sees them: the types of the `on-catalog` hook.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

pub use crate::bindings::on_catalog::exports::sluice::filter::on_catalog::{Answer, Change, Entry, ListKind};

#[cfg(target_family = "wasm")]
pub use crate::bindings::base::sluice::filter::catalog::Viewer;
#[cfg(not(target_family = "wasm"))]
pub use crate::testing::FakeViewer as Viewer;

/// What can be asked about the one who looks at a list. There is nothing else: the host keeps the answer and gives
/// it to everyone for whom the same questions have the same answers.
pub trait Views {
    /// An attribute of the viewer, by its whole key.
    fn attr(&self, key: &str) -> Option<String>;
    /// All attributes whose key starts so.
    fn attrs(&self, prefix: &str) -> Vec<(String, String)>;
    /// How many upstreams the endpoint has.
    fn upstreams(&self) -> u32;
    /// The definition of the entry at this place, as JSON.
    fn definition(&self, index: u32) -> Option<String>;
}

#[cfg(target_family = "wasm")]
impl Views for Viewer {
    fn attr(&self, key: &str) -> Option<String> {
        Viewer::attr(self, key)
    }
    fn attrs(&self, prefix: &str) -> Vec<(String, String)> {
        Viewer::attrs(self, prefix)
    }
    fn upstreams(&self) -> u32 {
        Viewer::upstreams(self)
    }
    fn definition(&self, index: u32) -> Option<String> {
        Viewer::definition(self, index)
    }
}

/// The name of a plugin's own tool or prompt as the plugin gave it, where a call has it behind the prefix that `namespace` puts before what no
/// upstream has: the plugin's name, and marks.
///
/// ```
/// use sluice_sdk::catalog::without_prefix;
/// assert_eq!(without_prefix("openapi", "openapi_get_pet"), Some("get_pet"));
/// assert_eq!(without_prefix("openapi", "openapi__-x"), Some("x"));
/// assert_eq!(without_prefix("openapi", "openapix"), None);
/// assert_eq!(without_prefix("openapi", "other_get_pet"), None);
/// assert_eq!(without_prefix("openapi", "openapi"), None);
/// ```
pub fn without_prefix<'n>(plugin: &str, name: &'n str) -> Option<&'n str> {
    let rest = name.strip_prefix(plugin)?;
    let own = rest.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    (own.len() < rest.len()).then_some(own)
}

impl Answer {
    /// Everything stays as it is.
    pub fn keep_all() -> Self {
        Answer { changes: Vec::new(), added: Vec::new() }
    }
}

impl From<Vec<Change>> for Answer {
    fn from(changes: Vec<Change>) -> Self {
        Answer { changes, added: Vec::new() }
    }
}

impl Entry {
    /// An entry as a test needs it.
    pub fn new(upstream: &str, name: &str, digest: &str) -> Self {
        Entry { name: name.to_string(), upstream: upstream.to_string(), digest: digest.to_string() }
    }
}
