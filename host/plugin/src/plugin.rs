//! What all guests of one loaded plugin share.

use crate::{
    budget::Turns,
    figures::Figures,
    grant::Grants,
    limits::Limits,
    patterns::PatternCache,
    pool::Pools,
    secrets::{Secrets, Shelf},
    series::Series,
    settings::{Power, Powers},
    share::Shares,
    v0_1::log::LogTap,
};
use sluice_chain::{fetch::Fetch, subcall::Calls};
use sluice_state::{Bucket, Quota, Store};
use std::{
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};
use tokio::sync::Semaphore;

/// A native search of this much text takes far less than a millisecond; a guest that parses it takes about one.
const BYTES_PER_MS: usize = 128 << 10;
/// What a batch of 64 KiB may take beyond a small message: a guest that looks at each character takes that long.
const BATCH_MORE: Duration = Duration::from_millis(4);
/// Longer than this no call may take, whatever the settings: the ticker may rest after it.
const WALL_MAX: Duration = Duration::from_secs(10);

/// The unchanging part of a plugin with its counters and stores.
pub(crate) struct Plugin {
    pub(crate) name: Arc<str>,
    pub(crate) limits: Limits,
    pub(crate) powers: Powers,
    pub(crate) wall: Duration,
    /// The binary can read messages, and was not kept from it.
    pub(crate) reads_payload: bool,
    pub(crate) figures: Figures,
    /// Instances alive of all plugins.
    pub(crate) total: Arc<AtomicUsize>,
    pub(crate) turns: Turns,
    pub(crate) log: LogTap,
    pub(crate) shares: Shares,
    pub(crate) series: Series,
    pub(crate) patterns: PatternCache,
    pub(crate) buckets: Buckets,
    pub(crate) grants: Grants,
    /// The operator's that it was granted.
    pub(crate) secrets: Secrets,
    /// What it keeps.
    pub(crate) shelf: Arc<Shelf>,
    /// The binary can keep secrets, and was not kept from it.
    pub(crate) keeps_secrets: bool,
    pub(crate) fetch: Option<Arc<dyn Fetch>>,
    /// Of tools; none unless it may and can.
    pub(crate) calls: Option<Arc<dyn Calls>>,
    /// How many requests may still leave.
    pub(crate) fetching: Semaphore,
}

impl Plugin {
    pub(crate) fn new(name: Arc<str>, limits: Limits, powers: Powers, buckets: Buckets, pools: &Pools) -> Self {
        let waits = powers.has(Power::Kv) && buckets.waits;
        let wall = if waits { limits.wall_waiting } else { limits.wall };
        Self {
            log: LogTap::new(limits.log_lines_per_second),
            shares: Shares::default(),
            figures: Figures::default(),
            patterns: PatternCache::default(),
            wall: wall.min(WALL_MAX),
            reads_payload: false,
            grants: Grants::default(),
            secrets: Secrets::new(),
            shelf: Arc::default(),
            keeps_secrets: false,
            fetch: None,
            calls: None,
            fetching: Semaphore::new(limits.fetches_max.min(Semaphore::MAX_PERMITS)),
            name,
            powers,
            series: Series::new(limits.series_max),
            limits,
            buckets,
            total: pools.total(),
            turns: pools.turns(),
        }
    }

    /// One of its imports waits for others, so a hook call may take longer.
    pub(crate) fn waits_for_others(&mut self) {
        self.wall = self.limits.wall_waiting.min(WALL_MAX);
    }

    /// What `describe` runs as: without a name, without any power.
    pub(crate) fn powerless(file: Arc<str>, limits: Limits, pools: &Pools) -> Self {
        Self::new(file, limits, Powers::NONE, Buckets::none(), pools)
    }

    /// CPU and wall time of a hook call on a message of this size. The limits are for small ones; whoever reads a
    /// large one gets a millisecond more for each [`BYTES_PER_MS`], and twice that on the wall.
    pub(crate) fn allowance(&self, message_bytes: usize) -> (Duration, Duration) {
        let ms = if self.reads_payload { (message_bytes / BYTES_PER_MS) as u64 } else { 0 };
        let (cpu, wall) = (Duration::from_millis(ms), Duration::from_millis(2 * ms));
        (self.limits.cpu + cpu, (self.wall + wall).min(WALL_MAX))
    }

    /// The same of a hook call on a batch of texts: each is large.
    pub(crate) fn allowance_of_batch(&self) -> (Duration, Duration) {
        (self.limits.cpu + BATCH_MORE, (self.wall + 2 * BATCH_MORE).min(WALL_MAX))
    }

    /// Wall time of making an instance.
    pub(crate) fn init_wall(&self) -> Duration {
        self.limits.init_wall.min(WALL_MAX)
    }
}

/// The buckets a plugin may open.
pub(crate) struct Buckets {
    /// All of the plugin's own names live in this one, so that the quota covers them together.
    own: Option<Arc<dyn Bucket>>,
    shared: Vec<(String, Arc<dyn Bucket>)>,
    /// Asked for in the manifest as shared, and not granted.
    withheld: Vec<String>,
    waits: bool,
}

/// A bucket as a guest holds it.
#[derive(Clone)]
pub(crate) struct Opened {
    pub(crate) bucket: Arc<dyn Bucket>,
    /// Goes before every key.
    pub(crate) prefix: Arc<str>,
}

impl Buckets {
    pub(crate) fn none() -> Self {
        Self { own: None, shared: Vec::new(), withheld: Vec::new(), waits: false }
    }

    /// `granted` and `wanted` are bucket names without `kv:`.
    pub(crate) fn new(store: &dyn Store, plugin: &str, limits: &Limits, granted: Vec<String>, wanted: &[String]) -> Self {
        let quota = Quota {
            keys_max: limits.kv_keys_max,
            // The bucket's own name goes before the key.
            key_bytes_max: 1024,
            value_bytes_max: limits.kv_value_bytes_max,
            bytes_max: limits.kv_bytes_max,
        };
        let withheld = wanted.iter().filter(|name| !granted.contains(name)).cloned().collect();
        let shared = |name: String| (name.clone(), store.bucket(&format!("shared/{name}"), quota));
        Self {
            own: Some(store.bucket(&format!("plugin/{plugin}"), quota)),
            shared: granted.into_iter().map(shared).collect(),
            withheld,
            waits: store.waits(),
        }
    }

    /// None: not this plugin's to open.
    pub(crate) fn open(&self, name: &str) -> Option<Opened> {
        if let Some((_, bucket)) = self.shared.iter().find(|(shared, _)| shared == name) {
            return Some(Opened { bucket: bucket.clone(), prefix: "".into() });
        }
        if self.withheld.iter().any(|withheld| withheld == name) || name.contains('\0') || name.len() > 256 {
            return None;
        }
        let own = self.own.clone()?;
        Some(Opened { bucket: own, prefix: format!("{name}\0").into() })
    }
}
