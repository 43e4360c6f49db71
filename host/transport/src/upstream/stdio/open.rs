//! From a fresh child to one that can be called: the probe and the handshakes.

use super::{Stdio, channel::Channel};
use crate::upstream::{
    EraChoice, OWN_INFO,
    eras::{Introduced, Spoken, facts_of},
};
use sluice_chain::{
    principal::Principal,
    upstream::{ServerFacts, UpstreamError},
};
use sluice_era::{handshake, probe};
use sluice_wire::{
    json::IndexDepth,
    message::Message,
    revision::{Era, Revision},
};
use std::sync::Arc;

/// A child that is ready for calls.
pub(super) struct Open {
    pub(super) channel: Arc<Channel>,
    pub(super) facts: Arc<ServerFacts>,
}

/// Why a child is not.
enum NotOpen {
    /// It answered, and said no to this era.
    Refused(UpstreamError),
    /// It did not get as far.
    Failed(UpstreamError),
}

impl Stdio {
    /// Starts a child in the era that suits a client of `asking`. One at a time.
    pub(super) async fn open(&self, asking: Era, principal: &Arc<Principal>) -> Result<Open, UpstreamError> {
        let turn = self.eras.turn().await;
        let known = self.eras.known(asking);
        if known.is_some() {
            // Only finding out is done one at a time; starting is not.
            drop(turn);
        }
        let opened = match (known, asking) {
            (Some(Spoken::Modern(introduced)), _) => return self.open_modern_as(introduced, principal).await,
            (Some(Spoken::Legacy), _) if self.eras.choice() == EraChoice::Legacy => self.open_legacy(principal).await,
            (Some(Spoken::Legacy) | None, Era::Legacy) if self.eras.choice() == EraChoice::Auto => self.legacy_first(principal).await,
            (Some(Spoken::Legacy), _) => self.open_legacy(principal).await,
            (None, _) => self.modern_first(principal).await,
        };
        let (open, spoken) = opened?;
        self.eras.remember(asking, spoken);
        Ok(open)
    }

    /// For legacy clients: `initialize` is what a legacy server expects first. Only one that says
    /// no to it is asked for the other era.
    async fn legacy_first(&self, principal: &Arc<Principal>) -> Result<(Open, Spoken), UpstreamError> {
        let channel = self.start(principal).await?;
        match initialize(&channel).await {
            Ok(open) => Ok((open, Spoken::Legacy)),
            Err(NotOpen::Failed(error)) => Err(given_up(&channel, error)),
            Err(NotOpen::Refused(refusal)) => match discover(&channel).await {
                Ok(probe::Reading::Modern(said)) => Ok(self.modern(channel, Introduced::new(said))),
                _ => Err(given_up(&channel, refusal)),
            },
        }
    }

    /// For modern clients: a child to ask `server/discover`. Older servers exit on it or never
    /// answer, so unless the answer is modern this child is thrown away.
    async fn modern_first(&self, principal: &Arc<Principal>) -> Result<(Open, Spoken), UpstreamError> {
        let channel = self.start(principal).await?;
        match discover(&channel).await {
            Ok(probe::Reading::Modern(said)) => return Ok(self.modern(channel, Introduced::new(said))),
            answer if self.eras.choice() == EraChoice::Modern => {
                let reason = "it does not answer server/discover in a modern revision".to_owned();
                return Err(given_up(&channel, answer.err().unwrap_or(UpstreamError::BadReply { reason })));
            }
            _ => channel.stop("it was only asked for its era"),
        }
        self.open_legacy(principal).await
    }

    async fn open_legacy(&self, principal: &Arc<Principal>) -> Result<(Open, Spoken), UpstreamError> {
        let channel = self.start(principal).await?;
        match initialize(&channel).await {
            Ok(open) => Ok((open, Spoken::Legacy)),
            Err(NotOpen::Refused(error) | NotOpen::Failed(error)) => Err(given_up(&channel, error)),
        }
    }

    /// A child of a server known to be modern needs no handshake.
    async fn open_modern_as(&self, introduced: Arc<Introduced>, principal: &Arc<Principal>) -> Result<Open, UpstreamError> {
        let channel = self.start(principal).await?;
        Ok(self.modern(channel, introduced).0)
    }

    fn modern(&self, channel: Arc<Channel>, introduced: Arc<Introduced>) -> (Open, Spoken) {
        let _ = channel.spoken.set(introduced.revision);
        (Open { channel, facts: introduced.facts.clone() }, Spoken::Modern(introduced))
    }
}

async fn initialize(channel: &Arc<Channel>) -> Result<Open, NotOpen> {
    let body = |id| handshake::initialize(id, Revision::LEGACY[0], b"{}", OWN_INFO.as_bytes());
    let answer = channel.ask(body, channel.limits().silent_max).await.map_err(NotOpen::Failed)?;
    let answer = deep(answer);
    let said = handshake::read_initialize(&answer).ok_or_else(|| NotOpen::Refused(refusal(&answer)))?;
    let _ = channel.spoken.set(said.revision);
    channel.tell(handshake::initialized()).await.map_err(NotOpen::Failed)?;
    Ok(Open { channel: channel.clone(), facts: facts_of(said) })
}

async fn discover(channel: &Channel) -> Result<probe::Reading, UpstreamError> {
    let body = |id| handshake::discover(id, Revision::MODERN[0], OWN_INFO.as_bytes());
    let answer = channel.ask(body, channel.settings.probe).await?;
    Ok(probe::read(None, Some(&deep(answer))))
}

fn deep(message: Message) -> Message {
    match message.document().depth() {
        IndexDepth::Full => message,
        IndexDepth::Levels(_) => message.deepen(),
    }
}

/// What a server said to `initialize` instead of yes.
pub(crate) fn refusal(answer: &Message) -> UpstreamError {
    let reason = match (answer.error_code(), answer.error_message()) {
        (Some(code), Some(message)) => format!("initialize got error {code}: {}", super::stderr::shown(message.as_bytes())),
        _ => "initialize got no revision we know".to_owned(),
    };
    UpstreamError::BadReply { reason }
}

/// A child that cannot be opened is stopped; one that went away meanwhile was never reached.
fn given_up(channel: &Channel, error: UpstreamError) -> UpstreamError {
    channel.stop("it could not be opened");
    match error {
        UpstreamError::ClosedEarly { reason } => UpstreamError::Unreachable { reason },
        UpstreamError::Deadline { limit } => UpstreamError::Unreachable { reason: format!("no answer to initialize within {limit:?}") },
        other => other,
    }
}
