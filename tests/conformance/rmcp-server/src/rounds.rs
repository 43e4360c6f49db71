//! Multi-round requests: a call is answered with questions until every answer is there.

use rmcp::{
    ErrorData, Peer, RoleServer,
    model::{
        ClientCapabilities, DEFAULT_MRTR_MAX_ROUNDS, InputRequests, InputRequiredResult, InputResponses, ProtocolVersion, RequestStateCodec,
    },
    service::{PeerRequestOptions, RequestContext, ServiceError},
};
use serde_json::{Map, Value, json};

use crate::catalogue;

/// What a round leads to.
pub enum Turn {
    Ask(InputRequiredResult),
    Done(String),
}

/// What the client has said when a turn begins.
#[derive(Default)]
pub struct Said {
    pub responses: Option<InputResponses>,
    pub state: Option<String>,
}

/// Plays the rounds of `name`, or `None` when it asks nothing.
pub async fn play(
    name: &str,
    said: Said,
    context: &RequestContext<RoleServer>,
    codec: &RequestStateCodec,
) -> Option<Result<Turn, ErrorData>> {
    let script = catalogue::rounds(name)?;
    let client = context.client_capabilities().unwrap_or_default();
    Some(converse(said, context, |said| step(name, script, said, &client, codec)).await)
}

/// Takes one turn with a modern client, which comes back with its answers. A legacy client gives them during the call, so all
/// turns are taken in it: as many as a modern client would take before it gave up. One more question is an error of the SDK.
/// Answers that came with a legacy call do not count: that era has no such thing, and a proxy must not get by with it.
pub async fn converse(
    said: Said,
    context: &RequestContext<RoleServer>,
    turn: impl Fn(&Said) -> Result<Turn, ErrorData>,
) -> Result<Turn, ErrorData> {
    let modern = context.protocol_version().is_some_and(|version| version >= ProtocolVersion::V_2026_07_28);
    if modern {
        return turn(&said);
    }
    let mut said = Said::default();
    for _ in 0..DEFAULT_MRTR_MAX_ROUNDS {
        match turn(&said)? {
            Turn::Ask(questions) => said = ask(&context.peer, questions).await?,
            done => return Ok(done),
        }
    }
    turn(&said)
}

/// Asks a legacy client all questions at once.
async fn ask(peer: &Peer<RoleServer>, questions: InputRequiredResult) -> Result<Said, ErrorData> {
    let mut asked = Vec::new();
    for (key, question) in questions.input_requests.unwrap_or_default() {
        let question = catalogue::typed(json!(question))?;
        asked.push((key, peer.send_cancellable_request(question, PeerRequestOptions::no_options()).await.map_err(lost)?));
    }
    let mut responses = InputResponses::new();
    for (key, question) in asked {
        responses.insert(key, json!(question.await_response().await.map_err(lost)?));
    }
    Ok(Said { responses: Some(responses), state: questions.request_state })
}

/// The error of a call whose client cannot be reached.
pub fn lost(error: ServiceError) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}

fn step(name: &str, script: &Value, said: &Said, client: &ClientCapabilities, codec: &RequestStateCodec) -> Result<Turn, ErrorData> {
    let rounds = script["rounds"].as_array().map(Vec::as_slice).unwrap_or_default();
    let stateful = script["state"] == true;
    let current = match &said.state {
        Some(sealed) if stateful => opened(name, sealed, codec)?,
        _ => 0,
    };
    let questions = askable(&rounds[current], client);
    let answered = said.responses.as_ref().is_some_and(|given| questions.iter().all(|(key, question)| fits(question, given.get(key))));
    let next = if answered { current + 1 } else { current };
    let Some(round) = rounds.get(next) else {
        return Ok(Turn::Done(script["done"].as_str().unwrap_or_default().to_owned()));
    };
    let questions = askable(round, client);
    if questions.is_empty() {
        return Err(ErrorData::missing_required_client_capability(needed(round)?));
    }
    let questions: InputRequests = catalogue::typed(Value::Object(questions))?;
    let state = stateful.then(|| codec.seal(format!("{name} {next}").as_bytes()));
    Ok(Turn::Ask(InputRequiredResult::new(Some(questions), state)))
}

/// The questions of a round that this client said it can answer.
fn askable(round: &Value, client: &ClientCapabilities) -> Map<String, Value> {
    let questions = round.as_object().cloned().unwrap_or_default();
    questions.into_iter().filter(|(_, question)| can(client, question)).collect()
}

fn can(client: &ClientCapabilities, question: &Value) -> bool {
    match question["method"].as_str() {
        Some("elicitation/create") => client.elicitation.is_some(),
        Some("sampling/createMessage") => client.sampling.is_some(),
        Some("roots/list") => client.roots.is_some(),
        _ => false,
    }
}

fn needed(round: &Value) -> Result<ClientCapabilities, ErrorData> {
    let methods = round.as_object().into_iter().flat_map(Map::values).filter_map(|question| question["method"].as_str());
    let names = methods.filter_map(|method| method.split('/').next());
    catalogue::typed(Value::Object(names.map(|name| (name.to_owned(), json!({}))).collect()))
}

/// Whether an answer has the shape that its question asks for.
fn fits(question: &Value, answer: Option<&Value>) -> bool {
    let Some(answer) = answer else { return false };
    match question["method"].as_str() {
        Some("elicitation/create") => answer["action"] == "accept" && answer["content"].is_object(),
        Some("sampling/createMessage") => answer["role"].is_string() && !answer["content"].is_null(),
        Some("roots/list") => answer["roots"].is_array(),
        _ => false,
    }
}

/// The round that a sealed state stands for. A state that was changed, or made for another tool, is refused.
fn opened(name: &str, sealed: &str, codec: &RequestStateCodec) -> Result<usize, ErrorData> {
    let refused = || ErrorData::invalid_params("requestState failed its integrity check", None);
    let plain = codec.open(sealed).map_err(|_| refused())?;
    let plain = String::from_utf8(plain).map_err(|_| refused())?;
    let (owner, round) = plain.split_once(' ').ok_or_else(refused)?;
    if owner != name {
        return Err(refused());
    }
    round.parse().map_err(|_| refused())
}
