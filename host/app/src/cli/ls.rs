//! `sluice ls`

use super::{
    ConfigArgs, Exit, look,
    pins::{self, PinsArgs},
    plain,
};
use crate::{assembly::Assembly, chain::BUILTIN};
use anyhow::Result;
use bytes::Bytes;
use clap::Args;
use sluice_chain::{catalogue::ListKind, exchange::Client, principal::Principal, upstream::Health};
use sluice_wire::revision::Era;
use std::sync::{Arc, Mutex};

#[derive(Args)]
pub struct Ls {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    pins: PinsArgs,
    /// What is at `/mcp/NAME` instead of `/mcp`.
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
}

impl Ls {
    /// Starts what the configuration names, asks it, and stops it again.
    pub fn run(self) -> Result<Exit> {
        let Some(config) = self.config.load(None) else { return Ok(Exit::Config) };
        if let Some(lists) = self.pins.lists()? {
            return pins::run(config, lists);
        }
        look(config, async |assembly| {
            let principal = assembly.caller(Principal::local(), self.group.as_deref())?;
            print_plugins(assembly, principal.group.as_deref());
            print_catalogue(assembly, &principal).await;
            print_upstreams(assembly);
            Ok(())
        })
    }
}

fn print_plugins(assembly: &Assembly, group: Option<&str>) {
    say!("chain");
    let described = assembly.plugins.described(group);
    if described.is_empty() {
        say!("  empty: every message passes as it is");
    }
    for plugin in described {
        let signed = match plugin.signed_by {
            Some(by) => format!(", signed by {by}"),
            None if plugin.origin.starts_with(BUILTIN) => String::new(),
            None => ", not signed".to_owned(),
        };
        say!("  {} {} ({}, sha256:{}…{signed})", plugin.name, plugin.version, plugin.origin, &plugin.digest[..12]);
        say!("      {}", plugin.summary);
        say!("      hooks: {}", plugin.hooks.join(", "));
        say!("      may:   {}", plugin.powers.join("; "));
        plugin.trial.iter().for_each(|trial| say!("      next:  {trial}"));
    }
}

async fn print_catalogue(assembly: &Assembly, principal: &Arc<Principal>) {
    let client = client(principal);
    for kind in ListKind::ALL {
        match assembly.host.look(kind, Era::Legacy, &client, principal).await {
            Ok(view) if view.exposed.is_empty() && view.missing.is_empty() => {}
            Ok(view) => {
                say!("{}", kind.member());
                view.exposed.iter().for_each(|e| say!("  {}  ({})", plain(&e.entry.name), e.entry.owner));
                view.missing.iter().for_each(|m| say!("  (those of {m} are not known: it does not answer)"));
            }
            Err(error) => say!("{}: {error}", kind.member()),
        }
    }
}

/// Who looks.
pub(super) fn client(principal: &Principal) -> Arc<Client> {
    let mut facts = Vec::new();
    principal.push_facts(&mut facts);
    let capabilities = Bytes::from_static(b"{}");
    Arc::new(Client { info: None, capabilities, session: None, facts: Arc::new(facts), log_level: Mutex::default() })
}

fn print_upstreams(assembly: &Assembly) {
    say!("upstreams");
    for (_, upstream) in assembly.host.upstreams().iter() {
        let health = match upstream.health() {
            Health::Up => "up".to_owned(),
            Health::Unknown => "not asked".to_owned(),
            Health::Down(why) => format!("DOWN: {why}"),
        };
        say!("  {}  {}  {health}", upstream.name(), upstream.transport());
    }
    assembly.config.disabled.iter().for_each(|name| say!("  {name}  disabled in the file"));
}
