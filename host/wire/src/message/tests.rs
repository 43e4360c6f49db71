//! Envelopes good and bad, and what the builders write.

use super::*;
use crate::json::{IndexDepth, Limits};
use crate::patch::Patch;

fn read(text: &str) -> Result<Message, EnvelopeError> {
    read_at(text, IndexDepth::Levels(3))
}

fn read_at(text: &str, depth: IndexDepth) -> Result<Message, EnvelopeError> {
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    Message::decode(Document::parse(bytes, &Limits::REQUEST, depth).unwrap())
}

#[test]
fn the_four_kinds_are_told_by_their_members() {
    for (text, kind) in [
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, Kind::Request),
        (r#"{"method":"ping","id":"x","params":{},"jsonrpc":"2.0"}"#, Kind::Request),
        (r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, Kind::Notification),
        (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, Kind::Response),
        (r#"{"jsonrpc":"2.0","id":1,"result":null}"#, Kind::Response),
        (r#"{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":""}}"#, Kind::Error),
        (r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"m"}}"#, Kind::Error),
        (r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"m"}}"#, Kind::Error),
        (r#"{"\u006asonrpc":"2\u002e0","id":1,"method":"ping"}"#, Kind::Request),
    ] {
        for depth in [IndexDepth::Levels(0), IndexDepth::Levels(2), IndexDepth::Full] {
            assert_eq!(read_at(text, depth).unwrap().kind(), kind, "{text}");
        }
    }
}

#[test]
fn bad_envelopes_are_refused_with_the_id_when_known() {
    let id = || Some(RequestId::from_u64(7));
    for (text, expected) in [
        ("[]", EnvelopeError::NotObject),
        ("7", EnvelopeError::NotObject),
        (r#"{"id":7,"method":"m"}"#, EnvelopeError::NotJsonRpc2 { id: id() }),
        (r#"{"jsonrpc":2.0,"id":7,"method":"m"}"#, EnvelopeError::NotJsonRpc2 { id: id() }),
        (r#"{"jsonrpc":"1.0","method":"m"}"#, EnvelopeError::NotJsonRpc2 { id: None }),
        (r#"{"jsonrpc":"2.0","id":null,"method":"m"}"#, EnvelopeError::BadId),
        (r#"{"jsonrpc":"2.0","id":1.0,"method":"m"}"#, EnvelopeError::BadId),
        (r#"{"jsonrpc":"2.0","id":{},"result":{}}"#, EnvelopeError::BadId),
        (r#"{"jsonrpc":"2.0","result":{}}"#, EnvelopeError::BadId),
        (r#"{"jsonrpc":"2.0","id":null,"result":{}}"#, EnvelopeError::BadId),
        (r#"{"jsonrpc":"2.0","id":7,"method":1}"#, EnvelopeError::BadMethod { id: id() }),
        (r#"{"jsonrpc":"2.0","id":7,"method":null}"#, EnvelopeError::BadMethod { id: id() }),
        (r#"{"jsonrpc":"2.0","id":7,"method":""}"#, EnvelopeError::BadMethod { id: id() }),
        (r#"{"jsonrpc":"2.0","id":7,"method":"m","params":[]}"#, EnvelopeError::BadParams { id: id() }),
        (r#"{"jsonrpc":"2.0","id":7,"method":"m","params":null}"#, EnvelopeError::BadParams { id: id() }),
        (r#"{"jsonrpc":"2.0","id":7,"method":"m","result":{}}"#, EnvelopeError::MethodAndResult { id: id() }),
        (r#"{"jsonrpc":"2.0","id":7,"result":{},"error":{}}"#, EnvelopeError::ResultAndError { id: id() }),
        (r#"{"jsonrpc":"2.0","id":7}"#, EnvelopeError::NoResultNorError { id: id() }),
        (r#"{"jsonrpc":"2.0","id":7,"error":"no"}"#, EnvelopeError::BadError { id: id() }),
        (r#"{"jsonrpc":"2.0","id":7,"error":{"code":1.5,"message":""}}"#, EnvelopeError::BadError { id: id() }),
        (r#"{"jsonrpc":"2.0","id":7,"error":{"code":1}}"#, EnvelopeError::BadError { id: id() }),
    ] {
        let error = read(text).unwrap_err();
        assert_eq!(error, expected, "{text}");
        let is_params = matches!(error, EnvelopeError::BadParams { .. });
        assert_eq!(error.code(), if is_params { -32602 } else { -32600 });
        assert!(error.id().is_none_or(|id| id.token() == "7"));
    }
}

#[test]
fn parts_are_read_in_place() {
    let text = r#"{"jsonrpc":"2.0","id":"a","method":"tools\/call","params":{"name":"t","arguments":{"x":1},"_meta":{"progressToken":5}}}"#;
    let call = read(text).unwrap();
    assert_eq!(call.method(), "tools/call");
    assert_eq!(call.target().unwrap().as_str().unwrap(), "t");
    assert_eq!(call.meta().unwrap().get("progressToken").unwrap().as_i64(), Some(5));
    assert_eq!(call.param("arguments").unwrap().raw(), r#"{"x":1}"#);
    assert!(call.result().is_none() && call.error().is_none() && call.error_code().is_none());
    let deep = call.deepen();
    assert!(deep.document().is_full());
    assert_eq!(deep.into_document().into_bytes(), text);

    let answer = read(r#"{"jsonrpc":"2.0","id":2,"result":{"_meta":{"k":1}}}"#).unwrap();
    assert_eq!(answer.method(), "");
    assert!(answer.params().is_none() && answer.target().is_none());
    assert_eq!(answer.meta().unwrap().raw(), r#"{"k":1}"#);

    let error = read(r#"{"jsonrpc":"2.0","id":2,"error":{"code":-32601,"message":"n\u006f","data":{"uri":"u"}}}"#).unwrap();
    assert_eq!((error.error_code(), error.error_message().unwrap().as_ref()), (Some(-32601), "no"));
    assert!(error.meta().is_none() && error.id_value().is_some());
}

#[test]
fn builders_write_what_decode_reads() {
    let id = RequestId::from_text("q\"");
    let call = request(&id, "tools/call", Some(b"{\"name\":\"x\"}"));
    assert_eq!(call, r#"{"jsonrpc":"2.0","id":"q\"","method":"tools/call","params":{"name":"x"}}"#);
    assert_eq!(request(&id, "ping", None), r#"{"jsonrpc":"2.0","id":"q\"","method":"ping"}"#);
    assert_eq!(notification("n", None), r#"{"jsonrpc":"2.0","method":"n"}"#);
    assert_eq!(result(&RequestId::from_u64(3), b"{}"), r#"{"jsonrpc":"2.0","id":3,"result":{}}"#);
    assert_eq!(error(None, -32700, "a\nb", Some("[1]")), r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"a\nb","data":[1]}}"#);
    for text in [call, notification("n", Some(b"{}")), error(Some(&id), 1, "m", None)] {
        read(std::str::from_utf8(&text).unwrap()).unwrap();
    }
}

#[test]
fn only_the_id_token_changes() {
    let message = read("{ \"id\" : \"\\u0041\" ,\"jsonrpc\":\"2.0\", \"method\":\"m\",\"params\":{\"id\":1.10} }").unwrap();
    let id = RequestId::from_u64(42);
    let expected = "{ \"id\" : 42 ,\"jsonrpc\":\"2.0\", \"method\":\"m\",\"params\":{\"id\":1.10} }";
    assert_eq!(with_id(&message, &id), expected);
    let mut patch = Patch::new(message.document());
    patch.replace(message.id_value().unwrap(), id.token().to_owned());
    assert_eq!(patch.apply().unwrap(), expected);
    let note = read(r#"{"jsonrpc":"2.0","method":"m"}"#).unwrap();
    assert_eq!(with_id(&note, &id), *note.bytes());
}
