//! FastMCP: the object that its proxies are built from, in a file, and `fastmcp.json`, which says how a server of its own is started.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json, json};

use super::draft::{Draft, Server};
use super::pasted::{self, Quirks, variables};
use super::source::{File, flag_at, list, table, text, text_at};
use crate::config::problem::{Place, Problem, Whose, quoted};
use crate::config::tree::{Entry, Node, Table};

/// Reads files of it.
pub(super) fn read(files: &[File], command: &[String], draft: &mut Draft<'_>) -> Result<(), Problem> {
    if !command.is_empty() {
        let place = Place::File("the command line".to_owned());
        let suggestion = Some("give it the file that `fastmcp run` is given".to_owned());
        return Err(Problem { place, whose: Whose::Syntax, what: "of FastMCP, files are read".to_owned(), suggestion });
    }
    for file in files {
        if file.root.get("source").is_some() {
            Project { file, folder: file.folder() }.carry(draft);
            continue;
        }
        // FastMCP takes servers without the key around them.
        let servers = file.root.get("mcpServers").and_then(table);
        if servers.is_some() {
            for other in file.root.iter().filter(|entry| !matches!(entry.key.as_str(), "mcpServers" | "$schema")) {
                draft.lost(file.at(other.key_at), format!("key {}, which FastMCP keeps and does not use", quoted(&other.key)), None);
            }
        }
        pasted::servers(servers.unwrap_or(&file.root), file, &mut Canonical, draft);
    }
    Ok(())
}

// === mcpServers ===

struct Canonical;

impl Quirks for Canonical {
    fn take(&mut self, entry: &Entry, file: &File, server: &mut Server, draft: &mut Draft<'_>) -> bool {
        let place = file.at(entry.key_at);
        let name = server.name.clone();
        match entry.key.as_str() {
            "timeout" => match text(&entry.node).and_then(|text| text.parse::<u64>().ok()).filter(|ms| (1..=86_400_000).contains(ms)) {
                Some(ms) => {
                    draft.set(&["upstreams", &name, "call_timeout_ms"], json!(ms));
                    draft.carried(place, format!("timeout of server {}: call_timeout_ms", quoted(&name)));
                }
                None => draft.lost(place, "timeout is no number of milliseconds", Some("set call_timeout_ms under sluice.upstreams")),
            },
            "keep_alive" => match entry.node.value {
                crate::config::tree::Value::Bool(false) => {
                    draft.set(&["upstreams", &name, "child_idle_ms"], json!(1000));
                    draft.carried(place, format!("server {} is stopped a second after its last use, for keep_alive", quoted(&name)));
                }
                _ => draft.carried(place, format!("keep_alive of server {}: so it is here, for five minutes", quoted(&name))),
            },
            "auth" => auth(entry, file, server, draft),
            "tools" => tools(entry, file, server, draft),
            "include_tags" | "exclude_tags" => {
                let what = format!("{} of server {}: all its tools are offered", entry.key, quoted(&name));
                draft.lost(place, what, Some("tags are FastMCP's own; name the tools in a rule of builtin:rbac"));
            }
            "sse_read_timeout" => {
                draft.lost(
                    place,
                    format!("sse_read_timeout of server {}", quoted(&name)),
                    Some("sluice.limits.idle_stream_timeout_ms is for all"),
                );
            }
            "authentication" => draft.lost(place, format!("authentication of server {}", quoted(&name)), Some(OAUTH)),
            _ => return false,
        }
        true
    }

    fn finish(&mut self, _: &Table, _: &File, _: &mut Server, _: &mut Draft<'_>) {}
}

const OAUTH: &str = "builtin:oauth-client does OAuth toward servers: its page says with which settings";

/// A bearer token, or the word "oauth".
fn auth(entry: &Entry, file: &File, server: &mut Server, draft: &mut Draft<'_>) {
    let place = file.at(entry.node.at);
    match text(&entry.node) {
        Some(text) if text == "oauth" => {
            draft.lost(place, format!("auth of server {}: OAuth with a person at a browser", quoted(&server.name)), Some(OAUTH));
        }
        Some(token) => {
            let value = draft.header(&server.name, "Authorization", &format!("Bearer {token}"), &place);
            let headers = server.body.entry("headers").or_insert_with(|| json!({}));
            if let Some(headers) = headers.as_object_mut() {
                headers.entry("Authorization").or_insert_with(|| json!(value));
            }
        }
        None => draft.lost(place, format!("auth of server {} is no text", quoted(&server.name)), Some(OAUTH)),
    }
}

/// A tool that is switched off is kept from everybody; what else is made of tools is said.
fn tools(entry: &Entry, file: &File, server: &Server, draft: &mut Draft<'_>) {
    for tool in table(&entry.node).into_iter().flat_map(Table::iter) {
        let place = file.at(tool.key_at);
        if flag_at(&tool.node, "enabled") == Some(false) {
            draft.rule(json!({"effect": "deny", "upstreams": [server.name], "tools": [tool.key]}));
            draft.carried(
                place,
                format!("tool {} of server {} is kept from everybody: builtin:rbac", quoted(&tool.key), quoted(&server.name)),
            );
            continue;
        }
        let changes: Vec<_> = table(&tool.node).into_iter().flat_map(Table::iter).filter(|change| change.key != "enabled").collect();
        if !changes.is_empty() {
            let keys: Vec<_> = changes.iter().map(|change| change.key.as_str()).collect();
            let what = format!(
                "{} of tool {} of server {}: it is offered as its server has it",
                keys.join(", "),
                quoted(&tool.key),
                quoted(&server.name)
            );
            draft.lost(place, what, Some("a plugin can rename it and change its arguments"));
        }
    }
}

// === fastmcp.json ===

struct Project<'f> {
    file: &'f File,
    folder: PathBuf,
}

impl Project<'_> {
    fn carry(&self, draft: &mut Draft<'_>) {
        let root = &self.file.root;
        let Some(source) = root.get("source") else { return };
        let Some(path) = text_at(source, "path") else {
            return draft.lost(self.file.at(source.at), "source has no path", None);
        };
        let (path, behind) = path.rsplit_once(':').map_or((path.as_str(), None), |(path, object)| (path, Some(object.to_owned())));
        let entrypoint = text_at(source, "entrypoint").or(behind);
        let stem = Path::new(path).file_stem().and_then(|stem| stem.to_str()).unwrap_or("server").to_owned();
        let folder = self.folder.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let wished = if matches!(stem.as_str(), "server" | "main" | "app" | "mcp") && !folder.is_empty() { folder } else { stem };
        let Some(name) = draft.name(&wished, &self.file.at(source.at)) else { return };
        let nothing = Table::default();
        let deployment = root.get("deployment").and_then(table).unwrap_or(&nothing);
        let mut spec = self.absolute(path);
        if let Some(object) = entrypoint {
            spec = format!("{spec}:{object}");
        }
        let mut words = self.environment(root.get("environment"), draft);
        words.extend(["fastmcp", "run"].map(str::to_owned));
        words.push(spec);
        words.extend(["--transport", "stdio"].map(str::to_owned));
        let place = self.file.at(source.at);
        draft.carried(place.clone(), format!("server {}: {}", quoted(&name), words.join(" ")));
        let args: Vec<_> =
            deployment.get("args").map(list).unwrap_or_default().iter().filter_map(|item| Some((text(item)?, item.at))).collect();
        let mut rest: Vec<_> = words.split_off(1).into_iter().map(|word| (super::kept::literal(&word), place.clone())).collect();
        if !args.is_empty() {
            rest.push(("--".to_owned(), place));
            rest.extend(args.into_iter().map(|(arg, at)| (arg, self.file.at(at))));
        }
        let mut body = Map::new();
        body.insert("command".to_owned(), json!(words[0]));
        body.insert("args".to_owned(), Json::Array(draft.arguments(&name, &rest)));
        if let Some(env) = deployment.get("env") {
            body.insert("env".to_owned(), json!(variables(&name, env, self.file, draft)));
        }
        let cwd = deployment.get("cwd").and_then(text).unwrap_or_else(|| ".".to_owned());
        body.insert("cwd".to_owned(), json!(super::kept::literal(&self.absolute(&cwd))));
        draft.set(&["upstreams", &name, "sharing"], json!("shared"));
        draft.carried(self.file.whole(), "the server is one process for all clients, as before: sharing = \"shared\"");
        draft.add(Server { name, body });
        self.front(deployment, draft);
        self.unknown(draft);
    }

    /// `uv run …`, where FastMCP would make an environment.
    fn environment(&self, node: Option<&Node>, draft: &mut Draft<'_>) -> Vec<String> {
        let mut words = Vec::new();
        let Some(table) = node.and_then(table) else { return words };
        let texts = |key: &str| -> Vec<String> {
            table
                .get(key)
                .map(|node| text(node).map_or_else(|| list(node).iter().filter_map(text).collect(), |one| vec![one]))
                .unwrap_or_default()
        };
        let project = texts("project");
        for (key, flag, is_path) in [
            ("project", "--project", true),
            ("python", "--python", false),
            ("dependencies", "--with", false),
            ("requirements", "--with-requirements", true),
            ("editable", "--with-editable", true),
        ] {
            // A project has a Python of its own.
            for value in texts(key).into_iter().filter(|_| key != "python" || project.is_empty()) {
                words.extend([flag.to_owned(), if is_path { self.absolute(&value) } else { value }]);
            }
        }
        for entry in table.iter() {
            let is_uv = entry.key == "type" && text(&entry.node).as_deref() == Some("uv");
            if !is_uv && !matches!(entry.key.as_str(), "project" | "python" | "dependencies" | "requirements" | "editable") {
                draft.lost(self.file.at(entry.key_at), format!("key {} of environment is not known", quoted(&entry.key)), None);
            }
        }
        if words.is_empty() {
            return words;
        }
        ["uv", "run", "--with", "fastmcp"].iter().map(|word| (*word).to_owned()).chain(words).collect()
    }

    /// Where FastMCP itself would have listened.
    fn front(&self, deployment: &Table, draft: &mut Draft<'_>) {
        let at = |key: &str| deployment.get(key).map_or_else(|| self.file.whole(), |node| self.file.at(node.at));
        let has = |key: &str| deployment.get(key).and_then(text);
        match has("transport").as_deref() {
            None | Some("stdio") => {
                let what = "where a client starts `fastmcp run`, let it start `sluice stdio --config` with this file";
                draft.wanted(at("transport"), what);
            }
            Some(_) => {
                // 8000 is FastMCP's own.
                let port = has("port").map_or(Some(8000), |text| text.parse().ok());
                match port {
                    Some(port) => draft.listen(&has("host").unwrap_or_default(), port, &at("port")),
                    None => draft.lost(at("port"), "port is no number of a port", Some("set sluice.listen")),
                }
                draft.admit(&at("transport"));
            }
        }
        if let Some(path) = has("path").filter(|path| !matches!(path.trim_matches('/'), "mcp" | "sse")) {
            draft.lost(
                at("path"),
                format!("path {}: the endpoint is /mcp, and /sse for HTTP+SSE", quoted(&path)),
                Some("change it in clients"),
            );
        }
        let level = match has("log_level").as_deref() {
            Some("DEBUG") => "debug",
            Some("WARNING") => "warn",
            Some("ERROR" | "CRITICAL") => "error",
            _ => return,
        };
        draft.set(&["log", "level"], json!(level));
    }

    fn unknown(&self, draft: &mut Draft<'_>) {
        const DEPLOYMENT: [&str; 8] = ["transport", "host", "port", "path", "log_level", "env", "cwd", "args"];
        let root = self.file.root.iter().filter(|entry| !matches!(entry.key.as_str(), "$schema" | "source" | "environment" | "deployment"));
        let deployment = self.file.root.get("deployment").and_then(table).into_iter().flat_map(Table::iter);
        for entry in root.chain(deployment.filter(|entry| !DEPLOYMENT.contains(&entry.key.as_str()))) {
            draft.lost(self.file.at(entry.key_at), format!("key {} is not known", quoted(&entry.key)), None);
        }
    }

    /// From here, since a server is started elsewhere.
    fn absolute(&self, path: &str) -> String {
        let path = if path == "." { self.folder.clone() } else { self.folder.join(path.strip_prefix("./").unwrap_or(path)) };
        path.display().to_string()
    }
}
