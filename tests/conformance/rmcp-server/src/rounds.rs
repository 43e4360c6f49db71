//! Multi-round requests: a call is answered with questions until every answer is there.

use rmcp::{
    ErrorData,
    model::{ClientCapabilities, InputRequests, InputRequiredResult, InputResponses, RequestStateCodec},
};
use serde_json::{Map, Value, json};

use crate::catalogue;

/// What a round leads to.
pub enum Turn {
    Ask(InputRequiredResult),
    Done(String),
}

/// Takes one turn of `name`, or `None` when it asks nothing.
pub fn turn(
    name: &str,
    responses: Option<&InputResponses>,
    state: Option<&str>,
    client: &ClientCapabilities,
    codec: &RequestStateCodec,
) -> Option<Result<Turn, ErrorData>> {
    catalogue::rounds(name).map(|script| step(name, script, responses, state, client, codec))
}

fn step(
    name: &str,
    script: &Value,
    responses: Option<&InputResponses>,
    state: Option<&str>,
    client: &ClientCapabilities,
    codec: &RequestStateCodec,
) -> Result<Turn, ErrorData> {
    let rounds = script["rounds"].as_array().map(Vec::as_slice).unwrap_or_default();
    let stateful = script["state"] == true;
    let current = match state {
        Some(sealed) if stateful => opened(name, sealed, codec)?,
        _ => 0,
    };
    let questions = askable(&rounds[current], client);
    let answered = responses.is_some_and(|given| questions.iter().all(|(key, question)| fits(question, given.get(key))));
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
