//! What the body is, and what the client takes.

use http::{
    HeaderMap, HeaderValue,
    header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE},
};
use sluice_wire::header::{EVENT_STREAM, JSON};

use crate::downstream::refusal::Refusal;

/// The body must be JSON in UTF-8, not compressed.
pub(super) fn check_body(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let is_json = types.next().is_some_and(is_json) && types.next().is_none();
    if !is_json {
        return Err(Refusal::http(415, "content_type", "Content-Type must be application/json"));
    }
    let is_plain = |encoding: &HeaderValue| encoding.as_bytes().eq_ignore_ascii_case(b"identity");
    if !headers.get_all(CONTENT_ENCODING).iter().all(is_plain) {
        return Err(Refusal::http(415, "content_encoding", "the body must not be compressed"));
    }
    Ok(())
}

fn is_json(value: &HeaderValue) -> bool {
    if value.as_bytes() == JSON.as_bytes() {
        return true;
    }
    let Ok(value) = value.to_str() else {
        return false;
    };
    let mut parts = value.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case(JSON));
    is_json && parts.all(is_utf8_or_other)
}

fn is_utf8_or_other(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else {
        return parameter.is_empty();
    };
    !name.trim().eq_ignore_ascii_case("charset") || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
}

/// A POST is answered as JSON or as an event stream, whichever fits: the client must take both.
pub(super) fn check_accepts_answer(headers: &HeaderMap) -> Result<(), Refusal> {
    // What every official client sends, letter by letter.
    if headers.get(ACCEPT).is_some_and(|accept| accept == "application/json, text/event-stream") {
        return Ok(());
    }
    if accepts(headers, JSON) && accepts(headers, EVENT_STREAM) {
        return Ok(());
    }
    Err(Refusal::http(406, "accept", "Accept must list application/json and text/event-stream"))
}

/// A GET is answered as an event stream.
pub(super) fn check_accepts_stream(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.contains_key(ACCEPT) && accepts(headers, EVENT_STREAM) {
        return Ok(());
    }
    Err(Refusal::http(406, "accept", "Accept must list text/event-stream"))
}

/// Whether `Accept` takes the media type. Without the header, anything goes.
fn accepts(headers: &HeaderMap, wanted: &str) -> bool {
    let mut values = headers.get_all(ACCEPT).iter().peekable();
    values.peek().is_none() || values.any(|value| value.to_str().is_ok_and(|value| lists(value, wanted)))
}

fn lists(accept: &str, wanted: &str) -> bool {
    accept.split(',').any(|range| {
        let (kind, parameters) = range.split_once(';').unwrap_or((range, ""));
        covers(kind.trim(), wanted) && !is_refused(parameters)
    })
}

fn covers(range: &str, wanted: &str) -> bool {
    let family = |wanted: &str| wanted.split_once('/').map_or(0, |(family, _)| family.len());
    match range.strip_suffix("/*") {
        Some("*") => true,
        Some(kind) => kind.len() == family(wanted) && wanted[..kind.len()].eq_ignore_ascii_case(kind),
        None => range.eq_ignore_ascii_case(wanted),
    }
}

/// `q=0` says no.
fn is_refused(parameters: &str) -> bool {
    parameters.split(';').any(|parameter| {
        parameter.split_once('=').is_some_and(|(name, value)| {
            name.trim().eq_ignore_ascii_case("q") && value.trim().parse::<f32>().is_ok_and(|quality| quality == 0.0)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: http::HeaderName, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name.clone(), HeaderValue::from_str(value).expect("a header value"));
        }
        headers
    }

    #[test]
    fn only_plain_json_in_utf8_is_read() {
        for (values, fine) in [
            (&["application/json"][..], true),
            (&["Application/JSON; charset=UTF-8"], true),
            (&["application/json;charset=\"utf-8\";x=y"], true),
            (&["application/json; charset=utf-16"], false),
            (&["application/json-seq"], false),
            (&["application/vnd.api+json"], false),
            (&["text/plain"], false),
            (&["text/json"], false),
            (&["application/x-www-form-urlencoded"], false),
            (&["multipart/form-data; boundary=x"], false),
            (&["application/json, text/plain"], false),
            (&["application/json", "application/json"], false),
            (&[""], false),
            (&[], false),
        ] {
            assert_eq!(check_body(&headers(CONTENT_TYPE, values)).is_ok(), fine, "{values:?}");
        }
        for (encoding, fine) in [("identity", true), ("gzip", false), ("br", false), ("gzip, identity", false)] {
            let mut all = headers(CONTENT_TYPE, &["application/json"]);
            all.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
            assert_eq!(check_body(&all).is_ok(), fine, "{encoding}");
        }
    }

    #[test]
    fn an_answer_needs_both_forms_accepted() {
        for (values, fine) in [
            (&["application/json, text/event-stream"][..], true),
            (&["text/event-stream,application/json"], true),
            (&["application/json;q=0.5, text/event-stream;q=1"], true),
            (&["application/json", "text/event-stream"], true),
            (&["*/*"], true),
            (&["application/*, text/*"], true),
            (&["APPLICATION/JSON, Text/Event-Stream"], true),
            (&[], true),
            (&["application/json"], false),
            (&["text/event-stream"], false),
            (&["application/json, text/event-stream;q=0"], false),
            (&["text/html"], false),
            (&["app/*, text/event-stream"], false),
            (&[""], false),
        ] {
            assert_eq!(check_accepts_answer(&headers(ACCEPT, values)).is_ok(), fine, "{values:?}");
        }
        assert!(check_accepts_stream(&headers(ACCEPT, &["text/event-stream"])).is_ok());
        assert!(check_accepts_stream(&headers(ACCEPT, &[])).is_err());
        assert!(check_accepts_stream(&headers(ACCEPT, &["application/json"])).is_err());
    }
}
