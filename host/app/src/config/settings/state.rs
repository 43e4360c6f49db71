//! Where what plugins keep stands.

use std::path::PathBuf;

use crate::config::choice::choice;
use crate::config::secret::Secret;
use crate::config::section::section;

section! {
    /// Where what plugins keep (`kv`) stands: how long it lasts, and who shares it.
    pub struct State {
        /// What keeps it.
        pub kind: StateKind = StateKind::Memory;
        /// The file of `"file"`, for this process alone. Absent: `sluice/state.redb` in `$XDG_STATE_HOME` or `~/.local/state`.
        pub path: Option<PathBuf> = None;
        /// Where Redis or Valkey is, for `"redis"`: a secret, since it may have a password in it. `redis://host:6379/0`, or with TLS `rediss://user:password@host`.
        pub url: Option<Secret> = None;
        /// What keys in Redis begin with: gateways with the same are one.
        pub prefix: String = "sluice".to_owned();
        /// Plugins, and shared buckets as `shared/<bucket>`, that go on by this process's own memory while Redis does not answer. What others keep
        /// cannot be asked meanwhile: an operation is refused, and the plugin's `on_fault` or its own rule decides.
        pub degrade: Vec<String> = Vec::new();
    }
}

choice! {
    /// What keeps state.
    pub enum StateKind {
        /// This process: gone when it ends.
        Memory = "memory",
        /// A file: found again by the next process. Values are on disk before a plugin hears that they were set; of what was counted, the last 100 ms may be lost with a crash.
        File = "file",
        /// Redis or Valkey, which many gateways share.
        Redis = "redis",
    }
}
