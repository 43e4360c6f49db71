//! What an upstream has seen, for status and metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Running totals of one upstream.
        #[derive(Debug, Default)]
        pub struct Counters { $($(#[$doc])* pub(crate) $name: AtomicU64),* }

        /// A reading of [`Counters`].
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Reading { $($(#[$doc])* pub $name: u64),* }

        impl Counters {
            /// The totals now. Each is right on its own; together they may be a moment apart.
            pub fn read(&self) -> Reading {
                Reading { $($name: self.$name.load(Relaxed)),* }
            }
        }

        impl Reading {
            /// Every total with its name, for a metrics page.
            pub fn named(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name)),*]
            }
        }
    };
}

counters! {
    /// Requests handed to this upstream.
    requests,
    /// Of those, the ones that ended in an error of the transport.
    failures,
    /// Connections or children started.
    connects,
    /// Connections or children that could not be started.
    connect_failures,
    /// Children that died by themselves.
    child_deaths,
    /// Children alive now.
    children,
    /// Legacy sessions opened.
    sessions,
    /// Legacy sessions that the server forgot.
    sessions_lost,
    /// Lines or events that were no message.
    junk,
    /// Messages dropped: unknown ids, unwanted or late notifications, a reader that was too slow.
    dropped,
    /// Requests from the server that were refused.
    refused_requests,
    /// Bytes of stderr not logged.
    stderr_muted,
}

impl Counters {
    pub(crate) fn count(&self, counter: impl FnOnce(&Self) -> &AtomicU64) {
        counter(self).fetch_add(1, Relaxed);
    }
}
