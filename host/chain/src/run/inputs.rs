//! A modern client before a modern server that asks: its questions and their answers pass the filters one by one, as they do
//! in every other pairing, and its state travels in one of ours.

use super::{
    Exchange, QUESTIONS_MAX,
    rounds::{ROUNDS_MAX, embedded, response},
};
use crate::{
    exchange::{Answer, AnswerBody, Delivery, Kind},
    parked::{Owner, Waits},
    record::Outcome,
    rescue::Error,
    ticket::{ASKING, Input, ServerRound},
    upstream::UpstreamError,
};
use bytes::Bytes;
use sluice_wire::{
    id::RequestId,
    json::{Document, IndexDepth, Kind as JsonKind, Limits, Value, quote},
    message::{self, Message},
    method,
    patch::Patch,
    revision::Era,
};
use std::sync::Arc;

/// What became of a server's questions.
pub(super) enum Inputs {
    /// The client has them.
    Asked(Answer),
    /// Filters kept all of them: the server gets this next round at once.
    KeptBack(Arc<Message>),
}

impl Exchange {
    /// Whether a server wants to know something of its modern client. Rounds with a legacy one are the upstream's to play.
    pub(super) fn is_server_round(&self, answer: &Answer) -> bool {
        let AnswerBody::Relayed(response) = &answer.body else { return false };
        if self.era() == Era::Legacy || response.spoken.era() == Era::Legacy || !self.has_rounds() {
            return false;
        }
        let kind = response.message.result().and_then(|result| result.get("resultType"));
        kind.is_some_and(|kind| kind.is_str("input_required"))
    }

    /// Shows filters each question of a round, and seals the round.
    pub(super) async fn ask_inputs(&mut self, index: usize, answer: Answer) -> Result<Inputs, Error> {
        let upstream = self.generation.upstreams[index].name().to_string();
        let broken =
            |reason: &str| Error::Upstream { upstream: upstream.clone(), source: UpstreamError::BadReply { reason: reason.to_owned() } };
        let AnswerBody::Relayed(response) = &answer.body else { return Ok(Inputs::Asked(answer)) };
        let whole = response.message.as_ref().clone().deepen();
        let unreadable = "it asks for input in a form the protocol does not have";
        let result = whole.result().ok_or_else(|| broken(unreadable))?;
        let own = result.get("requestState").map(|own| own.to_bytes());
        let requests = result.get("inputRequests");
        let questions: Vec<_> = requests.into_iter().flat_map(|requests| requests.members()).collect();
        if questions.len() > QUESTIONS_MAX {
            return Err(broken("it asks for more inputs at once than anybody would answer"));
        }
        let mut asks = ServerRound { own, inputs: Vec::with_capacity(questions.len()) };
        let mut patch = Patch::new(whole.document());
        for member in &questions {
            let (method, question) = question(member.value).ok_or_else(|| broken(unreadable))?;
            let key = member.key.decoded().into_owned();
            let asked = Delivery { message: question, spoken: response.spoken };
            let passed = self.filtered(Kind::InputRequest, method.into(), asked.clone()).await?;
            match &passed {
                None => patch.remove(member.value),
                Some(passed) if !Arc::ptr_eq(&passed.message, &asked.message) => {
                    // Written as a member, so its value is what stands behind the name.
                    let entry = embedded(&key, &passed.message);
                    patch.replace(member.value, entry[quote(&key).len() + 1..].to_owned());
                }
                Some(_) => {}
            }
            asks.inputs.push(Input { key, method, is_dropped: passed.is_none() });
        }
        if !questions.is_empty() && asks.inputs.iter().all(|input| input.is_dropped) {
            if self.head.round >= ROUNDS_MAX {
                return Err(self.endless(index));
            }
            self.head.round += 1;
            return self.with_inputs(asks, Vec::new()).await.map(Inputs::KeptBack);
        }
        let state = self.seal(index, asks)?;
        patch.set(result, "requestState", quote(&state));
        let document = patch.apply_document(&Limits::RESPONSE, IndexDepth::Full).ok();
        let message = document.and_then(|document| Message::decode(document).ok()).map(Arc::new);
        let spoken = response.spoken;
        let message = message.ok_or_else(|| broken(unreadable))?;
        Ok(Inputs::Asked(Answer { outcome: Outcome::Asked, ..Answer::relayed(Delivery { message, spoken }) }))
    }

    /// Persons' answers to filters are good once, so with any of them the round waits here; without, all of it is in the state.
    fn seal(&mut self, index: usize, asks: ServerRound) -> Result<String, Error> {
        let owner = Owner::of(&self.principal);
        if self.said.is_empty() {
            return self.host.parks.pass(&owner, self.bound(index), self.trail(), asks).ok_or(Error::NoRoomToPark);
        }
        self.park(index, Waits::Server(asks), &[], None)?;
        self.parked.as_ref().map(|(_, state)| state.clone()).ok_or(Error::NoRoomToPark)
    }

    /// The next round as its server wants it: this request with the answers, past the filters, and the server's own state to the
    /// byte. What was not asked is not passed on.
    pub(super) async fn with_inputs(&mut self, asks: ServerRound, inputs: Vec<(String, Bytes)>) -> Result<Arc<Message>, Error> {
        let mut answers = Vec::with_capacity(asks.inputs.len());
        for input in asks.inputs {
            let given = inputs.iter().find(|(key, _)| *key == input.key).and_then(|(_, given)| response(given));
            let answer = match given {
                _ if input.is_dropped => None,
                // The server asks again.
                None => continue,
                Some(given) => self.filtered(Kind::InputResponse, input.method.into(), given).await?,
            };
            let answer = match answer {
                Some(answer) => answer.message.result().map(|result| result.raw().to_owned()).ok_or(Error::KeptBack)?,
                None if input.method == method::ELICITATION_CREATE => r#"{"action":"cancel"}"#.to_owned(),
                None => return Err(Error::KeptBack),
            };
            answers.push(format!("{}:{answer}", quote(&input.key)));
        }
        let broken = || Error::BadParams("params.inputResponses cannot be put in place".into());
        let whole = self.request.as_ref().clone().deepen();
        let mut patch = Patch::new(whole.document());
        let params = whole.params().ok_or_else(broken)?;
        if !answers.is_empty() {
            patch.insert(params, "inputResponses", format!("{{{}}}", answers.join(",")));
        }
        asks.own.into_iter().for_each(|own| patch.insert(params, "requestState", own));
        let document = patch.apply_document(&Limits::RESPONSE, IndexDepth::Full).map_err(|_| broken())?;
        Ok(Arc::new(Message::decode(document).map_err(|_| broken())?))
    }
}

/// An entry of `inputRequests` as a request of its own, and how it asks.
pub(super) fn question(entry: Value<'_>) -> Option<(&'static str, Arc<Message>)> {
    let method = entry.get("method")?;
    let method = ASKING.into_iter().find(|asking| method.is_str(asking))?;
    let params = entry.get("params").map(|params| params.raw_bytes());
    if entry.get("params").is_some_and(|params| params.kind() != JsonKind::Object) {
        return None;
    }
    let document = Document::parse(message::request(&RequestId::from_u64(0), method, params), &Limits::RESPONSE, IndexDepth::Full).ok()?;
    Some((method, Arc::new(Message::decode(document).ok()?)))
}
