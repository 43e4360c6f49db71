//! Counters and histograms in Prometheus' text form.

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use sluice_chain::{
    filter::Identity,
    record::{Ended, Outcome, RouteCall},
};
use sluice_wire::method;
use std::{
    fmt,
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::Duration,
};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ExchangeLabels {
    method: &'static str,
    upstream: Arc<str>,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PathLabels {
    method: &'static str,
    upstream: Arc<str>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct FaultLabels {
    plugin: Arc<str>,
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RouteLabels {
    plugin: Arc<str>,
    verdict: &'static str,
    /// Of the answer; 0 when it was not applied.
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StreamLabels {
    /// `whole` or `truncated`.
    end: &'static str,
}

/// Set anew each time the metrics are read: what is known elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Gauges {
    /// Name and whether it is up; unknown counts as up.
    pub upstreams: Vec<(Arc<str>, bool)>,
    /// Exchanges that run now.
    pub running: usize,
    /// Calls that wait for answers to a server's questions.
    pub parked: usize,
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
    /// By method: the rows of [`method::TABLE`], then every other.
    paths: [RwLock<Vec<Path>>; METHODS],
    faults: Family<FaultLabels, Counter>,
    routes: Family<RouteLabels, Counter>,
    turned_away: Family<ReasonLabel, Counter>,
    streamed: Family<StreamLabels, Counter>,
    streamed_bytes: Counter,
    up: Family<UpstreamLabel, Gauge>,
    running: Gauge,
    parked: Gauge,
    abandoned: Counter,
    taken_back: Family<PluginLabel, Counter>,
    generation: Gauge,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PluginLabel {
    plugin: Arc<str>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct UpstreamLabel {
    upstream: Arc<str>,
}

const METHODS: usize = method::TABLE.len() + 1;

/// The series of one method at one upstream, found once: a family hashes all labels at every look.
struct Path {
    labels: PathLabels,
    latency: Histogram,
    /// By outcome, made when it first comes.
    ended: [OnceLock<Counter>; Outcome::ALL.len()],
}

impl Path {
    fn count(&self, metrics: &Metrics, outcome: Outcome, took: Duration) {
        let PathLabels { method, upstream } = &self.labels;
        let labels = || ExchangeLabels { method, upstream: upstream.clone(), outcome: outcome.as_str() };
        self.ended[outcome as usize].get_or_init(|| metrics.exchanges.get_or_create_owned(&labels())).inc();
        self.latency.observe(took.as_secs_f64());
    }
}

/// From 100 µs to 100 s, three a decade.
const BUCKETS: [f64; 19] =
    [0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0];

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
        let faults = Family::default();
        registry.register("plugin_faults", "Contract breaches of plugins", faults.clone());
        let routes = Family::default();
        registry.register("plugin_route_requests", "Requests to routes of plugins", routes.clone());
        let turned_away = Family::default();
        registry.register("turned_away", "Requests that never became an exchange", turned_away.clone());
        let streamed = Family::default();
        registry.register("answers_streamed", "Answers that went out in pieces", streamed.clone());
        let streamed_bytes = Counter::default();
        registry.register("answers_streamed_bytes", "Bytes of them that went out", streamed_bytes.clone());
        let up = Family::default();
        registry.register("upstream_up", "1 unless the last thing an upstream did failed", up.clone());
        let running = Gauge::default();
        registry.register("exchanges_running", "Exchanges that run now", running.clone());
        let parked = Gauge::default();
        registry.register("calls_parked", "Calls that wait for their clients' answers to a server's questions", parked.clone());
        let taken_back = Family::default();
        registry.register("plugin_trials_taken_back", "New versions of plugins that proved worse", taken_back.clone());
        let abandoned = Counter::default();
        registry.register("calls_abandoned", "Parked calls whose clients never came back", abandoned.clone());
        let generation = Gauge::default();
        registry.register("chain_generation", "Rises with every change of the chain", generation.clone());
        Self {
            registry,
            exchanges,
            latency,
            paths: [const { RwLock::new(Vec::new()) }; METHODS],
            faults,
            routes,
            turned_away,
            streamed,
            streamed_bytes,
            up,
            running,
            parked,
            abandoned,
            taken_back,
            generation,
        }
    }
}

impl Metrics {
    /// Count one ended exchange.
    pub fn ended(&self, ended: &Ended) {
        if let Some(stream) = ended.stream {
            self.streamed.get_or_create(&StreamLabels { end: if stream.truncated { "truncated" } else { "whole" } }).inc();
            self.streamed_bytes.inc_by(ended.response_bytes as u64);
        }
        let row = method::TABLE.iter().position(|row| row.name == &*ended.head.method).unwrap_or(METHODS - 1);
        let upstream = ended.head.upstream.as_deref().unwrap_or("");
        let (paths, is_this) = (&self.paths[row], |path: &&Path| *path.labels.upstream == *upstream);
        if let Some(path) = paths.read().unwrap_or_else(PoisonError::into_inner).iter().find(is_this) {
            return path.count(self, ended.outcome, ended.took);
        }
        let mut paths = paths.write().unwrap_or_else(PoisonError::into_inner);
        if !paths.iter().any(|path| is_this(&path)) {
            // A method nobody knows is one label, however many there are.
            let labels = PathLabels { method: method::TABLE.get(row).map_or("other", |row| row.name), upstream: upstream.into() };
            paths.push(Path { latency: self.latency.get_or_create_owned(&labels), labels, ended: Default::default() });
        }
        paths.iter().filter(is_this).for_each(|path| path.count(self, ended.outcome, ended.took));
    }

    /// Count one fault.
    pub fn faulted(&self, filter: &Identity, kind: &'static str) {
        self.faults.get_or_create(&FaultLabels { plugin: filter.name.clone(), kind }).inc();
    }

    /// Count one new version that proved worse.
    pub fn taken_back(&self, candidate: &Identity) {
        self.taken_back.get_or_create(&PluginLabel { plugin: candidate.name.clone() }).inc();
    }

    /// Count one request to a route.
    pub fn route_called(&self, call: &RouteCall<'_>) {
        let labels = RouteLabels { plugin: call.filter.name.clone(), verdict: call.verdict, status: call.status.unwrap_or(0) };
        self.routes.get_or_create(&labels).inc();
    }

    /// Count one refusal at the gate.
    pub fn turned_away(&self, reason: &'static str) {
        self.turned_away.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Count one call that nobody came back to.
    pub fn abandoned(&self) {
        self.abandoned.inc();
    }

    /// Everything, as `GET /metrics` shows it.
    pub fn text(&self, gauges: &Gauges) -> Result<String, fmt::Error> {
        // Some may be gone.
        self.up.clear();
        for (upstream, up) in &gauges.upstreams {
            self.up.get_or_create(&UpstreamLabel { upstream: upstream.clone() }).set(i64::from(*up));
        }
        self.running.set(i64::try_from(gauges.running).unwrap_or(i64::MAX));
        self.parked.set(i64::try_from(gauges.parked).unwrap_or(i64::MAX));
        self.generation.set(i64::try_from(gauges.generation).unwrap_or(i64::MAX));
        let mut out = gauges.more.clone();
        encode(&mut out, &self.registry)?;
        Ok(out)
    }
}
