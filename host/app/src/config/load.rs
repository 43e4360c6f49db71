//! From a source to a configuration, or to everything that is wrong with it.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::expand::Scope;
use super::groups;
use super::inputs::Inputs;
use super::problem::{Place, Problem, Report, Whose, nearest, quoted};
use super::reader::Reader;
use super::servers::{self, Servers};
use super::setting::Setting;
use super::settings::{self, Listen, Settings, exposed};
use super::syntax::{Syntax, TEXT_BYTES_MAX, parse};
use super::tree::{Entry, Node, Position, Table, Value};
use super::{Config, Loaded, Places, Source};

/// Looked for in the caller's directory when no file is named.
const NAMES: [&str; 5] = ["sluice.json", "sluice.jsonc", "sluice.toml", "sluice.yaml", "sluice.yml"];

pub(super) fn load(source: &Source) -> Result<Loaded, Report> {
    let one = |problem| Report { problems: vec![problem], warnings: Vec::new() };
    let Some(file) = find(source).map_err(one)? else { return read("", None, source) };
    let text = text(&source.surroundings.directory().join(&file), &file).map_err(one)?;
    read(&text, Some(&file), source)
}

/// The file to read, as the operator named it.
fn find(source: &Source) -> Result<Option<PathBuf>, Problem> {
    if source.file.is_some() {
        return Ok(source.file.clone());
    }
    let there = |name: &&str| source.surroundings.directory().join(name).exists();
    let found: Vec<_> = NAMES.into_iter().filter(there).collect();
    match found[..] {
        [] => Ok(None),
        [name] => Ok(Some(name.into())),
        _ => Err(Problem {
            place: Place::File(found[0].to_owned()),
            whose: Whose::Disk,
            what: format!("{} are all here", found.join(", ")),
            suggestion: Some("name one with --config".to_owned()),
        }),
    }
}

/// The text of a file of ours, `shown` as the operator named it.
pub(crate) fn text(path: &Path, shown: &Path) -> Result<String, Problem> {
    let problem = |place: Place, what: String| Problem { place, whose: Whose::Disk, what, suggestion: None };
    let whole = || Place::File(shown.display().to_string());
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(TEXT_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| problem(whole(), format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > TEXT_BYTES_MAX {
        return Err(problem(whole(), "is longer than 1 MiB".to_owned()));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let lines = good.split(|byte| *byte == b'\n');
        let (line, column) = lines.fold((0, 0), |(line, _), text| (line + 1, text.len() as u32 + 1));
        problem(Place::Text { file: shown.display().to_string(), line, column }, "is not UTF-8".to_owned())
    })
}

pub(super) fn read(text: &str, file: Option<&Path>, source: &Source) -> Result<Loaded, Report> {
    let directory = source.surroundings.directory();
    let base = file.and_then(Path::parent).map_or_else(|| directory.to_owned(), |parent| directory.join(parent));
    let shown = file.map_or_else(|| "no file".to_owned(), |file| file.display().to_string());
    let nothing = Inputs::default();
    let scope = Scope { surroundings: &source.surroundings, inputs: &nothing, builtin: source.builtin };
    let mut reader = Reader::new(shown, base, scope);
    let Some(root) = tree(text, file, &mut reader) else { return Err(reader.report.sorted()) };

    let inputs = match root.get("inputs") {
        Some(node) => reader.below("inputs", |reader| Inputs::read(node, reader)),
        None => Inputs::default(),
    };
    let mut reader = reader.with_inputs(&inputs);
    let servers = servers::read(&root, &mut reader);
    top_level(&root, file.is_some(), &servers, &mut reader);

    reader.whose = Whose::Setting;
    let mut settings = Settings::default();
    if let Some(node) = root.get("sluice") {
        reader.below("sluice", |reader| {
            settings = Settings::read(node, reader).unwrap_or_default();
            settings::check(&settings, node, reader);
        });
    }
    flags(source, &mut settings, &mut reader);
    plugins_dir(source, &settings, &root, &mut reader);
    groups::check(&settings, &servers, &root, &mut reader);
    let Servers { enabled: mut upstreams, disabled, broken } = servers;
    let known_besides: Vec<_> = disabled.iter().chain(&broken).map(String::as_str).collect();
    about_upstreams(&mut upstreams, &known_besides, &settings, &root, &mut reader);

    let places = Places::of(&settings, &reader.base, &source.surroundings);
    let report = reader.report.sorted();
    if !report.problems.is_empty() {
        return Err(report);
    }
    let file = file.map(|file| directory.join(file));
    let config = Config { file, upstreams, disabled, settings, places };
    Ok(Loaded { config, warnings: report.warnings })
}

/// The top level of the file. `None`: there is nothing to go on with.
pub(super) fn tree(text: &str, file: Option<&Path>, reader: &mut Reader) -> Option<Table> {
    let file = file.unwrap_or(Path::new(NAMES[0]));
    let start = Position { line: 1, column: 1 };
    let Some(syntax) = Syntax::of(file, text) else {
        let suggestion = "name it .json, .jsonc, .toml, .yaml or .yml".to_owned();
        reader.wrong_of(Whose::Syntax, start, "is neither JSON nor named as TOML or YAML", Some(suggestion));
        return None;
    };
    let parsed = parse(text, syntax);
    for mistake in &parsed.mistakes {
        reader.wrong_of(Whose::Syntax, mistake.at, mistake.what.clone(), mistake.suggestion.clone());
    }
    match parsed.root {
        Some(Node { value: Value::Table(table), .. }) => Some(table),
        // An empty file is one without settings.
        None | Some(Node { value: Value::Null, .. }) if parsed.mistakes.is_empty() => Some(Table::default()),
        Some(node) => {
            let what = format!("the file must be an object, not {}", node.value.kind());
            reader.wrong_of(Whose::Syntax, node.at, what, None);
            None
        }
        None => None,
    }
}

/// Keys beside `mcpServers` and `sluice`: a client's file may have any.
fn top_level(root: &Table, is_file: bool, servers: &Servers, reader: &mut Reader) {
    const KNOWN: [&str; 5] = ["mcpServers", "servers", "inputs", "sluice", "$schema"];
    let ours = Settings::schema();
    let mut others: Vec<&Entry> = Vec::new();
    for entry in root.iter().filter(|entry| !KNOWN.contains(&entry.key.as_str())) {
        let key = quoted(&entry.key);
        match nearest(&entry.key, ["mcpServers", "servers", "sluice"]) {
            // A client has no key like this: what stands under it would be settings without effect.
            Some("sluice") => {
                let what = format!("unknown key {key}");
                reader.wrong_of(Whose::Setting, entry.key_at, what, Some("did you mean \"sluice\"?".to_owned()));
            }
            Some(known) => {
                let meant = Some(format!("did you mean {}?", quoted(known)));
                reader.warn(entry.key_at, format!("key {key} has no effect here"), meant);
            }
            None if entry.node.find(&["command"]).or(entry.node.find(&["url"])).is_some() => {
                let meant = "put it under \"mcpServers\"".to_owned();
                reader.warn(entry.key_at, format!("{key} looks like a server"), Some(meant));
            }
            None if ["servers", "mcpServers"].iter().any(|inner| entry.node.find(&[inner]).is_some()) => {
                let meant = "put what is inside it at the top of the file".to_owned();
                reader.warn(entry.key_at, format!("{key} holds servers, but has no effect here"), Some(meant));
            }
            None if ours["properties"].get(&entry.key).is_some() => {
                let meant = "if it is meant for Sluice, put it under \"sluice\"".to_owned();
                reader.warn(entry.key_at, format!("key {key} has no effect here"), Some(meant));
            }
            None => others.push(entry),
        }
    }
    if let Some(first) = others.first() {
        const SHOWN_MAX: usize = 8;
        let names: Vec<_> = others.iter().take(SHOWN_MAX).map(|entry| quoted(&entry.key)).collect();
        let more = if others.len() > SHOWN_MAX { ", …" } else { "" };
        let keys = if others.len() == 1 { "key" } else { "keys" };
        reader.warn(first.key_at, format!("{keys} without effect here: {}{more}", names.join(", ")), None);
    }
    let any = !servers.enabled.is_empty() || !servers.broken.is_empty();
    if is_file && !any && reader.report.problems.is_empty() {
        let suggestion = "list servers under \"mcpServers\", as in your client's file".to_owned();
        reader.warn(Position { line: 1, column: 1 }, "there is no server to offer", Some(suggestion));
    }
}

/// Flags go before the file.
fn flags(source: &Source, settings: &mut Settings, reader: &mut Reader) {
    if let Some(dir) = &source.plugins_dir {
        settings.plugins.dir = Some(source.surroundings.directory().join(dir));
    }
    let Some(text) = &source.listen else { return };
    let mut wrong = |what: String, suggestion: String| {
        let place = Place::Flag("--listen");
        let problem = Problem { place, whose: Whose::Setting, what, suggestion: Some(suggestion) };
        reader.report.problems.push(problem);
    };
    match Listen::parse(text, source.surroundings.directory()) {
        Err(suggestion) => wrong(format!("must be an address and a port, or unix: and a path, not {}", quoted(text)), suggestion),
        Ok(listen) => {
            if let Some((what, suggestion)) = exposed(&listen, settings.trusted_proxy.is_some(), settings.tls.is_some()) {
                wrong(what, suggestion);
            }
            settings.listen = listen;
        }
    }
}

/// A directory that somebody named must be there; the default one may come later.
fn plugins_dir(source: &Source, settings: &Settings, root: &Table, reader: &mut Reader) {
    let at = root.get("sluice").and_then(|node| node.find(&["plugins", "dir"])).map(|node| node.at);
    let (place, dir) = match (&source.plugins_dir, &settings.plugins.dir, at) {
        (Some(_), Some(dir), _) => (Place::Flag("--plugins"), dir),
        (None, Some(dir), Some(at)) => (reader.place(at), dir),
        _ => return,
    };
    if !dir.is_dir() {
        let what = format!("there is no directory {}", dir.display());
        let suggestion = Some(format!("mkdir -p {}", dir.display()));
        reader.report.problems.push(Problem { place, whose: Whose::Disk, what, suggestion });
    }
}

/// Hands each upstream what `sluice.upstreams` says about it.
fn about_upstreams(upstreams: &mut [super::Upstream], known_besides: &[&str], settings: &Settings, root: &Table, reader: &mut Reader) {
    let written = root.get("sluice").and_then(|node| node.find(&["upstreams"])).map(|node| &node.value);
    let Some(Value::Table(table)) = written else { return };
    for entry in table.iter() {
        let named = |u: &&mut super::Upstream| u.written_name == entry.key || u.name == entry.key;
        match upstreams.iter_mut().find(named) {
            Some(upstream) => {
                if let Some(more) = settings.upstreams.get(&entry.key) {
                    upstream.settings = more.clone();
                }
            }
            None if known_besides.contains(&entry.key.as_str()) => {}
            None => {
                let meant = nearest(&entry.key, upstreams.iter().map(|u| u.written_name.as_str()));
                let suggestion = meant.map(|name| format!("did you mean {}?", quoted(name)));
                let what = format!("there is no server {} to say more about", quoted(&entry.key));
                reader.wrong(entry.key_at, what, suggestion);
            }
        }
    }
}
