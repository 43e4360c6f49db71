//! What an operator can say about an upstream beyond what a client says.

use std::path::PathBuf;

use serde_json::{Value as Json, json};

use crate::config::choice::choice;
use crate::config::reader::Reader;
use crate::config::section::section;
use crate::config::setting::Setting;
use crate::config::tree::Node;

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
        /// What a child process may touch and use. Absent: what Sluice itself may.
        pub confine: Option<Confine> = None;
        /// TLS toward it, where its URL is `https`. Without it the CAs that the machine trusts are trusted.
        pub tls: Option<UpstreamTls> = None;
    }
}

section! {
    /// What a child process may touch and use; the kernel sees to it. `{}`: no core dumps and no new privileges.
    pub struct Confine {
        /// Files and folders that it may read, and run programs from, besides `/usr`, `/etc` and the like and where its program is. With
        /// `read` or `write` it may touch nothing else (Landlock, Linux 6.2).
        pub read: Option<Vec<PathBuf>> = None;
        /// Those that it may write to as well. Its own folder is among them.
        pub write: Option<Vec<PathBuf>> = None;
        /// A fresh folder for each child: where it runs, its `HOME` and its `TMPDIR`. It goes with the child.
        pub own_directory: bool = false;
        /// Whether it may open TCP connections, or wait for some (Landlock, Linux 6.7).
        pub network: bool = true;
        /// Its address space. Programs that reserve much and use little (node, Java) need far more than what they use; for memory that is
        /// used there is `cgroup`.
        pub memory_mib: Option<u64> = None, within 1..=16_777_216;
        /// CPU time of each of its processes until it is killed.
        pub cpu_s: Option<u64> = None, within 1..=31_536_000;
        /// Open files of each of its processes.
        pub files_max: Option<u64> = None, within 4..=1_048_576;
        /// Processes and threads of its user, others of that user included.
        pub processes_max: Option<u64> = None, within 1..=1_048_576;
        /// Longest file that it may write.
        pub file_mib: Option<u64> = None, within 0..=16_777_216;
        /// User and group that it runs as, as numbers: `"65534:65534"`. Only root can be another.
        pub user: Option<UserAndGroup> = None;
        /// A cgroup v2 folder that it is put into, with bounds that you set there.
        pub cgroup: Option<PathBuf> = None;
    }
}

/// Two numbers with a colon between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserAndGroup(pub u32, pub u32);

impl Setting for UserAndGroup {
    fn schema() -> Json {
        json!({"type": "string", "pattern": "^[0-9]+:[0-9]+$"})
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let text = String::read(node, reader)?;
        let numbers = text.split_once(':').and_then(|(user, group)| Some(Self(user.parse().ok()?, group.parse().ok()?)));
        if numbers.is_none() {
            reader.mismatch(node, "a user and a group as numbers", Some("write \"65534:65534\"".to_owned()));
        }
        numbers
    }

    fn show(&self) -> Json {
        json!(format!("{}:{}", self.0, self.1))
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
        /// Nobody shares a child: each call has a fresh one, which ends with it. Lists come from one of the principal's. Over HTTP a session is
        /// its principal's.
        Call = "call",
    }
}
