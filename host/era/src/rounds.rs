//! The rounds of a call that a modern server answers with questions before it answers for good.
//!
//! Toward a legacy client each question is a request of its own; its answers and the server's state go into the next round
//! of the same call (mcp-protocol §3.4). Modern clients play their rounds themselves.

use crate::request::PART;
use bytes::Bytes;
use sluice_wire::{
    id::RequestId,
    json::{Document, Kind, Value, quote},
    message::{self, Message},
    method,
    patch::{Patch, PatchError},
    revision::Revision,
};

/// What a server wants to know before it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// What it asks, by the server's keys.
    pub questions: Vec<(String, Bytes)>,
    /// `requestState`, a JSON string as the server spelled it.
    pub state: Option<Bytes>,
}

/// Of one round.
const QUESTIONS_MAX: usize = 32;

/// A result that is neither complete nor a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRound {
    /// `resultType` is none we know.
    #[error("its resultType is unknown")]
    UnknownType,
    /// It asks where nothing may be asked.
    #[error("it asks for input where the protocol has none")]
    WrongMethod,
    /// More questions than anybody would answer.
    #[error("it asks for more than {QUESTIONS_MAX} inputs at once")]
    TooMany,
    /// Neither questions nor a state, or one of the wrong form.
    #[error("it asks for input in a form the protocol does not have")]
    Malformed,
}

/// Reads a modern server's answer to a request of `asked`. None when it is the final one.
///
/// # Errors
/// [`BadRound`], of which only the server is to blame.
pub fn read(answer: &Message, asked: &str) -> Result<Option<Round>, BadRound> {
    let Some(kind) = answer.result().and_then(|result| result.get("resultType")) else { return Ok(None) };
    if kind.is_str("complete") {
        return Ok(None);
    }
    // Tasks are not declared by us, so nothing else is due.
    if !kind.is_str("input_required") {
        return Err(BadRound::UnknownType);
    }
    if !matches!(asked, method::TOOLS_CALL | method::PROMPTS_GET | method::RESOURCES_READ) {
        return Err(BadRound::WrongMethod);
    }
    let whole = answer.clone().deepen();
    let result = whole.result().ok_or(BadRound::Malformed)?;
    let state = result.get("requestState");
    let requests = result.get("inputRequests");
    if state.is_some_and(|state| state.kind() != Kind::String) || requests.is_some_and(|requests| requests.kind() != Kind::Object) {
        return Err(BadRound::Malformed);
    }
    if state.is_none() && requests.is_none() {
        return Err(BadRound::Malformed);
    }
    if requests.is_some_and(|requests| requests.members().nth(QUESTIONS_MAX).is_some()) {
        return Err(BadRound::TooMany);
    }
    let questions = requests.into_iter().flat_map(|requests| requests.members());
    let questions = questions.map(|member| Ok((member.key.decoded().into_owned(), question(member.value)?))).collect::<Result<_, _>>()?;
    Ok(Some(Round { questions, state: state.map(|state| state.to_bytes()) }))
}

/// An embedded request as one of its own. Whoever sends it gives it an id.
fn question(embedded: Value<'_>) -> Result<Bytes, BadRound> {
    let name = embedded.get("method").and_then(|name| name.as_str()).ok_or(BadRound::Malformed)?;
    if !matches!(&*name, method::ELICITATION_CREATE | method::SAMPLING_CREATE_MESSAGE | method::ROOTS_LIST) {
        return Err(BadRound::Malformed);
    }
    let params = embedded.get("params").map(|params| params.raw_bytes());
    Ok(message::request(&RequestId::from_u64(0), &name, params))
}

/// What a client's answer is to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The value for `inputResponses`, JSON text of an object.
    Given(Bytes),
    /// The client said no in a way that a round has no words for: the call ends.
    Refused {
        /// JSON-RPC code.
        code: i64,
        /// In the client's words.
        message: String,
    },
}

/// Reads a client's answer to a question of `method`; none is no consent.
pub fn input(asked: &str, answer: Option<&Message>) -> Input {
    if let Some(result) = answer.and_then(|answer| answer.result()) {
        return Input::Given(result.to_bytes());
    }
    if asked == method::ELICITATION_CREATE {
        return Input::Given(Bytes::from_static(br#"{"action":"cancel"}"#));
    }
    let code = answer.and_then(|answer| answer.error_code()).unwrap_or(sluice_wire::code::INTERNAL_ERROR);
    let said = answer.and_then(|answer| answer.error_message());
    Input::Refused { code, message: said.map_or_else(|| "the client did not answer".to_owned(), |said| said.into_owned()) }
}

/// A client's answer for a server of this revision. None when it fits as it is.
///
/// Before 2025-11-25 a sampled message had one content and not a list of them (mcp-protocol §3.5).
///
/// # Errors
/// What the server is told when the answer has no form in its revision.
pub fn answered(answer: &Message, revision: Revision) -> Result<Option<Bytes>, &'static str> {
    if revision >= Revision::V2025_11_25 {
        return Ok(None);
    }
    let is_list = |answer: &Message| answer.result().and_then(|result| result.get("content")).is_some_and(|c| c.kind() == Kind::Array);
    if !is_list(answer) {
        return Ok(None);
    }
    let whole = answer.clone().deepen();
    let Some((result, content)) = whole.result().and_then(|result| Some((result, result.get("content")?))) else { return Ok(None) };
    let mut items = content.items();
    let (Some(only), None) = (items.next(), items.next()) else {
        return Err("the client answered with several contents, and this protocol revision knows one");
    };
    let (limits, depth) = PART;
    let document = Document::parse_value(result.to_bytes(), &limits, depth).map_err(|_| "the answer cannot be read")?;
    let mut patch = Patch::new(&document);
    if let Some(content) = document.root().get("content") {
        patch.replace(content, only.to_bytes());
    }
    patch.apply().map(Some).map_err(|_| "the answer cannot be put into this protocol revision")
}

/// The request of the next round: the one before with only this round's inputs, and the state to the byte.
///
/// # Errors
/// When the splices do not fit, which would be a mistake of ours.
pub fn next(request: &Message, inputs: &[(String, Bytes)], state: Option<&Bytes>) -> Result<Bytes, PatchError> {
    let whole = request.clone().deepen();
    let mut patch = Patch::new(whole.document());
    let mut responses = Vec::with_capacity(64 + inputs.iter().map(|(key, raw)| key.len() + raw.len() + 8).sum::<usize>());
    for (key, raw) in inputs {
        responses.push(if responses.is_empty() { b'{' } else { b',' });
        responses.extend_from_slice(quote(key).as_bytes());
        responses.push(b':');
        responses.extend_from_slice(raw);
    }
    let responses = if responses.is_empty() { None } else { Some([&responses[..], b"}"].concat().into()) };
    let members: [(&str, Option<Bytes>); 2] = [("inputResponses", responses), ("requestState", state.cloned())];
    match whole.params() {
        Some(params) => {
            for (key, raw) in members {
                match (raw, params.get(key)) {
                    (Some(raw), _) => patch.set(params, key, raw),
                    (None, Some(old)) => patch.remove(old),
                    (None, None) => {}
                }
            }
        }
        None => {
            let raw: Vec<String> =
                members.into_iter().filter_map(|(key, raw)| Some(format!("{}:{}", quote(key), String::from_utf8_lossy(&raw?)))).collect();
            patch.insert(whole.document().root(), "params", format!("{{{}}}", raw.join(",")));
        }
    }
    patch.apply()
}

/// The answer to a call that a client's refusal has ended, in modern form.
pub fn ended(id: &RequestId, asked: &str, code: i64, text: &str) -> Bytes {
    if asked == method::TOOLS_CALL {
        let content = format!(
            r#"{{"content":[{{"type":"text","text":{}}}],"isError":true,"resultType":"complete"}}"#,
            quote(&format!("the client refused what the tool asked for: {text}"))
        );
        return message::result(id, content.as_bytes());
    }
    message::error(Some(id), code, text, None)
}

/// A message out of a text made here.
pub fn message(text: Bytes) -> Option<Message> {
    let (limits, depth) = PART;
    Message::decode(Document::parse(text, &limits, depth).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Message {
        message(text.to_owned().into()).expect("a message")
    }

    fn answer(result: &str) -> Message {
        parsed(&format!(r#"{{"jsonrpc":"2.0","id":7,"result":{result}}}"#))
    }

    #[test]
    fn a_round_is_told_from_an_answer() {
        let read = |result: &str, method| read(&answer(result), method);
        assert_eq!(read(r#"{"content":[]}"#, "tools/call"), Ok(None));
        assert_eq!(read(r#"{"resultType":"complete"}"#, "tools/call"), Ok(None));
        let round = r#"{"resultType":"input_required","requestState":"s\u0041","inputRequests":{"k":{"method":"roots/list"}}}"#;
        let request = Bytes::from_static(br#"{"jsonrpc":"2.0","id":0,"method":"roots/list"}"#);
        let expected = Round { questions: vec![("k".into(), request)], state: Some(Bytes::from_static(br#""s\u0041""#)) };
        assert_eq!(read(round, "tools/call"), Ok(Some(expected)));
        assert_eq!(read(round, "tools/list"), Err(BadRound::WrongMethod));
        for (bad, why) in [
            (r#"{"resultType":"task"}"#, BadRound::UnknownType),
            (r#"{"resultType":7}"#, BadRound::UnknownType),
            (r#"{"resultType":"input_required"}"#, BadRound::Malformed),
            (r#"{"resultType":"input_required","requestState":1}"#, BadRound::Malformed),
            (r#"{"resultType":"input_required","inputRequests":[]}"#, BadRound::Malformed),
            (r#"{"resultType":"input_required","inputRequests":{"k":{}}}"#, BadRound::Malformed),
            (r#"{"resultType":"input_required","inputRequests":{"k":{"method":"tools/call"}}}"#, BadRound::Malformed),
        ] {
            assert_eq!(read(bad, "tools/call"), Err(why), "{bad}");
        }
    }

    #[test]
    fn a_round_is_not_endless() {
        let asked: Vec<_> = (0..=QUESTIONS_MAX).map(|n| format!(r#""{n}":{{"method":"roots/list"}}"#)).collect();
        let round = format!(r#"{{"resultType":"input_required","inputRequests":{{{}}}}}"#, asked.join(","));
        assert_eq!(read(&answer(&round), "tools/call"), Err(BadRound::TooMany));
    }

    #[test]
    fn the_next_round_says_what_this_one_brought_and_nothing_else() {
        let first = parsed(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{ "name":"t","arguments":{"n":1.0}}}"#);
        let inputs = [("k\"".to_owned(), Bytes::from_static(br#"{"action":"accept"}"#)), ("r".to_owned(), Bytes::from_static(b"{}"))];
        let state = Bytes::from_static(br#""s\u0041""#);
        let second = next(&first, &inputs, Some(&state)).unwrap();
        assert_eq!(
            second,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{ "name":"t","arguments":{"n":1.0},"inputResponses":{"k\"":{"action":"accept"},"r":{}},"requestState":"s\u0041"}}"#
        );
        let third = next(&message(second).unwrap(), &[], None).unwrap();
        assert_eq!(third, first.bytes());
        let bare = parsed(r#"{"jsonrpc":"2.0","id":1,"method":"prompts/get"}"#);
        assert_eq!(
            next(&bare, &[], Some(&state)).unwrap(),
            r#"{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"requestState":"s\u0041"}}"#
        );
    }

    #[test]
    fn no_answer_is_no_consent() {
        let error = parsed(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"no"}}"#);
        let cancel = Input::Given(Bytes::from_static(br#"{"action":"cancel"}"#));
        assert_eq!(input("elicitation/create", Some(&error)), cancel);
        assert_eq!(input("elicitation/create", None), cancel);
        assert_eq!(input("sampling/createMessage", Some(&error)), Input::Refused { code: -1, message: "no".into() });
        assert!(matches!(input("roots/list", None), Input::Refused { code: -32603, .. }));
        let given = answer(r#"{"roots":[ ]}"#);
        assert_eq!(input("roots/list", Some(&given)), Input::Given(Bytes::from_static(br#"{"roots":[ ]}"#)));
    }
}
