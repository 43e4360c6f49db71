//! Views over the servers, each at a path and behind a chain of its own.

use std::collections::BTreeMap;

use super::{Link, PluginSettings};
use crate::config::section::section;

section! {
    /// One view: some of the servers, behind a chain of its own, at `/mcp/<its name>`.
    pub struct GroupSettings {
        /// Its servers, by their names in `mcpServers` or `servers`. Absent: all.
        pub upstreams: Option<Vec<String>> = None;
        /// Its filters in order, in place of `sluice.chain`. Absent: those of `/mcp`. `[]` is the empty chain.
        pub chain: Option<Vec<Link>> = None;
        /// Settings of plugins in this group, by plugin name, each in place of what `plugins.settings` has for it.
        pub settings: BTreeMap<String, PluginSettings> = BTreeMap::new();
    }
}
