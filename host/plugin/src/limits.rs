//! What a guest may use, each with its unit in its name.

use std::time::Duration;

/// Bounds on one plugin's guests. The defaults are those of the limits table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Limits {
    /// CPU time of one hook call.
    pub cpu: Duration,
    /// CPU time of `init`, and of `describe`.
    pub init_cpu: Duration,
    /// Wall time of one hook call of a guest that can wait for nobody but the clock.
    pub wall: Duration,
    /// Wall time of one hook call of a guest whose imports wait for others, such as a remote kv.
    pub wall_waiting: Duration,
    /// Wall time of making an instance, `init` included.
    pub init_wall: Duration,
    /// All linear memories of one instance together.
    pub memory_bytes_max: usize,
    /// Elements of all tables of one instance together.
    pub table_elements_max: usize,
    /// Host calls in one hook call.
    pub host_calls_max: u32,
    /// Handles an instance may hold at once.
    pub handles_max: usize,
    /// Bytes moved by host calls in one hook call, both ways together. Twice the message cap.
    pub host_bytes_max: usize,
    /// Longest message after this plugin's edits, and longest `reply`.
    pub message_bytes_max: usize,
    /// Deepest nesting of what the plugin writes, in levels.
    pub depth_max: u16,
    /// Most nodes of what the plugin writes.
    pub nodes_max: u32,
    /// Instances alive at once, busy and warm together.
    pub instances_max: usize,
    /// Further instances for one call each when all are busy; after that the call is refused.
    pub overflow_max: usize,
    /// Of those, a single tenant's at once; the others' stay for the others.
    pub tenant_instances_max: usize,
    /// CPU time of all of a tenant's calls, in per cent of one core, with a second's worth at once. 0: unbounded.
    pub tenant_cpu_percent_max: u32,
    /// Warm instances kept for reuse.
    pub warm_max: usize,
    /// A warm instance that was not used for this long is dropped.
    pub idle: Duration,
    /// An instance is dropped at the end of a call once it is this old, however busy it is.
    pub age: Duration,
    /// An instance is dropped after this many calls.
    pub calls_max: u32,
    /// Log lines a second, and at once.
    pub log_lines_per_second: u32,
    /// Of those, a single tenant's.
    pub tenant_log_lines_per_second: u32,
    /// Bytes of one log line, fields included.
    pub log_line_bytes_max: usize,
    /// Sets of label values all metrics of the plugin together may have.
    pub series_max: usize,
    /// kv: keys in the plugin's own buckets together.
    pub kv_keys_max: usize,
    /// kv: bytes of one value.
    pub kv_value_bytes_max: usize,
    /// kv: bytes of all own keys and values together.
    pub kv_bytes_max: usize,
    /// fetch: requests under way at once.
    pub fetches_max: usize,
    /// fetch: bytes of one answer.
    pub fetch_bytes_max: usize,
    /// secrets: how many the plugin keeps for all its owners together.
    pub secrets_max: usize,
    /// secrets: bytes of one.
    pub secret_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cpu: Duration::from_millis(20),
            init_cpu: Duration::from_millis(100),
            wall: Duration::from_millis(100),
            wall_waiting: Duration::from_secs(5),
            init_wall: Duration::from_secs(5),
            memory_bytes_max: 64 << 20,
            table_elements_max: 100_000,
            host_calls_max: 1_000,
            handles_max: 256,
            host_bytes_max: 32 << 20,
            message_bytes_max: 16 << 20,
            depth_max: 64,
            nodes_max: 200_000,
            instances_max: 128,
            overflow_max: 64,
            tenant_instances_max: 96,
            tenant_cpu_percent_max: 0,
            warm_max: 64,
            idle: Duration::from_secs(30),
            age: Duration::from_secs(600),
            calls_max: 10_000,
            log_lines_per_second: 50,
            tenant_log_lines_per_second: 25,
            log_line_bytes_max: 4096,
            series_max: 200,
            kv_keys_max: 100_000,
            kv_value_bytes_max: 64 << 10,
            kv_bytes_max: 64 << 20,
            fetches_max: 32,
            fetch_bytes_max: 1 << 20,
            secrets_max: 10_000,
            secret_bytes_max: 16 << 10,
        }
    }
}

impl Limits {
    /// The bounds on JSON text the plugin writes.
    pub(crate) fn json(&self) -> sluice_wire::json::Limits {
        sluice_wire::json::Limits { bytes_max: self.message_bytes_max, depth_max: self.depth_max, nodes_max: self.nodes_max }
    }
}
