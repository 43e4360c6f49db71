//! What a task comes to, as filters see it: the answer of the tool it runs, whichever way the client reads it. A policy on a
//! tool's answers is not got round by reading them later.

use super::{
    Exchange, QUESTIONS_MAX, Stop,
    inputs::question,
    rounds::{embedded, response},
};
use crate::{
    exchange::{Answer, AnswerBody, Delivery, Kind},
    queue::queue,
    record::Outcome,
    rescue::Error,
    upstream::UpstreamError,
};
use bytes::Bytes;
use sluice_wire::{
    id::RequestId,
    json::{Document, IndexDepth, Kind as JsonKind, Limits, Value, quote},
    message::{self, Message},
    meta, method,
    patch::Patch,
};
use std::sync::Arc;

/// A task's state in two: what came of it, and the rest.
struct Split {
    lean: Delivery,
    /// As an answer to `tools/call`.
    outcome: Delivery,
}

impl Exchange {
    /// The way out of an answer about a task.
    pub(super) async fn task_way_out(&mut self, depth: usize, answer: Answer) -> Answer {
        let AnswerBody::Relayed(delivery) = &answer.body else { return self.way_out(depth, answer).await };
        if *self.head.method == *method::TASKS_RESULT {
            let answer = self.out_as_call(depth, answer).await;
            return self.with_relation(answer);
        }
        let Some(Split { lean, outcome }) = split(delivery) else {
            if !has_outcome(&delivery.message) {
                return self.way_out(depth, answer).await;
            }
            // Filters of the tool's answers could not see it.
            let upstream = self.head.upstream.as_deref().unwrap_or_default().to_owned();
            let reason = "what came of its task is neither a result nor an error".to_owned();
            let failed = self.fail(Error::Upstream { upstream, source: UpstreamError::BadReply { reason } });
            return self.way_out(depth, failed).await;
        };
        let outcome = self.out_as_call(depth, Answer::relayed(outcome)).await;
        let lean = self.way_out(depth, Answer::relayed(lean)).await;
        let AnswerBody::Relayed(state) = &lean.body else { return lean };
        match joined(&state.message, &outcome.body) {
            Some(message) => {
                let outcome = if outcome.outcome == Outcome::Answered { lean.outcome } else { outcome.outcome };
                let body = AnswerBody::Relayed(Delivery { message: Arc::new(message), spoken: state.spoken });
                Answer { outcome, body, ..lean }
            }
            // Refused as a whole.
            None => lean,
        }
    }

    /// Through the filters that see answers of `tools/call`.
    async fn out_as_call(&mut self, depth: usize, answer: Answer) -> Answer {
        let asked = std::mem::replace(&mut self.head.method, method::TOOLS_CALL.into());
        let answer = self.way_out(depth, answer).await;
        self.head.method = asked;
        answer
    }

    /// The result of a task names it (2025-11-25 tasks, Related Task Metadata), whoever made it.
    fn with_relation(&self, answer: Answer) -> Answer {
        let (AnswerBody::Result(result), Some(about)) = (&answer.body, &self.about) else { return answer };
        let Ok(document) = Document::parse_value(result.clone(), &Limits::RESPONSE, IndexDepth::Levels(2)) else { return answer };
        let mut patch = Patch::new(&document);
        let related = format!(r#"{{"taskId":{}}}"#, quote(&about.id));
        match document.root().get("_meta") {
            Some(meta) => patch.set(meta, meta::RELATED_TASK, related),
            None => patch.insert(document.root(), "_meta", format!(r#"{{"{}":{related}}}"#, meta::RELATED_TASK)),
        }
        match patch.apply() {
            Ok(result) => Answer { body: AnswerBody::Result(result), ..answer },
            Err(_) => answer,
        }
    }

    /// Shows filters each question of a task. What they keep back is answered for the client: no consent, or, as the protocol has
    /// no words for it, the end of the task.
    pub(super) async fn task_questions(&mut self, index: usize, answer: Answer) -> Result<Answer, Stop> {
        let AnswerBody::Relayed(response) = &answer.body else { return Ok(answer) };
        let Some(requests) = response.message.result().and_then(|result| result.get("inputRequests")) else { return Ok(answer) };
        if requests.is_empty() {
            return Ok(answer);
        }
        let upstream = self.generation.upstreams[index].name().to_string();
        let broken =
            |reason: &str| Error::Upstream { upstream: upstream.clone(), source: UpstreamError::BadReply { reason: reason.to_owned() } };
        let unreadable = "it asks for input in a form the protocol does not have";
        let whole = response.message.as_ref().clone().deepen();
        let result = whole.result().ok_or_else(|| broken(unreadable))?;
        let questions: Vec<_> = result.get("inputRequests").into_iter().flat_map(|requests| requests.members()).collect();
        if questions.len() > QUESTIONS_MAX {
            return Err(broken("it asks for more inputs at once than anybody would answer").into());
        }
        let questions: Vec<_> = questions
            .into_iter()
            .map(|member| Some((member, question(member.value)?)))
            .collect::<Option<_>>()
            .ok_or_else(|| broken(unreadable))?;
        let mut patch = Patch::new(whole.document());
        let mut kept_back = Vec::new();
        for (member, (method, question)) in &questions {
            let key = member.key.decoded().into_owned();
            let asked = Delivery { message: question.clone(), spoken: response.spoken };
            match self.filtered(Kind::InputRequest, (*method).into(), asked.clone()).await? {
                None if *method == method::ELICITATION_CREATE => {
                    patch.remove(member.value);
                    kept_back.push(key);
                }
                None => {
                    self.tell_task(index, method::TASKS_CANCEL, None).await?;
                    return Err(Error::KeptBack.into());
                }
                Some(passed) if !Arc::ptr_eq(&passed.message, &asked.message) => {
                    let entry = embedded(&key, &passed.message);
                    patch.replace(member.value, entry[quote(&key).len() + 1..].to_owned());
                }
                Some(_) => {}
            }
        }
        if kept_back.is_empty() && patch.is_empty() {
            return Ok(answer);
        }
        if kept_back.len() == questions.len() {
            // It goes on without an answer.
            patch = Patch::new(whole.document());
            result.get("inputRequests").into_iter().for_each(|requests| patch.remove(requests));
            patch.set(result, "status", r#""working""#);
        }
        let document = patch.apply_document(&Limits::RESPONSE, IndexDepth::Full).ok();
        let message = document.and_then(|document| Message::decode(document).ok()).ok_or_else(|| broken(unreadable))?;
        if !kept_back.is_empty() {
            let given: Vec<String> = kept_back.iter().map(|key| format!(r#"{}:{{"action":"cancel"}}"#, quote(key))).collect();
            self.tell_task(index, method::TASKS_UPDATE, Some(format!("{{{}}}", given.join(",")))).await?;
        }
        Ok(Answer::relayed(Delivery { message: Arc::new(message), spoken: response.spoken }))
    }

    /// A request of our own about the task; what it is answered does not matter.
    async fn tell_task(&self, index: usize, name: &str, responses: Option<String>) -> Result<(), Error> {
        let broken = || Error::BadParams("a request about a task cannot be put into words".into());
        let Some(about) = &self.about else { return Ok(()) };
        let whole = self.request.as_ref().clone().deepen();
        let mut patch = Patch::new(whole.document());
        let params = whole.params().ok_or_else(broken)?;
        patch.replace(whole.method_value().ok_or_else(broken)?, quote(name));
        responses.into_iter().for_each(|responses| patch.set(params, "inputResponses", responses));
        let document = patch.apply_document(&Limits::REQUEST, IndexDepth::Full).map_err(|_| broken())?;
        let message = Arc::new(Message::decode(document).map_err(|_| broken())?);
        let (nowhere, _) = queue(1);
        let outbound = self.outbound(index, message, Some(about.own.clone()), Arc::default(), nowhere)?;
        let upstream = &self.generation.upstreams[index];
        if let Err(error) = upstream.send(outbound).await {
            tracing::warn!(upstream = %upstream.name(), %error, "a task could not be told that nobody answers");
        }
        Ok(())
    }

    /// The client's answers to a task's questions, each past the filters, in their request. What is no answer to any question is
    /// passed to nobody: what it would be no filter can say, and a server pays no heed to it.
    pub(super) async fn with_responses(&mut self) -> Result<Arc<Message>, Error> {
        let mut answers = Vec::with_capacity(self.responses.len());
        for (key, given) in std::mem::take(&mut self.responses) {
            let Some((method, given)) = response(&given).and_then(|given| Some((answers_what(&given.message)?, given))) else { continue };
            let passed = self.filtered(Kind::InputResponse, method.into(), given).await?;
            let answer = match passed {
                Some(answer) => answer.message.result().map(|result| result.raw().to_owned()).ok_or(Error::KeptBack)?,
                None if method == method::ELICITATION_CREATE => r#"{"action":"cancel"}"#.to_owned(),
                None => return Err(Error::KeptBack),
            };
            answers.push(format!("{}:{answer}", quote(&key)));
        }
        let broken = || Error::BadParams("params.inputResponses cannot be put in place".into());
        let whole = self.request.as_ref().clone().deepen();
        let mut patch = Patch::new(whole.document());
        patch.insert(whole.params().ok_or_else(broken)?, "inputResponses", format!("{{{}}}", answers.join(",")));
        let document = patch.apply_document(&Limits::RESPONSE, IndexDepth::Full).map_err(|_| broken())?;
        Ok(Arc::new(Message::decode(document).map_err(|_| broken())?))
    }
}

/// Which question an answer is to: its key says nothing, and each kind has a form of its own.
fn answers_what(answer: &Message) -> Option<&'static str> {
    let has = |key| answer.result().is_some_and(|given| given.get(key).is_some());
    let forms = [("action", method::ELICITATION_CREATE), ("role", method::SAMPLING_CREATE_MESSAGE), ("roots", method::ROOTS_LIST)];
    let mut kinds = forms.into_iter().filter(|(key, _)| has(key)).map(|(_, method)| method);
    // What could be two kinds would be shown as the one its client prefers.
    kinds.next().filter(|_| kinds.next().is_none())
}

/// Members of a task's state that say what came of it.
const OUTCOMES: [&str; 2] = ["result", "error"];

/// Whether a task's state says what came of it, in whatever form.
fn has_outcome(state: &Message) -> bool {
    let is_there = |key: &&str| state.result().and_then(|state| state.get(key)).is_some_and(|value| value.kind() != JsonKind::Null);
    OUTCOMES.iter().any(|key| is_there(&key))
}

/// Takes what came of a task out of its state (2026-07-28 extension tasks, Task Polling); none while nothing has.
fn split(state: &Delivery) -> Option<Split> {
    let outcome = state.message.result()?;
    let is_object = |key: &str| outcome.get(key).is_some_and(|value| value.kind() == JsonKind::Object);
    let key = OUTCOMES.into_iter().find(|key| is_object(key))?;
    let whole = state.message.as_ref().clone().deepen();
    let value = whole.result()?.get(key)?;
    let id = state.message.id().cloned().unwrap_or_else(|| RequestId::from_u64(0));
    let text = match key {
        "result" => message::result(&id, value.raw_bytes()),
        _ => format!(r#"{{"jsonrpc":"2.0","id":{},"error":{}}}"#, id.token(), value.raw()).into(),
    };
    let parsed = |text: Bytes| Some(Arc::new(Message::decode(Document::parse(text, &Limits::RESPONSE, IndexDepth::Full).ok()?).ok()?));
    let mut patch = Patch::new(whole.document());
    OUTCOMES.iter().filter_map(|key| whole.result()?.get(key)).for_each(|value| patch.remove(value));
    let lean = parsed(patch.apply().ok()?)?;
    Some(Split {
        lean: Delivery { message: lean, spoken: state.spoken },
        outcome: Delivery { message: parsed(text)?, spoken: state.spoken },
    })
}

/// A task's state with what came of it, after the filters. None when the state is no result any more.
fn joined(state: &Message, outcome: &AnswerBody) -> Option<Message> {
    let (key, raw) = match outcome {
        AnswerBody::Result(result) => ("result", result.clone()),
        AnswerBody::Relayed(answer) => match (answer.message.result(), answer.message.error()) {
            (Some(result), _) => ("result", result.to_bytes()),
            (None, error) => ("error", error?.to_bytes()),
        },
        // Answers about tasks are whole.
        AnswerBody::Streamed(_) => return None,
        AnswerBody::Error { code, message, data } => {
            let data = data.as_ref().map(|data| format!(r#","data":{data}"#)).unwrap_or_default();
            ("error", format!(r#"{{"code":{code},"message":{}{data}}}"#, quote(message)).into())
        }
    };
    let whole = state.clone().deepen();
    let result = whole.result()?;
    let mut patch = Patch::new(whole.document());
    let status = if key == "result" { "completed" } else { "failed" };
    if !result.get("status").is_some_and(|said| said.is_str(status)) {
        patch.set(result, "status", quote(status));
    }
    patch.set(result, key, raw);
    Message::decode(patch.apply_document(&Limits::RESPONSE, IndexDepth::Full).ok()?).ok()
}

/// Notes the links in what came of a task, as in any answer of a tool.
pub(super) fn outcome_document(method: &str, answer: &Message) -> Option<Document> {
    match method {
        method::TASKS_RESULT => Some(answer.document().clone()),
        method::TASKS_GET => {
            let outcome: Value<'_> = answer.result()?.get("result")?;
            Document::parse(message::result(&RequestId::from_u64(0), outcome.raw_bytes()), &Limits::RESPONSE, IndexDepth::Levels(2)).ok()
        }
        _ => None,
    }
}
