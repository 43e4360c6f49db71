//! mcp-proxy of PyPI, in both directions: a file of named servers, its command line, a composition with it, and a client's file that starts it.

mod arguments;

use std::path::Path;

use serde_json::{Map, Value as Json, json};

use super::compose::{self, Service};
use super::draft::{Draft, Server};
use super::pasted::{self, Quirks, shown};
use super::source::{File, list, table, text};
use super::words;
use crate::config::problem::{Place, Problem, Whose, quoted};
use crate::config::tree::{Entry, Node, Position, Table, Value};
use arguments::Arguments;

/// Reads files and a command line of it.
pub(super) fn read(files: &[File], command: &[String], draft: &mut Draft<'_>) -> Result<(), Problem> {
    if !command.is_empty() {
        let place = Place::File("the command line".to_owned());
        let words = words::behind(command, "mcp-proxy").unwrap_or(command);
        let arguments = parse(words, &place)?;
        let mut start = Start { arguments, place, handed: Map::new(), named: None, published: None };
        if let Some(named) = start.arguments.named_config.clone() {
            start.named = Some(File::read(Path::new(&named), draft.surroundings)?);
        }
        start.carry(draft);
    }
    for file in files {
        match file.root.get("services") {
            Some(services) => composition(file, services, draft)?,
            None => named(file, &Map::new(), draft)?,
        }
    }
    Ok(())
}

fn parse(words: &[String], place: &Place) -> Result<Arguments, Problem> {
    let wrong = |what| Problem { place: place.clone(), whose: Whose::Syntax, what, suggestion: None };
    Arguments::parse(words).map_err(wrong)
}

// === a file of named servers ===

fn named(file: &File, handed: &Map<String, Json>, draft: &mut Draft<'_>) -> Result<(), Problem> {
    let Some(servers) = file.root.get("mcpServers").and_then(table) else {
        let what = "there is no object mcpServers, which mcp-proxy wants".to_owned();
        return Err(Problem { place: file.whole(), whose: Whose::Syntax, what, suggestion: None });
    };
    for other in file.root.iter().filter(|entry| !matches!(entry.key.as_str(), "mcpServers" | "$schema")) {
        draft.lost(file.at(other.key_at), format!("key {}, which mcp-proxy does not read either", quoted(&other.key)), None);
    }
    let mut all = Named { handed, is_starting: false };
    pasted::servers(servers, file, &mut all, draft);
    if all.is_starting {
        by_path(&file.whole(), draft);
    }
    Ok(())
}

struct Named<'h> {
    /// What every server is given besides its own variables.
    handed: &'h Map<String, Json>,
    /// Whether a server of it is started.
    is_starting: bool,
}

impl Quirks for Named<'_> {
    fn take(&mut self, entry: &Entry, file: &File, server: &mut Server, draft: &mut Draft<'_>) -> bool {
        let place = file.at(entry.key_at);
        match entry.key.as_str() {
            "timeout" => {
                let seconds = text(&entry.node).and_then(|text| text.parse::<f64>().ok());
                match seconds.map(|seconds| seconds * 1000.0).filter(|ms| (1.0..=86_400_000.0).contains(ms)) {
                    // In bounds, and a millisecond more or less is nobody's matter.
                    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                    Some(ms) => {
                        draft.set(&["upstreams", &server.name, "call_timeout_ms"], json!(ms as u64));
                        let what =
                            format!("timeout of server {}, in seconds: call_timeout_ms; mcp-proxy did not apply it", quoted(&server.name));
                        draft.carried(place, what);
                    }
                    None => draft.lost(place, "timeout is no number of seconds", Some("set call_timeout_ms under sluice.upstreams")),
                }
            }
            "alwaysAllow" | "autoApprove" => draft.lost(place, format!("{}: what a client asks its user is the client's", entry.key), None),
            _ => return false,
        }
        true
    }

    fn replaced(&mut self, name: &str, table: &Table, file: &File, draft: &mut Draft<'_>) -> Option<Map<String, Json>> {
        relayed(name, table, file, draft)
    }

    fn finish(&mut self, table: &Table, file: &File, server: &mut Server, draft: &mut Draft<'_>) {
        if server.body.contains_key("command") {
            hand(&mut server.body, self.handed);
            if !server.body.contains_key("disabled") {
                self.is_starting = true;
                share(&server.name, draft);
            }
        }
        if server.body.contains_key("disabled") && table.get("enabled").is_none() {
            let what = format!("server {} stays switched off: mcp-proxy read `enabled` alone, and started it", quoted(&server.name));
            draft.carried(file.at(table.get("disabled").map_or(START, |node| node.at)), what);
        }
        if server.body.contains_key("url") && table.get("url").is_some() {
            let what = format!("server {} has a URL: mcp-proxy skipped it, here it is served", quoted(&server.name));
            draft.carried(file.at(table.get("url").map_or(START, |node| node.at)), what);
        }
    }
}

const START: Position = Position { line: 1, column: 1 };

/// A client's entry that starts mcp-proxy before a URL: the server behind it is reached without it.
fn relayed(name: &str, table: &Table, file: &File, draft: &mut Draft<'_>) -> Option<Map<String, Json>> {
    let command = table.get("command")?;
    let args = table.get("args").map(list).unwrap_or_default().iter().filter_map(text);
    let all: Vec<_> = text(command).into_iter().chain(args).collect();
    let mut arguments = Arguments::parse(words::behind(&all, "mcp-proxy")?).ok().filter(|arguments| arguments.url().is_some())?;
    let token = table.get("env").and_then(|env| env.find(&["API_ACCESS_TOKEN"]));
    if let Some(token) = token.and_then(text) {
        arguments.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("authorization"));
        arguments.headers.push(("Authorization".to_owned(), format!("Bearer {token}")));
    }
    let what = format!("server {}: {}, without mcp-proxy between", quoted(name), shown(arguments.url().unwrap_or_default()));
    draft.carried(file.at(command.at), what);
    let place = file.at(table.get("args").map_or(command.at, |node| node.at));
    let mut body = Start { arguments, place, handed: Map::new(), named: None, published: None }.remote(name, draft);
    let is_off = [("disabled", true), ("enabled", false)]
        .iter()
        .any(|(key, off)| matches!(table.get(key).map(|node| &node.value), Some(Value::Bool(flag)) if flag == off));
    if is_off {
        body.insert("disabled".to_owned(), json!(true));
    }
    let left = table
        .iter()
        .filter(|entry| !matches!(entry.key.as_str(), "command" | "args" | "env" | "disabled" | "enabled" | "type" | "transportType"));
    for entry in left {
        draft.lost(file.at(entry.key_at), format!("key {} of server {}", quoted(&entry.key), quoted(name)), None);
    }
    Some(body)
}

// === its command line ===

/// One start of it.
struct Start {
    arguments: Arguments,
    place: Place,
    /// Variables that every server is given.
    handed: Map<String, Json>,
    /// The file that `--named-server-config` names.
    named: Option<File>,
    /// The port that leads to its own, where it is in a container.
    published: Option<u16>,
}

impl Start {
    fn carry(mut self, draft: &mut Draft<'_>) {
        if let Some(url) = self.arguments.url().map(str::to_owned) {
            let Some(name) = draft.name(&host(&url), &self.place) else { return };
            let body = self.remote(&name, draft);
            draft.carried(self.place.clone(), format!("server {}: {}", quoted(&name), shown(&url)));
            let what = "where a client starts mcp-proxy, let it start `sluice stdio --config` with this file";
            draft.wanted(self.place.clone(), what);
            draft.add(Server { name, body });
            return;
        }
        self.environment(draft);
        let default = self.default_server(draft);
        self.named_servers(draft);
        if let Some(default) = default.filter(|_| draft.len() > 1) {
            draft.set(&["default_group"], json!([default]));
            draft.carried(self.place.clone(), "at /mcp and /sse is the server of the command line alone, as before: sluice.default_group");
        }
        self.front(draft);
    }

    /// A server behind a URL.
    fn remote(&mut self, name: &str, draft: &mut Draft<'_>) -> Map<String, Json> {
        let arguments = std::mem::take(&mut self.arguments);
        let url = arguments.url().unwrap_or_default().to_owned();
        let mut body = Map::new();
        body.insert("url".to_owned(), json!(draft.argument_of(name, &url, &self.place)));
        let transport = if arguments.transport.as_deref() == Some("streamablehttp") { "http" } else { "sse" };
        body.insert("transport".to_owned(), json!(transport));
        let mut headers = arguments.headers;
        let has_token = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        if !has_token && draft.surroundings.variable("API_ACCESS_TOKEN").is_some() {
            headers.push(("Authorization".to_owned(), "Bearer ${API_ACCESS_TOKEN}".to_owned()));
            draft.carried(self.place.clone(), "the variable API_ACCESS_TOKEN, which is set here, is sent as the bearer token");
        }
        let headers: Map<_, _> =
            headers.into_iter().map(|(header, value)| (header.clone(), json!(draft.header(name, &header, &value, &self.place)))).collect();
        if !headers.is_empty() {
            body.insert("headers".to_owned(), Json::Object(headers));
        }
        match arguments.verify_ssl.as_deref().map(str::to_ascii_lowercase).as_deref() {
            None | Some("true" | "1" | "yes" | "on") => {}
            Some("false" | "0" | "no" | "off") => draft.lost(
                self.place.clone(),
                "--no-verify-ssl: the server's certificate is always verified",
                Some("name its CA under sluice.upstreams: tls = { ca = \"ca.pem\" }"),
            ),
            Some(_) => draft.set(&["upstreams", name, "tls", "ca"], json!(arguments.verify_ssl)),
        }
        match (arguments.client_id, arguments.client_secret, arguments.token_url) {
            (Some(id), Some(secret), Some(token_url)) => self.client_credentials(name, &url, &id, &secret, &token_url, draft),
            (None, None, None) => {}
            _ => draft.lost(
                self.place.clone(),
                "--client-id, --client-secret and --token-url: mcp-proxy wants all three, or uses none",
                None,
            ),
        }
        body
    }

    /// By the plugin that does OAuth, which finds the place of the token from the metadata of its issuer.
    fn client_credentials(&self, name: &str, url: &str, id: &str, secret: &str, token_url: &str, draft: &mut Draft<'_>) {
        let (Some(server), Some(issuer)) = (origin(url), origin(token_url)) else {
            return draft.lost(self.place.clone(), "--token-url is no URL", None);
        };
        let secret = draft.secret(name, "client_secret", secret, &self.place);
        draft.set(&["secrets", name], json!(secret));
        let settings = ["plugins", "settings", "oauth-client"];
        let grants = [
            format!("outbound:{name}"),
            format!("secret:{name} fetch:{issuer}"),
            format!("fetch:{server} GET"),
            format!("fetch:{issuer} GET,POST"),
        ];
        draft.set(&[settings[0], settings[1], settings[2], "grants"], json!(grants));
        let clients = json!({name: {"issuer": issuer, "client_id": id, "client_secret": name}});
        let upstreams = json!({name: {"mode": "client_credentials", "client": name, "issuer": issuer}});
        draft.set(&[settings[0], settings[1], settings[2], "config"], json!({"clients": clients, "upstreams": upstreams}));
        draft.filter("builtin:oauth-client");
        draft.carried(self.place.clone(), "the client's id and secret: builtin:oauth-client");
        let what = format!(
            "see that {issuer} is the issuer that the authorization server's metadata names, and that the server's answer 401 leads there: \
             mcp-proxy was told --token-url, builtin:oauth-client finds it from those"
        );
        draft.wanted(self.place.clone(), what);
    }

    fn environment(&mut self, draft: &mut Draft<'_>) {
        if self.arguments.pass_environment && self.handed.is_empty() {
            let what = "--pass-environment: a server gets HOME, LOGNAME, PATH, SHELL, TERM, USER and what its `env` names";
            draft.lost(self.place.clone(), what, Some("name what it needs: env = { NAME = \"env:NAME\" }"));
        }
    }

    /// Its name, if there is one.
    fn default_server(&self, draft: &mut Draft<'_>) -> Option<String> {
        let (command, args) = self.arguments.words.split_first()?;
        let name = draft.name("default", &self.place)?;
        draft.carried(self.place.clone(), format!("server {}: {}", quoted(&name), shown(command)));
        let mut body = self.child(&name, command, args, draft);
        let mut env = Map::new();
        for (variable, value) in &self.arguments.env {
            env.insert(variable.clone(), json!(draft.variable(&name, variable, value, &self.place)));
        }
        if !env.is_empty() {
            body.insert("env".to_owned(), Json::Object(env));
        }
        if let Some(cwd) = &self.arguments.cwd {
            body.insert("cwd".to_owned(), json!(draft.argument_of(&name, cwd, &self.place)));
        }
        hand(&mut body, &self.handed);
        share(&name, draft);
        draft.add(Server { name: name.clone(), body });
        Some(name)
    }

    fn child(&self, name: &str, command: &str, args: &[String], draft: &mut Draft<'_>) -> Map<String, Json> {
        let mut body = Map::new();
        body.insert("command".to_owned(), json!(draft.argument_of(name, command, &self.place)));
        let args: Vec<_> = args.iter().map(|arg| (arg.clone(), self.place.clone())).collect();
        body.insert("args".to_owned(), Json::Array(draft.arguments(name, &args)));
        body
    }

    fn named_servers(&mut self, draft: &mut Draft<'_>) {
        if let Some(file) = self.named.take() {
            if !self.arguments.named.is_empty() {
                draft.lost(self.place.clone(), "--named-server: mcp-proxy reads none of them beside --named-server-config", None);
            }
            if let Err(problem) = named(&file, &self.handed, draft) {
                draft.lost(problem.place, problem.what, None);
            }
            return;
        }
        if !self.arguments.named.is_empty() {
            by_path(&self.place, draft);
        }
        for (written, line) in std::mem::take(&mut self.arguments.named) {
            let words = words::split(&line).unwrap_or_default();
            let Some((command, args)) = words.split_first() else {
                draft.lost(self.place.clone(), format!("--named-server {}: its command cannot be read", quoted(&written)), None);
                continue;
            };
            let Some(name) = draft.name(&written, &self.place) else { continue };
            draft.carried(self.place.clone(), format!("server {}: {}", quoted(&name), shown(command)));
            let mut body = self.child(&name, command, args, draft);
            hand(&mut body, &self.handed);
            share(&name, draft);
            draft.add(Server { name, body });
        }
    }

    /// Where clients connect, and what they may.
    fn front(&self, draft: &mut Draft<'_>) {
        let place = &self.place;
        match self.arguments.port.as_deref().map(str::parse::<u16>) {
            None | Some(Ok(0)) => {
                draft.lost(place.clone(), "without --port mcp-proxy took any port; here it is 7411", Some("set sluice.listen"))
            }
            Some(Ok(port)) => draft.listen(self.arguments.host.as_deref().unwrap_or_default(), self.published.unwrap_or(port), place),
            Some(Err(_)) => draft.lost(place.clone(), "--port is no number of a port", Some("set sluice.listen")),
        }
        draft.admit(place);
        let what = "each server is one process for all clients, as before: sharing = \"shared\"; without that line each caller has its own";
        draft.carried(place.clone(), what);
        let mut origins = Vec::new();
        for origin in &self.arguments.origins {
            if origin == "*" {
                let todo = "name each page's origin under sluice.allowed_origins";
                draft.lost(place.clone(), "--allow-origin '*': any page in a browser could reach your tools", Some(todo));
            } else {
                origins.push(origin.trim_end_matches('/'));
            }
        }
        if !origins.is_empty() {
            draft.set(&["allowed_origins"], json!(origins));
            draft.carried(place.clone(), "--allow-origin: sluice.allowed_origins");
        }
        if !self.arguments.exposed.is_empty() || !origins.is_empty() {
            draft.lost(place.clone(), "CORS: a page's requests are let in, but its browser is told no Access-Control headers", None);
        }
        if self.arguments.stateless {
            draft.carried(place.clone(), "--stateless needs no setting: clients of 2026-07-28 have no sessions, older ones may have one");
        }
        let level = match self.arguments.log_level.as_deref() {
            Some("DEBUG") => "debug",
            Some("WARNING") => "warn",
            Some("ERROR" | "CRITICAL") => "error",
            _ => return,
        };
        draft.set(&["log", "level"], json!(level));
        draft.carried(place.clone(), "--log-level: sluice.log.level");
    }
}

/// Variables of mcp-proxy's own that it passes on; a server's own stay.
fn hand(body: &mut Map<String, Json>, handed: &Map<String, Json>) {
    if handed.is_empty() {
        return;
    }
    let env = body.entry("env").or_insert_with(|| json!({}));
    for (name, value) in handed {
        if let Some(env) = env.as_object_mut() {
            env.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
}

/// Each named server by itself, as its clients know it.
fn by_path(place: &Place, draft: &mut Draft<'_>) {
    draft.set(&["server_paths"], json!(true));
    draft.carried(place.clone(), "each server is at /servers/NAME/sse and /servers/NAME/mcp, as before: sluice.server_paths");
}

/// As mcp-proxy has it: one child for everybody.
fn share(name: &str, draft: &mut Draft<'_>) {
    draft.set(&["upstreams", name, "sharing"], json!("shared"));
}

/// `https://a.example.com:8443/x` ⇒ `a.example.com`, which becomes a name.
fn host(url: &str) -> String {
    let uri = url.parse::<http::Uri>().ok();
    uri.as_ref().and_then(http::Uri::host).unwrap_or("remote").to_owned()
}

/// Scheme, host and port.
fn origin(url: &str) -> Option<String> {
    let uri = url.parse::<http::Uri>().ok()?;
    Some(format!("{}://{}", uri.scheme_str()?, uri.authority()?))
}

// === a composition ===

fn composition(file: &File, services: &Node, draft: &mut Draft<'_>) -> Result<(), Problem> {
    let all = table(services).into_iter().flat_map(Table::iter);
    for entry in all.filter(|entry| compose::system(&entry.key, &entry.node) == Some(super::Origin::McpProxy)) {
        let service = Service::of(file, entry)?;
        let words = service.command.as_slice();
        let arguments = parse(words::behind(words, "mcp-proxy").unwrap_or(words), &service.place)?;
        let mut handed = Map::new();
        if arguments.pass_environment {
            for (name, value, place) in &service.environment {
                handed.insert(name.clone(), json!(draft.variable(&entry.key, name, value, place)));
            }
        }
        let named = arguments.named_config.clone().map(|path| service.file(Path::new(&path), draft)).transpose()?.flatten();
        service.left(&["environment"], draft);
        let published = arguments.port.as_deref().and_then(|port| port.parse().ok()).map(|port| service.published(port));
        Start { arguments, place: service.place.clone(), handed, named, published }.carry(draft);
    }
    Ok(())
}
