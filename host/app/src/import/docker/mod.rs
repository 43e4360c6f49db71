//! Docker's MCP gateway: its files, its command line, and a composition with it.

mod options;
mod server;
mod template;

use std::path::{Path, PathBuf};

use serde_json::json;

use super::compose::{self, Service};
use super::draft::Draft;
use super::source::{File, list, table, text};
use super::words;
use crate::config::problem::{Place, Problem, quoted};
use crate::config::servers::name::plain;
use crate::config::tree::{Entry, Node, Table, Value};
use options::Options;
use server::{Making, Secrets};
use template::Scope;

/// What a file of the gateway is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// What servers there are.
    Catalog,
    /// One server, as a catalog has it.
    Entry,
    /// Which of them are on.
    Registry,
    /// What templates are filled with.
    Config,
    /// Which tools of which server are offered.
    Tools,
    Secrets,
    Composition,
}

/// Reads files and a command line of it.
pub(super) fn read(files: Vec<File>, command: &[String], draft: &mut Draft<'_>) -> Result<(), Problem> {
    draft.is_foreign = true;
    let mut estate = Estate { options: Options::default(), files: Vec::new() };
    let mut place = files.first().map_or_else(|| Place::File("the command line".to_owned()), File::whole);
    if !command.is_empty() {
        place = Place::File("the command line".to_owned());
        let words = words::behind_gateway(command).or_else(|| words::behind(command, "mcp-gateway")).unwrap_or(command);
        estate.options.read(words, &place, draft);
        for (kind, path) in estate.options.paths() {
            estate.found(kind, &path, &place, draft)?;
        }
    }
    for file in files {
        let kind = kind_of(&file);
        if kind == Kind::Composition {
            place = estate.composition(&file, draft)?;
        }
        estate.files.push((kind, file));
    }
    estate.carry(&place, draft);
    Ok(())
}

fn kind_of(file: &File) -> Kind {
    let root = &file.root;
    if !file.lines.is_empty() {
        return Kind::Secrets;
    }
    if root.get("services").is_some() {
        return Kind::Composition;
    }
    if let Some(servers) = root.get("registry").and_then(table) {
        let is_defined =
            |entry: &Entry| ["image", "remote", "sseEndpoint", "type", "tools"].iter().any(|key| entry.node.find(&[key]).is_some());
        return if servers.iter().any(is_defined) { Kind::Catalog } else { Kind::Registry };
    }
    if root.get("image").is_some_and(|node| text(node).is_some()) || root.get("remote").is_some_and(|node| node.find(&["url"]).is_some()) {
        return Kind::Entry;
    }
    let is_list = |entry: &Entry| matches!(entry.node.value, Value::List(_));
    if root.iter().next().is_some() && root.iter().all(is_list) { Kind::Tools } else { Kind::Config }
}

impl Options {
    /// Files that it names.
    fn paths(&self) -> Vec<(Kind, String)> {
        let of = |kind, paths: &[String]| paths.iter().map(|path| (kind, path.clone())).collect::<Vec<_>>();
        let secrets: Vec<_> = self.secrets.iter().filter(|path| *path != "docker-desktop").cloned().collect();
        let all = [
            of(Kind::Catalog, &self.catalogs),
            of(Kind::Registry, &self.registries),
            of(Kind::Config, &self.configs),
            of(Kind::Tools, &self.tool_files),
            of(Kind::Secrets, &secrets),
        ];
        all.concat()
    }
}

/// All that one gateway reads.
struct Estate {
    options: Options,
    files: Vec<(Kind, File)>,
}

impl Secrets for Estate {
    fn find(&self, name: &str) -> Option<(String, Place)> {
        let files = self.files.iter().filter(|(kind, _)| *kind == Kind::Secrets);
        let mut lines = files.flat_map(|(_, file)| file.lines.iter().map(move |line| (file, line)));
        let (file, line) = lines.find(|(_, line)| line.key == name)?;
        Some((text(&line.node)?, file.at(line.node.at)))
    }
}

impl Estate {
    /// A file that a command line names, by the gateway's own folder or from here.
    fn found(&mut self, kind: Kind, path: &str, place: &Place, draft: &mut Draft<'_>) -> Result<(), Problem> {
        let home = Path::new(draft.surroundings.variable("HOME").unwrap_or_default()).join(".docker/mcp");
        let below = if kind == Kind::Catalog { home.join("catalogs") } else { home };
        let tried = [PathBuf::from(path), below.join(path), below.join(format!("{path}.yaml"))];
        match tried.iter().find(|path| draft.surroundings.directory().join(path).is_file()) {
            Some(path) => self.files.push((kind, File::read(path, draft.surroundings)?)),
            None => draft.lost(place.clone(), format!("{} is no file that can be found from here", quoted(path)), Some(WANTED)),
        }
        Ok(())
    }

    fn composition(&mut self, file: &File, draft: &mut Draft<'_>) -> Result<Place, Problem> {
        let services = file.root.get("services").and_then(table).into_iter().flat_map(Table::iter);
        let mut place = file.whole();
        for entry in services.filter(|entry| compose::system(&entry.key, &entry.node) == Some(super::Origin::Docker)) {
            let service = Service::of(file, entry)?;
            place = service.place.clone();
            let words = service.command.as_slice();
            self.options.read(words::behind_gateway(words).unwrap_or(words), &place, draft);
            self.options.port = self.options.port.map(|port| service.published(port));
            self.options.host.get_or_insert_default();
            self.options.networks = service.networks();
            for (kind, path) in self.options.paths() {
                if let Some(file) = service.file(Path::new(&path), draft)? {
                    self.files.push((kind, file));
                }
            }
            service.left(&["restart", "depends_on", "healthcheck"], draft);
        }
        Ok(place)
    }

    /// Servers by name: in a catalog, or by themselves. The last that has a name counts, as in the gateway.
    fn catalog(&self) -> Vec<(String, &File, Entry)> {
        let mut all: Vec<(String, &File, Entry)> = Vec::new();
        for (kind, file) in &self.files {
            let servers: Vec<Entry> = match kind {
                Kind::Catalog => file.root.get("registry").and_then(table).into_iter().flat_map(Table::iter).cloned().collect(),
                Kind::Entry => alone(file).into_iter().collect(),
                _ => continue,
            };
            for server in servers {
                all.retain(|(name, ..)| *name != server.key);
                all.push((server.key.clone(), file, server));
            }
        }
        all
    }

    fn of_kind(&self, wanted: Kind) -> impl Iterator<Item = &File> {
        self.files.iter().filter(move |(kind, _)| *kind == wanted).map(|(_, file)| file)
    }

    /// Which are on: those of --servers, else those that are registered, else all that there are.
    fn enabled(&self, all: &[(String, &File, Entry)], place: &Place, draft: &mut Draft<'_>) -> Vec<String> {
        let every = || all.iter().map(|(name, ..)| name.clone()).collect();
        if self.options.is_all {
            return every();
        }
        if !self.options.servers.is_empty() {
            return self.options.servers.clone();
        }
        let registered = self.of_kind(Kind::Registry).filter_map(|file| file.root.get("registry").and_then(table));
        let registered: Vec<_> = registered.flat_map(Table::iter).map(|entry| entry.key.clone()).collect();
        if registered.is_empty() && !all.is_empty() {
            draft.carried(place.clone(), "neither --servers nor a registry.yaml says which servers are on: all are, for now");
            return every();
        }
        registered
    }

    fn carry(&self, place: &Place, draft: &mut Draft<'_>) {
        let all = self.catalog();
        let mut enabled = self.enabled(&all, place, draft);
        if self.options.is_static {
            let todo = "start them by Sluice, or put a bridge to HTTP before each";
            draft.lost(place.clone(), "--static: servers that wait on a socket; here each is started by docker run", Some(todo));
        }
        for written in &enabled {
            match all.iter().find(|(name, ..)| name == written) {
                Some((_, file, entry)) => self.server(written, file, entry, draft),
                None => draft.lost(place.clone(), format!("server {} is in no catalog that is here", quoted(written)), Some(WANTED)),
            }
        }
        enabled.retain(|name| draft.has(&plain(name)));
        self.selection(&enabled, place, draft);
        self.front(place, draft);
        if !draft.is_empty() {
            let what = "the gateway pulled images before it started; `docker pull` them once, since a server is started with --pull never";
            draft.wanted(place.clone(), what);
        }
        if draft.len() > 1 {
            draft.set(&["plugins", "settings", "namespace", "config"], json!({"prefix": "on-conflict"}));
            let what =
                "tools keep their names: builtin:namespace gives a prefix only where two servers have one name, which the gateway refused";
            draft.carried(place.clone(), what);
        }
    }

    fn server(&self, written: &str, file: &File, entry: &Entry, draft: &mut Draft<'_>) {
        let Some(name) = draft.name(written, &file.at(entry.key_at)) else { return };
        let canonical = written.replace('.', "_");
        // The last file that has something for it counts.
        let config = self.of_kind(Kind::Config).filter_map(|file| file.root.get(&canonical).and_then(table)).last();
        let scope = Scope { server: canonical, config };
        Making { name, file, entry, scope, options: &self.options, secrets: self }.carry(draft);
    }

    /// Tools that are offered, where not all are: what no rule lets through is kept from everybody.
    fn selection(&self, enabled: &[String], place: &Place, draft: &mut Draft<'_>) {
        let mut rules = Vec::new();
        let mut by_file: Vec<(&Entry, &File)> = Vec::new();
        for wanted in &self.options.tools {
            rules.push(match wanted.rsplit_once(':') {
                _ if wanted == "*" => json!({"effect": "allow", "tools": ["*"]}),
                Some((server, tool)) => json!({"effect": "allow", "upstreams": [plain(server)], "tools": [tool]}),
                None => json!({"effect": "allow", "tools": [wanted]}),
            });
        }
        if rules.is_empty() {
            by_file = self.of_kind(Kind::Tools).flat_map(|file| file.root.iter().map(move |entry| (entry, file))).collect();
            by_file.retain(|(entry, _)| enabled.contains(&entry.key));
            for (entry, _) in &by_file {
                let tools: Vec<_> = list(&entry.node).iter().filter_map(text).collect();
                if !tools.is_empty() {
                    rules.push(json!({"effect": "allow", "upstreams": [plain(&entry.key)], "tools": tools}));
                }
            }
            let whole: Vec<_> =
                enabled.iter().filter(|name| !by_file.iter().any(|(entry, _)| entry.key == **name)).map(|name| plain(name)).collect();
            if !by_file.is_empty() && !whole.is_empty() {
                rules.push(json!({"effect": "allow", "upstreams": whole, "tools": ["*"]}));
            }
        }
        if rules.is_empty() && by_file.is_empty() {
            return;
        }
        let place = by_file.first().map_or_else(|| place.clone(), |(entry, file)| file.at(entry.key_at));
        draft.carried(place, "tools that are not chosen are kept from everybody: builtin:rbac; letters count as they are written");
        draft.rule(json!({"effect": "allow", "prompts": ["*"], "resources": ["*"]}));
        rules.into_iter().for_each(|rule| draft.rule(rule));
        draft.is_closed = true;
    }

    fn front(&self, place: &Place, draft: &mut Draft<'_>) {
        match self.options.transport.as_deref() {
            None | Some("stdio") => {
                let what = "where a client starts `docker mcp gateway run`, let it start `sluice stdio --config` with this file";
                draft.wanted(place.clone(), what);
            }
            Some(_) => {
                // 8811 is the gateway's own.
                draft.listen(self.options.host.as_deref().unwrap_or_default(), self.options.port.unwrap_or(8811), place);
                let what = "give clients the token that `sluice serve` names, where they had that of MCP_GATEWAY_AUTH_TOKEN";
                draft.wanted(place.clone(), what);
            }
        }
    }
}

const WANTED: &str = "give it as one more FILE; `docker mcp catalog show docker-mcp --format yaml` prints Docker's own catalog";

/// A file that is one server is an entry under the name that stands in it.
fn alone(file: &File) -> Option<Entry> {
    let name = file.root.get("name").and_then(text)?;
    let at = file.root.get("name")?.at;
    Some(Entry { key: name, key_at: at, node: Node { at, value: Value::Table(file.root.clone()) } })
}
