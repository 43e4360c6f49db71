//! Which era a server is spoken to in, remembered for each era that asks.
//!
//! A server of both eras is spoken to in the client's own, so the two memories are apart.

use super::shown::shown;
use sluice_chain::upstream::{ServerFacts, UpstreamError};
use sluice_era::handshake::Introduction;
use sluice_wire::{
    message::Message,
    revision::{Era, Revision},
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::MutexGuard, time::Instant};

/// The operator's word on a server's era.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EraChoice {
    /// Found out by probing.
    #[default]
    Auto,
    /// `initialize`, always.
    Legacy,
    /// No handshake, always.
    Modern,
}

/// A modern server that has introduced itself.
#[derive(Debug)]
pub(crate) struct Introduced {
    pub(crate) revision: Revision,
    pub(crate) facts: Arc<ServerFacts>,
    fresh_until: Instant,
}

/// Longest and shortest time an introduction is trusted, whatever the server says.
const FRESH: std::ops::Range<Duration> = Duration::from_secs(60)..Duration::from_secs(3600);

impl Introduced {
    pub(crate) fn new(said: Introduction) -> Arc<Self> {
        let fresh_until = Instant::now() + said.ttl.clamp(FRESH.start, FRESH.end);
        Arc::new(Self { revision: said.revision, facts: facts_of(said), fresh_until })
    }

    pub(crate) fn is_fresh(&self) -> bool {
        Instant::now() < self.fresh_until
    }
}

/// An introduction in the chain's words.
pub(crate) fn facts_of(said: Introduction) -> Arc<ServerFacts> {
    Arc::new(ServerFacts {
        era: said.revision.era(),
        revision: said.revision,
        capabilities: said.capabilities,
        info: said.info,
        instructions: said.instructions,
    })
}

/// What a server said to `initialize` instead of yes.
pub(crate) fn refusal(answer: &Message) -> UpstreamError {
    let reason = match (answer.error_code(), answer.error_message()) {
        (Some(code), Some(message)) => format!("initialize got error {code}: {}", shown(message.as_bytes())),
        _ => "initialize got no revision we know".to_owned(),
    };
    UpstreamError::BadReply { reason }
}

/// How a server is spoken to.
#[derive(Debug, Clone)]
pub(crate) enum Spoken {
    Modern(Arc<Introduced>),
    Legacy,
}

/// What is known of one server.
#[derive(Debug)]
pub(crate) struct Eras {
    choice: EraChoice,
    /// For legacy and modern askers.
    known: Mutex<[Option<Spoken>; 2]>,
    /// Held while somebody finds out, so that only one does.
    probing: tokio::sync::Mutex<()>,
}

impl Eras {
    pub(crate) fn new(choice: EraChoice) -> Self {
        Self { choice, known: Mutex::default(), probing: tokio::sync::Mutex::default() }
    }

    pub(crate) fn choice(&self) -> EraChoice {
        self.choice
    }

    /// What is remembered for a client of `asking`.
    pub(crate) fn known(&self, asking: Era) -> Option<Spoken> {
        if self.choice == EraChoice::Legacy {
            return Some(Spoken::Legacy);
        }
        self.memory()[slot(asking)].clone()
    }

    pub(crate) fn remember(&self, asking: Era, spoken: Spoken) {
        self.memory()[slot(asking)] = Some(spoken);
    }

    /// Forgets what was contradicted, unless somebody has found out anew meanwhile.
    pub(crate) fn contradicted(&self, asking: Era, spoken: &Spoken) {
        let remembered = &mut self.memory()[slot(asking)];
        let is_same = match (remembered.as_ref(), spoken) {
            (Some(Spoken::Modern(a)), Spoken::Modern(b)) => Arc::ptr_eq(a, b),
            (Some(Spoken::Legacy), Spoken::Legacy) => true,
            _ => false,
        };
        if is_same {
            *remembered = None;
        }
    }

    /// Waits for the turn to find out. Look at [`known`](Self::known) again afterwards.
    pub(crate) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.probing.lock().await
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, [Option<Spoken>; 2]> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn slot(asking: Era) -> usize {
    match asking {
        Era::Legacy => 0,
        Era::Modern => 1,
    }
}
