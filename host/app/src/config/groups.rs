//! Groups: what a view over the servers is made of, wherever it was said.

use super::{
    Config, Settings,
    problem::{nearest, quoted},
    reader::Reader,
    servers::Servers,
    tree::{Node, Table, Value},
};
use std::sync::Arc;

/// One view besides that of `/mcp`.
pub(crate) struct Group {
    /// What its principals, records and path have.
    pub name: Arc<str>,
    /// Names of its servers; none: all.
    pub upstreams: Option<Vec<String>>,
    /// The configuration as its chain sees it; none: its chain is that of `/mcp`.
    pub own: Option<Config>,
}

/// The group of one server, as users of mcp-proxy know its path.
fn of_server(name: &str) -> String {
    format!("servers/{name}")
}

impl Config {
    /// Names of the servers at `/mcp`; none: all.
    pub(crate) fn at_default(&self) -> Option<Vec<String>> {
        self.settings.default_group.as_ref().map(|names| self.named(names))
    }

    /// In the order of their names.
    pub(crate) fn groups(&self) -> Vec<Group> {
        let written = self.settings.groups.iter().map(|(name, group)| {
            let is_own = group.chain.is_some() || !group.settings.is_empty();
            let own = is_own.then(|| {
                let mut own = self.clone();
                own.settings.chain = group.chain.clone().or(own.settings.chain);
                own.settings.plugins.settings.extend(group.settings.clone());
                own
            });
            Group { name: name.as_str().into(), upstreams: group.upstreams.as_ref().map(|names| self.named(names)), own }
        });
        let by_server = self.upstreams.iter().filter(|_| self.settings.server_paths);
        let of_each = by_server.map(|u| Group { name: of_server(&u.name).into(), upstreams: Some(vec![u.name.clone()]), own: None });
        written.chain(of_each).collect()
    }

    /// Every plugin that some chain names, each chain in order.
    pub(crate) fn links(&self) -> impl Iterator<Item = &super::Link> {
        let of_groups = self.settings.groups.values().filter_map(|group| group.chain.as_ref());
        self.settings.chain.iter().chain(of_groups).flatten()
    }

    /// The operator may have written a server's name as the client's file has it.
    fn named(&self, names: &[String]) -> Vec<String> {
        let ours = |name: &String| self.upstreams.iter().find(|u| u.written_name == *name || u.name == *name);
        names.iter().filter_map(|name| Some(ours(name)?.name.clone())).collect()
    }
}

/// What stands below the endpoint already.
const TAKEN: [&str; 5] = ["server-card", "mcp", "sse", "messages", "default"];

/// Looks at groups and servers together. `root` is the whole file.
pub(super) fn check(settings: &Settings, servers: &Servers, root: &Table, reader: &mut Reader) {
    let Some(sluice) = root.get("sluice") else { return };
    reader.below("sluice", |reader| {
        are_servers(settings.default_group.as_ref(), &["default_group"], sluice, servers, reader);
        for (name, group) in &settings.groups {
            are_servers(group.upstreams.as_ref(), &["groups", name, "upstreams"], sluice, servers, reader);
        }
        let Some(Value::Table(groups)) = sluice.find(&["groups"]).map(|node| &node.value) else { return };
        for entry in groups.iter() {
            let name = entry.key.as_str();
            let fits = (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
            if !fits || TAKEN.contains(&name) {
                let what = format!("{}.groups: {} cannot be the end of a path", reader.path(), quoted(name));
                let suggestion = format!("take 1 to 64 letters, digits, '_' and '-', and none of {}", TAKEN.join(", "));
                reader.wrong(entry.key_at, what, Some(suggestion));
            }
        }
    });
}

fn are_servers(names: Option<&Vec<String>>, keys: &[&str], sluice: &Node, servers: &Servers, reader: &mut Reader) {
    let (Some(names), Some(Value::List(items))) = (names, sluice.find(keys).map(|node| &node.value)) else { return };
    let all = || servers.enabled.iter().flat_map(|u| [u.written_name.as_str(), u.name.as_str()]);
    // With one item misread the two lists no longer stand side by side.
    for (name, item) in names.iter().zip(items).filter(|_| names.len() == items.len()) {
        // One that is switched off is not there, and one that is broken has been told of.
        let is_known = all().chain(servers.disabled.iter().chain(&servers.broken).map(String::as_str)).any(|known| known == name);
        if !is_known {
            let suggestion = nearest(name, all()).map(|name| format!("did you mean {}?", quoted(name)));
            let what = format!("{}.{}: there is no server {}", reader.path(), keys.join("."), quoted(name));
            reader.wrong(item.at, what, suggestion);
        }
    }
}
