//! One entry of `mcpServers`, which several systems share: what every client has is carried the same way, and what a system has besides
//! is that system's.

use serde_json::{Map, Value as Json, json};

use super::draft::{Draft, Server};
use super::source::{File, list, table, text};
use crate::config::problem::{nearest, quoted};
use crate::config::tree::{Entry, Node, Table, Value};

/// Keys that ours has, too.
const KNOWN: [&str; 15] = [
    "command",
    "args",
    "env",
    "cwd",
    "type",
    "transport",
    "transportType",
    "url",
    "serverUrl",
    "httpUrl",
    "headers",
    "disabled",
    "enabled",
    "description",
    "icon",
];

/// A system's own keys.
pub(super) trait Quirks {
    /// Takes a key that not every client has. `false`: it does not know it either.
    fn take(&mut self, entry: &Entry, file: &File, server: &mut Server, draft: &mut Draft<'_>) -> bool;

    /// The whole of a server that is written another way.
    fn replaced(&mut self, _name: &str, _table: &Table, _file: &File, _draft: &mut Draft<'_>) -> Option<Map<String, Json>> {
        None
    }

    /// What is to be done once all keys are read.
    fn finish(&mut self, table: &Table, file: &File, server: &mut Server, draft: &mut Draft<'_>);
}

/// All entries of a table of servers.
pub(super) fn servers(servers: &Table, file: &File, quirks: &mut dyn Quirks, draft: &mut Draft<'_>) {
    for entry in servers.iter() {
        match table(&entry.node) {
            Some(table) => one(entry, table, file, quirks, draft),
            None => draft.lost(file.at(entry.node.at), format!("{} is no server: an object is wanted", quoted(&entry.key)), None),
        }
    }
}

fn one(entry: &Entry, table: &Table, file: &File, quirks: &mut dyn Quirks, draft: &mut Draft<'_>) {
    let place = file.at(entry.key_at);
    let Some(name) = draft.name(&entry.key, &place) else { return };
    let has = |key: &str| table.get(key).is_some();
    if !has("command") && !["url", "serverUrl", "httpUrl"].into_iter().any(has) {
        draft.lost(place, format!("server {} has neither a command nor a URL", quoted(&entry.key)), None);
        return;
    }
    if let Some(body) = quirks.replaced(&name, table, file, draft) {
        draft.add(Server { name, body });
        return;
    }
    let what = ["command", "url", "serverUrl", "httpUrl"].into_iter().find_map(|key| text(table.get(key)?)).unwrap_or_default();
    draft.carried(place, format!("server {}: {}", quoted(&name), shown(&what)));
    let mut server = Server { name, body: Map::new() };
    for entry in table.iter() {
        shared(entry, file, &mut server, draft);
        if !KNOWN.contains(&entry.key.as_str()) && !quirks.take(entry, file, &mut server, draft) {
            let meant = nearest(&entry.key, KNOWN).map(|known| format!("did you mean {}?", quoted(known)));
            let what = format!("key {} of server {} is not known", quoted(&entry.key), quoted(&server.name));
            draft.lost(file.at(entry.key_at), what, meant.as_deref());
        }
    }
    quirks.finish(table, file, &mut server, draft);
    draft.add(server);
}

fn shared(entry: &Entry, file: &File, server: &mut Server, draft: &mut Draft<'_>) {
    let (name, node, place) = (server.name.clone(), &entry.node, file.at(entry.node.at));
    let value = match entry.key.as_str() {
        "args" => Json::Array(arguments(&name, node, file, draft)),
        "env" => json!(variables(&name, node, file, draft)),
        // FastMCP's `auth` may have put one there.
        "headers" => {
            let mut all = server.body.remove("headers").and_then(|there| there.as_object().cloned()).unwrap_or_default();
            all.extend(headers(&name, node, file, draft));
            json!(all)
        }
        "command" | "cwd" | "url" | "serverUrl" | "httpUrl" => match text(node) {
            Some(text) => Json::String(draft.argument_of(&name, &text, &place)),
            None => return draft.lost(place, format!("{} of server {} must be a text", entry.key, quoted(&name)), None),
        },
        "type" | "transport" | "transportType" => match text(node) {
            Some(text) => json!(text),
            None => return,
        },
        "description" | "icon" => match text(node) {
            Some(text) => json!(super::kept::literal(&text)),
            None => return,
        },
        "disabled" if matches!(node.value, Value::Bool(true)) => json!(true),
        "enabled" if matches!(node.value, Value::Bool(false)) => {
            draft.carried(place, format!("server {} is switched off", quoted(&name)));
            server.body.insert("disabled".to_owned(), json!(true));
            return;
        }
        _ => return,
    };
    server.body.insert(entry.key.clone(), value);
}

fn arguments(server: &str, node: &Node, file: &File, draft: &mut Draft<'_>) -> Vec<Json> {
    let arguments = list(node).iter().filter_map(|item| Some((text(item)?, file.at(item.at))));
    draft.arguments(server, &arguments.collect::<Vec<_>>())
}

pub(super) fn variables(server: &str, node: &Node, file: &File, draft: &mut Draft<'_>) -> Map<String, Json> {
    let mut variables = Map::new();
    for entry in table(node).into_iter().flat_map(Table::iter) {
        let Some(value) = text(&entry.node) else { continue };
        let value = draft.variable(server, &entry.key, &value, &file.at(entry.node.at));
        variables.insert(entry.key.clone(), json!(value));
    }
    variables
}

fn headers(server: &str, node: &Node, file: &File, draft: &mut Draft<'_>) -> Map<String, Json> {
    let mut headers = Map::new();
    for entry in table(node).into_iter().flat_map(Table::iter) {
        let Some(value) = text(&entry.node) else { continue };
        let value = draft.header(server, &entry.key, &value, &file.at(entry.node.at));
        headers.insert(entry.key.clone(), json!(value));
    }
    headers
}

/// A command or a URL, short, and without what may be a secret in it.
pub(super) fn shown(what: &str) -> String {
    match what.split_once("://") {
        Some((scheme, rest)) => {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            format!("{scheme}://{}/…", authority.rsplit('@').next().unwrap_or_default())
        }
        None if crate::config::secret::looks_secret(what) => "…".to_owned(),
        None => what.chars().take(120).collect(),
    }
}
