//! `sluice plugin inspect`

use super::{super::Exit, registry::RegistryArgs};
use crate::{author::engine, chain::fetched::registries, sbom::Bom};
use anyhow::{Result, anyhow};
use clap::Args;
use sluice_chain::filter::Hook;
use sluice_plugin::{Settings, Setup, inspect::Inspected};
use sluice_registry::Reference;
use sluice_state::memory::MemoryStore;
use std::{path::PathBuf, sync::Arc};

#[derive(Args)]
pub struct Inspect {
    /// A component, `builtin:<name>`, or where one is fetched from, as `chain` names it.
    file: PathBuf,
    #[command(flatten)]
    config: RegistryArgs,
}

impl Inspect {
    pub async fn run(self) -> Result<Exit> {
        let name = self.file.display().to_string();
        let builtin = name.strip_prefix("builtin:");
        let bytes = match builtin.and_then(crate::embedded::plugin) {
            Some(bytes) => bytes.into(),
            None if Reference::is_meant(&name) => {
                let Some(config) = self.config.load() else { return Ok(Exit::Config) };
                let reference: Reference = name.parse().map_err(|why| anyhow!("{name} is no reference of a plugin: {why}"))?;
                registries(&config).pull(&reference, &|_| None).await?.bytes
            }
            None => engine::read(&self.file)?,
        };
        let engine = engine::start(Setup::new(Arc::new(MemoryStore::new())))?;
        let found = engine.inspect(bytes, &Settings::new(name.as_str())).await?;
        for line in lines(&found) {
            say!("{line}");
        }
        if let Some(bom) = builtin.and_then(Bom::of) {
            say!("made of         {} crates and {}; `sluice plugin sbom {name}` lists them", bom.linked(), bom.compiler);
        }
        Ok(Exit::Good)
    }
}

/// What is known about a plugin before it is given anything. Its own words are marked as such.
pub fn lines(found: &Inspected) -> Vec<String> {
    let manifest = &found.manifest;
    let mut lines = vec![
        format!("{} {}", manifest.name, manifest.version),
        format!("  says of itself  {}", manifest.summary),
        format!("  contract        sluice:filter {}", found.contract),
        format!("  digest          sha256:{}", found.digest),
        format!("  size            {} bytes, compiled {} bytes", found.bytes, found.code_bytes),
    ];
    lines.push("takes part in (its exports)".into());
    for hook in &found.hooks {
        let of_this = manifest.selectors.iter().filter(|(selected, _)| selected == hook);
        let scopes: Vec<String> = of_this.map(|(_, selector)| scope(&selector.methods, &selector.names)).collect();
        let scope = if scopes.is_empty() || *hook == Hook::OnHttp { String::new() } else { format!("; only {}", scopes.join(" or ")) };
        lines.push(format!("  {:<15} {}{scope}", hook.as_str(), takes_part(*hook)));
    }
    lines.extend(manifest.routes.iter().map(|route| format!("  {:<15} {} {}", "", route.methods.join(","), route.path)));
    lines.push("can (its imports; it is linked with nothing else)".into());
    let powers = || found.imports.iter().filter_map(|imported| Some((imported, imported.import.allows?)));
    lines.extend(powers().map(|(imported, allows)| format!("  {:<15} {allows}", short(imported.import.interface))));
    if powers().next().is_none() {
        lines.push("  nothing".into());
    }
    let without: Vec<&str> = found.imports.iter().filter(|i| i.import.allows.is_none()).map(|i| i.import.interface).collect();
    if !without.is_empty() {
        lines.push(format!("  {:<15} {}", "and, to no effect", without.join(", ")));
    }
    if !manifest.needs.is_empty() {
        lines.push("asks for".into());
    }
    for need in &manifest.needs {
        let covered = found.needs_grant(need).map_or_else(
            || "every plugin has it unless `deny` names it".to_owned(),
            |line| format!("needs grants = [{line:?}] in its sidecar"),
        );
        let optional = if need.optional { ", works without" } else { "" };
        lines.push(format!("  {:<15} {} ({covered}{optional})", need.capability, need.reason));
    }
    let instances = if manifest.stateless { "says that it keeps nothing of a caller" } else { "an instance serves one caller" };
    lines.push(format!("state           {instances}"));
    lines
}

/// `wasi:clocks/wall-clock` is `wall-clock`.
fn short(interface: &str) -> &str {
    interface.rsplit('/').next().unwrap_or(interface)
}

fn scope(methods: &[String], names: &[String]) -> String {
    let list = |list: &[String], all: &str| if list.is_empty() { all.to_owned() } else { list.join(" ") };
    match names {
        [] => list(methods, "everything"),
        names => format!("{} of {}", list(methods, "all methods"), names.join(" ")),
    }
}

/// What a hook lets a plugin do, whatever it imports.
fn takes_part(hook: Hook) -> &'static str {
    match hook {
        Hook::OnHttp => "answers HTTP at routes that are granted, before anybody has said who they are",
        Hook::Authenticate => "sees callers' credentials and says who they are",
        Hook::OnCatalog => "hides, renames, rewrites and adds entries of lists",
        Hook::OnRequest => "lets requests pass, refuses them, answers them itself, or asks the person first",
        Hook::OnOutbound => "gives requests toward granted upstreams the headers they leave with, or keeps them back",
        Hook::OnNotification => "lets notifications and servers' questions pass, drops them, or ends their exchange",
        Hook::OnResponse => "lets answers pass, or puts others in their place",
        Hook::OnChunk => "lets answers that are too long to be held pass piece by piece, changes texts in them, or breaks them off",
        Hook::OnDone => "is told how exchanges ended",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn shipped(name: &str) -> Inspected {
        let engine = sluice_plugin::Engine::start(Setup::new(Arc::new(MemoryStore::new()))).unwrap();
        let bytes = crate::embedded::plugin(name).unwrap();
        engine.inspect(bytes.into(), &Settings::new(name)).await.unwrap()
    }

    /// The text against what the binary is linked with: each power that it has stands there, and no other does.
    #[tokio::test]
    async fn the_powers_of_each_shipped_plugin_are_those_it_is_linked_with() {
        for name in crate::embedded::PLUGIN_NAMES {
            let found = shipped(name).await;
            let text = lines(&found);
            let start = text.iter().position(|line| line.starts_with("can (")).unwrap() + 1;
            let said: Vec<&str> = text[start..].iter().take_while(|line| line.starts_with("  ")).map(|line| line.trim()).collect();
            for import in sluice_plugin::import::all() {
                let Some(allows) = import.allows else { continue };
                let is_linked = found.imports.iter().any(|imported| imported.import.interface == import.interface);
                let line = format!("{:<15} {allows}", short(import.interface));
                assert_eq!(said.contains(&line.as_str()), is_linked, "{name}: {line}");
            }
            let powers = found.imports.iter().filter(|imported| imported.import.allows.is_some()).count();
            let rest = said.iter().filter(|line| line.starts_with("and, to no effect")).count();
            assert_eq!(said.len(), powers + rest, "{name}: {said:?}");
        }
    }
}
