//! The limits table.

use crate::config::section::section;

section! {
    /// Bounds on everything that a peer could make grow. Each has its unit in its name.
    pub struct Limits {
        /// A message from a client, as a body, an event or a line.
        pub request_bytes_max: u64 = 4_194_304, within 1024..=1_073_741_824;
        /// A message from an upstream, as a body, an event or a line.
        pub response_bytes_max: u64 = 16_777_216, within 1024..=1_073_741_824;
        /// A result from an upstream that is longer than `response_bytes_max` and goes on piece by piece, as it comes and as it is taken; 0: none
        /// does. Every plugin that looks at results needs `on-chunk` for it.
        pub response_stream_bytes_max: u64 = 268_435_456, within 0..=17_179_869_184;
        /// How deep JSON may nest.
        pub json_depth_max: u64 = 64, within 8..=256;
        /// How many values one JSON message may hold.
        pub json_nodes_max: u64 = 200_000, within 100..=10_000_000;
        /// All headers of one HTTP message together.
        pub header_bytes_max: u64 = 32_768, within 1024..=1_048_576;
        /// How many headers one HTTP response of an upstream may have.
        pub headers_max: u64 = 100, within 10..=1000;
        /// How long a client may take to send its headers.
        pub header_timeout_ms: u64 = 10_000, within 1..=600_000;
        /// How long a client may take to send its body.
        pub body_timeout_ms: u64 = 30_000, within 1..=3_600_000;
        /// How long connecting to an upstream, or to a registry of plugins, may take.
        pub connect_timeout_ms: u64 = 5_000, within 1..=600_000;
        /// How long a call may go without an answer or progress.
        pub call_timeout_ms: u64 = 60_000, within 1..=86_400_000;
        /// How long a call may take in all, however much progress it reports.
        pub call_total_timeout_ms: u64 = 600_000, within 1..=86_400_000;
        /// How long a stream may be silent.
        pub idle_stream_timeout_ms: u64 = 300_000, within 1000..=86_400_000;
        /// How long exchanges in flight may go on once Sluice is told to stop.
        pub drain_timeout_ms: u64 = 30_000, within 0..=3_600_000;
        /// Open client connections.
        pub connections_max: u64 = 10_000, within 1..=1_000_000;
        /// Gateways of this kind that a request may have passed through before this one.
        pub gateways_max: u64 = 8, within 0..=64;
        /// Sessions of clients of the legacy era.
        pub sessions_max: u64 = 10_000, within 1..=1_000_000;
        /// Sessions of one principal; the one that was idle longest makes room.
        pub sessions_per_principal_max: u64 = 256, within 1..=1_000_000;
        /// How long a session without requests is kept.
        pub session_idle_ms: u64 = 3_600_000, within 1000..=604_800_000;
        /// Stdio children of one upstream.
        pub children_per_upstream_max: u64 = 8, within 1..=10_000;
        /// Stdio children of all upstreams.
        pub children_max: u64 = 64, within 1..=10_000;
        /// How long a child without work is kept.
        pub child_idle_ms: u64 = 300_000, within 1000..=86_400_000;
        /// How long a call waits for a child when all are taken.
        pub child_wait_ms: u64 = 2_000, within 0..=600_000;
        /// How long a call waits for a modern client to come back with answers to its legacy server's questions, and how long
        /// a `requestState` is good.
        pub parked_call_ttl_ms: u64 = 600_000, within 1000..=600_000;
        /// Calls of one principal with one upstream that wait so; callers without a name together may have eight times as many.
        pub parked_calls_per_principal_max: u64 = 32, within 1..=100_000;
        /// Calls of all principals that wait so.
        pub parked_calls_max: u64 = 1_000, within 1..=100_000;
        /// Open `subscriptions/listen` of one principal; callers without a name together may have eight times as many.
        pub listens_per_principal_max: u64 = 32, within 1..=1_000_000;
        /// Open `subscriptions/listen` of all principals.
        pub listens_max: u64 = 10_000, within 1..=1_000_000;
        /// The body of a request to a plugin's own route.
        pub route_body_bytes_max: u64 = 65_536, within 0..=1_073_741_824;
        /// Requests to plugins' own routes that are answered at once; they come from anybody.
        pub route_calls_max: u64 = 32, within 1..=100_000;
        /// Hook calls at once that go on after their first 2 ms; the others take turns. Absent: one less than there are
        /// processors, so that one is left for all other traffic.
        pub slow_hooks_max: Option<u64> = None, within 1..=1000;
        /// How long fetching one plugin from a registry or a URL may take.
        pub plugin_fetch_timeout_ms: u64 = 60_000, within 100..=3_600_000;
        /// Bytes of compiled plugins and of copies of fetched ones that are kept. What was not used for the longest time makes room; what a
        /// running Sluice uses does not.
        pub cache_bytes_max: u64 = 1_073_741_824, within 0..=1_099_511_627_776;
        /// CPU time to compile one plugin, in a process of its own.
        pub compile_cpu_ms: u64 = 60_000, within 1000..=3_600_000;
        /// Memory of that process: its address space.
        pub compile_memory_mib: u64 = 1024, within 128..=65_536;
    }
}
