//! From a fresh child to one that can be called: the probe and the handshakes.

use super::{Stdio, channel::Channel};
use crate::upstream::{
    EraChoice, OWN_INFO,
    capabilities::Capabilities,
    eras::{Introduced, Spoken, facts_of, refusal},
};
use bytes::Bytes;
use sluice_chain::{
    principal::Principal,
    upstream::{ServerFacts, UpstreamError},
};
use sluice_era::{capability::Askable, handshake, probe};
use sluice_wire::{
    json::IndexDepth,
    message::Message,
    revision::{Era, Revision},
};
use std::{sync::Arc, time::Duration};

/// A child that is ready for calls.
pub(super) struct Open {
    pub(super) channel: Arc<Channel>,
    pub(super) facts: Arc<ServerFacts>,
}

/// A child that is not ready yet. Unless it is kept, it is stopped: whoever wanted it has left.
pub(super) struct Fresh(Option<Arc<Channel>>);

impl Fresh {
    pub(super) fn new(channel: Arc<Channel>) -> Self {
        Self(Some(channel))
    }

    fn channel(&self) -> &Arc<Channel> {
        self.0.as_ref().expect("it is taken out only as it goes")
    }

    fn keep(mut self) -> Arc<Channel> {
        self.0.take().expect("it is taken out only as it goes")
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if let Some(channel) = &self.0 {
            channel.kill("it was not needed after all");
        }
    }
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
    pub(super) async fn open(&self, asking: Era, principal: &Arc<Principal>, declared: &Bytes) -> Result<Open, UpstreamError> {
        let turn = self.eras.turn().await;
        let known = self.eras.known(asking);
        if known.is_some() {
            // Only finding out is done one at a time; starting is not.
            drop(turn);
        }
        let is_settled = self.eras.choice() == EraChoice::Legacy;
        let opened = match &known {
            Some(Spoken::Modern(_)) => self.modern_again(principal, self.settings.call.silent_max).await,
            Some(Spoken::Legacy) if is_settled || asking == Era::Modern => self.open_legacy(principal, declared).await,
            _ => self.find_out(asking, principal, declared).await,
        };
        let opened = match (opened, known) {
            // It is not what it was: once more from the start.
            (Err(UpstreamError::BadReply { .. }), Some(spoken)) if self.eras.choice() == EraChoice::Auto => {
                self.eras.contradicted(asking, &spoken);
                self.find_out(asking, principal, declared).await
            }
            (opened, _) => opened,
        };
        let (open, spoken) = opened?;
        self.eras.remember(asking, spoken);
        Ok(open)
    }

    async fn find_out(&self, asking: Era, principal: &Arc<Principal>, declared: &Bytes) -> Result<(Open, Spoken), UpstreamError> {
        if asking == Era::Legacy && self.eras.choice() == EraChoice::Auto {
            self.legacy_first(principal, declared).await
        } else {
            self.modern_first(principal, declared).await
        }
    }

    /// For legacy clients: `initialize` is what a legacy server expects first. Only one that says
    /// no to it is asked for the other era.
    async fn legacy_first(&self, principal: &Arc<Principal>, declared: &Bytes) -> Result<(Open, Spoken), UpstreamError> {
        let fresh = self.start(principal).await?;
        match initialize(fresh.channel(), declared).await {
            Ok(facts) => Ok((Open { channel: fresh.keep(), facts }, Spoken::Legacy)),
            Err(NotOpen::Failed(error)) => Err(not_reached(error)),
            Err(NotOpen::Refused(refusal)) => match discover(fresh.channel(), fresh.channel().settings.probe).await {
                Ok(probe::Reading::Modern(said)) => Ok(modern(fresh, Introduced::new(said))),
                _ => Err(refusal),
            },
        }
    }

    /// For modern clients: a child to ask `server/discover`. Older servers exit on it or never
    /// answer, so unless the answer is modern this child is thrown away. One that was only slow to
    /// start says so when it is asked the other way.
    async fn modern_first(&self, principal: &Arc<Principal>, declared: &Bytes) -> Result<(Open, Spoken), UpstreamError> {
        if self.eras.choice() == EraChoice::Modern {
            return self.modern_again(principal, self.settings.call.silent_max).await;
        }
        match self.modern_again(principal, self.settings.probe).await {
            Err(UpstreamError::BadReply { .. }) => self.legacy_first(principal, declared).await,
            opened => opened,
        }
    }

    /// A child that is to answer `server/discover` within `limit`. Anything else it may do is a bad reply.
    async fn modern_again(&self, principal: &Arc<Principal>, limit: Duration) -> Result<(Open, Spoken), UpstreamError> {
        let fresh = self.start(principal).await?;
        match discover(fresh.channel(), limit).await {
            Ok(probe::Reading::Modern(said)) => Ok(modern(fresh, Introduced::new(said))),
            Err(error) if self.eras.choice() == EraChoice::Modern => Err(not_reached(error)),
            _ => Err(UpstreamError::BadReply { reason: "it does not answer server/discover in a modern revision".to_owned() }),
        }
    }

    async fn open_legacy(&self, principal: &Arc<Principal>, declared: &Bytes) -> Result<(Open, Spoken), UpstreamError> {
        let fresh = self.start(principal).await?;
        match initialize(fresh.channel(), declared).await {
            Ok(facts) => Ok((Open { channel: fresh.keep(), facts }, Spoken::Legacy)),
            Err(NotOpen::Refused(error) | NotOpen::Failed(error)) => Err(not_reached(error)),
        }
    }
}

fn modern(fresh: Fresh, introduced: Arc<Introduced>) -> (Open, Spoken) {
    let channel = fresh.keep();
    channel.agree(introduced.revision, Capabilities::default(), Askable::default());
    (Open { channel, facts: introduced.facts.clone() }, Spoken::Modern(introduced))
}

async fn initialize(channel: &Channel, declared: &Bytes) -> Result<Arc<ServerFacts>, NotOpen> {
    let body = |id| handshake::initialize(id, Revision::LEGACY[0], declared, OWN_INFO.as_bytes());
    let answer = channel.ask(body, channel.limits().silent_max).await.map_err(NotOpen::Failed)?;
    let answer = deep(answer);
    let said = handshake::read_initialize(&answer).ok_or_else(|| NotOpen::Refused(refusal(&answer)))?;
    channel.agree(said.revision, Capabilities::of(&said.capabilities), Askable::of(declared));
    channel.tell(handshake::initialized()).await.map_err(NotOpen::Failed)?;
    Ok(facts_of(said))
}

async fn discover(channel: &Channel, limit: Duration) -> Result<probe::Reading, UpstreamError> {
    let body = |id| handshake::discover(id, Revision::MODERN[0], OWN_INFO.as_bytes());
    let answer = channel.ask(body, limit).await?;
    Ok(probe::read(None, Some(&deep(answer))))
}

fn deep(message: Message) -> Message {
    match message.document().depth() {
        IndexDepth::Full => message,
        IndexDepth::Levels(_) => message.deepen(),
    }
}

/// A child that went away or was silent during its opening was never reached.
fn not_reached(error: UpstreamError) -> UpstreamError {
    match error {
        UpstreamError::ClosedEarly { reason } => UpstreamError::Unreachable { reason },
        UpstreamError::Deadline { limit } => UpstreamError::Unreachable { reason: format!("no answer to its opening within {limit:?}") },
        other => other,
    }
}
