//! What an operator cannot do without: one log line an exchange, the audit log, the metrics.

mod line;
mod metrics;
mod sink;

pub use metrics::{Gauges, Metrics};
pub use sink::Sink;

use crate::config::LogFormat;
use sluice_chain::{
    canary::Worse,
    fetch::FetchError,
    filter::{Hook, Identity},
    record::{Ended, Observer, Outcome, RouteCall},
    rescue::request_id,
};
use std::{
    cell::LazyCell,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// A request of a plugin, as the audit log has it: where it went, never what was said.
pub struct Fetched {
    /// Whose.
    pub plugin: Arc<str>,
    /// In which exchange, if in one.
    pub exchange: Option<u64>,
    /// HTTP method.
    pub method: String,
    /// Scheme, host and port.
    pub origin: String,
    /// Bytes of the body that was sent.
    pub sent: usize,
    /// Status and bytes of the body that came back, or why nothing did.
    pub outcome: Result<(u16, usize), FetchError>,
    /// From the first look at it to its end.
    pub took: Duration,
}

/// Writes every ended exchange down, three times: for people, for auditors, for graphs.
pub struct Recorder {
    log: Option<Sink>,
    format: LogFormat,
    quiet: bool,
    audit: Option<Sink>,
    /// Counters and histograms.
    pub metrics: Metrics,
}

impl Recorder {
    /// `log`: where exchange lines go, if anywhere; `quiet`: only those that failed; `audit`: the audit file.
    pub fn new(log: Option<Sink>, format: LogFormat, quiet: bool, audit: Option<Sink>) -> Self {
        Self { log, format, quiet, audit, metrics: Metrics::default() }
    }

    /// A request of a plugin has ended.
    pub fn fetched(&self, fetched: &Fetched) {
        if let Some(audit) = &self.audit {
            audit.line(|out| line::fetched(out, fetched, SystemTime::now()));
        }
    }

    /// Everything written so far is with the kernel when this returns.
    pub fn flush(&self) {
        self.log.iter().chain(&self.audit).for_each(Sink::flush);
    }
}

impl Observer for Recorder {
    fn ended(&self, ended: &Ended) {
        self.metrics.ended(ended);
        self.write_down(ended);
    }

    fn abandoned(&self, last: &Ended) {
        self.metrics.abandoned();
        self.write_down(last);
    }

    fn faulted(&self, filter: &Identity, hook: Hook, kind: &'static str, detail: &str) {
        self.metrics.faulted(filter, kind);
        tracing::warn!(plugin = %filter.name, version = %filter.version, hook = hook.as_str(), kind, detail, "plugin fault");
    }

    fn taken_back(&self, candidate: &Identity, worse: &Worse) {
        self.metrics.taken_back(candidate);
        let why = worse.to_string();
        tracing::error!(plugin = %candidate.name, version = %candidate.version, digest = %candidate.digest, why, "the version on trial is taken back: the one before it takes all traffic");
        if let Some(audit) = &self.audit {
            audit.line(|out| line::taken_back(out, candidate, &why, SystemTime::now()));
        }
    }

    fn route_called(&self, call: &RouteCall<'_>) {
        self.metrics.route_called(call);
        let (micros, request) = (call.took.as_micros() as u64, request_id(call.id));
        tracing::info!(plugin = %call.filter.name, method = call.method, path = call.path, verdict = call.verdict, status = call.status, micros, request, "route");
        if let Some(audit) = &self.audit {
            audit.line(|out| line::route(out, call, SystemTime::now()));
        }
    }

    fn turned_away(&self, reason: &'static str) {
        self.metrics.turned_away(reason);
    }
}

impl Recorder {
    fn write_down(&self, ended: &Ended) {
        let now = SystemTime::now();
        let common = LazyCell::new(|| line::common(ended));
        if let Some(log) = self.log.as_ref().filter(|_| !self.quiet || ended.outcome == Outcome::Failed) {
            match self.format {
                LogFormat::Json => log.line(|out| line::json(out, ended, &common, now)),
                LogFormat::Text => log.line(|out| line::text(out, ended, now)),
            }
        }
        if let Some(audit) = &self.audit {
            audit.line(|out| line::audit(out, ended, &common, now));
        }
    }
}
