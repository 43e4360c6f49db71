//! A legacy server that wants its user to open links first, and only then to be called again (-32042 of 2025-11-25).
//!
//! A modern client hears it as a round: one question by URL for each link. The server keeps nothing meanwhile, so the state
//! of the round holds what is still to be answered; when all is accepted the call is sent anew, since it did not run.

use crate::{capability::Askable, request::PART, rounds};
use bytes::Bytes;
use sluice_wire::{
    code,
    id::RequestId,
    json::{Document, Value, quote},
    message::{self, Message},
    patch::Patch,
    revision::Revision,
};

/// Before the questions in the state of such a round. Whoever seals states keeps clients from making one.
const PREFIX: &str = "links:";
/// Of one error.
const LINKS_MAX: usize = 32;

/// What becomes of such an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// The client understands it as it is.
    AsItIs,
    /// The answer to give instead, in modern form.
    Instead(Bytes),
    /// The client has not declared that it opens links: these capabilities, JSON text of an object.
    Undeclared(&'static str),
}

/// Whether an answer asks for links to be opened.
pub fn is_asked(answer: &Message) -> bool {
    answer.error_code() == Some(code::URL_ELICITATION)
}

/// What a client of this revision is told of an error that [`is_asked`].
pub fn asked(error: &Message, to: Revision, declared: &Bytes) -> Asked {
    let whole = error.clone().deepen();
    let id = whole.id().cloned().unwrap_or_else(|| RequestId::from_u64(0));
    let elicitations = whole.error().and_then(|error| error.get("data")?.get("elicitations"));
    let links: Vec<Value<'_>> = elicitations.into_iter().flat_map(|all| all.items()).filter(|link| link.get("url").is_some()).collect();
    let opens = Askable::of(declared).opens_links();
    match to {
        _ if links.is_empty() || links.len() > LINKS_MAX => Asked::Instead(refused(&id, &whole, &[])),
        Revision::V2025_11_25 if opens => Asked::AsItIs,
        Revision::V2026_07_28 if opens => Asked::Instead(message::result(&id, round(&questions(&links)).as_bytes())),
        Revision::V2026_07_28 => Asked::Undeclared(r#"{"elicitation":{"url":{}}}"#),
        _ => Asked::Instead(refused(&id, &whole, &links)),
    }
}

/// The error in words, for a client that knows no better.
fn refused(id: &RequestId, error: &Message, links: &[Value<'_>]) -> Bytes {
    let mut text = error.error_message().map_or_else(String::new, |text| text.into_owned());
    for link in links {
        let said = |key: &str| link.get(key).and_then(|said| said.as_str()).unwrap_or_default();
        text.push_str(&format!("\n{} {}", said("message"), said("url")));
    }
    message::error(Some(id), code::INTERNAL_ERROR, &text, None)
}

/// Members of `inputRequests`, each with its key.
fn questions(links: &[Value<'_>]) -> Vec<(String, String)> {
    let question = |(at, link): (usize, &Value<'_>)| {
        let mut params = String::from(r#"{"mode":"url""#);
        for member in link.members().filter(|member| !["mode", "elicitationId", "task", "_meta"].iter().any(|key| member.key.is(key))) {
            params.push_str(&format!(",{}:{}", member.key.raw(), member.value.raw()));
        }
        (format!("link-{}", at + 1), format!(r#"{{"method":"elicitation/create","params":{params}}}}}"#))
    };
    links.iter().enumerate().map(question).collect()
}

fn round(questions: &[(String, String)]) -> String {
    let all: Vec<String> = questions.iter().map(|(key, question)| format!("{}:{question}", quote(key))).collect();
    let all = format!("{{{}}}", all.join(","));
    format!(r#"{{"resultType":"input_required","inputRequests":{all},"requestState":{}}}"#, quote(&format!("{PREFIX}{all}")))
}

/// How the round of such an error goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    /// All links are accepted: the call as it was first made.
    Again(Bytes),
    /// The answer to give, in modern form: what is still open, or the client's no.
    Instead(Bytes),
}

/// What a client has answered; none when its request is no such round.
pub fn answered(request: &Message) -> Option<Answered> {
    let state = request.param("requestState")?.as_str()?.strip_prefix(PREFIX)?.to_owned();
    let (limits, depth) = PART;
    let asked = Document::parse_value(state.into(), &limits, depth).ok()?;
    let whole = request.clone().deepen();
    let id = whole.id()?;
    let action = |key: &str| Some(whole.param("inputResponses")?.get(key)?.get("action")?.as_str()?.into_owned());
    let mut open = Vec::new();
    for member in asked.root().members() {
        let key = member.key.decoded();
        match action(&key).as_deref() {
            Some("accept") => {}
            Some("decline" | "cancel") => {
                let text = "the user did not open what the server wanted to be opened first";
                return Some(Answered::Instead(rounds::ended(id, whole.method(), code::INTERNAL_ERROR, text)));
            }
            _ => open.push((key.into_owned(), member.value.raw().to_owned())),
        }
    }
    if !open.is_empty() {
        return Some(Answered::Instead(message::result(id, round(&open).as_bytes())));
    }
    let mut patch = Patch::new(whole.document());
    ["inputResponses", "requestState"].iter().filter_map(|key| whole.param(key)).for_each(|value| patch.remove(value));
    patch.apply().ok().map(Answered::Again)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_wire::json::{IndexDepth, Limits};

    const ERROR: &str = r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32042,"message":"log in","data":{"elicitations":[
        {"mode":"url","elicitationId":"e1","url":"https://a/\u0062","message":"first"},{"mode":"url","elicitationId":"e2","url":"https://c"}]}}}"#;

    fn parsed(text: &str) -> Message {
        Message::decode(Document::parse(text.to_owned().into(), &Limits::RESPONSE, IndexDepth::Levels(3)).unwrap()).unwrap()
    }

    fn told(to: Revision, declared: &'static str) -> Asked {
        asked(&parsed(ERROR), to, &Bytes::from_static(declared.as_bytes()))
    }

    fn call(state: &str, responses: &str) -> Message {
        parsed(&format!(
            r#"{{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{{"name":"t","inputResponses":{responses},"requestState":{state}}}}}"#
        ))
    }

    fn instead(asked: Option<Answered>) -> Message {
        let Some(Answered::Instead(text)) = asked else { panic!("{asked:?}") };
        parsed(&String::from_utf8_lossy(&text)).deepen()
    }

    #[test]
    fn links_are_a_round_for_those_who_open_them_and_words_for_the_others() {
        let url = r#"{"elicitation":{"url":{}}}"#;
        let Asked::Instead(text) = told(Revision::V2026_07_28, url) else { panic!("a round") };
        let round = parsed(&String::from_utf8_lossy(&text)).deepen();
        let questions = round.result().unwrap().get("inputRequests").unwrap();
        assert_eq!(
            questions.raw(),
            r#"{"link-1":{"method":"elicitation/create","params":{"mode":"url","url":"https://a/\u0062","message":"first"}},"link-2":{"method":"elicitation/create","params":{"mode":"url","url":"https://c"}}}"#
        );
        assert_eq!(told(Revision::V2026_07_28, r#"{"elicitation":{}}"#), Asked::Undeclared(url));
        assert_eq!(told(Revision::V2025_11_25, url), Asked::AsItIs);
        for (to, declared) in [(Revision::V2025_11_25, "{}"), (Revision::V2025_06_18, url)] {
            let Asked::Instead(text) = told(to, declared) else { panic!("words") };
            let error = parsed(&String::from_utf8_lossy(&text));
            assert_eq!(
                (error.error_code(), error.error_message().as_deref()),
                (Some(-32603), Some("log in\nfirst https://a/b\n https://c"))
            );
        }
        let empty = parsed(r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32042,"message":"m"}}"#);
        let url = Bytes::from_static(url.as_bytes());
        assert!(matches!(asked(&empty, Revision::V2026_07_28, &url), Asked::Instead(_)));
    }

    #[test]
    fn the_call_is_made_again_once_all_are_accepted() {
        let Asked::Instead(text) = told(Revision::V2026_07_28, r#"{"elicitation":{"url":{}}}"#) else { panic!("a round") };
        let first = parsed(&String::from_utf8_lossy(&text)).deepen();
        let state = first.result().unwrap().get("requestState").unwrap();

        let rest = instead(answered(&call(state.raw(), r#"{"link-1":{"action":"accept"}}"#)));
        let open = rest.result().unwrap();
        assert!(open.get("inputRequests").unwrap().members().map(|member| member.key.decoded()).eq(["link-2"]));
        let again = answered(&call(open.get("requestState").unwrap().raw(), r#"{"link-2":{"action":"accept"}}"#));
        let expected = br#"{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{"name":"t"}}"#;
        assert_eq!(again, Some(Answered::Again(Bytes::from_static(expected))));

        let no = instead(answered(&call(state.raw(), r#"{"link-1":{"action":"accept"},"link-2":{"action":"decline"}}"#)));
        assert!(no.result().unwrap().get("isError").unwrap().as_bool().unwrap());
        assert_eq!(answered(&call(r#""theirs""#, "{}")), None);
    }
}
