//! From a file's bytes to a filter that is ready to be called.

use crate::{
    artifact,
    compile::{self, Shared},
    engine::Engine,
    filter::WasmFilter,
    grant::{self, Grants},
    guest::Phase,
    import::{self, Imported},
    instance::{Instance, Template, contained, store},
    limits::Limits,
    manifest::{Manifest, Need},
    plugin::{Buckets, Plugin},
    pool::Pool,
    schema,
    secrets::Secrets,
    settings::{Power, Powers, Scope, Settings},
    snapshot::{self, Traces},
    v0_1,
};
use bytes::Bytes;
use sluice_chain::{
    fault::Fault,
    filter::{Hook, Identity},
};
use std::sync::{Arc, OnceLock};
use tokio::time::Instant;
use wasmtime::component::Component;

/// A plugin cannot be loaded. One line: the file, what is wrong, what to do.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{file} {what}")]
pub struct LoadError {
    /// The file as the settings name it.
    pub file: Arc<str>,
    /// The rest of the sentence.
    pub what: String,
}

/// Imports with which nothing is kept and nobody reached, so that a plugin with no others can be asked twice about one message.
const REPEATABLE: [&str; 5] = ["types", "chunks", Power::Log.as_str(), Power::Payload.as_str(), Power::Patterns.as_str()];

/// A file that was looked into.
pub(crate) struct Examined {
    pub(crate) digest: String,
    pub(crate) bytes: usize,
    pub(crate) imports: Vec<Imported>,
    pub(crate) template: Template,
    pub(crate) hooks: Vec<Hook>,
    pub(crate) manifest: Manifest,
    /// Until it is found among the plugins in use.
    pub(crate) shared: Shared,
}

impl Engine {
    /// Make a filter of a component's bytes. Runs `describe` and one `init`, and keeps what they answered.
    ///
    /// # Errors
    /// One [`LoadError`], meant to be shown as it is.
    pub async fn load(&self, bytes: Bytes, settings: Settings) -> Result<Arc<WasmFilter>, LoadError> {
        let file = settings.file.clone();
        self.make(bytes, settings).await.map_err(|what| LoadError { file, what })
    }

    async fn make(&self, bytes: Bytes, settings: Settings) -> Result<Arc<WasmFilter>, String> {
        let Examined { digest, imports, template, manifest, hooks, shared: _shared, .. } = self.examine(bytes.clone(), &settings).await?;
        let grants = Grants::read(&settings.grants)?;
        check_needs(&manifest.needs, &settings, &grants)?;
        let secrets = self.granted_secrets(&grants)?;
        if settings.scope == Scope::All && !manifest.stateless {
            return Err(format!(
                "does not say that it is stateless, so its instances cannot serve everybody; take scope = \"all\" out of {}",
                settings.sidecar
            ));
        }
        let config = schema::complete(&manifest.config_schema, &settings.config)
            .map_err(|why| format!("does not accept its settings in {}: {why}", settings.sidecar))?;
        let mut plugin = self.plugin(&manifest, &settings, &grants);
        let has = |interface: &str| imports.iter().any(|imported| imported.import.interface == interface);
        let reads = |power: Power| plugin.powers.has(power) && has(power.as_str());
        let reads_payload = reads(Power::Payload) || reads(Power::Patterns);
        plugin.reads_payload = reads_payload;
        plugin.keeps_secrets = reads(Power::Secrets);
        if grants.has_fetch() && has("fetch") {
            plugin.fetch = self.fetch();
            plugin.waits_for_others();
        }
        if grants.has_calls() && has("upstream") {
            plugin.calls = self.calls();
            plugin.waits_for_others();
        }
        let repeatable =
            imports.iter().map(|imported| imported.import.interface).all(|name| REPEATABLE.contains(&name) || name.starts_with("wasi:"));
        let interest = manifest.interest(&hooks, reads_payload, repeatable, &grants);
        (plugin.grants, plugin.secrets, plugin.shelf) = (grants, secrets, self.shelves().of(&manifest.name));
        let plugin = Arc::new(plugin);
        let pool = Arc::new(Pool::new(plugin.clone()));
        self.pools().add(&pool);
        let filter = WasmFilter {
            identity: Arc::new(Identity::new(plugin.name.clone(), &manifest.version, &digest)),
            interest,
            config: config.to_string().into(),
            manifest,
            settings,
            imports,
            template,
            snapshot: OnceLock::new(),
            plugin,
            pool,
            pools: self.pools().clone(),
            ticker: self.ticker().clone(),
        };
        let traces = self.try_init(&filter).await?;
        let filter = Arc::new(filter);
        self.remember(&filter);
        if self.snapshots() {
            let quiet =
                Settings { limits: Limits { log_lines_per_second: 0, ..filter.settings.limits.clone() }, ..filter.settings.clone() };
            let aside = self.plugin(&filter.manifest, &quiet, &Grants::default());
            snapshot::prepare(self, &filter, aside, bytes, traces).await;
        }
        Ok(filter)
    }

    /// What a file is, without anything that an operator says: compiled, linked with what it imports, and asked about itself.
    pub(crate) async fn examine(&self, bytes: Bytes, settings: &Settings) -> Result<Examined, String> {
        artifact::recognize(&bytes)?;
        let (digest, length) = (artifact::digest(&bytes), bytes.len());
        let shared = self.loading().of(&digest);
        let component = match self.compiled(&digest) {
            Some(component) => component,
            None => shared.get_or_try_init(|| compile::component(self, &settings.file, &digest, bytes)).await?.clone(),
        };
        let imports = import::of(&component.component_type(), self.wasmtime())?;
        if let Some(missing) = artifact::missing_exports(&component.component_type(), self.wasmtime()) {
            return Err(missing);
        }
        let template = self.link(&imports, &component)?;
        let hooks = template.hooks();
        let manifest = self.describe(&template, settings, &hooks).await?;
        if hooks.is_empty() {
            return Err(
                "exports no hook; export at least one of authenticate, on-http, on-request, on-outbound, on-response, on-chunk, on-notification, on-catalog, on-done"
                    .into(),
            );
        }
        Ok(Examined { digest, bytes: length, imports, template, hooks, manifest, shared })
    }

    /// Everything that is imported, so that what is missing shows now; and nothing else, so that there is no more than was listed.
    fn link(&self, imports: &[Imported], component: &Component) -> Result<Template, String> {
        let shape = |error: wasmtime::Error| {
            format!(
                "does not fit sluice:filter {}: {}; build it against that version",
                v0_1::VERSION,
                crate::instance::one_line(&format!("{error:#}"))
            )
        };
        let linker = import::linker(imports, self.wasmtime(), component).map_err(shape)?;
        let pre = linker.instantiate_pre(component).map_err(shape)?;
        Template::new(pre).map_err(shape)
    }

    /// Ask the plugin about itself, in a store without any power.
    async fn describe(&self, template: &Template, settings: &Settings, exports: &[Hook]) -> Result<Manifest, String> {
        let plugin = Arc::new(Plugin::powerless(settings.file.clone(), settings.limits.clone(), self.pools()));
        self.pools().room_for_one().map_err(|fault| format!("cannot be described: it {fault}"))?;
        let mut store = store(self.wasmtime(), plugin).map_err(|error| format!("cannot be described: {error}"))?;
        store.data_mut().begin(Phase::Describe, Instant::now());
        store.set_epoch_deadline(crate::budget::SLICE_TICKS);
        self.ticker().entering();
        let asked = contained(async {
            let instance = template.pre.instantiate_async(&mut store).await?;
            template.describe.load(&mut store, &instance)?.call_describe(&mut store).await
        });
        let said = asked.await.map_err(|error| {
            let fault = crate::blame::instantiation(error, store.data());
            format!("cannot describe itself: {}; its author must fix it", fault_text(&fault))
        })?;
        Manifest::new(said, exports).map_err(|why| format!("has a manifest that is not valid: {why}; its author must fix it"))
    }

    /// The operator's secrets that are granted, each of which there must be.
    fn granted_secrets(&self, grants: &Grants) -> Result<Secrets, String> {
        let one = |name: &str| match self.secrets().get(name) {
            Some(secret) => Ok((name.to_owned(), secret.clone())),
            None => Err(format!(
                "is granted `secret:{name}`, and there is no such secret; add to the configuration: sluice.secrets.{name} = \"env:NAME\""
            )),
        };
        grants.secrets().map(one).collect()
    }

    fn plugin(&self, manifest: &Manifest, settings: &Settings, grants: &Grants) -> Plugin {
        let granted = grants.buckets().map(str::to_owned).collect();
        let buckets = Buckets::new(self.store(), &manifest.name, &settings.limits, granted, &manifest.shared_buckets());
        let (name, powers) = (manifest.name.as_str().into(), Powers::without(&settings.denied));
        Plugin::new(name, settings.limits.clone(), powers, buckets, self.pools())
    }

    /// A first instance: settings that `init` refuses are refused before any traffic.
    async fn try_init(&self, filter: &WasmFilter) -> Result<Traces, String> {
        self.ticker().entering();
        self.pools().room_for_one().map_err(|fault| format!("does not start: it {fault}"))?;
        let started = Instance::start(&filter.template, &filter.plugin, &filter.config).await;
        started
            .map(|first| Traces::of(&first))
            .map_err(|fault| format!("does not start: {}; check its settings in {}", fault_text(&fault), filter.settings.sidecar))
    }
}

fn fault_text(fault: &Fault) -> String {
    match fault {
        Fault::Instantiate(why) => why.clone(),
        other => format!("it {other}"),
    }
}

/// What is needed, not optional and not granted, with the line to add.
fn check_needs(needs: &[Need], settings: &Settings, given: &Grants) -> Result<(), String> {
    for need in needs.iter().filter(|need| !need.optional) {
        let capability = need.capability.as_str();
        if let Some(power) = Power::from_name(capability) {
            if settings.denied.contains(&power) {
                return Err(format!(
                    "needs `{capability}` ({}), which is taken away; take \"{capability}\" out of `deny` in {}",
                    need.reason, settings.sidecar
                ));
            }
        } else if !given.covers(capability) {
            let Some(line) = grant::line_for(capability) else {
                return Err(format!("needs `{capability}` ({}), which this host cannot give; use a newer host", need.reason));
            };
            let mut grants: Vec<_> = settings.grants.iter().map(|grant| format!("{grant:?}")).collect();
            grants.push(format!("{line:?}"));
            return Err(format!(
                "needs `{capability}` ({}), which is not granted; add to {}: grants = [{}]",
                need.reason,
                settings.sidecar,
                grants.join(", ")
            ));
        }
    }
    Ok(())
}
