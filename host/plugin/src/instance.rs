//! One instance of a plugin: its store and the hooks it exports.

use crate::{
    blame,
    guest::{Guest, Lent, Phase, Sets},
    plugin::Plugin,
    snapshot::Snapshot,
    v0_1::bindings::exports::sluice::filter as hooks,
};
use futures_util::FutureExt;
use sluice_chain::{fault::Fault, filter::Hook};
use std::{
    future::Future,
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::Ordering::Relaxed},
};
use tokio::time::Instant;
use wasmtime::{Store, UpdateDeadline, component::InstancePre};

/// A linked component with the places of its exports, all looked up once.
pub(crate) struct Template {
    pub(crate) pre: InstancePre<Guest>,
    pub(crate) describe: hooks::describe::GuestIndices,
    lifecycle: hooks::lifecycle::GuestIndices,
    authenticate: Option<hooks::authenticate::GuestIndices>,
    on_http: Option<hooks::on_http::GuestIndices>,
    on_request: Option<hooks::on_request::GuestIndices>,
    on_outbound: Option<hooks::on_outbound::GuestIndices>,
    on_response: Option<hooks::on_response::GuestIndices>,
    on_chunk: Option<hooks::on_chunk::GuestIndices>,
    on_notification: Option<hooks::on_notification::GuestIndices>,
    on_catalog: Option<hooks::on_catalog::GuestIndices>,
    on_done: Option<hooks::on_done::GuestIndices>,
}

impl Template {
    /// Look up everything. The error says what is missing of an interface that is exported.
    pub(crate) fn new(pre: InstancePre<Guest>) -> wasmtime::Result<Self> {
        // A hook that is there in name only is a mistake of its author, not an absent one.
        macro_rules! found {
            ($name:literal, $hook:ident) => {
                match pre.component().get_export_index(None, concat!("sluice:filter/", $name, "@0.1.0")) {
                    Some(_) => Some(hooks::$hook::GuestIndices::new(&pre)?),
                    None => None,
                }
            };
        }
        Ok(Self {
            describe: hooks::describe::GuestIndices::new(&pre)?,
            lifecycle: hooks::lifecycle::GuestIndices::new(&pre)?,
            authenticate: found!("authenticate", authenticate),
            on_http: found!("on-http", on_http),
            on_request: found!("on-request", on_request),
            on_outbound: found!("on-outbound", on_outbound),
            on_response: found!("on-response", on_response),
            on_chunk: found!("on-chunk", on_chunk),
            on_notification: found!("on-notification", on_notification),
            on_catalog: found!("on-catalog", on_catalog),
            on_done: found!("on-done", on_done),
            pre,
        })
    }

    /// The hooks that were found, in the order they run.
    pub(crate) fn hooks(&self) -> Vec<Hook> {
        let found = [
            (Hook::OnHttp, self.on_http.is_some()),
            (Hook::Authenticate, self.authenticate.is_some()),
            (Hook::OnCatalog, self.on_catalog.is_some()),
            (Hook::OnRequest, self.on_request.is_some()),
            (Hook::OnOutbound, self.on_outbound.is_some()),
            (Hook::OnNotification, self.on_notification.is_some()),
            (Hook::OnResponse, self.on_response.is_some()),
            (Hook::OnChunk, self.on_chunk.is_some()),
            (Hook::OnDone, self.on_done.is_some()),
        ];
        found.into_iter().filter_map(|(hook, exported)| exported.then_some(hook)).collect()
    }
}

/// The exported hooks of one instance, as far as they were looked up: each costs the engine a comparison of types.
#[derive(Default)]
struct Hooks {
    authenticate: Option<hooks::authenticate::Guest>,
    on_http: Option<hooks::on_http::Guest>,
    on_request: Option<hooks::on_request::Guest>,
    on_outbound: Option<hooks::on_outbound::Guest>,
    on_response: Option<hooks::on_response::Guest>,
    on_chunk: Option<hooks::on_chunk::Guest>,
    on_notification: Option<hooks::on_notification::Guest>,
    on_catalog: Option<hooks::on_catalog::Guest>,
    on_done: Option<hooks::on_done::Guest>,
}

/// An instance, its hooks, and what `init` answered.
type Linked = (wasmtime::component::Instance, Hooks, Result<(), String>);

/// A running instance. Dropping it frees its store, in whatever state that is.
pub(crate) struct Instance {
    pub(crate) store: Store<Guest>,
    linked: wasmtime::component::Instance,
    hooks: Hooks,
    /// Of a snapshot, and not of the plugin's own template.
    pub(crate) is_copy: bool,
    pub(crate) calls: u32,
    pub(crate) born: Instant,
}

/// A store with every bound set.
pub(crate) fn store(engine: &wasmtime::Engine, plugin: Arc<Plugin>) -> wasmtime::Result<Store<Guest>> {
    let limits = plugin.limits.clone();
    let mut store = Store::try_new(engine, Guest::new(plugin))?;
    store.limiter(|guest| &mut guest.caps);
    store.set_hostcall_fuel(limits.host_bytes_max);
    store.set_max_component_handles(limits.handles_max);
    store.epoch_deadline_callback(|mut cx| {
        let pause = cx.data_mut().budget.tick()?;
        Ok(UpdateDeadline::YieldCustom(crate::budget::SLICE_TICKS, Box::pin(pause)))
    });
    Ok(store)
}

/// Run guest code to its end. A panic of the host underneath becomes a fault like any other: the store is
/// discarded on every error.
pub(crate) async fn contained<T>(call: impl Future<Output = wasmtime::Result<T>>) -> wasmtime::Result<T> {
    match AssertUnwindSafe(call).catch_unwind().await {
        Ok(done) => done,
        Err(_) => Err(Fault::Trap("the host panicked in one of its imports".into()).into()),
    }
}

impl Instance {
    /// Instantiate and run `init`.
    pub(crate) async fn start(template: &Template, plugin: &Arc<Plugin>, config: &str) -> Result<Self, Fault> {
        Self::begin(template, plugin, Some(config), Vec::new()).await
    }

    /// The same, without a word about hooks: for looking into.
    pub(crate) async fn initialized(
        template: &Template,
        plugin: &Arc<Plugin>,
        config: &str,
    ) -> Result<(Store<Guest>, wasmtime::component::Instance), Fault> {
        let Self { mut store, linked, .. } = Self::begin(template, plugin, Some(config), Vec::new()).await?;
        // What is called next is bounded like `init`.
        store.data_mut().begin(Phase::Init, Instant::now());
        store.set_epoch_deadline(crate::budget::SLICE_TICKS);
        Ok((store, linked))
    }

    /// Instantiate a copy of one that has run `init`.
    pub(crate) async fn copied(snapshot: &Snapshot, plugin: &Arc<Plugin>) -> Result<Self, Fault> {
        Self::begin(&snapshot.template, plugin, None, snapshot.sets.clone()).await
    }

    /// `config`: for `init`, if it is still to run.
    async fn begin(template: &Template, plugin: &Arc<Plugin>, config: Option<&str>, sets: Sets) -> Result<Self, Fault> {
        let unstarted = |error: wasmtime::Error| Fault::Instantiate(error.to_string());
        let mut store = store(template.pre.engine(), plugin.clone()).map_err(unstarted)?;
        plugin.figures.created.fetch_add(1, Relaxed);
        let born = Instant::now();
        store.data_mut().begin(Phase::Init, born);
        store.data_mut().sets = sets;
        store.set_epoch_deadline(crate::budget::SLICE_TICKS);
        let started = contained(Self::link(template, &mut store, config)).await;
        store.data_mut().finish();
        match started {
            Ok((linked, hooks, Ok(()))) => Ok(Self { store, linked, hooks, is_copy: config.is_none(), calls: 0, born }),
            Ok((_, _, Err(refusal))) => Err(Fault::Instantiate(format!("its init refused: {}", one_line(&refusal)))),
            Err(error) => Err(blame::instantiation(error, store.data())),
        }
    }

    async fn link(template: &Template, store: &mut Store<Guest>, config: Option<&str>) -> wasmtime::Result<Linked> {
        let instance = template.pre.instantiate_async(&mut *store).await?;
        // A macro, since each hook's types are its own.
        macro_rules! load {
            ($($hook:ident),*) => {
                Hooks { $($hook: template.$hook.as_ref().map(|found| found.load(&mut *store, &instance)).transpose()?,)* }
            };
        }
        // Whoever runs `init` is seldom made, and the first of them shows that every hook has the contract's type.
        let Some(config) = config else { return Ok((instance, Hooks::default(), Ok(()))) };
        let hooks = load!(authenticate, on_http, on_request, on_outbound, on_response, on_chunk, on_notification, on_catalog, on_done);
        let answer = template.lifecycle.load(&mut *store, &instance)?.call_init(&mut *store, config).await?;
        Ok((instance, hooks, answer))
    }

    /// What was lent, as the guest left it, and its answer, or the fault if the call went wrong.
    pub(crate) fn settle<T>(&mut self, outcome: wasmtime::Result<T>) -> (&mut Lent, Result<T, Fault>) {
        let guest = self.store.data_mut();
        guest.finish();
        let outcome = outcome.map_err(|error| blame::fault(error, guest));
        (&mut guest.lent, outcome)
    }
}

/// A hook with the store it runs in.
pub(crate) type Entry<'i, H> = (&'i mut Store<Guest>, &'i H);

// A macro, since each hook's types are its own.
macro_rules! entries {
    ($($hook:ident = $name:expr),*) => {
        impl Instance {
            $(
                /// Looked up in its own template, if that was not done before.
                pub(crate) fn $hook(&mut self, template: &Template) -> Result<Entry<'_, hooks::$hook::Guest>, Fault> {
                    let Self { store, linked, hooks, .. } = self;
                    let known = hooks.$hook.take();
                    let loaded = known.map_or_else(
                        || {
                            let found = template.$hook.as_ref();
                            let found = found.ok_or_else(|| Fault::Instantiate(format!("it does not export {}", $name.as_str())))?;
                            found.load(&mut *store, linked).map_err(|error| Fault::Instantiate(error.to_string()))
                        },
                        Ok,
                    )?;
                    Ok((store, hooks.$hook.insert(loaded)))
                }
            )*
        }
    };
}

entries!(
    authenticate = Hook::Authenticate,
    on_http = Hook::OnHttp,
    on_request = Hook::OnRequest,
    on_outbound = Hook::OnOutbound,
    on_response = Hook::OnResponse,
    on_chunk = Hook::OnChunk,
    on_notification = Hook::OnNotification,
    on_catalog = Hook::OnCatalog,
    on_done = Hook::OnDone
);

/// A guest's own text, for one line of a log.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().take(500).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
