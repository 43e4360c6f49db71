//! What an operator can say about an upstream beyond what a client says.

use std::path::PathBuf;

use crate::config::choice::choice;
use crate::config::section::section;

section! {
    /// More about one upstream.
    pub struct UpstreamSettings {
        /// Which protocol it speaks.
        pub era: EraChoice = EraChoice::Auto;
        /// Instead of `limits.call_timeout_ms`.
        pub call_timeout_ms: Option<u64> = None, within 1..=86_400_000;
        /// Instead of `limits.connect_timeout_ms`.
        pub connect_timeout_ms: Option<u64> = None, within 1..=600_000;
        /// Instead of `limits.children_per_upstream_max`.
        pub children_max: Option<u64> = None, within 1..=10_000;
        /// Instead of `limits.child_idle_ms`.
        pub child_idle_ms: Option<u64> = None, within 1000..=86_400_000;
        /// Tools, each by its own name at the server, that may be called again when it is not known
        /// whether the first call ran.
        pub idempotent_tools: Vec<String> = Vec::new();
        /// Who shares a child or a session.
        pub sharing: Sharing = Sharing::Principal;
        /// Whether Sluice is ready without it.
        pub optional: bool = false;
        /// TLS toward it, where its URL is `https`. Without it the CAs that the machine trusts are trusted.
        pub tls: Option<UpstreamTls> = None;
    }
}

section! {
    /// TLS toward one upstream.
    pub struct UpstreamTls {
        /// The CAs to trust instead of those that the machine trusts, in PEM.
        pub ca: Option<PathBuf> = None;
        /// The certificate that we show when we are asked for one, in PEM.
        pub cert: Option<PathBuf> = None;
        /// Its private key, in PEM.
        pub key: Option<PathBuf> = None;
    }
}

choice! {
    /// Which protocol an upstream speaks.
    pub enum EraChoice {
        /// Probed, and remembered.
        Auto = "auto",
        /// 2024-11-05 to 2025-11-25.
        Legacy = "legacy",
        /// 2026-07-28.
        Modern = "modern",
    }
}

choice! {
    /// Who shares a stdio child or a session.
    pub enum Sharing {
        /// Each principal has its own.
        Principal = "principal",
        /// Everybody, also across tenants: only for servers that keep nothing of a caller.
        Shared = "shared",
    }
}
