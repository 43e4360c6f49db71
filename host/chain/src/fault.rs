//! A guest broke its contract. Never the client's doing; what follows is the operator's `on_fault`.

use std::time::Duration;

/// The kind of a fault behind a prefix, without making a text.
macro_rules! labels {
    ($prefix:literal, $fault:expr) => {
        match $fault {
            Fault::Trap(_) => concat!($prefix, "trap"),
            Fault::Deadline { .. } => concat!($prefix, "deadline"),
            Fault::Limit(_) => concat!($prefix, "limit"),
            Fault::BadReply(_) => concat!($prefix, "bad_reply"),
            Fault::Instantiate(_) => concat!($prefix, "instantiate"),
            Fault::Saturated => concat!($prefix, "saturated"),
            Fault::Share(_) => concat!($prefix, "share"),
            Fault::Open { .. } => concat!($prefix, "open"),
        }
    };
}

/// How a guest failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Fault {
    /// `unreachable`, out-of-bounds, stack overflow, abort.
    #[error("trapped: {0}")]
    Trap(String),
    /// CPU or wall time of the hook ran out.
    #[error("ran past its {limit:?} of {clock}")]
    Deadline {
        /// "CPU time" or "wall time".
        clock: &'static str,
        /// The limit that was hit.
        limit: Duration,
    },
    /// Memory, table, handle, host-call or data limit.
    #[error("went over its limit: {0}")]
    Limit(String),
    /// Output that is not valid: bad JSON, overlapping edits, a forbidden member, an unknown verdict.
    #[error("answered badly: {0}")]
    BadReply(String),
    /// An instance could not be made or its `init` refused.
    #[error("could not start: {0}")]
    Instantiate(String),
    /// All instances were busy and the overflow bound was reached, or a slow call waited too long for its turns.
    #[error("all of its instances are busy, or too many slow hooks run at once")]
    Saturated,
    /// Its tenant has all that it may have of this plugin. The guest was not entered, and what others ask of it goes on.
    #[error("gives its tenant no more than {0}")]
    Share(String),
    /// The breaker is open; the guest was not entered.
    #[error("is switched off after repeated faults, next trial in {retry_after:?}")]
    Open {
        /// Until the next trial.
        retry_after: Duration,
    },
}

impl Fault {
    /// Nothing that the guest did: there was no room to enter it. It says nothing about the next call of somebody else.
    pub(crate) fn is_want_of_room(&self) -> bool {
        matches!(self, Self::Saturated | Self::Share(_) | Self::Open { .. })
    }

    /// The label in metrics, audit and `on_fault` tables.
    pub fn kind(&self) -> &'static str {
        labels!("", self)
    }

    /// The verdict in records of a call that ended so.
    pub(crate) fn label(&self) -> &'static str {
        labels!("fault:", self)
    }

    /// The same where the filter was passed over.
    pub(crate) fn bypassed_label(&self) -> &'static str {
        labels!("bypassed:", self)
    }
}
