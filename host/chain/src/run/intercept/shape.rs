//! A payload of an interceptor as the message it stands for, and back.

use bytes::Bytes;
use sluice_wire::{
    json::{Document, IndexDepth, Limits, Value, quote},
    message::Message,
};

/// How a payload stands for a message. The draft shows whole ones, and most of its SDKs send what is under `params` and `result`.
pub(super) enum Shape {
    /// The message, without these members, which it has none of.
    Whole(Vec<&'static str>),
    /// What is under this member of it.
    Under(&'static str),
}

impl Shape {
    pub(super) fn of(payload: Value<'_>, is_request: bool, event: &str) -> Self {
        let is_whole = match is_request {
            // What holds anything else is params that look like a message, so that what is judged is not what is sent.
            true => has_only(payload, &["jsonrpc", "id", "method", "params"]) && payload.get("method").is_some_and(|m| m.is_str(event)),
            false => {
                has_only(payload, &["jsonrpc", "id", "result", "error"])
                    && (payload.get("result").is_some() || payload.get("error").is_some())
            }
        };
        match (is_whole, is_request) {
            (true, _) => Self::Whole(["jsonrpc", "id"].into_iter().filter(|name| payload.get(name).is_none()).collect()),
            (false, true) => Self::Under("params"),
            (false, false) => Self::Under("result"),
        }
    }

    /// The message that is lent.
    pub(super) fn message(&self, payload: Value<'_>, event: &str) -> Result<Message, String> {
        let text = match self {
            Self::Under("params") => format!(r#"{{"jsonrpc":"2.0","id":0,"method":{},"params":{}}}"#, quote(event), payload.raw()),
            Self::Under(_) => format!(r#"{{"jsonrpc":"2.0","id":0,"result":{}}}"#, payload.raw()),
            Self::Whole(missing) => {
                let put = |name: &&str| if *name == "id" { r#""id":0,"# } else { r#""jsonrpc":"2.0","# };
                let rest = payload.raw().trim_start().strip_prefix('{').unwrap_or_default();
                format!("{{{}{rest}", missing.iter().map(put).collect::<String>())
            }
        };
        let document = Document::parse(Bytes::from(text), &Limits::RESPONSE, IndexDepth::Full).map_err(|error| error.to_string())?;
        let message = Message::decode(document).map_err(|error| error.to_string())?;
        let fits = match self {
            Self::Under("params") => message.method() == event,
            Self::Whole(_) if !message.method().is_empty() => message.method() == event,
            _ => message.method().is_empty(),
        };
        fits.then_some(message).ok_or_else(|| "it is of another method".to_owned())
    }

    /// The payload that an edited message stands for, in the form it was sent in.
    pub(super) fn payload(&self, edited: &Message) -> String {
        let root = edited.document().root();
        match self {
            Self::Under(body) => root.get(body).map_or("{}", |body| body.raw()).to_owned(),
            Self::Whole(missing) => {
                let members = root.members().filter(|member| !missing.iter().any(|name| member.key.is(name)));
                let members: Vec<String> =
                    members.map(|member| format!("{}:{}", quote(&member.key.decoded()), member.value.raw())).collect();
                format!("{{{}}}", members.join(","))
            }
        }
    }
}

fn has_only(payload: Value<'_>, known: &[&str]) -> bool {
    payload.members().all(|member| known.iter().any(|name| member.key.is(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_wire::json::canonical;

    fn payload(text: &str) -> Document {
        Document::parse_value(text.to_owned().into(), &Limits::REQUEST, IndexDepth::Full).unwrap()
    }

    fn message(text: &str, is_request: bool) -> Result<String, String> {
        let document = payload(text);
        let shape = Shape::of(document.root(), is_request, "tools/call");
        let message = shape.message(document.root(), "tools/call")?;
        assert_eq!(canonical(payload(&shape.payload(&message)).root()), canonical(document.root()), "and back: {text}");
        Ok(String::from_utf8(message.bytes().to_vec()).unwrap())
    }

    #[test]
    fn whole_messages_and_bare_params_mean_the_same() {
        let call = r#"{"jsonrpc":"2.0","id":0,"method":"tools/call","params":{"name":"a"}}"#;
        assert_eq!(message(r#"{"method":"tools/call","params":{"name":"a"}}"#, true).unwrap(), call);
        assert_eq!(message(r#"{"name":"a"}"#, true).unwrap(), call);
        assert!(message(r#"{"id":"x","method":"tools/call"}"#, true).unwrap().contains(r#""id":"x""#));
        // A call whose params pose as a message, with harmless ones inside.
        let posing = r#"{"name":"send","arguments":{"to":"x"},"method":"tools/call","params":{"name":"send"}}"#;
        assert!(message(posing, true).unwrap().contains(r#""params":{"name":"send","arguments":{"to":"x"}"#));
        let answer = r#"{"jsonrpc":"2.0","id":0,"result":{"content":[]}}"#;
        assert_eq!(message(r#"{"result":{"content":[]}}"#, false).unwrap(), answer);
        assert_eq!(message(r#"{"content":[]}"#, false).unwrap(), answer);
        assert!(message(r#"{"error":{"code":1,"message":"m"}}"#, false).is_ok());
        // A result that has such a member beside others is one.
        assert!(message(r#"{"content":[],"error":{}}"#, false).unwrap().contains(r#""result":{"content""#));
    }

    #[test]
    fn what_is_no_message_is_said_so() {
        assert!(message(r#"{"method":"tools/call","params":7}"#, true).is_err());
        assert!(message(r#"{"error":7}"#, false).is_err());
    }
}
