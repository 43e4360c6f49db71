//! A modern server's questions, put to a legacy client: round by round, until the answer is complete.

use super::{Carrier, inflight::Asked, tasks};
use bytes::Bytes;
use futures_util::future::join_all;
use sluice_chain::{
    exchange::{Delivery, Interim, Question},
    upstream::{Inbound, Outbound, UpstreamError},
};
use sluice_era::{
    capability::Askable,
    links,
    rounds::{self, Input, Round},
};
use sluice_wire::{
    message::Message,
    revision::{Era, Revision},
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout},
};

/// The SDKs' own clients give up after about as many.
const ROUNDS_MAX: u32 = 10;
/// How long an answer may take; a person is asked.
const ANSWER_MAX: Duration = Duration::from_secs(600);
/// How long all rounds of a call may take.
const TOTAL_MAX: Duration = Duration::from_secs(1_800);
/// Before the second try of a server that only has a state to show; doubled each time.
const BACKOFF: Duration = Duration::from_millis(50);

/// Sends a request, and plays the rounds of its answer where the client cannot.
pub(crate) async fn play<C: Carrier>(carrier: &C, mut outbound: Outbound) -> Result<Inbound, UpstreamError> {
    let is_modern = outbound.spoken.era() == Era::Modern;
    if let Some(answered) = is_modern.then(|| links::answered(&outbound.message)).flatten() {
        match answered {
            links::Answered::Again(call) => outbound.message = made(call)?,
            links::Answered::Instead(answer) => return Ok(ours(made(answer)?)),
        }
    }
    let inbound = carrier.send(&outbound).await?;
    if links::is_asked(&inbound.response.message) {
        return open_links(&outbound, inbound);
    }
    if inbound.response.spoken.era() == Era::Legacy {
        return Ok(inbound);
    }
    match read(&inbound, &outbound)? {
        None => Ok(inbound),
        Some(round) if is_modern => declared(&outbound, &round).map(|()| inbound),
        // In a box, so that calls answered at once do not carry its room along.
        Some(round) => Box::pin(on(carrier, outbound, inbound, round)).await,
    }
}

/// A server that wants links opened before it is called again.
fn open_links(outbound: &Outbound, inbound: Inbound) -> Result<Inbound, UpstreamError> {
    let may_ask = outbound.spoken.era() == Era::Legacy || Asked::of(outbound).is_some();
    if inbound.response.spoken.era() == Era::Modern || !may_ask {
        return Ok(inbound);
    }
    match links::asked(&inbound.response.message, outbound.spoken, &outbound.client.capabilities) {
        links::Asked::AsItIs => Ok(inbound),
        links::Asked::Instead(answer) => made(answer).map(ours),
        links::Asked::Undeclared(required) => Err(UpstreamError::NeedsCapability { required }),
    }
}

/// What a modern client has not declared it is not asked, whatever the server thinks.
fn declared(outbound: &Outbound, round: &Round) -> Result<(), UpstreamError> {
    let askable = Askable::of(&outbound.client.capabilities);
    for (_, question) in &round.questions {
        if let Some(required) = askable.missing(&*made(question.clone())?) {
            return Err(UpstreamError::NeedsCapability { required });
        }
    }
    Ok(())
}

fn made(text: Bytes) -> Result<Arc<Message>, UpstreamError> {
    rounds::message(text).map(Arc::new).ok_or_else(|| bad("its round cannot be put into words"))
}

/// An answer made here, in modern form.
fn ours(message: Arc<Message>) -> Inbound {
    Inbound::whole(Delivery { message, spoken: Revision::V2026_07_28 })
}

fn read(inbound: &Inbound, outbound: &Outbound) -> Result<Option<Round>, UpstreamError> {
    let answer = &inbound.response.message;
    if tasks::is_created(answer, outbound) {
        return Ok(None);
    }
    rounds::read(answer, outbound.message.method()).map_err(|bad| UpstreamError::BadReply { reason: bad.to_string() })
}

async fn on<C: Carrier>(carrier: &C, mut outbound: Outbound, mut inbound: Inbound, mut round: Round) -> Result<Inbound, UpstreamError> {
    let until = Instant::now() + TOTAL_MAX;
    for played in 0..ROUNDS_MAX {
        if Instant::now() >= until {
            return Err(UpstreamError::Deadline { limit: TOTAL_MAX });
        }
        if round.questions.is_empty() {
            let backoff = tokio::time::sleep(BACKOFF * 2_u32.pow(played));
            outbound.cancel.run_until_cancelled(backoff).await.ok_or(UpstreamError::Cancelled)?;
        }
        let inputs = match ask(&outbound, round.questions).await? {
            Ok(inputs) => inputs,
            Err((code, text)) => return ended(inbound, &outbound, code, &text),
        };
        let next = rounds::next(&outbound.message, &inputs, round.state.as_ref()).ok().and_then(rounds::message);
        outbound.message = Arc::new(next.ok_or_else(|| bad("its round cannot be answered"))?);
        inbound = carrier.send(&outbound).await?;
        round = match read(&inbound, &outbound)? {
            Some(round) => round,
            None => return Ok(inbound),
        };
    }
    Err(bad("it asks for input again and again"))
}

pub(super) type Refused = (i64, String);

/// Puts all questions of a round at once. The inner error is the client's no.
pub(super) async fn ask(
    outbound: &Outbound,
    questions: Vec<(String, Bytes)>,
) -> Result<Result<Vec<(String, Bytes)>, Refused>, UpstreamError> {
    let asked = join_all(questions.into_iter().map(|(key, question)| async move { (key, ask_one(outbound, question).await) }));
    let answers = tokio::select! {
        biased;
        () = outbound.cancel.cancelled() => return Err(UpstreamError::Cancelled),
        answers = asked => answers,
    };
    let mut inputs = Vec::with_capacity(answers.len());
    for (key, answer) in answers {
        match answer.ok_or_else(|| bad("its question is no message"))? {
            Input::Given(raw) => inputs.push((key, raw)),
            Input::Refused { code, message } => return Ok(Err((code, message))),
        }
    }
    Ok(Ok(inputs))
}

async fn ask_one(outbound: &Outbound, question: Bytes) -> Option<Input> {
    let question = rounds::message(question)?;
    let method = question.known_method()?;
    if Askable::of(&outbound.client.capabilities).permits(&question).is_err() {
        return Some(rounds::input(method, None));
    }
    let (reply, answer) = oneshot::channel();
    let delivery = Delivery { message: Arc::new(question), spoken: outbound.spoken };
    let is_put = outbound.interim.send(Interim::Question(Question { delivery, reply })).await.is_ok();
    let answer = if is_put { timeout(ANSWER_MAX, answer).await.ok().and_then(Result::ok) } else { None };
    Some(rounds::input(method, answer.as_ref().map(|answer| &*answer.message)))
}

fn ended(inbound: Inbound, outbound: &Outbound, code: i64, text: &str) -> Result<Inbound, UpstreamError> {
    let answer = &inbound.response.message;
    let id = answer.id().ok_or_else(|| bad("its answer has no id"))?;
    let body: Option<Message> = rounds::message(rounds::ended(id, outbound.message.method(), code, text));
    let message = Arc::new(body.ok_or_else(|| bad("its round cannot be ended"))?);
    Ok(Inbound::whole(Delivery { message, spoken: inbound.response.spoken }))
}

fn bad(reason: &str) -> UpstreamError {
    UpstreamError::BadReply { reason: reason.to_owned() }
}
