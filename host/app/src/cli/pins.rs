//! `sluice ls --pins`: what servers define today, as settings of the plugin `pin`; and what that changes of a file of yesterday.

use super::{Exit, definitions::Definitions, look, ls};
use crate::{assembly::Assembly, config::Config};
use anyhow::{Context as _, Result};
use clap::Args;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sluice_chain::{
    catalogue::{Entry, ListKind},
    principal::Principal,
};
use sluice_wire::{
    json::{Document, IndexDepth, Limits, canonical},
    revision::Era,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    sync::Arc,
};

#[derive(Args)]
pub struct PinsArgs {
    /// Print the definitions of these lists as the sidecar of the plugin pin, instead; filters are not asked. Lists: tools, prompts,
    /// resources, resource-templates.
    #[arg(long, value_name = "LISTS", num_args = 0..=1, require_equals = true, default_missing_value = "tools,prompts")]
    pins: Option<String>,
    /// With --pins: only what is another than in this file, which --pins has written; 5 is the exit code if anything is.
    #[arg(long, value_name = "FILE", requires = "pins")]
    against: Option<PathBuf>,
    /// With --pins: write each definition that was read into DIR, in a file named by its digest, to be read before it is approved. With
    /// --against: also print in which lines they differ from those that were written into DIR before.
    #[arg(long, value_name = "DIR", requires = "pins")]
    definitions: Option<PathBuf>,
}

/// What to print.
pub struct Lists {
    kinds: Vec<ListKind>,
    before: Option<Pins>,
    folder: Option<PathBuf>,
}

/// By upstream, list and name: the digests of all definitions of it.
type Pins = BTreeMap<String, BTreeMap<String, BTreeMap<String, Digests>>>;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "OneOrMore", into = "OneOrMore")]
struct Digests(BTreeSet<String>);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl From<OneOrMore> for Digests {
    fn from(digests: OneOrMore) -> Self {
        Self(match digests {
            OneOrMore::One(digest) => BTreeSet::from([digest]),
            OneOrMore::More(digests) => digests.into_iter().collect(),
        })
    }
}

impl From<Digests> for OneOrMore {
    fn from(digests: Digests) -> Self {
        let mut digests: Vec<_> = digests.0.into_iter().collect();
        if digests.len() == 1 { Self::One(digests.remove(0)) } else { Self::More(digests) }
    }
}

/// The part of a sidecar that is ours.
#[derive(Serialize, Deserialize)]
struct Sidecar {
    config: Settings,
}

#[derive(Serialize, Deserialize)]
struct Settings {
    #[serde(default)]
    pins: Pins,
}

impl PinsArgs {
    /// Nothing if pins are not asked for.
    pub fn lists(&self) -> Result<Option<Lists>> {
        let Some(names) = &self.pins else { return Ok(None) };
        let kind =
            |name: &str| ListKind::ALL.into_iter().find(|kind| list(*kind) == name).with_context(|| format!("there is no list {name}"));
        let kinds = names.split(',').map(|name| kind(name.trim())).collect::<Result<_>>()?;
        let read = |file: &PathBuf| {
            let text = fs::read_to_string(file).with_context(|| format!("{}", file.display()))?;
            let sidecar: Sidecar = toml::from_str(&text).with_context(|| format!("{} is not what --pins writes", file.display()))?;
            anyhow::Ok(sidecar.config.pins)
        };
        Ok(Some(Lists { kinds, before: self.against.as_ref().map(read).transpose()?, folder: self.definitions.clone() }))
    }
}

/// The list's name in the settings of `pin`.
fn list(kind: ListKind) -> &'static str {
    match kind {
        ListKind::Tools => "tools",
        ListKind::Prompts => "prompts",
        ListKind::Resources => "resources",
        ListKind::ResourceTemplates => "resource-templates",
    }
}

/// Asks what the configuration names, and prints.
pub fn run(config: Config, lists: Lists) -> Result<Exit> {
    let mut exit = Exit::Good;
    let looked = look(config, async |assembly| {
        let (now, definitions, missing) = read(assembly, &lists.kinds).await;
        if let Some(folder) = &lists.folder {
            definitions.write(folder)?;
        }
        for upstream in &missing {
            eprintln!("not all of {upstream} is known: it does not answer");
        }
        match &lists.before {
            None => say!("{}", toml::to_string(&Sidecar { config: Settings { pins: now } })?.trim_end()),
            Some(before) => {
                let lines = changes(before, &now, &lists.kinds);
                for Line { text, changed } in &lines {
                    say!("{text}");
                    let Some(folder) = &lists.folder else { continue };
                    let differ = changed.iter().flat_map(|(before, now)| definitions.changes(folder, before, now));
                    differ.for_each(|line| say!("  {line}"));
                }
                exit = if lines.is_empty() { Exit::Good } else { Exit::Differs };
            }
        }
        if !missing.is_empty() {
            exit = Exit::Broken;
        }
        Ok(())
    })?;
    Ok(if looked == Exit::Good { exit } else { looked })
}

/// As clients of both eras are shown it: a server may define a thing otherwise for each.
async fn read(assembly: &Assembly, kinds: &[ListKind]) -> (Pins, Definitions, BTreeSet<Arc<str>>) {
    let principal = Arc::new(Principal::local());
    let client = ls::client(&principal);
    let (mut pins, mut definitions, mut missing) = (Pins::new(), Definitions::default(), BTreeSet::new());
    for era in [Era::Modern, Era::Legacy] {
        for kind in kinds {
            let gathered = assembly.host.offered(*kind, era, &client, &principal).await;
            missing.extend(gathered.missing);
            for entry in gathered.entries {
                let names = pins.entry(entry.owner.to_string()).or_default().entry(list(*kind).to_owned()).or_default();
                names.entry(entry.original.to_string()).or_default().0.insert(entry.digest.to_string());
                if let Some((text, exact)) = definition(&entry) {
                    definitions.add(&entry.digest, text, exact);
                }
            }
        }
    }
    (pins, definitions, missing)
}

/// Its definition in canonical form, and whether that is what the digest is of: clients of another era than the server's are shown another.
fn definition(entry: &Entry) -> Option<(String, bool)> {
    let document = Document::parse_value(entry.definition.clone(), &Limits::RESPONSE, IndexDepth::Full).ok()?;
    let text = canonical(document.root());
    let digest: String = Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
    let exact = *digest == *entry.digest;
    Some((String::from_utf8(text).ok()?, exact))
}

/// What is said of one entry.
#[derive(Debug)]
struct Line {
    text: String,
    /// Digests that were approved and are not there any more, each with one that is there instead.
    changed: Vec<(String, String)>,
}

/// One line for each entry that is new, gone, or defined otherwise.
fn changes(before: &Pins, now: &Pins, kinds: &[ListKind]) -> Vec<Line> {
    let flat = |pins: &Pins| {
        let lists = pins.iter().flat_map(|(upstream, lists)| lists.iter().map(move |(list, names)| (upstream, list, names)));
        let asked = lists.filter(|(_, name, _)| kinds.iter().any(|kind| list(*kind) == name.as_str()));
        let entries = asked.flat_map(|(upstream, list, names)| {
            names.iter().map(move |(name, digests)| ((upstream.clone(), list.clone(), name.clone()), digests.clone()))
        });
        entries.collect::<BTreeMap<_, _>>()
    };
    let (before, now) = (flat(before), flat(now));
    let all: BTreeSet<_> = before.keys().chain(now.keys()).collect();
    let line = |key: &(String, String, String)| {
        // What a server calls a thing is not for a terminal to obey.
        let place = format!("{} {} {}", key.0, key.1, key.2.escape_debug());
        let digests = |digests: &Digests| digests.0.iter().cloned().collect::<Vec<_>>().join(",");
        match (before.get(key), now.get(key)) {
            (Some(before), Some(now)) if before == now => None,
            (Some(before), Some(now)) => {
                let gone = before.0.difference(&now.0).cloned();
                let changed = gone.zip(now.0.difference(&before.0).cloned()).collect();
                Some(Line { text: format!("changed  {place}  {} -> {}", digests(before), digests(now)), changed })
            }
            (None, Some(now)) => Some(Line { text: format!("new      {place}  {}", digests(now)), changed: Vec::new() }),
            (_, None) => Some(Line { text: format!("gone     {place}"), changed: Vec::new() }),
        }
    };
    all.into_iter().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pins(entries: &[(&str, &str, &[&str])]) -> Pins {
        let mut pins = Pins::new();
        for (list, name, digests) in entries {
            let names = pins.entry("git".to_owned()).or_default().entry((*list).to_owned()).or_default();
            names.insert((*name).to_owned(), Digests(digests.iter().map(|digest| (*digest).to_owned()).collect()));
        }
        pins
    }

    #[test]
    fn what_is_written_is_read_again() {
        let pins = pins(&[("tools", "log", &["a"]), ("tools", "a \"b\".c", &["a", "b"]), ("prompts", "log", &["c"])]);
        let text = toml::to_string(&Sidecar { config: Settings { pins: pins.clone() } }).unwrap();
        assert!(text.contains("[config.pins.git.tools]\n") && text.contains("log = \"a\"\n"), "{text}");
        assert_eq!(toml::from_str::<Sidecar>(&text).unwrap().config.pins, pins);
    }

    #[test]
    fn each_change_is_a_line() {
        let before = pins(&[("tools", "log", &["a"]), ("tools", "push", &["b"]), ("tools", "same", &["c"]), ("resources", "r", &["d"])]);
        let now = pins(&[("tools", "log", &["a", "z"]), ("tools", "pu\u{200b}sh", &["b"]), ("tools", "same", &["c"])]);
        let lines: Vec<_> = changes(&before, &now, &[ListKind::Tools, ListKind::Prompts]).into_iter().map(|line| line.text).collect();
        assert_eq!(lines, ["changed  git tools log  a -> a,z", "gone     git tools push", "new      git tools pu\\u{200b}sh  b"]);
        assert!(changes(&now, &now, &ListKind::ALL).is_empty());
    }

    #[test]
    fn a_digest_that_is_gone_is_held_against_one_that_is_new() {
        let (before, now) = (pins(&[("tools", "log", &["a", "b"])]), pins(&[("tools", "log", &["b", "c"])]));
        let lines = changes(&before, &now, &ListKind::ALL);
        assert_eq!(lines[0].changed, [("a".to_owned(), "c".to_owned())]);
    }

    /// A file is written of what the digest is of, so that who reads it reads what is approved.
    #[test]
    fn a_definition_says_whether_its_digest_is_of_it() {
        let entry = |definition: &'static str| Entry {
            name: "t".into(),
            upstream: Some(0),
            owner: "git".into(),
            original: "t".into(),
            definition: bytes::Bytes::from_static(definition.as_bytes()),
            // sha256 of {"name":"t"}
            digest: "3647a67649228b62fe3d139c47f7a3c673c31ce57da824082b6654fc0b15751f".into(),
            task: None,
        };
        assert_eq!(definition(&entry(r#"{ "name": "\u0074" }"#)), Some((r#"{"name":"t"}"#.to_owned(), true)));
        assert_eq!(definition(&entry(r#"{"name":"t","execution":{}}"#)).map(|(_, exact)| exact), Some(false));
    }
}
