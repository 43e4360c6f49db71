//! `sluice ls --pins`: what servers define today, as settings of the plugin `pin`; and what that changes of a file of yesterday.

use super::{Exit, look, ls};
use crate::{assembly::Assembly, config::Config};
use anyhow::{Context as _, Result};
use clap::Args;
use serde::{Deserialize, Serialize};
use sluice_chain::{catalogue::ListKind, principal::Principal};
use sluice_wire::revision::Era;
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
}

/// What to print.
pub struct Lists {
    kinds: Vec<ListKind>,
    before: Option<Pins>,
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
        Ok(Some(Lists { kinds, before: self.against.as_ref().map(read).transpose()? }))
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
        let (now, missing) = read(assembly, &lists.kinds).await;
        for upstream in &missing {
            eprintln!("not all of {upstream} is known: it does not answer");
        }
        match &lists.before {
            None => say!("{}", toml::to_string(&Sidecar { config: Settings { pins: now } })?.trim_end()),
            Some(before) => {
                let lines = changes(before, &now, &lists.kinds);
                lines.iter().for_each(|line| say!("{line}"));
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
async fn read(assembly: &Assembly, kinds: &[ListKind]) -> (Pins, BTreeSet<Arc<str>>) {
    let (principal, client) = (Arc::new(Principal::local()), ls::client());
    let (mut pins, mut missing) = (Pins::new(), BTreeSet::new());
    for era in [Era::Modern, Era::Legacy] {
        for kind in kinds {
            let gathered = assembly.host.offered(*kind, era, &client, &principal).await;
            missing.extend(gathered.missing);
            for entry in gathered.entries {
                let names = pins.entry(entry.owner.to_string()).or_default().entry(list(*kind).to_owned()).or_default();
                names.entry(entry.original.to_string()).or_default().0.insert(entry.digest.to_string());
            }
        }
    }
    (pins, missing)
}

/// One line for each entry that is new, gone, or defined otherwise.
fn changes(before: &Pins, now: &Pins, kinds: &[ListKind]) -> Vec<String> {
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
            (Some(before), Some(now)) => Some(format!("changed  {place}  {} -> {}", digests(before), digests(now))),
            (None, Some(now)) => Some(format!("new      {place}  {}", digests(now))),
            (_, None) => Some(format!("gone     {place}")),
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
        let lines = changes(&before, &now, &[ListKind::Tools, ListKind::Prompts]);
        assert_eq!(lines, ["changed  git tools log  a -> a,z", "gone     git tools push", "new      git tools pu\\u{200b}sh  b"]);
        assert_eq!(changes(&now, &now, &ListKind::ALL), Vec::<String>::new());
    }
}
