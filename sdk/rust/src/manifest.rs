//! What a plugin says about itself.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

pub use crate::bindings::base::exports::sluice::filter::describe::{Hook, Manifest, Need, Route, Selector};

impl Manifest {
    /// A plugin that takes no settings, needs nothing, edits nothing and hooks everything it exports.
    pub fn new(name: &str, version: &str, summary: &str) -> Self {
        Manifest {
            name: name.to_string(),
            version: version.to_string(),
            summary: summary.to_string(),
            config_schema: r#"{"type":"object","additionalProperties":false}"#.to_string(),
            needs: Vec::new(),
            selectors: Vec::new(),
            routes: Vec::new(),
            edits: Vec::new(),
            stateless: false,
            overlap: 0,
            more: Vec::new(),
        }
    }

    /// The JSON Schema (2020-12) of the settings. The host fills in the defaults it names.
    pub fn schema(mut self, schema: &str) -> Self {
        self.config_schema = schema.to_string();
        self
    }

    /// A capability the plugin cannot do without, and why.
    pub fn need(self, capability: &str, reason: &str) -> Self {
        self.with_need(capability, reason, false)
    }

    /// A capability the plugin would use if the operator grants it, and why.
    pub fn may_need(self, capability: &str, reason: &str) -> Self {
        self.with_need(capability, reason, true)
    }

    fn with_need(mut self, capability: &str, reason: &str, optional: bool) -> Self {
        self.needs.push(Need { capability: capability.to_string(), reason: reason.to_string(), optional });
        self
    }

    /// Narrows a hook to methods and names (globs with `*`; none means all). Repeat it for more of the same hook.
    pub fn select(mut self, hook: Hook, methods: &[&str], names: &[&str]) -> Self {
        self.selectors.push(Selector { hook, methods: owned(methods), names: owned(names) });
        self
    }

    /// A path at which `on_http` answers, below `/.well-known/` or `/-/<name>/`, with `*` at its end for all that begin so. The
    /// operator grants it as `http:<path>`; [`may_need`](Manifest::may_need) of that name makes it optional.
    pub fn route(mut self, path: &str, methods: &[&str]) -> Self {
        self.routes.push(Route { path: path.to_string(), methods: owned(methods) });
        self
    }

    /// The paths this plugin edits, as globs over JSON pointers.
    pub fn edits(mut self, globs: &[&str]) -> Self {
        self.edits = owned(globs);
        self
    }

    /// No state that belongs to one principal is kept between calls.
    pub fn stateless(mut self) -> Self {
        self.stateless = true;
        self
    }

    /// Of `on_chunk`: how many bytes at the end of a window come again with the next one. At most 16,384.
    pub fn overlap(mut self, bytes: u32) -> Self {
        self.overlap = bytes;
        self
    }
}

fn owned(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}
