//! Bounds on one call, the same on every transport.

use sluice_wire::json::{IndexDepth, Limits};
use std::time::Duration;

/// Who shares a child or a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sharing {
    /// Each principal has its own.
    #[default]
    Principal,
    /// Everybody: only for servers that keep nothing of a caller.
    Shared,
    /// Nobody: each call has a fresh child, which ends with it. A session over HTTP is its principal's.
    Call,
}

/// Bounds on one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLimits {
    /// How long a call may be silent; progress starts it anew.
    pub silent_max: Duration,
    /// How long a call may take whatever progress it makes.
    pub total_max: Duration,
    /// What one message from the server may hold.
    pub response: Limits,
    /// How deep answers are indexed at once; who needs more deepens.
    pub index: IndexDepth,
}

impl Default for CallLimits {
    /// 60 s, extended by progress to 10 min; 16 MiB.
    fn default() -> Self {
        Self {
            silent_max: Duration::from_secs(60),
            total_max: Duration::from_secs(600),
            response: Limits::RESPONSE,
            index: IndexDepth::Levels(3),
        }
    }
}
