//! The one engine of a process: compiler settings, the pool of memories, the ticker, the cache.

use crate::{
    cache::Cache,
    compile::{Compiling, Loading, Underway},
    compiler::Compiler,
    filter::WasmFilter,
    pool::Pools,
    secrets::{Secrets, Shelves},
    ticker::Ticker,
};
use sluice_chain::{fetch::Fetch, subcall::Calls};
use sluice_state::Store;
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, Weak},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig, component::Component};

/// Stack of guest code in one call.
const STACK_BYTES: usize = 512 << 10;
/// Stack of a call's fiber: the guest's, and room for the host's own functions.
const FIBER_BYTES: usize = 2 << 20;
/// Hard ceiling of one linear memory, whatever a plugin's limit says.
const MEMORY_BYTES_MAX: usize = 1 << 30;
/// Address space of one memory where the usual 4 GiB for each cannot be had.
const SMALL_RESERVATION: usize = 256 << 20;
/// Elements of one table.
const TABLE_ELEMENTS: usize = 100_000;
/// Places in the pool beyond what is counted.
const SLACK: u32 = 32;
/// Kept of a freed memory where the kernel tells which pages were touched; without that, less is faster.
const RESIDENT_WITH_SCAN: usize = 1 << 20;
const RESIDENT_WITHOUT: usize = 64 << 10;
/// Compilers at once: each may take a gigabyte.
const COMPILERS_MAX: usize = 8;

/// What an engine is made with.
pub struct Setup {
    /// Behind the `kv` import.
    pub store: Arc<dyn Store>,
    /// Folder for compiled code; none: compile every time.
    pub cache: Option<PathBuf>,
    /// Compiles in a process with bounds of its own; none: on a thread of this one, which is for files that are trusted.
    pub compiler: Option<Compiler>,
    /// Instances of all plugins together, at once.
    pub instances_max: u32,
    /// Hook calls at once that go on after their first two milliseconds. With one less than there are workers, one is
    /// left for everybody else.
    pub slow_max: usize,
    /// The operator's, behind the `secrets` import.
    pub secrets: Secrets,
    /// Behind the `fetch` import; without it every request is unreachable.
    pub fetch: Option<Arc<dyn Fetch>>,
    /// Behind the `upstream` import; without it no tool is called.
    pub calls: Option<Arc<dyn Calls>>,
    /// New instances are copies of one that has run `init`, where that can be: made beside the traffic, and kept in the cache.
    pub snapshots: bool,
}

impl Setup {
    /// No cache, compiled in this process, no secrets, no network, no snapshots, room for 1,000 instances, one worker kept free.
    pub fn new(store: Arc<dyn Store>) -> Self {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            store,
            cache: None,
            compiler: None,
            instances_max: 1_000,
            slow_max: workers.saturating_sub(1).max(1),
            secrets: Secrets::new(),
            fetch: None,
            calls: None,
            snapshots: false,
        }
    }
}

/// The engine cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// wasmtime does not run here.
    #[error("wasm cannot run on this machine: {0}")]
    Wasmtime(String),
    /// No thread for the ticker.
    #[error("cannot start the epoch thread")]
    Ticker(#[from] std::io::Error),
}

/// Compiles and runs plugins. One a process; cloning shares it.
#[derive(Clone)]
pub struct Engine {
    wasmtime: wasmtime::Engine,
    store: Arc<dyn Store>,
    cache: Option<Arc<Cache>>,
    compiler: Option<Arc<Compiler>>,
    pools: Arc<Pools>,
    ticker: Arc<Ticker>,
    memory: Memory,
    loaded: Arc<Loaded>,
    secrets: Arc<Secrets>,
    fetch: Option<Arc<dyn Fetch>>,
    calls: Option<Arc<dyn Calls>>,
    shelves: Arc<Shelves>,
    underway: Underway,
    loading: Loading,
    compile_turns: Arc<Semaphore>,
    /// None: no snapshots are made.
    snapshot_turns: Option<Arc<Semaphore>>,
}

/// What is loaded and still in use.
type Loaded = Mutex<Vec<Weak<WasmFilter>>>;

/// How memories are had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// From a pool, each with address space for no bounds checks.
    Pooled,
    /// From a pool of small reservations: the address space is limited.
    PooledSmall,
    /// One by one.
    OnDemand,
}

impl Engine {
    /// Start an engine.
    ///
    /// # Errors
    /// [`EngineError`], when wasm cannot run here at all.
    pub fn start(setup: Setup) -> Result<Self, EngineError> {
        let (wasmtime, memory) = wasmtime_engine(setup.instances_max)?;
        let cache = setup.cache.and_then(|folder| match Cache::open(&folder) {
            Ok(cache) => Some(Arc::new(cache)),
            Err(why) => {
                tracing::warn!("plugins are compiled at every start: the cache folder {} {why}", folder.display());
                None
            }
        });
        let pools = Arc::new(Pools::new(setup.instances_max as usize, setup.slow_max));
        let (ticks, swept) = (wasmtime.clone(), pools.clone());
        let ticker = Ticker::start(move || ticks.increment_epoch(), move || swept.sweep())?;
        Ok(Self {
            wasmtime,
            store: setup.store,
            cache,
            compiler: setup.compiler.map(Arc::new),
            pools,
            ticker: Arc::new(ticker),
            memory,
            loaded: Arc::default(),
            secrets: Arc::new(setup.secrets),
            fetch: setup.fetch,
            calls: setup.calls,
            shelves: Arc::default(),
            underway: Underway::default(),
            loading: Loading::default(),
            compile_turns: Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(1, |n| n.get().min(COMPILERS_MAX)))),
            snapshot_turns: setup.snapshots.then(|| Arc::new(Semaphore::new(1))),
        })
    }

    /// How memories are had on this machine.
    pub fn memory(&self) -> Memory {
        self.memory
    }

    /// Is compiled code kept?
    pub fn caches(&self) -> bool {
        self.cache.is_some()
    }

    /// What is being compiled for the chain just now, oldest first.
    pub fn compiling(&self) -> Vec<Compiling> {
        self.underway.list()
    }

    /// Can this file be loaded without compiling it? It is in use or in the cache.
    pub fn is_compiled(&self, digest: &str) -> bool {
        self.compiled(digest).is_some() || self.cache.as_ref().is_some_and(|cache| cache.has(&self.wasmtime, digest))
    }

    pub(crate) fn loading(&self) -> &Loading {
        &self.loading
    }

    pub(crate) fn underway(&self) -> &Underway {
        &self.underway
    }

    /// To compile one, held while it is compiled. There is always one sooner or later.
    pub(crate) async fn compile_turn(&self) -> Option<SemaphorePermit<'_>> {
        self.compile_turns.acquire().await.ok()
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.wasmtime
    }

    pub(crate) fn cache(&self) -> Option<Arc<Cache>> {
        self.cache.clone()
    }

    pub(crate) fn compiler(&self) -> Option<&Compiler> {
        self.compiler.as_deref()
    }

    /// The compiled form of a file that is in use already: other settings for it cost no second copy.
    pub(crate) fn compiled(&self, digest: &str) -> Option<Component> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.retain(|filter| filter.strong_count() > 0);
        let same = loaded.iter().filter_map(Weak::upgrade).find(|filter| *filter.identity.digest == *digest);
        same.map(|filter| filter.template.pre.component().clone())
    }

    /// The same for a component that new instances of a plugin in use are copied from.
    pub(crate) fn snapshotted(&self, key: &str) -> Option<Component> {
        let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let mut in_use = loaded.iter().filter_map(Weak::upgrade);
        in_use.find_map(|filter| filter.snapshot.get()?.as_ref().ok()?.component(key))
    }

    /// Are new instances copies, where that can be?
    pub fn snapshots(&self) -> bool {
        self.snapshot_turns.is_some()
    }

    /// To make one, held while it is made.
    pub(crate) async fn snapshot_turn(&self) -> Option<OwnedSemaphorePermit> {
        self.snapshot_turns.clone()?.acquire_owned().await.ok()
    }

    pub(crate) fn remember(&self, filter: &Arc<WasmFilter>) {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.retain(|filter| filter.strong_count() > 0);
        loaded.push(Arc::downgrade(filter));
        if let Some(cache) = &self.cache {
            let live: Vec<_> = loaded.iter().filter_map(Weak::upgrade).collect();
            cache.hold(&self.wasmtime, live.iter().map(|filter| &*filter.identity.digest));
        }
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// The operator's.
    pub(crate) fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// The way to the network.
    pub(crate) fn calls(&self) -> Option<Arc<dyn Calls>> {
        self.calls.clone()
    }

    pub(crate) fn fetch(&self) -> Option<Arc<dyn Fetch>> {
        self.fetch.clone()
    }

    /// Those that plugins keep.
    pub(crate) fn shelves(&self) -> &Shelves {
        &self.shelves
    }

    pub(crate) fn pools(&self) -> &Arc<Pools> {
        &self.pools
    }

    pub(crate) fn ticker(&self) -> &Arc<Ticker> {
        &self.ticker
    }
}

/// The best way to have memories that this machine allows.
fn wasmtime_engine(instances: u32) -> Result<(wasmtime::Engine, Memory), EngineError> {
    let pooled = |memory: Memory| {
        let (mut config, mut pool) = (config(memory), pool(instances));
        if memory == Memory::PooledSmall {
            pool.max_memory_size(SMALL_RESERVATION);
        }
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        wasmtime::Engine::new(&config)
    };
    let why = match pooled(Memory::Pooled) {
        Ok(engine) => return Ok((engine, Memory::Pooled)),
        Err(error) => error,
    };
    if let Ok(engine) = pooled(Memory::PooledSmall) {
        tracing::warn!("address space is limited, so plugins run about a fifth slower ({why}); raise `ulimit -v`");
        return Ok((engine, Memory::PooledSmall));
    }
    let engine = wasmtime::Engine::new(&config(Memory::OnDemand)).map_err(|error| EngineError::Wasmtime(error.to_string()))?;
    tracing::warn!("memories of plugins cannot be pooled ({why}); each new instance is slower; raise `ulimit -v`");
    Ok((engine, Memory::OnDemand))
}

/// What machine code depends on: a compiler in another process has to have the same. Several memories stay allowed:
/// components made of components need them.
pub(crate) fn config(memory: Memory) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .concurrency_support(false)
        .max_wasm_stack(STACK_BYTES)
        .async_stack_size(FIBER_BYTES)
        .wasm_memory64(false)
        .wasm_relaxed_simd(false)
        .wasm_wide_arithmetic(false);
    match memory {
        Memory::Pooled => &mut config,
        Memory::PooledSmall => config.memory_reservation(SMALL_RESERVATION as u64).memory_guard_size(64 << 10),
        Memory::OnDemand => config.memory_reservation(SMALL_RESERVATION as u64),
    };
    config
}

fn pool(instances: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::default();
    let scans = cfg!(target_os = "linux") && PoolingAllocationConfig::is_pagemap_scan_available();
    // Room is counted before an instance is made, so a few at once may pass the count together.
    let instances = instances + SLACK;
    // Python links many libraries into one component, each an instance with tables of its own.
    pool.total_component_instances(instances)
        .total_core_instances(instances * 4)
        .total_memories(instances)
        .total_tables(instances * 4)
        .total_stacks(instances)
        .max_memory_size(MEMORY_BYTES_MAX)
        .table_elements(TABLE_ELEMENTS)
        .linear_memory_keep_resident(if scans { RESIDENT_WITH_SCAN } else { RESIDENT_WITHOUT })
        .table_keep_resident(RESIDENT_WITHOUT)
        .pagemap_scan(if scans { Enabled::Yes } else { Enabled::No });
    pool
}
