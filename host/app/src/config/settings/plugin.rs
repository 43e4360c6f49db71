//! One plugin's settings: under `sluice.plugins.settings` or, the same keys, in its sidecar.

use serde_json::{Map, Value as Json, json};
use std::{collections::BTreeMap, path::PathBuf};

use crate::config::choice::choice;
use crate::config::problem::{nearest, quoted};
use crate::config::reader::Reader;
use crate::config::section::section;
use crate::config::setting::Setting;
use crate::config::tree::Node;

section! {
    /// One plugin's settings: what it is told, what it may do, when it runs and what a fault means.
    pub struct PluginSettings {
        /// What the plugin is told; its manifest has the schema.
        pub config: Map<String, Json> = Map::new();
        /// Members of `config` that stand in files of their own, by their names: an object each, in JSON, TOML or YAML, written as it would
        /// be here. Nobody else may be able to write such a file. It is read again when it changes; a bad one changes nothing.
        pub config_files: BTreeMap<String, PathBuf> = BTreeMap::new();
        /// Powers beyond those that every plugin has: `kv:<bucket>`, a bucket shared with other plugins; `secret:<name>`, one of
        /// `sluice.secrets` to use unseen, and behind it the places where it may go, if not all:
        /// `secret:key outbound:github fetch:https://api.example.com`; `reveal:<name>`, one to see; `http:<path>`, a route of its
        /// own below `/.well-known/` or `/-/`; `fetch:<origin> <METHOD>,…`, requests to a host, e.g.
        /// `fetch:https://api.example.com GET,POST`, with ` private` behind it for a host whose addresses are not public;
        /// `outbound:<upstream>`, headers of the requests to an upstream, `outbound:*` of those to all;
        /// `upstream:<upstream> <tool>,…`, calls of tools of an upstream, by its own names for them or globs, e.g.
        /// `upstream:github search_*,get_issue`, `upstream:* …` of those of all.
        pub grants: Vec<Grant> = Vec::new();
        /// Powers that are taken away from those that every plugin has.
        pub deny: Vec<Power> = Vec::new();
        /// What shares one instance.
        pub scope: Scope = Scope::Principal;
        /// What a fault of the plugin means: one word for all, or a word per cause. With `"skip"`, a start does not wait until it is compiled either.
        pub on_fault: OnFault = OnFault::default();
        /// Whether its verdicts count.
        pub mode: Mode = Mode::Enforce;
        /// Whether traffic is refused when the plugin is not there.
        pub required: bool = false;
        /// Which exchanges it sees, of those it asks for.
        pub when: When = When::default();
        /// Bounds on what it may use.
        pub limits: PluginLimits = PluginLimits::default();
        /// When it is left out for a while because it keeps failing.
        pub breaker: Breaker = Breaker::default();
        /// How a new version of it is tried: the file beside it that ends in `.wasm.next`.
        pub canary: Canary = Canary::default();
    }
}

choice! {
    /// A power that every plugin has unless it is denied.
    pub enum Power {
        /// Writing log lines.
        Log = "log",
        /// Counters and timings.
        Metrics = "metrics",
        /// Reading and editing arguments and results.
        Payload = "payload",
        /// Searching them with regular expressions.
        Patterns = "patterns",
        /// Keeping values between calls, in the plugin's own bucket.
        Kv = "kv",
        /// Keeping secrets of its own, and using them and granted ones unseen.
        Secrets = "secrets",
    }
}

choice! {
    /// What shares one instance of a plugin.
    pub enum Scope {
        /// Nothing: each hook call has a fresh one.
        Call = "call",
        /// The hooks of one exchange.
        Exchange = "exchange",
        /// The calls of one principal.
        Principal = "principal",
        /// The calls of one tenant.
        Tenant = "tenant",
        /// All calls; the plugin's manifest must say that it keeps nothing of a caller.
        All = "all",
    }
}

choice! {
    /// Whether a plugin's verdicts count.
    pub enum Mode {
        /// They do.
        Enforce = "enforce",
        /// They are recorded, and traffic goes on as if there were none.
        Audit = "audit",
    }
}

choice! {
    /// What follows from a fault.
    pub enum FaultAction {
        /// The exchange is refused.
        Refuse = "refuse",
        /// The exchange goes on without this plugin.
        Skip = "skip",
    }
}

section! {
    /// What a fault means, by cause.
    pub struct OnFault or FaultAction as OnFault::always {
        /// It crashed.
        pub trap: FaultAction = FaultAction::Refuse;
        /// It took too long.
        pub deadline: FaultAction = FaultAction::Refuse;
        /// It wanted more memory, handles, host calls or bytes than it may have.
        pub limit: FaultAction = FaultAction::Refuse;
        /// It answered what the contract does not allow.
        pub bad_reply: FaultAction = FaultAction::Refuse;
        /// It could not be started.
        pub instantiate: FaultAction = FaultAction::Refuse;
        /// All its instances were busy.
        pub saturated: FaultAction = FaultAction::Refuse;
        /// Its breaker is open.
        pub open: FaultAction = FaultAction::Refuse;
    }
}

impl OnFault {
    fn always(action: FaultAction) -> OnFault {
        OnFault { trap: action, deadline: action, limit: action, bad_reply: action, instantiate: action, saturated: action, open: action }
    }

    /// Every cause by its name.
    pub fn by_cause(&self) -> [(&'static str, FaultAction); 7] {
        [
            ("trap", self.trap),
            ("deadline", self.deadline),
            ("limit", self.limit),
            ("bad_reply", self.bad_reply),
            ("instantiate", self.instantiate),
            ("saturated", self.saturated),
            ("open", self.open),
        ]
    }
}

section! {
    /// Which exchanges a plugin sees. Each list is of names or globs with `*`; an empty one is all.
    pub struct When {
        /// MCP methods, e.g. `tools/call`.
        pub methods: Vec<String> = Vec::new();
        /// Tools, prompts or resource URIs, as the client sees them.
        pub names: Vec<String> = Vec::new();
        /// Upstreams. Of a list, the entries of these.
        pub upstreams: Vec<String> = Vec::new();
        /// Tenants.
        pub tenants: Vec<String> = Vec::new();
        /// Labels that other plugins set on the exchange before, by their whole name (`guard.risk`), with the values that count. All must be
        /// there. Lists and requests that leave for an upstream have no labels, and this is no condition for them.
        pub labels: BTreeMap<String, Vec<String>> = BTreeMap::new();
    }
}

section! {
    /// Bounds on what one plugin may use.
    pub struct PluginLimits {
        /// Memory of one instance. A plugin that carries an interpreter may need 128.
        pub memory_mib: u64 = 64, within 1..=1024;
        /// CPU time of one hook call.
        pub cpu_ms: u64 = 20, within 1..=60_000;
        /// Time of one hook call of a plugin that can wait for nobody.
        pub wall_ms: u64 = 100, within 1..=600_000;
        /// Time of one hook call of a plugin that can wait for others: a remote store, a server that it may send requests to.
        pub wall_waiting_ms: u64 = 5_000, within 1..=600_000;
        /// CPU time of starting one instance.
        pub init_cpu_ms: u64 = 100, within 1..=60_000;
        /// Time of starting one instance.
        pub init_wall_ms: u64 = 5_000, within 1..=600_000;
        /// Calls into the host in one hook call.
        pub host_calls_max: u64 = 1_000, within 1..=1_000_000;
        /// Handles that one instance holds at once.
        pub handles_max: u64 = 256, within 1..=100_000;
        /// Bytes passed between host and plugin in one hook call.
        pub host_bytes_max: u64 = 33_554_432, within 1024..=1_073_741_824;
        /// Instances alive at once.
        pub instances_max: u64 = 128, within 1..=10_000;
        /// Further ones for a single call each when all are busy; then the call is refused.
        pub overflow_max: u64 = 64, within 0..=10_000;
        /// Instances alive at once that one tenant's calls have; a caller without a tenant counts as one. Beyond that its calls are refused,
        /// and nobody else's. Not for scope `all`.
        pub tenant_instances_max: u64 = 96, within 1..=10_000;
        /// CPU time that one tenant's calls may take, in per cent of one core, with a second's worth at once. 0: no bound. Not for scope `all`.
        pub tenant_cpu_percent_max: u64 = 0, within 0..=10_000;
        /// Instances kept warm for reuse.
        pub warm_max: u64 = 64, within 0..=10_000;
        /// How long a warm instance is kept unused.
        pub idle_ms: u64 = 30_000, within 1..=86_400_000;
        /// How long an instance is used before it is replaced, however busy it is.
        pub age_ms: u64 = 600_000, within 1..=86_400_000;
        /// Calls after which an instance is replaced.
        pub calls_max: u64 = 10_000, within 1..=4_000_000_000;
        /// Log lines in a second.
        pub log_lines_per_second: u64 = 50, within 0..=100_000;
        /// Of those, in the calls of one tenant.
        pub tenant_log_lines_per_second: u64 = 25, within 0..=100_000;
        /// Keys in its own buckets.
        pub kv_keys_max: u64 = 100_000, within 0..=100_000_000;
        /// Bytes of one value in a bucket.
        pub kv_value_bytes_max: u64 = 65_536, within 0..=16_777_216;
        /// Bytes of all its keys and values.
        pub kv_bytes_max: u64 = 67_108_864, within 0..=17_179_869_184;
        /// Requests that it has under way at once.
        pub fetches_max: u64 = 32, within 1..=1_000;
        /// Bytes of one answer to such a request.
        pub fetch_bytes_max: u64 = 1_048_576, within 1024..=67_108_864;
        /// Secrets that it keeps, of all owners together; of one caller or tenant it keeps at most 64.
        pub secrets_max: u64 = 10_000, within 0..=10_000_000;
        /// Bytes of one secret that it keeps.
        pub secret_bytes_max: u64 = 16_384, within 0..=1_048_576;
    }
}

section! {
    /// When a failing plugin is left out for a while.
    pub struct Breaker {
        /// Faults in a row that open it.
        pub in_a_row: u64 = 5, within 1..=10_000;
        /// Calls in a window before the share of faults counts.
        pub window_calls: u64 = 20, within 1..=100_000;
        /// Faults per hundred calls of the window that open it.
        pub window_percent: u64 = 20, within 1..=100;
        /// The window.
        pub window_ms: u64 = 30_000, within 100..=3_600_000;
        /// How long it stays open before one call is tried; doubles with each failure.
        pub rest_ms: u64 = 1_000, within 10..=3_600_000;
        /// Where the doubling stops.
        pub rest_ms_max: u64 = 300_000, within 10..=86_400_000;
    }
}

section! {
    /// How a new version is tried before it replaces the old one. It is taken back by itself, for good until its file changes, when it
    /// proves worse; renaming its file over the old one's puts it in force.
    pub struct Canary {
        /// Exchanges of a hundred that it takes, of those that `tenants` and `labels` leave.
        pub percent: u64 = 10, within 0..=100;
        /// Tenants whose exchanges it takes, as names or globs with `*`; none: everybody's.
        pub tenants: Vec<String> = Vec::new();
        /// Labels that an exchange must have, as in `when`.
        pub labels: BTreeMap<String, Vec<String>> = BTreeMap::new();
        /// Calls of each version before they are compared; three faults in a row are always enough.
        pub calls_min: u64 = 50, within 1..=100_000;
        /// Faults per hundred of its calls that it may have beyond the old version's.
        pub faults_percent_max: u64 = 1, within 0..=100;
        /// How much longer, in per cent, nine of ten of its calls may take; under 100 µs no difference counts.
        pub slower_percent_max: u64 = 100, within 0..=10_000;
        /// Verdicts per hundred that may differ from the old version's on the same message. They are compared where the plugin imports
        /// nothing but `log`, `payload` and `patterns`, so that the old version can be asked as well and leaves nothing behind.
        pub diverging_percent_max: u64 = 5, within 0..=100;
    }
}

/// A power beyond the default ones, written as a plugin's manifest asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant(sluice_plugin::Grant);

impl std::fmt::Display for Grant {
    /// "kv:shared-bucket".
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Setting for Grant {
    fn schema() -> Json {
        json!({"type": "string", "pattern": sluice_plugin::Grant::PATTERN})
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Grant> {
        let text = String::read(node, reader)?;
        let suggestion = match text.parse() {
            Ok(grant) => return Some(Grant(grant)),
            Err(error) => error,
        };
        let by_default = sluice_plugin::Power::ALL.map(sluice_plugin::Power::as_str);
        let suggestion = match nearest(&text, by_default) {
            Some(power) if power == text => format!("every plugin has {}: leave it away", quoted(power)),
            _ => suggestion.to_string(),
        };
        reader.mismatch(node, "a power that can be granted", Some(suggestion));
        None
    }

    fn show(&self) -> Json {
        json!(self.to_string())
    }
}
