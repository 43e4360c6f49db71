//! Who looks at a list, in a test.

use std::collections::BTreeMap;

use crate::catalog::Views;

/// What [`Viewer`](crate::catalog::Viewer) is natively.
#[derive(Debug, Clone, Default)]
pub struct FakeViewer {
    attrs: BTreeMap<String, String>,
    definitions: Vec<String>,
    upstreams: u32,
}

impl FakeViewer {
    /// A viewer of an endpoint with so many upstreams.
    pub fn of(upstreams: u32) -> Self {
        FakeViewer { upstreams, ..Self::default() }
    }

    /// With an attribute.
    pub fn with_attr(mut self, key: &str, value: &str) -> Self {
        self.attrs.insert(key.to_string(), value.to_string());
        self
    }

    /// With the definitions of the entries, in order.
    pub fn with_definitions(mut self, definitions: &[&str]) -> Self {
        self.definitions = definitions.iter().map(ToString::to_string).collect();
        self
    }
}

impl Views for FakeViewer {
    fn attr(&self, key: &str) -> Option<String> {
        self.attrs.get(key).cloned()
    }
    fn attrs(&self, prefix: &str) -> Vec<(String, String)> {
        let held = self.attrs.iter().filter(|(key, _)| key.starts_with(prefix));
        held.map(|(key, value)| (key.clone(), value.clone())).collect()
    }
    fn upstreams(&self) -> u32 {
        self.upstreams
    }
    fn definition(&self, index: u32) -> Option<String> {
        self.definitions.get(index as usize).cloned()
    }
}
