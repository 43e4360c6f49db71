//! What an API answered, as the result of a tool.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use sluice_sdk::fetch::Response;

use crate::json::{self, Object, Value};
use crate::operation::{Operation, cut, essence, is_json};
use crate::request::shown;

/// Values in an answer that is handed on as an object; the host takes some more in one message.
const NODES_MAX: usize = 150_000;
/// Of an answer that says what went wrong.
const ERROR_BYTES_MAX: usize = 16 << 10;

/// The result.
pub fn result(operation: &Operation, response: &Response) -> String {
    match response.status {
        200..=299 => success(operation, response),
        300..=399 => {
            let to = response.header("location").unwrap_or_default();
            failed(
                operation,
                &format!("HTTP {}, a redirect to {:?}, which is not followed", response.status, to.chars().take(300).collect::<String>()),
            )
        }
        status => {
            let mut said = String::from_utf8_lossy(&response.body).trim().to_string();
            cut(&mut said, ERROR_BYTES_MAX);
            let media_type = essence(&response.header("content-type").unwrap_or_default());
            let is_text = media_type.is_empty() || media_type.starts_with("text/") || is_json(&media_type) || media_type.ends_with("xml");
            let wait = response.header("retry-after").map(|after| format!(", retry-after: {}", after.chars().take(64).collect::<String>()));
            let head = format!("HTTP {status}{}", wait.unwrap_or_default());
            failed(operation, &if is_text && !said.is_empty() { format!("{head}\n{said}") } else { head })
        }
    }
}

fn success(operation: &Operation, response: &Response) -> String {
    let media_type = essence(&response.header("content-type").unwrap_or_default());
    let kind = media_type.split('/').next().unwrap_or_default();
    if response.body.is_empty() {
        return unpromised(operation, "nothing", content(&format!("HTTP {}, and nothing more", response.status)));
    }
    if kind == "image" || kind == "audio" {
        let data = json::quote(&BASE64_STANDARD.encode(&response.body));
        let item =
            Object::default().with("type", &json::quote(kind)).with("data", &data).with("mimeType", &json::quote(&media_type)).finish();
        return unpromised(operation, &media_type, json::list(&[item]));
    }
    let Ok(body) = core::str::from_utf8(&response.body) else {
        let what = if media_type.is_empty() { "no text".to_string() } else { media_type };
        return unpromised(operation, &what, content(&format!("HTTP {}, with {} bytes of {what}", response.status, response.body.len())));
    };
    let body = body.strip_prefix('\u{feff}').unwrap_or(body).trim();
    let object = Some(body).filter(|_| media_type.is_empty() || is_json(&media_type)).and_then(json::read);
    let object = object.filter(|value| matches!(value, Value::Object(_)) && json::is_strict(value, NODES_MAX));
    match object {
        // As it came: numbers keep their spelling, and members their order.
        Some(_) => {
            Object::default().with("content", &content(body)).with("structuredContent", body).with("resultType", r#""complete""#).finish()
        }
        None => unpromised(operation, "something else", content(body)),
    }
}

/// A result without an object. A tool that promised one cannot answer so, since clients hold it to that.
fn unpromised(operation: &Operation, what: &str, content: String) -> String {
    if operation.promises {
        let why = format!("{} answered {what}, and its document promises an object", shown(operation));
        let note = Object::default().with("type", r#""text""#).with("text", &json::quote(&why)).finish();
        let both = format!("[{note},{}", &content[1..]);
        return error(&both);
    }
    Object::default().with("content", &content).with("resultType", r#""complete""#).finish()
}

fn failed(operation: &Operation, what: &str) -> String {
    error(&content(&format!("{} was answered with {what}", shown(operation))))
}

fn error(content: &str) -> String {
    Object::default().with("content", content).with("isError", "true").with("resultType", r#""complete""#).finish()
}

fn content(said: &str) -> String {
    json::list(&[Object::default().with("type", r#""text""#).with("text", &json::quote(said)).finish()])
}

/// For metrics: `2xx`.
pub fn class(status: u16) -> Cow<'static, str> {
    Cow::Owned(format!("{}xx", status / 100))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;
    use serde_json::{Value as Json, json};

    fn operation(promises: bool) -> Operation {
        Operation {
            name: "get_pet".into(),
            definition: "{}".into(),
            method: "GET",
            path: "/pets/{id}".into(),
            pieces: Vec::new(),
            parameters: Vec::new(),
            body: None,
            promises,
        }
    }

    fn answered(promises: bool, status: u16, media_type: &str, body: &[u8]) -> (String, Json) {
        let headers = vec![("content-type".to_string(), media_type.to_string()), ("retry-after".to_string(), "7".to_string())];
        let result = result(&operation(promises), &Response { status, headers, body: body.to_vec(), captured: vec![] });
        (result.clone(), serde_json::from_str(&result).unwrap())
    }

    #[test]
    fn an_object_is_handed_on_as_it_came() {
        for media_type in ["application/json", "application/problem+json; charset=utf-8", ""] {
            let (raw, result) = answered(true, 200, media_type, b"\xef\xbb\xbf {\"b\":1.10,\"a\":123456789012345678901234567890}\n");
            assert!(raw.contains(r#""structuredContent":{"b":1.10,"a":123456789012345678901234567890}"#), "{raw}");
            assert_eq!(result["content"][0]["text"], r#"{"b":1.10,"a":123456789012345678901234567890}"#);
            assert_eq!((&result["resultType"], &result["isError"]), (&json!("complete"), &Json::Null));
        }
    }

    #[test]
    fn anything_else_is_text_or_what_it_is() {
        for (media_type, body, said) in [
            ("application/json", &b"[1,2]"[..], "[1,2]"),
            ("application/json", b"{\"a\":1,\"a\":2}", "{\"a\":1,\"a\":2}"),
            ("application/json", br#"{"a":"\ud800"}"#, r#"{"a":"\ud800"}"#),
            ("application/json", b"{broken", "{broken"),
            ("text/plain", b"{\"a\":1}", "{\"a\":1}"),
            ("application/json", b"", "HTTP 200, and nothing more"),
            ("application/pdf", b"\xff\x00", "HTTP 200, with 2 bytes of application/pdf"),
        ] {
            let (_, result) = answered(false, 200, media_type, body);
            assert_eq!((&result["content"][0]["text"], result.get("structuredContent")), (&json!(said), None), "{said}");
            assert!(result.get("isError").is_none(), "{result}");
            let (_, promised) = answered(true, 200, media_type, body);
            assert!(
                promised["isError"] == true && promised["content"][0]["text"].as_str().unwrap().contains("promises an object"),
                "{promised}"
            );
        }
        let (_, picture) = answered(false, 200, "image/png", b"\x89PNG");
        assert_eq!(picture["content"][0], json!({"type": "image", "data": "iVBORw==", "mimeType": "image/png"}));
        let deep = "{\"a\":".repeat(60) + "1" + &"}".repeat(60);
        let (_, result) = answered(false, 200, "application/json", deep.as_bytes());
        assert!(result.get("structuredContent").is_none(), "too deep for a message");
    }

    #[test]
    fn what_went_wrong_is_an_error_with_its_status() {
        for (status, body, says) in [
            (404, &b"{\"message\":\"no such pet\"}"[..], "HTTP 404, retry-after: 7\n{\"message\":\"no such pet\"}"),
            (500, b"", "HTTP 500"),
            (302, b"", "which is not followed"),
            (199, b"", "HTTP 199"),
        ] {
            let (_, result) = answered(true, status, "application/json", body);
            let said = result["content"][0]["text"].as_str().unwrap();
            assert!(result["isError"] == true && said.starts_with("GET /pets/{id} was answered with ") && said.contains(says), "{said}");
            assert!(result.get("structuredContent").is_none());
        }
        let (_, long) = answered(true, 500, "text/plain", "é".repeat(100_000).as_bytes());
        assert!(long.to_string().len() < 20_000);
        let (_, binary) = answered(true, 500, "application/octet-stream", b"\xff\xff");
        assert!(!binary.to_string().contains('\u{fffd}'), "{binary}");
    }
}
