//! Changes across eras: a stream of `subscriptions/listen` in one, `resources/subscribe` and a session's own stream in the other.

use bytes::Bytes;
use sluice_wire::{
    id::RequestId,
    json::{Kind, quote},
    listen::Filter,
    message::{self, Message},
    meta, method,
    patch::Patch,
    revision::Revision,
};

/// A `subscriptions/listen` request of ours.
pub fn listen(id: u64, revision: Revision, client_info: &str, filter: &Filter) -> Bytes {
    let params = format!(
        r#"{{"notifications":{},"_meta":{{"{}":"{revision}","{}":{{}},"{}":{client_info}}}}}"#,
        filter.to_json(),
        meta::PROTOCOL_VERSION,
        meta::CLIENT_CAPABILITIES,
        meta::CLIENT_INFO,
    );
    message::request(&RequestId::from_u64(id), method::SUBSCRIPTIONS_LISTEN, Some(params.as_bytes()))
}

/// A `resources/subscribe` or `resources/unsubscribe` request of ours.
pub fn subscribe(id: u64, is_wanted: bool, uri: &str) -> Bytes {
    let method = if is_wanted { method::RESOURCES_SUBSCRIBE } else { method::RESOURCES_UNSUBSCRIBE };
    message::request(&RequestId::from_u64(id), method, Some(format!(r#"{{"uri":{}}}"#, quote(uri)).as_bytes()))
}

/// To which of our subscriptions a modern server's message belongs.
pub fn subscription(message: &Message) -> Option<u64> {
    match message.meta()? {
        meta if meta.is_shallow() => subscription(&message.clone().deepen()),
        meta => RequestId::from_value(meta.get(meta::SUBSCRIPTION_ID)?).ok()?.as_u64(),
    }
}

/// What an acknowledgement grants. One that says nothing sensible grants nothing.
pub fn granted(acknowledgement: &Message) -> Filter {
    let whole = acknowledgement.clone().deepen();
    Filter::read(whole.param("notifications")).unwrap_or_default()
}

/// A notification as part of the subscription that its client opened under this id, whatever it was part of before.
pub fn tagged(notification: &Message, id: &RequestId) -> Option<Bytes> {
    let whole = notification.clone().deepen();
    let mut patch = Patch::new(whole.document());
    let tag = || format!(r#"{{"{}":{}}}"#, meta::SUBSCRIPTION_ID, id.token());
    match (whole.meta(), whole.params()) {
        (Some(meta), _) if meta.kind() == Kind::Object => patch.set(meta, meta::SUBSCRIPTION_ID, id.token().to_owned()),
        (_, Some(params)) => patch.set(params, "_meta", tag()),
        (_, None) => patch.insert(whole.document().root(), "params", format!(r#"{{"_meta":{}}}"#, tag())),
    }
    patch.apply().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_wire::json::{Document, IndexDepth, Limits};

    fn decoded(text: impl Into<Bytes>) -> Message {
        Message::decode(Document::parse(text.into(), &Limits::RESPONSE, IndexDepth::Levels(3)).expect("JSON")).expect("a message")
    }

    #[test]
    fn a_tag_replaces_the_last_hops_and_leaves_the_rest_as_sent() {
        for (id, params, expected) in [
            ("7", "", r#","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":7}}"#),
            ("\"7\"", r#","params":{"uri":"a"}"#, r#","params":{"uri":"a","_meta":{"io.modelcontextprotocol/subscriptionId":"7"}}"#),
            (
                "\"\\u0041\"",
                r#","params":{ "_meta":{"io.modelcontextprotocol/subscriptionId":1,"a.b/c":1.0}}"#,
                r#","params":{ "_meta":{"io.modelcontextprotocol/subscriptionId":"\u0041","a.b/c":1.0}}"#,
            ),
        ] {
            let request = decoded(format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"subscriptions/listen"}}"#));
            let sent = decoded(format!(r#"{{"jsonrpc":"2.0","method":"notifications/resources/updated"{params}}}"#));
            let text = tagged(&sent, request.id().expect("an id")).expect("a text");
            assert_eq!(text, format!(r#"{{"jsonrpc":"2.0","method":"notifications/resources/updated"{expected}}}"#));
        }
    }

    #[test]
    fn what_we_ask_for_reads_as_a_request() {
        let filter = Filter { uris: vec!["a\"b".into()], ..Filter::default() };
        let asked = decoded(listen(5, Revision::V2026_07_28, "{}", &filter)).deepen();
        assert_eq!(Filter::read(asked.param("notifications")), Ok(filter));
        assert!(crate::handshake_down::declared(&asked).is_ok());
        let acknowledged = decoded(
            r#"{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"notifications":{"toolsListChanged":true},"_meta":{"io.modelcontextprotocol/subscriptionId":5}}}"#,
        );
        assert_eq!(subscription(&acknowledged), Some(5));
        assert_eq!(granted(&acknowledged).to_json(), r#"{"toolsListChanged":true}"#);
        assert_eq!(decoded(subscribe(6, false, "a")).method(), "resources/unsubscribe");
    }
}
