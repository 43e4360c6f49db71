//! What an operator decides about a server that is a child process.

use super::confine::{Confinement, Starter};
use crate::upstream::{CallLimits, EraChoice, Sharing};
use std::{ffi::OsString, fmt, path::PathBuf, sync::Arc, time::Duration};

/// One stdio server.
#[derive(Clone)]
pub struct StdioSettings {
    /// The operator's name for it.
    pub name: Arc<str>,
    /// The program: a path, or a name looked up in the child's own `PATH`.
    pub command: OsString,
    /// Its arguments, as they are. There is no shell.
    pub args: Vec<OsString>,
    /// What it gets on top of the allowlist.
    pub env: Vec<(OsString, OsString)>,
    /// Where it runs; none: where we run.
    pub directory: Option<PathBuf>,
    /// A fresh folder for each child instead, its home and place for temporary files, too. It goes with the child.
    pub has_own_directory: bool,
    /// What it may touch and use, and how a process is started that confines itself; none: what we may.
    pub confinement: Option<(Confinement, Starter)>,
    /// Which era to speak.
    pub era: EraChoice,
    /// Who shares a child.
    pub sharing: Sharing,
    /// Bounds on a call.
    pub call: CallLimits,
    /// Children of this upstream at most.
    pub children_max: usize,
    /// How long a call waits for a child when all are taken.
    pub child_wait: Duration,
    /// How long a child without work is kept.
    pub child_idle: Duration,
    /// How long a throw-away child may think about `server/discover`.
    pub probe: Duration,
    /// How long a child may take to leave after its stdin closed, and again after SIGTERM.
    pub stop: Duration,
}

impl StdioSettings {
    /// A server started by `command`, with the defaults of the limits table.
    pub fn new(name: impl Into<Arc<str>>, command: impl Into<OsString>) -> Self {
        Self {
            name: name.into(),
            command: command.into(),
            args: Vec::new(),
            env: Vec::new(),
            directory: None,
            has_own_directory: false,
            confinement: None,
            era: EraChoice::default(),
            sharing: Sharing::default(),
            call: CallLimits::default(),
            children_max: 8,
            child_wait: Duration::from_secs(2),
            child_idle: Duration::from_secs(300),
            probe: Duration::from_secs(2),
            stop: Duration::from_secs(2),
        }
    }
}

impl fmt::Debug for StdioSettings {
    /// Arguments and environment may hold secrets and are not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StdioSettings").field("name", &self.name).field("command", &self.command).finish_non_exhaustive()
    }
}
