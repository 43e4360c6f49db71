//! The configuration: one file that a client could have written, with everything of ours under the
//! one key `sluice`.
//!
//! Text becomes a tree with places (`syntax`), the tree becomes typed values (`setting`, `section`,
//! `settings`, `servers`), and every mistake on the way is kept, so that an operator sees all of them
//! in one run. Nothing here opens a socket, starts a process or writes a file.
//!
//! In reading order: `load`, `syntax`, `tree`, `reader`, `section`, `settings`, `servers`, `sidecar`,
//! `schema`.

mod changes;
mod choice;
pub(crate) mod expand;
mod groups;
mod inputs;
pub(crate) mod load;
mod places;
pub(crate) mod problem;
mod reader;
mod reference;
mod schema;
pub(crate) mod secret;
mod section;
pub(crate) mod servers;
mod setting;
mod settings;
mod sidecar;
mod surroundings;
pub(crate) mod syntax;
#[cfg(test)]
mod tests;
pub(crate) mod tree;
mod units;

use std::path::PathBuf;

pub use changes::Change;
pub use places::Places;
pub use problem::{Place, Problem, Report, Whose};
pub use schema::{file_schema, sidecar_schema};
pub use secret::{Secret, Text};
pub use servers::{Http, Reach, Stdio, Upstream, UpstreamUrl};
pub use settings::{
    Admin, Audit, AuditMode, Auth, Breaker, Canary, ClientAuth, Confine, EraChoice, FaultAction, Grant, GroupSettings, HostName, Limits,
    Link, Listen, Log, LogFormat, LogLevel, Mode, Network, OnFault, Origin, PluginLimits, PluginSettings, Plugins, Power, PublicUrl,
    PublisherKey, RegistrySettings, Scope, Settings, Sharing, Signatures, State, StateKind, Tls, TrustedProxy, UnixMode, UpstreamSettings,
    UpstreamTls, UserAndGroup, When,
};
pub use sidecar::{Sidecar, member};
pub use surroundings::{Builtin, Surroundings};

/// Where a configuration comes from: a file, flags that go before it, and what they may refer to.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// `--config`. Absent: `sluice.json`, `.jsonc`, `.toml`, `.yaml` or `.yml` in the caller's
    /// directory, else no file at all.
    pub file: Option<PathBuf>,
    /// `--listen`, instead of `sluice.listen`.
    pub listen: Option<String>,
    /// `--plugins`, instead of `sluice.plugins.dir`.
    pub plugins_dir: Option<PathBuf>,
    /// The caller's directory and environment.
    pub surroundings: Surroundings,
    /// What is inside this binary.
    pub builtin: Builtin,
}

/// A configuration without a problem.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it was read from.
    pub file: Option<PathBuf>,
    /// The servers, in the order of the file: the earlier one keeps a name that two of them want.
    pub upstreams: Vec<Upstream>,
    /// Keys of servers that are switched off.
    pub disabled: Vec<String>,
    /// Everything under `sluice`, with defaults.
    pub settings: Settings,
    /// Paths in force.
    pub places: Places,
}

/// What a load without a problem gives.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What the operator should know all the same.
    pub warnings: Vec<Problem>,
}

impl Config {
    /// Reads and checks everything, and reports all that is wrong at once.
    ///
    /// Reads the file, the secret files that it names, and looks for programs in `PATH`.
    pub fn load(source: &Source) -> Result<Loaded, Report> {
        load::load(source)
    }

    /// `(server, tool)` pairs that may be repeated.
    pub(crate) fn idempotent_tools(&self) -> Vec<(String, String)> {
        let of = |u: &Upstream| -> Vec<_> { u.settings.idempotent_tools.iter().map(|tool| (u.name.clone(), tool.clone())).collect() };
        self.upstreams.iter().flat_map(of).collect()
    }

    /// Reads and checks a text as if it stood in `file`, which need not exist.
    pub fn read(text: &str, file: &std::path::Path, source: &Source) -> Result<Loaded, Report> {
        load::read(text, Some(file), source)
    }
}
