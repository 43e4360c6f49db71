//! Counters and histograms in Prometheus' text form.

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use sluice_chain::{
    filter::{Hook, Identity},
    record::Ended,
};
use std::{fmt, sync::Arc, time::Duration};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ExchangeLabels {
    method: Arc<str>,
    upstream: Arc<str>,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PathLabels {
    method: Arc<str>,
    upstream: Arc<str>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PluginLabels {
    plugin: Arc<str>,
    hook: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct FaultLabels {
    plugin: Arc<str>,
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// Set anew each time the metrics are read: what is known elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Gauges {
    /// Name and whether it is up; unknown counts as up.
    pub upstreams: Vec<(Arc<str>, bool)>,
    /// Exchanges that run now.
    pub running: usize,
    /// The chain's generation.
    pub generation: u64,
    /// Further lines in text form, as other rooms write them (the plugin host's own figures).
    pub more: String,
}

/// All metrics of one process. Label values are method, configured upstream and plugin names: all bounded.
pub struct Metrics {
    registry: Registry,
    exchanges: Family<ExchangeLabels, Counter>,
    latency: Family<PathLabels, Histogram, fn() -> Histogram>,
    entries: Family<PluginLabels, Counter>,
    entry_seconds: Family<PluginLabels, Counter<f64, std::sync::atomic::AtomicU64>>,
    faults: Family<FaultLabels, Counter>,
    turned_away: Family<ReasonLabel, Counter>,
    up: Family<UpstreamLabel, Gauge>,
    running: Gauge,
    generation: Gauge,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct UpstreamLabel {
    upstream: Arc<str>,
}

/// From 100 µs to 100 s, three a decade.
const BUCKETS: [f64; 19] = [
    0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0,
];

fn histogram() -> Histogram {
    Histogram::new(BUCKETS)
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("sluice");
        let exchanges = Family::default();
        registry.register("exchanges", "Ended exchanges", exchanges.clone());
        let latency = Family::new_with_constructor(histogram as fn() -> Histogram);
        registry.register("exchange_seconds", "From the parsed request to the answer", latency.clone());
        let entries = Family::default();
        registry.register("plugin_entries", "Hook calls", entries.clone());
        let entry_seconds = Family::default();
        registry.register("plugin_seconds", "Time spent in hooks", entry_seconds.clone());
        let faults = Family::default();
        registry.register("plugin_faults", "Contract breaches of plugins", faults.clone());
        let turned_away = Family::default();
        registry.register("turned_away", "Requests that never became an exchange", turned_away.clone());
        let up = Family::default();
        registry.register("upstream_up", "1 unless the last thing an upstream did failed", up.clone());
        let running = Gauge::default();
        registry.register("exchanges_running", "Exchanges that run now", running.clone());
        let generation = Gauge::default();
        registry.register("chain_generation", "Rises with every change of the chain", generation.clone());
        Self { registry, exchanges, latency, entries, entry_seconds, faults, turned_away, up, running, generation }
    }
}

impl Metrics {
    /// Count one ended exchange.
    pub fn ended(&self, ended: &Ended) {
        let upstream: Arc<str> = ended.head.upstream.clone().unwrap_or_else(|| "".into());
        let method = known(&ended.head.method);
        let labels = ExchangeLabels { method: method.clone(), upstream: upstream.clone(), outcome: ended.outcome.as_str() };
        self.exchanges.get_or_create(&labels).inc();
        self.latency.get_or_create(&PathLabels { method, upstream }).observe(ended.took.as_secs_f64());
    }

    /// Count one fault.
    pub fn faulted(&self, filter: &Identity, kind: &'static str) {
        self.faults.get_or_create(&FaultLabels { plugin: filter.name.clone(), kind }).inc();
    }

    /// Count one refusal at the gate.
    pub fn turned_away(&self, reason: &'static str) {
        self.turned_away.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Count one hook call.
    pub fn entered(&self, filter: &Identity, hook: Hook, took: Duration) {
        let labels = PluginLabels { plugin: filter.name.clone(), hook: hook.as_str() };
        self.entries.get_or_create(&labels).inc();
        self.entry_seconds.get_or_create(&labels).inc_by(took.as_secs_f64());
    }

    /// Everything, as `GET /metrics` shows it.
    pub fn text(&self, gauges: &Gauges) -> Result<String, fmt::Error> {
        for (upstream, up) in &gauges.upstreams {
            self.up.get_or_create(&UpstreamLabel { upstream: upstream.clone() }).set(i64::from(*up));
        }
        self.running.set(i64::try_from(gauges.running).unwrap_or(i64::MAX));
        self.generation.set(i64::try_from(gauges.generation).unwrap_or(i64::MAX));
        let mut out = gauges.more.clone();
        encode(&mut out, &self.registry)?;
        Ok(out)
    }
}

/// A method nobody knows is one label, however many there are.
fn known(method: &Arc<str>) -> Arc<str> {
    let known = sluice_wire::method::TABLE.iter().any(|row| row.name == &**method);
    if known { method.clone() } else { "other".into() }
}
