//! The chain in force: what the configuration and the plugin directory say, loaded, and put in place of the last one
//! only when all of it is good.

mod closed;
pub(crate) mod convert;
mod counted;
mod describe;
pub mod fetched;
pub mod folder;
mod sources;
pub mod supply;
mod watch;

pub use describe::Described;
use fetched::{Fetched, Outstanding};
use sources::Sources;
pub use sources::{beside, complete};

use crate::{
    cache,
    config::{Config, PluginSettings},
    state,
};
use anyhow::{Result, bail};
use bytes::Bytes;
use closed::Closed;
use futures_util::future::join_all;
use sluice_chain::{
    breaker::Breaker,
    canary::{Canary, Side},
    fault::Fault,
    fetch::Fetch,
    filter::{Filter, Hook},
    generation::{Link, OnFault, Policy},
    groups::Group,
    host::Host,
    upstream::Upstream,
};
use sluice_plugin::{Engine, Settings, Setup, WasmFilter};
use sluice_state::{Bucket, Quota, Store, memory::MemoryStore};
use sluice_supply::Lock;
use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};
use supply::{Signer, Supply};

/// The bucket of the host's own: plugins' begin otherwise.
const SESSIONS: &str = "host/sessions";

/// What stands before the name of a plugin that is inside the binary.
pub const BUILTIN: &str = "builtin:";

/// Keeps the chain of one host.
pub struct Plugins {
    config: Mutex<Arc<Config>>,
    host: Arc<Host>,
    engine: Engine,
    store: Arc<dyn Store>,
    supply: Supply,
    /// Plugins that are no files here, as far as they were asked for.
    fetched: Mutex<Arc<Fetched>>,
    /// Those that were asked for and have not come yet.
    outstanding: Outstanding,
    placed: Mutex<Vec<Placed>>,
    /// One load at a time; a change that comes meanwhile is seen by the next.
    loading: tokio::sync::Mutex<()>,
    /// The directory as it was right before the first load.
    loaded_from: watch::Fingerprint,
    /// What settings named as files of their own when they were last looked at.
    files: Mutex<Vec<PathBuf>>,
    /// Others than this machine can reach the listener, so an authenticator must stay.
    needs_authenticator: AtomicBool,
    /// The first chain is in place.
    is_open: AtomicBool,
}

/// A plugin as it was found, before anything was made of it.
struct Found {
    /// Tells it apart from the others of one chain: file name, path, reference or `builtin:<name>`.
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

/// What a look at directory and configuration gave.
struct Assembled {
    /// The chain of `/mcp`, then those of the groups.
    chain: Vec<Placed>,
    /// A line each.
    problems: Vec<String>,
    /// Something has to be compiled first and is not waited for.
    left_out: bool,
    /// It may be put in force.
    is_usable: bool,
}

/// Why the chain is put together.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Occasion {
    /// The start of somebody who waits: what may come later is left out.
    Hurried,
    /// The start, or a look at what may have changed.
    Look,
    /// Another configuration: what only the one before named is not missed.
    Reconfigured,
}

/// A loaded plugin at its place.
#[derive(Clone)]
struct Placed {
    /// In whose chain; none: in that of `/mcp`.
    group: Option<Arc<str>>,
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
    /// Nothing is loaded yet, and everybody is told to come back: see [`open`](Self::open).
    ///
    /// `remembers`: what is in force is remembered, so that no older version comes after it.
    ///
    /// # Errors
    /// Wasm does not run here, or what was remembered or kept cannot be read.
    pub fn closed(config: &Config, host: Arc<Host>, fetch: Arc<dyn Fetch>, remembers: bool) -> Result<Arc<Self>> {
        // Whoever only looks does so beside a gateway that runs, whose file it is.
        let store = if remembers { state::store(config)? } else { Arc::new(MemoryStore::new()) };
        let mut setup = Setup {
            cache: Some(config.places.cache_dir.clone()),
            compiler: Some(convert::compiler(config)),
            secrets: convert::secrets(config),
            fetch: Some(fetch),
            calls: Some(Arc::new(Arc::downgrade(&host))),
            snapshots: remembers && config.settings.plugins.copies,
            ..Setup::new(store.clone())
        };
        if let Some(slow_max) = config.settings.limits.slow_hooks_max {
            setup.slow_max = convert::count(slow_max);
        }
        let (engine, supply) = (Engine::start(setup)?, Supply::open(config, remembers)?);
        host.swap(chains(config, |_| vec![Link::new(Arc::new(Closed::new()), Policy::default())]));
        Ok(Arc::new(Self {
            config: Mutex::new(Arc::new(config.clone())),
            host,
            engine,
            store,
            supply,
            fetched: Mutex::default(),
            outstanding: Outstanding::default(),
            placed: Mutex::default(),
            loading: tokio::sync::Mutex::default(),
            loaded_from: watch::fingerprint(&config.places.plugins_dir, &[]),
            files: Mutex::default(),
            needs_authenticator: AtomicBool::new(false),
            is_open: AtomicBool::new(false),
        }))
    }

    /// Put the first chain in place. Says whether something was left out of it.
    ///
    /// `hurried`: a plugin that would have to be compiled first and whose faults are passed over anyway is left out, for
    /// [`reload`](Self::reload) to bring in.
    ///
    /// # Errors
    /// Every problem at once, a line each: a plugin that never loaded is a failing plugin, not an absent one.
    pub async fn open(&self, hurried: bool) -> Result<bool> {
        let _one_at_a_time = self.loading.lock().await;
        let config = self.config();
        let fetched = self.fetch(&config).await;
        *lock(&self.fetched) = fetched.clone();
        let occasion = if hurried { Occasion::Hurried } else { Occasion::Look };
        let mut first = self.assemble(&config, &fetched, occasion).await;
        if first.left_out && !first.problems.is_empty() {
            // One that is needed for the others to be complete: an authenticator that may not be missing.
            first = self.assemble(&config, &fetched, Occasion::Look).await;
        }
        if !first.problems.is_empty() {
            // What was fetched is kept before it is judged: starts that are refused one after another would fill the disk. It is waited for,
            // since the process ends with this error.
            if let Some(making) = self.make_room() {
                let _ = making.await;
            }
            bail!("{}", first.problems.join("\n"));
        }
        self.swap(first.chain, None);
        self.is_open.store(true, Relaxed);
        self.make_room();
        Ok(first.left_out)
    }

    /// Look again and put in place what changed. What is bad changes nothing; its lines come back.
    pub async fn reload(&self) -> Vec<String> {
        let _one_at_a_time = self.loading.lock().await;
        let (config, fetched) = (self.config(), lock(&self.fetched).clone());
        let next = self.assemble(&config, &fetched, Occasion::Look).await;
        if next.is_usable && !same(&self.placed(), &next.chain) {
            self.swap(next.chain, None);
            self.make_room();
        }
        next.problems
    }

    /// Put another configuration's chain and these servers in force, in one step. Gives back the servers that are gone.
    ///
    /// # Errors
    /// A line for each problem; then nothing has changed.
    pub async fn reconfigure(&self, config: Config, servers: Vec<Arc<dyn Upstream>>) -> Result<Vec<Left>, Vec<String>> {
        let _one_at_a_time = self.loading.lock().await;
        let mut fetched = lock(&self.fetched).clone();
        if !fetched.has_all_of(&config) {
            fetched = self.fetch(&config).await;
        }
        let next = self.assemble(&config, &fetched, Occasion::Reconfigured).await;
        if !next.problems.is_empty() {
            return Err(next.problems);
        }
        *lock(&self.fetched) = fetched;
        let idempotent = config.idempotent_tools();
        *lock(&self.config) = Arc::new(config);
        let gone = self.swap(next.chain, Some((servers, idempotent)));
        self.make_room();
        Ok(gone)
    }

    /// The configuration in force.
    pub fn config(&self) -> Arc<Config> {
        lock(&self.config).clone()
    }

    async fn fetch(&self, config: &Config) -> Arc<Fetched> {
        let fetched = Fetched::all(config, &self.supply, &self.outstanding).await;
        fetched.notes().iter().for_each(|note| tracing::warn!("{note}"));
        Arc::new(fetched)
    }

    /// All chains as directory and configuration say now; where one of them is bad, what was in force in its place.
    async fn assemble(&self, config: &Config, fetched: &Fetched, occasion: Occasion) -> Assembled {
        let before = self.placed().clone();
        let mut all = Assembled { chain: Vec::new(), problems: Vec::new(), left_out: false, is_usable: true };
        let (mut files, mut named) = (Vec::new(), Vec::new());
        let groups = config.groups();
        let others = groups.iter().map(|group| (Some(&group.name), group.own.as_ref()));
        for (group, own) in std::iter::once((None, Some(config))).chain(others) {
            let Some(config) = own else {
                // Its chain is that of `/mcp`, down to the instances.
                let shared: Vec<Placed> = all.chain.iter().filter(|placed| placed.group.is_none()).cloned().collect();
                all.chain.extend(shared.into_iter().map(|placed| Placed { group: group.cloned(), ..placed }));
                continue;
            };
            let mut found = sources::find(config, fetched);
            let problems = std::mem::take(&mut found.problems);
            if found.is_partial {
                return Assembled { chain: before, problems, left_out: false, is_usable: false };
            }
            files.append(&mut found.files);
            named.extend(found.order.iter().cloned());
            let part = self.assemble_one(config, found, group, &before, &all.chain, occasion).await;
            // What is wrong with a plugin of several chains is said once.
            for problem in problems.into_iter().chain(part.problems) {
                if !all.problems.contains(&problem) {
                    all.problems.push(problem);
                }
            }
            all.chain.extend(part.chain);
            all.left_out |= part.left_out;
            all.is_usable &= part.is_usable;
        }
        *lock(&self.files) = files;
        all.problems.extend(self.supply.missing(&named));
        let twice = two_of_one_name(&all.chain);
        all.is_usable &= twice.is_none();
        all.problems.extend(twice);
        all
    }

    /// One chain. `so_far`: those that were put together before it, whose instances serve here, too, where settings are the same.
    async fn assemble_one(
        &self,
        config: &Config,
        mut found: Sources,
        group: Option<&Arc<str>>,
        before: &[Placed],
        so_far: &[Placed],
        occasion: Occasion,
    ) -> Assembled {
        let all = found.order.len();
        if occasion == Occasion::Hurried {
            found.order.retain(|key| found.plugins.get(key).is_none_or(|found| !self.may_come_later(found)));
        }
        let left_out = found.order.len() < all;
        let own: Vec<Placed> = before.iter().filter(|old| old.group.as_ref() == group).cloned().collect();
        // At once: most of what loading takes is compiling, and that has its own bound.
        let each = found.order.iter().map(|key| {
            let is_it = |placed: &&Placed| placed.key == *key;
            let others: Vec<&Placed> = so_far.iter().chain(before).filter(is_it).collect();
            self.renew(config, found.plugins.get(key), own.iter().find(is_it), others)
        });
        let (mut chain, mut problems) = (Vec::new(), Vec::new());
        for (placed, wrong) in join_all(each).await {
            chain.extend(placed.map(|placed| Placed { group: group.cloned(), ..placed }));
            problems.extend(wrong);
        }
        problems.extend(keep_required(&own, occasion, &mut chain));
        sources::settle(config, &mut chain);
        let open = self.would_open_the_door(&chain).map(|open| match group {
            None => open,
            Some(group) => format!("group {group}: {open}"),
        });
        let is_usable = open.is_none();
        problems.extend(open);
        Assembled { chain, problems, left_out, is_usable }
    }

    /// That it cannot start would be passed over, so traffic need not wait for its compiler either.
    fn may_come_later(&self, found: &Found) -> bool {
        let passed_over = convert::policy(&found.written).on_fault(Fault::Instantiate(String::new()).kind()) == OnFault::Skip;
        passed_over && !found.written.required && !self.engine.is_compiled(&sluice_plugin::artifact::digest(&found.bytes))
    }

    /// One plugin as it is now, with its trial; as it was where that cannot be. And what is wrong with it.
    async fn renew(
        &self,
        config: &Config,
        found: Option<&Found>,
        old: Option<&Placed>,
        others: Vec<&Placed>,
    ) -> (Option<Placed>, Vec<String>) {
        // Its file cannot be read just now: a line about that stands in the problems.
        let Some(found) = found else { return (old.cloned(), Vec::new()) };
        let placed = match self.place(config, found, old.into_iter().chain(others)).await {
            Ok(placed) => placed,
            Err(problem) => return (old.cloned(), vec![problem]),
        };
        match self.try_next(found, &placed, old).await {
            Ok(trial) => (Some(Placed { trial, ..placed }), Vec::new()),
            Err(problem) => (Some(placed), vec![problem]),
        }
    }

    /// What the first chain waits for, in words; nothing once it is in place.
    pub fn waits_for(&self) -> Option<String> {
        if self.is_open.load(Relaxed) {
            return None;
        }
        let outstanding = self.outstanding.places();
        if !outstanding.is_empty() {
            return Some(format!("fetching {}", outstanding.join(", ")));
        }
        let compiling: Vec<String> = self.engine.compiling().iter().map(ToString::to_string).collect();
        Some(if compiling.is_empty() { "plugins are being loaded".into() } else { format!("compiling {}", compiling.join(", ")) })
    }

    /// What an operator should know about where the plugins came from.
    pub fn notes(&self) -> Vec<String> {
        lock(&self.fetched).notes().to_vec()
    }

    /// In the cache folder, beside everything else.
    fn make_room(&self) -> Option<tokio::task::JoinHandle<cache::Room>> {
        let config = self.config();
        let (places, bytes_max) = (config.places.clone(), config.settings.limits.cache_bytes_max);
        // A folder that others can write to is no cache, and not ours to tidy up.
        self.engine
            .caches()
            .then(|| tokio::task::spawn_blocking(move || cache::make_room(&[places.cache_dir.as_path(), &places.fetched_dir], bytes_max)))
    }

    /// `servers`: other ones than before, and which of their tools are idempotent. Gives back those that are gone.
    fn swap(&self, after: Vec<Placed>, servers: Option<Servers>) -> Vec<Left> {
        let of = |group: Option<&Arc<str>>| after.iter().filter(|placed| placed.group.as_ref() == group).flat_map(Placed::links).collect();
        let chains = chains(&self.config(), of);
        let gone = match servers {
            None => {
                self.host.swap(chains);
                Vec::new()
            }
            Some((servers, idempotent)) => self.host.replace(servers, idempotent, chains),
        };
        let generation = self.host.generation().number;
        let own = self.config().groups().into_iter().filter(|group| group.own.is_some()).map(|group| Some(group.name));
        for group in std::iter::once(None).chain(own) {
            let chain: Vec<String> = after.iter().filter(|placed| placed.group == group).map(Placed::name).collect();
            tracing::info!(generation, group = group.as_deref(), chain = chain.join(","), "chain in place");
        }
        self.supply.note(&after);
        // Whoever only looks puts nothing in force. What comes in late or changes later is as good as what was there first.
        if self.supply.remembers() {
            lock(&self.fetched).are_good(&after);
        }
        *self.placed() = after;
        gone
    }

    /// `known`: what there is of it, which goes on where it is the same.
    async fn place<'p>(&self, config: &Config, found: &Found, known: impl Iterator<Item = &'p Placed>) -> Result<Placed, String> {
        let settings = convert::settings(&found.key, &found.sidecar, &found.written, config.settings.limits.response_bytes_max);
        let policy = convert::policy(&found.written);
        let digest: Arc<str> = sluice_plugin::artifact::digest(&found.bytes).into();
        let signer = self.supply.check_file(found, &digest)?;
        let unchanged = { known }.find(|known| known.digest == digest && known.settings == settings);
        let (filter, breaker) = match unchanged {
            Some(old) => (old.filter.clone(), old.breaker.clone()),
            None => {
                let filter = self.engine.load(found.bytes.clone(), settings.clone()).await.map_err(|e| e.to_string())?;
                (filter, Arc::new(Breaker::new(policy.breaker.clone())))
            }
        };
        self.supply.check_plugin(found, filter.identity(), &signer)?;
        Ok(Placed {
            group: None,
            key: found.key.clone(),
            digest,
            signer,
            settings,
            filter,
            policy,
            breaker,
            stays: found.stays,
            trial: None,
        })
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

    /// Others than this machine can reach the listener: that needs an authenticator, at start and at every swap.
    pub fn needs_an_authenticator(&self) {
        self.needs_authenticator.store(true, Relaxed);
    }

    fn would_open_the_door(&self, chain: &[Placed]) -> Option<String> {
        let open = self.needs_authenticator.load(Relaxed);
        let guarded = chain.iter().any(|p| p.filter.interest().hooks.iter().any(|(hook, _)| *hook == Hook::Authenticate));
        (open && !guarded).then(|| {
            "no plugin of the chain authenticates, and others than this machine can reach the listener: add builtin:auth-api-key to the chain, ask clients for certificates (tls.client_ca), or listen on loopback".to_owned()
        })
    }

    /// Which files the chain is made of.
    pub fn lock(&self) -> Lock {
        supply::lock_of(&self.placed())
    }

    /// Where legacy sessions are written down; none where what is kept ends with this process.
    pub fn session_records(&self) -> Option<Arc<dyn Bucket>> {
        (self.store.kind() != "memory").then(|| self.store.bucket(SESSIONS, Quota::default()))
    }

    /// What plugins keep is written down.
    pub fn close(&self) {
        self.store.close();
    }

    fn files(&self) -> Vec<PathBuf> {
        lock(&self.files).clone()
    }

    fn placed(&self) -> MutexGuard<'_, Vec<Placed>> {
        lock(&self.placed)
    }
}

/// A server that is gone, and the place that it had.
pub type Left = (usize, Arc<dyn Upstream>);

/// Servers, and `(server, tool)` pairs that may be repeated.
type Servers = (Vec<Arc<dyn Upstream>>, Vec<(String, String)>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The views that a configuration has, with these links.
fn chains(config: &Config, links: impl Fn(Option<&Arc<str>>) -> Vec<Link>) -> Vec<Group> {
    let default = Group { name: None, upstreams: config.at_default(), links: links(None) };
    let groups = config.groups();
    let named =
        groups.into_iter().map(|group| Group { links: links(Some(&group.name)), name: Some(group.name), upstreams: group.upstreams });
    std::iter::once(default).chain(named).collect()
}

impl Placed {
    fn name(&self) -> String {
        format!("{}@{}", self.filter.identity().name, self.filter.identity().version)
    }

    /// Its place in the chain, or the two of a trial.
    fn links(&self) -> Vec<Link> {
        let stable = Link::with_breaker(self.filter.clone(), self.policy.clone(), self.breaker.clone());
        let Some(trial) = &self.trial else { return vec![stable] };
        let candidate = Link::with_breaker(trial.filter.clone(), self.policy.clone(), trial.breaker.clone());
        vec![stable.on_trial(trial.canary.clone(), Side::Stable), candidate.on_trial(trial.canary.clone(), Side::Candidate)]
    }
}

/// Plugins that may not vanish and did: they go back to where they were, and an alarm is raised. What another configuration does not name
/// any more has not vanished.
fn keep_required(before: &[Placed], occasion: Occasion, after: &mut Vec<Placed>) -> Vec<String> {
    let mut alarms = Vec::new();
    for (at, old) in before.iter().enumerate() {
        let stays = old.policy.required || (old.stays && occasion != Occasion::Reconfigured);
        // Another version from a registry, say, has another key.
        let is_it =
            |p: &Placed| p.key == old.key || (occasion == Occasion::Reconfigured && p.filter.identity().name == old.filter.identity().name);
        if stays && !after.iter().any(is_it) {
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
        a.group == b.group
            && a.key == b.key
            && a.signer == b.signer
            && Arc::ptr_eq(&a.filter, &b.filter)
            && format!("{:?}", a.policy) == format!("{:?}", b.policy)
            && trials
    };
    before.len() == after.len() && before.iter().zip(after).all(alike)
}
