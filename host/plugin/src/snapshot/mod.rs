//! New instances as copies of one that has run `init`.
//!
//! A memory that `init` has filled and grown is made anew for each fresh instance, at several times the cost of a hook. So the component is
//! written again with the memories and globals as `init` left them: an instance of that starts where `init` ended, its pages shared with all
//! others until it writes to them. What `init` did in the host must come along: sets of patterns do, and whoever asked for anything else is
//! not copied (ADR 33).
//!
//! Both are made beside the traffic, one plugin at a time: until then, and wherever it cannot be done, instances run `init` as ever. They are
//! kept in memory alone, for in them are the settings, and in those may be what an operator keeps out of every file.
//! `rewrite` runs where strangers' files are compiled, and nowhere else; `state` is what it needs from here.

pub(crate) mod rewrite;
pub(crate) mod state;

use crate::{
    artifact::hex,
    compile::{self, Job},
    engine::Engine,
    filter::WasmFilter,
    guest::Sets,
    import::{self, Imported},
    instance::{Instance, Template},
    plugin::Plugin,
};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use sluice_chain::fault::Fault;
use state::State;
use std::sync::{Arc, Weak};
use wasmtime::component::Component;

/// Interpreters start no sooner from a copy, and take long to be compiled again.
const COMPONENT_BYTES_MAX: usize = 4 << 20;
/// Goes into every key: copies of another kind are not taken for these.
const KIND: &[u8] = b"sluice snapshot 1";

/// What fresh instances of a plugin begin as.
pub(crate) struct Snapshot {
    pub(crate) template: Template,
    /// The host's part of what `init` did.
    pub(crate) sets: Sets,
    key: String,
}

impl Snapshot {
    /// The component, if this is the one of that key.
    pub(crate) fn component(&self, key: &str) -> Option<Component> {
        (self.key == key).then(|| self.template.pre.component().clone())
    }
}

/// What an `init` has done in the host.
pub(crate) struct Traces {
    sets: Sets,
    /// Something that a copy would lack.
    others: bool,
}

impl Traces {
    /// Of an instance that has just run it.
    pub(crate) fn of(instance: &Instance) -> Self {
        let guest = instance.store.data();
        Self { sets: guest.sets.clone(), others: guest.left_trace || guest.caps.memory_refused }
    }
}

/// Everything that is needed to make one.
struct Plan {
    bytes: Bytes,
    imports: Vec<Imported>,
    plugin: Arc<Plugin>,
    config: Arc<str>,
    sets: Sets,
    key: String,
}

/// Has `filter` start from copies, since its first `init` did no more than this in the host: at once if there is one to copy from, else as
/// soon as it is made.
///
/// `aside`: the same plugin, but with figures and a log of its own, for what is done here is nobody's call.
pub(crate) async fn prepare(engine: &Engine, filter: &Arc<WasmFilter>, aside: Plugin, bytes: Bytes, Traces { sets, others }: Traces) {
    if let Some(why) = obstacle(bytes.len(), others) {
        filter.start_from(Err(why.to_owned()));
        return;
    }
    let plan = Plan {
        bytes,
        imports: filter.imports.clone(),
        plugin: Arc::new(aside),
        config: filter.config.clone(),
        key: key(&filter.identity.digest, &filter.config, &sets),
        sets,
    };
    match engine.snapshotted(&plan.key) {
        Some(component) => filter.start_from(plan.taken(engine, &component).await),
        None => beside(engine.clone(), Arc::downgrade(filter), plan),
    }
}

/// Why there can be no copy.
fn obstacle(component_bytes: usize, left_trace: bool) -> Option<&'static str> {
    if left_trace {
        return Some(
            "it asks the host for what a copy would lack (buckets, secrets, counters, the time, random numbers, output, more memory than it may have)",
        );
    }
    (component_bytes > COMPONENT_BYTES_MAX).then_some("it is large, as those with an interpreter are, and would start no sooner")
}

/// Says what a copy is of: the file, its settings, and what `init` defined in the host.
fn key(digest: &str, config: &str, sets: &Sets) -> String {
    let mut key = Sha256::new();
    let mut part = |bytes: &[u8]| {
        key.update((bytes.len() as u64).to_le_bytes());
        key.update(bytes);
    };
    [KIND, digest.as_bytes(), config.as_bytes()].into_iter().for_each(&mut part);
    for (name, set) in sets {
        part(name.as_bytes());
        part(&set.digest);
    }
    hex(&key.finalize())
}

/// Makes it while the plugin serves. One at a time: each is two compilations.
fn beside(engine: Engine, filter: Weak<WasmFilter>, plan: Plan) {
    tokio::spawn(async move {
        let _turn = engine.snapshot_turn().await;
        // Replaced before its turn came.
        if filter.strong_count() == 0 {
            return;
        }
        let made = plan.make(&engine).await;
        if let Some(filter) = filter.upgrade() {
            filter.start_from(made);
        }
    });
}

impl Plan {
    async fn make(&self, engine: &Engine) -> Result<Snapshot, String> {
        // Another link with the same file and settings may have been first.
        if let Some(component) = engine.snapshotted(&self.key) {
            return self.taken(engine, &component).await;
        }
        let instrumented = compile::job(engine, Job::Instrumented, &self.bytes).await?;
        let state = self.state(engine, &instrumented).await?;
        let component = compile::job(engine, Job::Snapshot(state), &self.bytes).await?;
        self.taken(engine, &component).await
    }

    /// What `init` leaves behind.
    async fn state(&self, engine: &Engine, instrumented: &Component) -> Result<State, String> {
        let template = self.template(engine, instrumented)?;
        engine.ticker().entering();
        engine.pools().room_for_one().map_err(|fault| fault.to_string())?;
        let (mut store, instance) =
            Instance::initialized(&template, &self.plugin, &self.config).await.map_err(|fault| fault.to_string())?;
        let guest = store.data();
        if guest.left_trace || guest.caps.memory_refused || key("", "", &guest.sets) != key("", "", &self.sets) {
            return Err("its init does not do the same twice".into());
        }
        crate::instance::contained(State::read(&mut store, &instance, instrumented))
            .await
            .map_err(|error| crate::instance::one_line(&format!("{error:#}")))
    }

    fn template(&self, engine: &Engine, component: &Component) -> Result<Template, String> {
        let linked = import::linker(&self.imports, engine.wasmtime(), component).and_then(|linker| linker.instantiate_pre(component));
        linked.and_then(Template::new).map_err(|error| crate::instance::one_line(&format!("{error:#}")))
    }

    /// Linked and tried: one that does not start is worth nothing.
    async fn taken(&self, engine: &Engine, component: &Component) -> Result<Snapshot, String> {
        let snapshot = Snapshot { template: self.template(engine, component)?, sets: self.sets.clone(), key: self.key.clone() };
        engine.ticker().entering();
        let tried = match engine.pools().room_for_one() {
            Ok(()) => Instance::copied(&snapshot, &self.plugin).await.map(drop),
            Err(fault) => Err(fault),
        };
        match tried {
            Ok(()) => Ok(snapshot),
            Err(Fault::Instantiate(why)) => Err(why),
            Err(fault) => Err(fault.to_string()),
        }
    }
}

impl WasmFilter {
    /// From now on fresh instances are copies; or never, and why.
    fn start_from(&self, made: Result<Snapshot, String>) {
        if let Err(why) = &made {
            tracing::info!(plugin = %self.plugin.name, file = %self.settings.file, "each new instance runs init, for it cannot be copied: {why}");
        }
        let _ = self.snapshot.set(made);
    }

    /// Do new instances begin as copies of one that has run `init`? None: that is not known yet. The error says why they do not.
    pub fn starts_from_copy(&self) -> Option<Result<(), &str>> {
        self.snapshot.get().map(|made| made.as_ref().map(|_| ()).map_err(String::as_str))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patterns::{PatternSet, Source};

    fn set(name: &str, regex: &str) -> Sets {
        let source = Source { regex: regex.into(), case_insensitive: false };
        vec![(name.into(), Arc::new(PatternSet::new(&[source]).unwrap()))]
    }

    #[test]
    fn whatever_init_saw_and_did_is_in_the_key() {
        let keys = [
            key("a", "{}", &set("s", "x")),
            key("b", "{}", &set("s", "x")),
            key("a", "{\"n\":1}", &set("s", "x")),
            key("a", "{}", &set("t", "x")),
            key("a", "{}", &set("s", "y")),
            key("a", "{}", &Sets::new()),
            key("a{", "}", &set("s", "x")),
        ];
        for (at, one) in keys.iter().enumerate() {
            assert!(!keys[..at].contains(one), "{at}");
        }
        assert_eq!(keys[0], key("a", "{}", &set("s", "x")));
    }
}
