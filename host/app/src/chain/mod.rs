//! The chain in force: what the configuration and the plugin directory say, loaded, and put in place of the last one
//! only when all of it is good.

pub(crate) mod convert;
mod describe;
pub mod folder;
mod sources;
pub mod supply;
mod watch;

pub use describe::Described;
pub use sources::beside;

use crate::config::{Config, PluginSettings};
use anyhow::{Result, bail};
use bytes::Bytes;
use sluice_chain::{
    breaker::Breaker,
    canary::{Canary, Side},
    fetch::Fetch,
    filter::{Filter, Hook},
    generation::{Link, Policy},
    host::Host,
};
use sluice_plugin::{Engine, Settings, Setup, WasmFilter};
use sluice_state::memory::MemoryStore;
use sluice_supply::Lock;
use std::sync::{Arc, Mutex, PoisonError};
use supply::{Signer, Supply};

/// What stands before the name of a plugin that is inside the binary.
pub const BUILTIN: &str = "builtin:";

/// Keeps the chain of one host.
pub struct Plugins {
    config: Config,
    host: Arc<Host>,
    engine: Engine,
    supply: Supply,
    placed: Mutex<Vec<Placed>>,
    /// One load at a time; a change that comes meanwhile is seen by the next.
    loading: tokio::sync::Mutex<()>,
    /// The directory as it was right before the first load.
    loaded_from: watch::Fingerprint,
    /// Set once others than this machine can reach the listener: then an authenticator must stay.
    open: std::sync::atomic::AtomicBool,
}

/// A plugin as it was found, before anything was made of it.
struct Found {
    /// Tells it apart from the others of one chain: file name, path or `builtin:<name>`.
    key: String,
    /// Where settings for it would be written.
    sidecar: String,
    bytes: Bytes,
    /// What stands in the file beside it, if there is one.
    signature: Option<String>,
    written: PluginSettings,
    /// It may not vanish: named in `chain`, or marked as required.
    stays: bool,
    /// A new version of it to be tried, or why its file cannot be read.
    next: Option<Result<Box<Found>, String>>,
}

/// A loaded plugin at its place.
#[derive(Clone)]
struct Placed {
    key: String,
    digest: Arc<str>,
    signer: Signer,
    settings: Settings,
    filter: Arc<WasmFilter>,
    policy: Policy,
    breaker: Arc<Breaker>,
    stays: bool,
    trial: Option<Trial>,
}

/// A new version of a plugin, beside the one in force.
#[derive(Clone)]
struct Trial {
    digest: Arc<str>,
    filter: Arc<WasmFilter>,
    breaker: Arc<Breaker>,
    canary: Arc<Canary>,
    /// What the operator wrote about it: other words begin another trial.
    written: String,
}

impl Found {
    fn is_builtin(&self) -> bool {
        self.key.starts_with(BUILTIN)
    }
}

impl Plugins {
    /// Load the chain for the first time.
    ///
    /// `remembers`: what is in force is remembered, so that no older version comes after it.
    ///
    /// # Errors
    /// Every problem at once, a line each: a plugin that never loaded is a failing plugin, not an absent one.
    pub async fn load(config: &Config, host: Arc<Host>, fetch: Arc<dyn Fetch>, remembers: bool) -> Result<Arc<Self>> {
        let mut setup = Setup {
            cache: Some(config.places.cache_dir.clone()),
            compiler: Some(convert::compiler(config)),
            secrets: convert::secrets(config),
            fetch: Some(fetch),
            calls: Some(Arc::new(Arc::downgrade(&host))),
            ..Setup::new(Arc::new(MemoryStore::new()))
        };
        if let Some(slow_max) = config.settings.limits.slow_hooks_max {
            setup.slow_max = convert::count(slow_max);
        }
        let plugins = Arc::new(Self {
            config: config.clone(),
            host,
            engine: Engine::start(setup)?,
            supply: Supply::open(config, remembers)?,
            placed: Mutex::default(),
            loading: tokio::sync::Mutex::default(),
            loaded_from: watch::fingerprint(&config.places.plugins_dir),
            open: std::sync::atomic::AtomicBool::new(false),
        });
        let problems = plugins.reload().await;
        if !problems.is_empty() {
            bail!("{}", problems.join("\n"));
        }
        Ok(plugins)
    }

    /// Look again and put in place what changed. What is bad changes nothing; its lines come back.
    pub async fn reload(&self) -> Vec<String> {
        let _one_at_a_time = self.loading.lock().await;
        let before = self.placed().clone();
        let found = sources::find(&self.config);
        let mut problems = found.problems;
        if found.is_partial {
            return problems;
        }
        problems.extend(self.supply.missing(&found.order));
        let mut after = Vec::new();
        for key in found.order {
            let old = before.iter().find(|p| p.key == key);
            match found.plugins.get(&key) {
                Some(found) => match self.place(found, old).await {
                    Ok(placed) => {
                        let trial = self.try_next(found, &placed, old).await;
                        let trial = trial.unwrap_or_else(|problem| {
                            problems.push(problem);
                            None
                        });
                        after.push(Placed { trial, ..placed });
                    }
                    Err(problem) => {
                        problems.push(problem);
                        after.extend(old.cloned());
                    }
                },
                // Its file cannot be read just now: a line about that stands in the problems.
                None => after.extend(old.cloned()),
            }
        }
        problems.extend(keep_required(&before, &mut after));
        sources::settle(&self.config, &mut after);
        if let Some(problem) = two_of_one_name(&after).or_else(|| self.would_open_the_door(&after)) {
            problems.push(problem);
        } else if !same(&before, &after) {
            self.swap(after);
        }
        problems
    }

    fn swap(&self, after: Vec<Placed>) {
        let generation = self.host.swap(after.iter().flat_map(Placed::links).collect());
        let names: Vec<String> = after.iter().map(|p| format!("{}@{}", p.filter.identity().name, p.filter.identity().version)).collect();
        tracing::info!(generation, chain = names.join(","), "chain in place");
        self.supply.note(&after);
        *self.placed() = after;
    }

    async fn place(&self, found: &Found, old: Option<&Placed>) -> Result<Placed, String> {
        let settings = convert::settings(&found.key, &found.sidecar, &found.written, self.config.settings.limits.response_bytes_max);
        let policy = convert::policy(&found.written);
        let digest: Arc<str> = sluice_plugin::artifact::digest(&found.bytes).into();
        let signer = self.supply.check_file(found, &digest)?;
        let unchanged = old.filter(|o| o.digest == digest && o.settings == settings);
        let (filter, breaker) = match unchanged {
            Some(old) => (old.filter.clone(), old.breaker.clone()),
            None => {
                let filter = self.engine.load(found.bytes.clone(), settings.clone()).await.map_err(|e| e.to_string())?;
                (filter, Arc::new(Breaker::new(policy.breaker.clone())))
            }
        };
        self.supply.check_plugin(found, filter.identity(), &signer)?;
        Ok(Placed { key: found.key.clone(), digest, signer, settings, filter, policy, breaker, stays: found.stays, trial: None })
    }

    /// The new version beside a plugin, loaded; or the trial that is under way, as long as nothing of it has changed.
    async fn try_next(&self, found: &Found, placed: &Placed, old: Option<&Placed>) -> Result<Option<Trial>, String> {
        let next = match &found.next {
            None => return Ok(None),
            Some(next) => next.as_ref().map_err(Clone::clone)?,
        };
        let digest: Arc<str> = sluice_plugin::artifact::digest(&next.bytes).into();
        if digest == placed.digest {
            return Ok(None);
        }
        let written = format!("{:?}", found.written.canary);
        let signer = self.supply.check_file(next, &digest)?;
        let under_way = old.filter(|old| Arc::ptr_eq(&old.filter, &placed.filter)).and_then(|old| old.trial.as_ref());
        if let Some(trial) = under_way.filter(|trial| trial.digest == digest && trial.written == written) {
            return Ok(Some(trial.clone()));
        }
        let settings = Settings { file: next.key.as_str().into(), ..placed.settings.clone() };
        let filter = self.engine.load(next.bytes.clone(), settings).await.map_err(|e| e.to_string())?;
        let (new, name) = (filter.identity(), &placed.filter.identity().name);
        if new.name != *name {
            return Err(format!(
                "{} calls itself {}, so it is no new version of {name}: give it the name {name}, or make it a plugin of its own",
                next.key, new.name
            ));
        }
        self.supply.check_plugin(next, new, &signer)?;
        tracing::info!(plugin = %name, version = %new.version, digest = %new.digest, "a new version is on trial");
        let stable: Arc<dyn Filter> = placed.filter.clone();
        let (share, bounds) = convert::canary(&found.written.canary);
        let canary = Arc::new(Canary::new(share, bounds, &stable));
        let breaker = Arc::new(Breaker::new(placed.policy.breaker.clone()));
        Ok(Some(Trial { digest, filter, breaker, canary, written }))
    }

    /// From now on others than this machine can reach the listener: that needs an authenticator, at start and at every swap.
    ///
    /// # Errors
    /// There is none.
    pub fn open_to_others(&self) -> Result<()> {
        self.open.store(true, std::sync::atomic::Ordering::Relaxed);
        match self.would_open_the_door(&self.placed().clone()) {
            Some(problem) => bail!(problem),
            None => Ok(()),
        }
    }

    fn would_open_the_door(&self, chain: &[Placed]) -> Option<String> {
        let open = self.open.load(std::sync::atomic::Ordering::Relaxed);
        let guarded = chain.iter().any(|p| p.filter.interest().hooks.iter().any(|(hook, _)| *hook == Hook::Authenticate));
        (open && !guarded).then(|| {
            "no plugin of the chain authenticates, and others than this machine can reach the listener: add builtin:auth-api-key to the chain, ask clients for certificates (tls.client_ca), or listen on loopback".to_owned()
        })
    }

    /// Which files the chain is made of.
    pub fn lock(&self) -> Lock {
        supply::lock_of(&self.placed())
    }

    fn placed(&self) -> std::sync::MutexGuard<'_, Vec<Placed>> {
        self.placed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Placed {
    /// Its place in the chain, or the two of a trial.
    fn links(&self) -> Vec<Link> {
        let stable = Link::with_breaker(self.filter.clone(), self.policy.clone(), self.breaker.clone());
        let Some(trial) = &self.trial else { return vec![stable] };
        let candidate = Link::with_breaker(trial.filter.clone(), self.policy.clone(), trial.breaker.clone());
        vec![stable.on_trial(trial.canary.clone(), Side::Stable), candidate.on_trial(trial.canary.clone(), Side::Candidate)]
    }
}

/// Plugins that may not vanish and did: they go back to where they were, and an alarm is raised.
fn keep_required(before: &[Placed], after: &mut Vec<Placed>) -> Vec<String> {
    let mut alarms = Vec::new();
    for (at, old) in before.iter().enumerate() {
        if old.stays && !after.iter().any(|p| p.key == old.key) {
            alarms.push(format!(
                "{} is gone but required: its last good version stays in force; put it back, or take \"required\" away first",
                old.key
            ));
            after.insert(at.min(after.len()), old.clone());
        }
    }
    alarms
}

/// A name is a plugin's own: its attributes and its kv bucket go by it. Two different files that claim the same one would share them.
fn two_of_one_name(chain: &[Placed]) -> Option<String> {
    chain.iter().enumerate().find_map(|(at, second)| {
        let name = &second.filter.identity().name;
        let first = chain[..at].iter().find(|first| first.filter.identity().name == *name && first.digest != second.digest)?;
        Some(format!("{} and {} are different plugins that both call themselves {name}: take one of them away", first.key, second.key))
    })
}

fn same(before: &[Placed], after: &[Placed]) -> bool {
    let alike = |(a, b): (&Placed, &Placed)| {
        let trials = match (&a.trial, &b.trial) {
            (Some(a), Some(b)) => Arc::ptr_eq(&a.canary, &b.canary),
            (a, b) => a.is_none() && b.is_none(),
        };
        a.key == b.key
            && a.signer == b.signer
            && Arc::ptr_eq(&a.filter, &b.filter)
            && format!("{:?}", a.policy) == format!("{:?}", b.policy)
            && trials
    };
    before.len() == after.len() && before.iter().zip(after).all(alike)
}
