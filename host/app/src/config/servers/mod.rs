//! The part of the file that a client reads too. It is taken as it is: what we do not know is warned
//! about once, what is switched off is left out, and only what could not work is a problem.

mod http;
pub(crate) mod name;
mod stdio;
mod values;

pub use http::{Http, UpstreamUrl};
pub use stdio::Stdio;

use std::collections::HashMap;

use super::problem::{Whose, nearest, quoted};
use super::reader::Reader;
use super::settings::UpstreamSettings;
use super::tree::{Entry, Node, Table, Value};
use values::Inline;

/// A server as the file defines it, with what `sluice.upstreams` adds.
#[derive(Clone, Debug, PartialEq)]
pub struct Upstream {
    /// What we call it: letters, digits, `-` and `_`, at most 64, unique also without case.
    pub name: String,
    /// Its key in the file; the same unless the key has other characters.
    pub written_name: String,
    /// How it is reached.
    pub reach: Reach,
    /// What `sluice.upstreams` says about it.
    pub settings: UpstreamSettings,
}

/// How an upstream is reached.
#[derive(Clone, Debug, PartialEq)]
pub enum Reach {
    /// A child process that speaks on its standard streams.
    Stdio(Stdio),
    /// Streamable HTTP, or the transport before it.
    Http(Http),
    /// A demo server inside this binary: `{"url": "builtin:<name>"}`.
    Builtin(String),
}

/// The servers of a file.
#[derive(Default)]
pub(super) struct Servers {
    /// In the order of the file, which decides name clashes.
    pub(super) enabled: Vec<Upstream>,
    /// Keys of those that are switched off.
    pub(super) disabled: Vec<String>,
    /// Those that are wrong, so that nothing else is said about them.
    pub(super) broken: Vec<String>,
}

/// Keys that say how to reach a server.
const KNOWN: [&str; 14] = [
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
    "auth",
    "disabled",
    "enabled",
];

/// Keys for a client's own screens: nothing is lost without them.
const QUIET: [&str; 8] = ["name", "title", "description", "icon", "version", "gallery", "$schema", "dev"];

/// Keys that hide tools in a client. Whoever wrote one must know that nothing is hidden here.
const HIDING: [&str; 8] =
    ["tools", "disabledTools", "enabledTools", "includeTools", "excludeTools", "include_tags", "exclude_tags", "_extensions"];

/// Reads `mcpServers` and `servers`, whichever is there.
pub(super) fn read(root: &Table, reader: &mut Reader) -> Servers {
    reader.whose = Whose::Server;
    let mut servers = Servers::default();
    let mut inline = Inline::default();
    let mut folded: HashMap<String, String> = HashMap::new();
    for entry in root.iter().filter(|entry| matches!(entry.key.as_str(), "mcpServers" | "servers")) {
        reader.below(&entry.key, |reader| {
            let Some(table) = reader.table(&entry.node) else { return };
            for entry in table.iter() {
                reader.below(&entry.key, |reader| {
                    one(entry, &mut servers, &mut folded, &mut inline, reader);
                });
            }
        });
    }
    inline.warn(reader);
    servers
}

fn one(entry: &Entry, servers: &mut Servers, folded: &mut HashMap<String, String>, inline: &mut Inline, reader: &mut Reader) {
    let Some(table) = reader.table(&entry.node) else {
        servers.broken.push(entry.key.clone());
        return;
    };
    if is_off(table, reader) {
        servers.disabled.push(entry.key.clone());
        return;
    }
    warn_of_keys(table, reader);
    let name = name::take(entry, folded, reader);
    let reach = reach(entry, table, inline, reader);
    match (name, reach) {
        (Some(name), Some(reach)) => {
            servers.enabled.push(Upstream { name, written_name: entry.key.clone(), reach, settings: UpstreamSettings::default() })
        }
        _ => servers.broken.push(entry.key.clone()),
    }
}

/// `disabled` as most clients have it, `enabled` as some do.
fn is_off(table: &Table, reader: &mut Reader) -> bool {
    let mut flag = |key: &str| table.get(key).and_then(|node| reader.below(key, |reader| reader.flag(node)));
    let (disabled, enabled) = (flag("disabled"), flag("enabled"));
    disabled == Some(true) || enabled == Some(false)
}

fn warn_of_keys(table: &Table, reader: &mut Reader) {
    for entry in table.iter() {
        let key = entry.key.as_str();
        if KNOWN.contains(&key) || QUIET.contains(&key) {
            continue;
        }
        let (what, suggestion) = if HIDING.contains(&key) {
            ("hides nothing here: every tool of the server is offered", Some("a plugin can hide tools".to_owned()))
        } else if key == "envFile" {
            ("is not read", Some("set these variables where Sluice starts, and name them in \"env\"".to_owned()))
        } else if key == "timeout" {
            ("has no effect here", Some("set call_timeout_ms under sluice.upstreams".to_owned()))
        } else {
            let meant = nearest(key, KNOWN).map(|known| format!("did you mean {}?", quoted(known)));
            ("has no effect here", meant)
        };
        let what = format!("key {} under {} {what}", quoted(key), reader.path());
        reader.warn_once(&format!("server key {key}"), entry.key_at, what, suggestion);
    }
}

/// What a `type` or `transport` names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spoken {
    Stdio,
    Http,
    /// HTTP+SSE, the transport of 2024-11-05.
    Sse,
}

fn reach(entry: &Entry, table: &Table, inline: &mut Inline, reader: &mut Reader) -> Option<Reach> {
    let spoken = spoken(table, reader)?;
    let command = table.get("command");
    let url = ["url", "serverUrl", "httpUrl"].into_iter().find_map(|key| Some((key, table.get(key)?)));
    match (command, url, spoken) {
        (Some(_), Some((key, node)), None) => {
            let what = format!("{} has both command and {key}", reader.path());
            reader.wrong(node.at, what, Some("keep one of them".to_owned()));
            None
        }
        (Some(command), _, None | Some(Spoken::Stdio)) => stdio::read(command, table, inline, reader).map(Reach::Stdio),
        (_, Some((key, node)), None | Some(Spoken::Http | Spoken::Sse)) => {
            reader.below(key, |reader| http::builtin(node, reader))?.map_or_else(
                || http::read(key, node, table, inline, reader).map(|http| Reach::Http(Http { sse: spoken == Some(Spoken::Sse), ..http })),
                |name| Some(Reach::Builtin(name)),
            )
        }
        (_, _, spoken) => {
            let missing = match spoken {
                Some(Spoken::Stdio) => "command",
                Some(Spoken::Http | Spoken::Sse) => "url",
                None => "command or url",
            };
            let meant = table.iter().find_map(|e| {
                let known = nearest(&e.key, ["command", "url"])?;
                (!KNOWN.contains(&e.key.as_str())).then(|| format!("did you mean {} by {}?", quoted(known), quoted(&e.key)))
            });
            reader.wrong(entry.key_at, format!("{} has no {missing}", reader.path()), meant);
            None
        }
    }
}

/// The three names and many spellings under which clients say the transport. Outer `None`: wrong.
fn spoken(table: &Table, reader: &mut Reader) -> Option<Option<Spoken>> {
    let written = ["type", "transport", "transportType"].into_iter().find_map(|key| Some((key, table.get(key)?)));
    let Some((key, node)) = written else { return Some(None) };
    reader.below(key, |reader| {
        let text = reader.text(node)?;
        let word = text.value().to_ascii_lowercase().replace(['-', '_'], "");
        match word.as_str() {
            "stdio" | "local" => Some(Some(Spoken::Stdio)),
            "http" | "streamablehttp" => Some(Some(Spoken::Http)),
            "sse" => Some(Some(Spoken::Sse)),
            _ => {
                let meant = nearest(&word, ["stdio", "http", "sse"]).map(|word| format!("did you mean {}?", quoted(word)));
                reader.mismatch(node, "\"stdio\", \"http\" or \"sse\"", meant);
                None
            }
        }
    })
}

/// A text, or what a careless client takes for one.
fn loose(node: &Node, reader: &mut Reader) -> Option<super::secret::Text> {
    match &node.value {
        Value::Number(number) => Some(super::secret::Text::new(number, number.clone())),
        Value::Bool(flag) => Some(super::secret::Text::new(&flag.to_string(), flag.to_string())),
        _ => reader.text(node),
    }
}
