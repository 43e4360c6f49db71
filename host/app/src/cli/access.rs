//! `sluice access`: what a caller sees, and who sees a tool.

use super::{ConfigArgs, Exit, look, ls, plain};
use crate::{
    assembly::Assembly,
    keys::{Key, State},
};
use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde::Deserialize;
use sluice_chain::{
    catalogue::{Entry, ListKind},
    principal::Principal,
};
use sluice_wire::revision::Era;
use std::{collections::HashSet, sync::Arc, time::SystemTime};

/// The plugin whose callers are known from its settings.
const KEYS: &str = "auth-api-key";

#[derive(Args)]
#[command(after_help = "Filters are asked as they are when such a caller lists. What is shown may be called, unless a filter that judges \
                        arguments, rates or answers says no.")]
pub struct Access {
    #[command(flatten)]
    config: ConfigArgs,
    /// A caller by this name: what it sees of each list, and what is kept from it.
    #[arg(long = "as", value_name = "SUBJECT", required_unless_present = "tool")]
    subject: Option<String>,
    /// Its tenant.
    #[arg(long, value_name = "NAME", requires = "subject")]
    tenant: Option<String>,
    /// A role that it has (a claim named role); as often as you like.
    #[arg(long = "role", value_name = "NAME", requires = "subject")]
    roles: Vec<String>,
    /// A scope that it was granted; as often as you like.
    #[arg(long = "scope", value_name = "NAME", requires = "subject")]
    scopes: Vec<String>,
    /// A further claim; as often as you like.
    #[arg(long = "claim", value_name = "NAME=VALUE", requires = "subject")]
    claims: Vec<String>,
    /// The plugin that vouches for it.
    #[arg(long, value_name = "PLUGIN", default_value = KEYS, requires = "subject")]
    authority: String,
    /// At `/mcp/NAME` instead of `/mcp`.
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Only this tool, by the name that callers use; without --as: which holders of API keys see it.
    #[arg(long, value_name = "NAME")]
    tool: Option<String>,
}

impl Access {
    /// Starts what the configuration names, asks it as the caller would, and stops it again.
    pub fn run(self) -> Result<Exit> {
        let asked = self.subject.as_ref().map(|subject| self.principal(subject)).transpose()?;
        let Some(config) = self.config.load(None) else { return Ok(Exit::Config) };
        look(config, async |assembly| {
            let group = self.group.as_deref();
            let at = |caller: Caller| Ok(Caller { principal: assembly.caller(Principal::clone(&caller.principal), group)?, ..caller });
            match (asked, &self.tool) {
                (Some(caller), None) => lists(assembly, at(caller)?).await,
                (Some(caller), Some(tool)) => who(assembly, vec![at(caller)?], tool).await,
                (None, tool) => {
                    let callers = holders(assembly)?.into_iter().map(at).collect::<Result<_>>()?;
                    who(assembly, callers, tool.as_deref().unwrap_or_default()).await
                }
            }
        })
    }

    fn principal(&self, subject: &str) -> Result<Caller> {
        let mut claims: Vec<(&str, &str)> = self.roles.iter().map(|role| ("role", role.as_str())).collect();
        for claim in &self.claims {
            claims.push(claim.split_once('=').with_context(|| format!("--claim {claim:?} is not NAME=VALUE"))?);
        }
        Ok(Caller::new(subject.to_owned(), &self.authority, subject, self.tenant.as_deref(), &self.scopes, claims))
    }
}

/// Somebody, and what the operator calls him.
struct Caller {
    name: String,
    principal: Arc<Principal>,
}

impl Caller {
    fn new(name: String, authority: &str, subject: &str, tenant: Option<&str>, scopes: &[String], claims: Vec<(&str, &str)>) -> Self {
        let mut principal = Principal::new(authority, subject, tenant);
        principal.scopes = scopes.iter().map(|scope| scope.as_str().into()).collect();
        principal.claims = claims.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { name, principal: Arc::new(principal) }
    }
}

/// Every key that lets somebody in today, in the chain's settings and in its key file.
fn holders(assembly: &Assembly) -> Result<Vec<Caller>> {
    #[derive(Default, Deserialize)]
    struct Settings {
        #[serde(default)]
        keys: Vec<Key>,
        #[serde(default)]
        key_file: Option<Box<Settings>>,
    }
    let Some(config) = assembly.plugins.config_of(KEYS) else {
        bail!("{KEYS} is not in the chain, so nobody is known by a key: name a caller with --as");
    };
    let settings: Settings = serde_json::from_value(config).with_context(|| format!("the settings of {KEYS}"))?;
    let now = SystemTime::now();
    // The plugin reads more kinds of dates than are written here.
    let is_let_in = |key: &Key| matches!(key.state(now), State::Live | State::Replacing(_) | State::Unclear);
    let keys = settings.keys.into_iter().chain(settings.key_file.into_iter().flat_map(|file| file.keys)).filter(is_let_in);
    let caller = |key: Key| {
        let subject = key.subject.as_deref().unwrap_or(&key.id);
        let roles = key.roles.iter().map(|role| ("role", role.as_str()));
        let claims = roles.chain(key.claims.iter().map(|(name, value)| (name.as_str(), value.as_str()))).chain([("key", key.id.as_str())]);
        let name = format!("{} ({subject})", key.id);
        Caller::new(name, KEYS, subject, key.tenant.as_deref(), &key.scopes, claims.collect())
    };
    Ok(keys.map(caller).collect())
}

/// What an upstream offers, whatever filters call it.
fn origin(entry: &Entry) -> (&str, &str) {
    (&entry.owner, &entry.original)
}

async fn lists(assembly: &Assembly, caller: Caller) -> Result<()> {
    let client = ls::client(&caller.principal);
    for kind in ListKind::ALL {
        let offered = assembly.host.offered(kind, Era::Legacy, &client, &caller.principal).await;
        let view = match assembly.host.look(kind, Era::Legacy, &client, &caller.principal).await {
            Ok(view) => view,
            Err(error) => {
                say!("{}: {error}", kind.member());
                continue;
            }
        };
        let shown: HashSet<_> = view.exposed.iter().map(|shown| origin(&shown.entry)).collect();
        let kept: Vec<_> = offered.entries.iter().filter(|entry| !shown.contains(&origin(entry))).collect();
        if view.exposed.is_empty() && kept.is_empty() && view.missing.is_empty() {
            continue;
        }
        say!("{}", kind.member());
        view.exposed.iter().for_each(|shown| say!("  sees      {}  ({})", plain(&shown.entry.name), shown.entry.owner));
        kept.iter().for_each(|entry| say!("  does not  {}  ({})", plain(&entry.original), entry.owner));
        view.missing.iter().for_each(|missing| say!("  (those of {missing} are not known: it does not answer)"));
    }
    Ok(())
}

async fn who(assembly: &Assembly, callers: Vec<Caller>, tool: &str) -> Result<()> {
    let mut is_there = false;
    for caller in callers {
        let client = ls::client(&caller.principal);
        let view = assembly.host.look(ListKind::Tools, Era::Legacy, &client, &caller.principal).await;
        let answer = match view {
            Ok(view) if view.exposed.iter().any(|shown| *shown.entry.name == *tool) => {
                is_there = true;
                "sees it".to_owned()
            }
            Ok(_) => "does not".to_owned(),
            Err(error) => error.to_string(),
        };
        say!("  {answer:9} {}{}", plain(&caller.name), plain(&traits(&caller.principal)));
    }
    if !is_there {
        eprintln!("nobody of these sees {tool:?}: sluice ls shows what tools are called");
    }
    Ok(())
}

/// What tells a caller from others.
fn traits(principal: &Principal) -> String {
    let tenant = principal.tenant.iter().map(|tenant| format!("tenant {tenant}"));
    let roles = principal.claims.iter().filter(|(name, _)| **name == *"role").map(|(_, role)| format!("role {role}"));
    let all: Vec<String> = tenant.chain(roles).collect();
    if all.is_empty() { String::new() } else { format!("  {}", all.join(", ")) }
}
