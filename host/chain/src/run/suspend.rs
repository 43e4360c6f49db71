//! A filter asks the person behind the client, in the client's own era, before the exchange goes on.
//!
//! No instance is held meanwhile. A modern client is told to come back: the exchange waits in [`parks`](crate::parked), under a
//! state that is good once, for its principal, upstream, name and arguments, and for a while. A legacy client is asked while its
//! request runs. Either way the whole request chain runs again with the answer.

use super::{
    Exchange,
    rounds::{ROUNDS_MAX, embedded, response},
};
use crate::{
    attributes::LABEL_BYTES_MAX,
    exchange::{Answer, Delivery, Outgoing, Question},
    fault::Fault,
    filter::Identity,
    parked::{Pending, Resumed, Said, Waits},
    rescue::Error,
    verdict::{Ask, Suspension},
};
use bytes::Bytes;
use sluice_wire::{
    form::is_answer_to,
    id::RequestId,
    json::{Document, IndexDepth, Limits, quote},
    message::{self, Message},
    method,
    revision::{Era, Revision},
};
use std::sync::Arc;
use tokio::sync::oneshot;

/// A filter's wish to ask a person.
pub(super) struct Suspended {
    /// The filter's place in the chain.
    pub(super) depth: usize,
    pub(super) by: Arc<Identity>,
    pub(super) asks: Suspension,
}

/// What a request turned out to be.
pub(super) enum TakenUp {
    /// The first of its exchange, or a round that goes on with this.
    With(Option<Box<Resumed>>),
    /// A round without the answer that was asked for.
    AsksAgain(Box<Answer>),
}

impl Exchange {
    /// Asks. None once there is an answer; the round's end where the client has to come back with it.
    pub(super) async fn suspend(
        &mut self,
        upstream: usize,
        suspended: Suspended,
        then: &mut Option<Resumed>,
    ) -> Result<Option<Answer>, Error> {
        let Suspended { by, asks, .. } = suspended;
        self.check_askable(&by, &asks.ask)?;
        if self.head.round >= ROUNDS_MAX {
            let fault = Fault::BadReply("it asks a person again and again".into());
            return Err(Error::Plugin { plugin: by.name.to_string(), fault });
        }
        let pending = Pending {
            key: format!("{}-{}", by.name, self.head.round + 1),
            plugin: by.name.clone(),
            digest: by.digest.clone(),
            question: Arc::new(self.question(&asks)?),
            ttl: asks.ttl,
            then: then.take().map(Box::new),
        };
        if self.era() == Era::Modern {
            return self.park_for(upstream, pending).map(Some);
        }
        let said = self.ask_now(&pending).await;
        self.head.round += 1;
        self.note_said(said);
        *then = pending.then.map(|then| *then);
        Ok(None)
    }

    /// A modern client has come back to a filter that asked.
    pub(super) fn hear(&mut self, upstream: usize, mut pending: Pending, inputs: Vec<(String, Bytes)>) -> Result<TakenUp, Error> {
        let given = inputs.iter().find(|(key, _)| *key == pending.key).and_then(|(_, given)| response(given));
        match given.and_then(|given| said(&pending, &given.message)) {
            Some(said) => {
                self.note_said(said);
                Ok(TakenUp::With(pending.then.take()))
            }
            None => self.park_for(upstream, pending).map(Box::new).map(TakenUp::AsksAgain),
        }
    }

    fn park_for(&mut self, upstream: usize, pending: Pending) -> Result<Answer, Error> {
        let (request, ttl) = (embedded(&pending.key, &pending.question), pending.ttl);
        self.park(upstream, Waits::Filter(pending), &[request], ttl)
    }

    /// Puts the question to a legacy client and waits. No answer, an error and one that does not fit are no consent.
    async fn ask_now(&mut self, pending: &Pending) -> Said {
        let limit = pending.ttl.unwrap_or(self.host.settings.parking.ttl).min(self.host.settings.parking.ttl);
        let (reply, answer) = oneshot::channel();
        let delivery = Delivery { message: pending.question.clone(), spoken: self.revision };
        let is_put = self.sender.send(Outgoing::Question(Question { delivery, reply })).await.is_ok();
        let answer = tokio::select! {
            biased;
            () = self.cancel.cancelled() => None,
            answer = tokio::time::timeout(limit, answer), if is_put => answer.ok().and_then(Result::ok),
            else => None,
        };
        let said = answer.and_then(|answer| said(pending, &answer.message.as_ref().clone().deepen()));
        said.unwrap_or_else(|| Said { plugin: pending.plugin.clone(), digest: pending.digest.clone(), action: "cancel", content: None })
    }

    /// The last word counts.
    fn note_said(&mut self, said: Said) {
        self.said.retain(|before| before.plugin != said.plugin);
        self.said.push(said);
    }

    /// Whether the client has declared this kind of elicitation, and the request is one that can wait for it.
    fn check_askable(&self, by: &Identity, ask: &Ask) -> Result<(), Error> {
        let nobody = |why, required| Err(Error::NobodyToAsk { plugin: by.name.to_string(), why, required });
        if !self.has_rounds() {
            return nobody("only tools/call, prompts/get and resources/read can wait for one", None);
        }
        if self.revision < Revision::V2025_06_18 {
            return nobody("this client's protocol revision has no elicitation", None);
        }
        let declared = Document::parse_value(self.client.capabilities.clone(), &Limits::REQUEST, IndexDepth::Levels(2));
        let elicitation = declared.as_ref().ok().and_then(|declared| declared.root().get("elicitation"));
        let has = |mode| elicitation.is_some_and(|elicitation| elicitation.get(mode).is_some());
        match ask {
            Ask::Form(_) if elicitation.is_none() || has("url") && !has("form") => {
                nobody("this client has not declared elicitation by form", Some(r#"{"elicitation":{"form":{}}}"#))
            }
            Ask::Url(_) if self.revision < Revision::V2025_11_25 => {
                nobody("this client's protocol revision has no elicitation by link", None)
            }
            Ask::Url(_) if !has("url") => nobody("this client has not declared elicitation by link", Some(r#"{"elicitation":{"url":{}}}"#)),
            Ask::Form(_) | Ask::Url(_) => Ok(()),
        }
    }

    /// The elicitation in the words of the client's revision.
    fn question(&self, asks: &Suspension) -> Result<Message, Error> {
        let message = quote(&asks.message);
        let params = match &asks.ask {
            Ask::Form(schema) => {
                // Before there were two modes, nobody named the one.
                let mode = if self.revision < Revision::V2025_11_25 { "" } else { r#""mode":"form","# };
                format!(r#"{{{mode}"message":{message},"requestedSchema":{}}}"#, String::from_utf8_lossy(schema))
            }
            Ask::Url(url) => {
                let id = if self.era() == Era::Legacy {
                    format!(r#","elicitationId":"sluice-{:016x}-{}""#, self.head.exchange, self.head.round)
                } else {
                    String::new()
                };
                format!(r#"{{"mode":"url","message":{message},"url":{}{id}}}"#, quote(url))
            }
        };
        let text = message::request(&RequestId::from_u64(0), method::ELICITATION_CREATE, Some(params.as_bytes()));
        let document = Document::parse(text, &Limits::REQUEST, IndexDepth::Full).ok();
        document.and_then(|document| Message::decode(document).ok()).ok_or_else(|| Error::BadParams("a question cannot be put".into()))
    }
}

/// What a person said, if it is an answer at all.
fn said(pending: &Pending, answer: &Message) -> Option<Said> {
    let result = answer.result().filter(|_| is_answer_to(&pending.question, answer))?;
    let action = ["accept", "decline", "cancel"].into_iter().find(|action| result.get("action").is_some_and(|said| said.is_str(action)))?;
    let content = result.get("content").filter(|_| action == "accept").map(|content| content.raw().to_owned());
    if content.as_ref().is_some_and(|content| content.len() > LABEL_BYTES_MAX) {
        return None;
    }
    Some(Said { plugin: pending.plugin.clone(), digest: pending.digest.clone(), action, content })
}
