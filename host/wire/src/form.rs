//! Whether an answer is one to what a server asked, and what a person filled in fits the form.
//!
//! The schema of a form is a flat object of primitives (elicitation, restricted schema). That is small enough to be checked
//! here, over the sender's bytes; a validator for all of JSON Schema would bring its own JSON tree and could be told to loop.
//! A keyword this does not know forbids nothing: the server sees the answer, too.

use crate::{
    json::{Kind, Value},
    message::Message,
    method,
};

/// Whether it has the form of an answer to this question, and of a form filled in what the asker's schema wants.
pub fn is_answer_to(question: &Message, answer: &Message) -> bool {
    let Some(given) = answer.result() else { return false };
    let has = |key: &str, kind| given.get(key).is_some_and(|value| value.kind() == kind);
    match question.method() {
        method::ELICITATION_CREATE => {
            let says = |action| given.get("action").is_some_and(|said| said.is_str(action));
            says("decline") || says("cancel") || (says("accept") && fits_question(question, given))
        }
        method::SAMPLING_CREATE_MESSAGE => has("role", Kind::String) && (has("content", Kind::Object) || has("content", Kind::Array)),
        method::ROOTS_LIST => has("roots", Kind::Array),
        _ => false,
    }
}

fn fits_question(question: &Message, given: Value<'_>) -> bool {
    let whole = question.clone().deepen();
    whole.param("requestedSchema").is_none_or(|schema| fits(schema, given.get("content")))
}

/// Whether `content` fits `schema`, the `requestedSchema` of an elicitation. No content is an empty form.
pub fn fits(schema: Value<'_>, content: Option<Value<'_>>) -> bool {
    if content.is_some_and(|content| content.kind() != Kind::Object) {
        return false;
    }
    let given = |name: &str| content.and_then(|content| content.get(name));
    let mut required = schema.get("required").into_iter().flat_map(|required| required.items());
    let mut fields = schema.get("properties").into_iter().flat_map(|properties| properties.members());
    required.all(|name| name.as_str().is_none_or(|name| given(&name).is_some()))
        && fields.all(|field| given(&field.key.decoded()).is_none_or(|value| fits_field(field.value, value)))
}

fn fits_field(field: Value<'_>, value: Value<'_>) -> bool {
    let is_kind = match field.get("type").and_then(|kind| kind.as_str()).as_deref() {
        Some("string") => value.kind() == Kind::String,
        Some("number") => value.kind() == Kind::Number,
        Some("integer") => is_integer(value),
        Some("boolean") => value.kind() == Kind::Bool,
        Some("array") => return fits_choices(field, value),
        _ => true,
    };
    is_kind && is_offered(field, value) && is_within(field, value) && has_format(field, value)
}

/// Several of a list's choices, none of them twice.
fn fits_choices(field: Value<'_>, value: Value<'_>) -> bool {
    if value.kind() != Kind::Array {
        return false;
    }
    let chosen: Vec<_> = value.items().collect();
    let is_new = |at: usize| !chosen[..at].iter().any(|before| is_same(*before, chosen[at]));
    is_between(field, ["minItems", "maxItems"], chosen.len() as f64)
        && field.get("items").is_none_or(|item| chosen.iter().all(|one| fits_field(item, *one)))
        && (0..chosen.len()).all(is_new)
}

/// Among the choices, if the field has any: `enum`, `const`, or titled ones in `oneOf` or `anyOf`.
fn is_offered(field: Value<'_>, value: Value<'_>) -> bool {
    let is_value = |choice: Value<'_>| is_same(choice, value);
    let is_titled = |choices: Value<'_>| choices.items().any(|choice| choice.get("const").is_none_or(is_value));
    field.get("enum").is_none_or(|choices| choices.items().any(is_value))
        && field.get("const").is_none_or(is_value)
        && ["oneOf", "anyOf"].iter().all(|key| field.get(key).is_none_or(is_titled))
}

fn is_within(field: Value<'_>, value: Value<'_>) -> bool {
    match (value.as_str(), value.as_f64()) {
        (Some(text), _) => is_between(field, ["minLength", "maxLength"], text.chars().count() as f64),
        (None, Some(number)) => is_between(field, ["minimum", "maximum"], number),
        (None, None) => true,
    }
}

fn is_between(field: Value<'_>, [least, most]: [&str; 2], size: f64) -> bool {
    let bound = |key: &str| field.get(key).and_then(|bound| bound.as_f64());
    bound(least).is_none_or(|least| size >= least) && bound(most).is_none_or(|most| size <= most)
}

fn has_format(field: Value<'_>, value: Value<'_>) -> bool {
    let (Some(format), Some(text)) = (field.get("format").and_then(|format| format.as_str()), value.as_str()) else { return true };
    match &*format {
        "email" => is_email(&text),
        "uri" => is_uri(&text),
        "date" => is_date(&text),
        "date-time" => text.split_once(['T', 't']).is_some_and(|(date, time)| is_date(date) && is_time(time)),
        _ => true,
    }
}

fn is_integer(value: Value<'_>) -> bool {
    value.as_f64().is_some_and(|number| number.fract() == 0.0)
}

fn is_same(a: Value<'_>, b: Value<'_>) -> bool {
    match (a.kind(), b.kind()) {
        (Kind::String, Kind::String) => a.as_str() == b.as_str(),
        (Kind::Number, Kind::Number) => a.as_f64() == b.as_f64(),
        (a_kind, b_kind) => a_kind == b_kind && a.raw() == b.raw(),
    }
}

fn is_email(text: &str) -> bool {
    let has_no_space = !text.chars().any(|c| c.is_whitespace() || c.is_control());
    has_no_space && text.rsplit_once('@').is_some_and(|(who, at)| !who.is_empty() && !at.is_empty() && !at.starts_with('.'))
}

fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(is_scheme)
        && !rest.is_empty()
        && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

/// RFC 3339 `full-date`.
fn is_date(text: &str) -> bool {
    let mut parts = text.split('-');
    let (year, month, day) = (digits(parts.next(), 4), digits(parts.next(), 2), digits(parts.next(), 2));
    let (Some(year), Some(month), Some(day), None) = (year, month, day, parts.next()) else { return false };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return false,
    };
    (1..=days).contains(&day)
}

/// RFC 3339 `full-time`.
fn is_time(text: &str) -> bool {
    let at = text.find(['Z', 'z', '+', '-']).unwrap_or(text.len());
    let (clock, zone) = text.split_at(at);
    let (clock, fraction) = clock.split_once('.').map_or((clock, None), |(clock, fraction)| (clock, Some(fraction)));
    let is_zone = zone.eq_ignore_ascii_case("z") || zone.get(1..).is_some_and(|offset| is_clock(offset, 2));
    is_clock(clock, 3) && is_zone && fraction.is_none_or(|f| !f.is_empty() && f.bytes().all(|b| b.is_ascii_digit()))
}

/// Hours, minutes and maybe seconds, which may be a leap second's.
fn is_clock(text: &str, count: usize) -> bool {
    let mut parts = text.split(':');
    let most = [23, 59, 60];
    most.iter().take(count).all(|most| digits(parts.next(), 2).is_some_and(|part| part <= *most)) && parts.next().is_none()
}

fn digits(text: Option<&str>, count: usize) -> Option<u32> {
    text.filter(|text| text.len() == count && text.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Document, IndexDepth, Limits};

    fn document(text: &str) -> Document {
        Document::parse_value(text.to_owned().into(), &Limits::REQUEST, IndexDepth::Full).expect("JSON")
    }

    #[test]
    fn a_field_takes_what_its_schema_says() {
        for (field, good, bad) in [
            (r#"{"type":"string"}"#, &[r#""""#, r#""a""#][..], &["1", "null", "{}"][..]),
            (r#"{"type":"string","minLength":2,"maxLength":3}"#, &[r#""éé""#, r#""\u0041bc""#], &[r#""a""#, r#""abcd""#]),
            (r#"{"type":"integer","minimum":1,"maximum":3}"#, &["1", "3.0"], &["0", "4", "1.5", r#""2""#]),
            (r#"{"type":"number","maximum":0.5}"#, &["0.5", "-1e9"], &["0.6", "true"]),
            (r#"{"type":"boolean"}"#, &["true"], &["0", r#""true""#]),
            (r#"{"type":"string","enum":["a","b"],"enumNames":["A","B"]}"#, &[r#""\u0061""#], &[r#""A""#, r#""c""#]),
            (r#"{"type":"string","oneOf":[{"const":"a","title":"A"}]}"#, &[r#""a""#], &[r#""A""#]),
            (
                r#"{"type":"array","minItems":1,"maxItems":2,"items":{"type":"string","enum":["a","b","c"]}}"#,
                &[r#"["a"]"#, r#"["c","a"]"#],
                &["[]", r#"["a","b","c"]"#, r#"["d"]"#, r#"["a","a"]"#, r#""a""#],
            ),
            (r#"{"type":"array","items":{"anyOf":[{"const":"x","title":"X"}]}}"#, &["[]", r#"["x"]"#], &[r#"["y"]"#, r#"[1]"#]),
            (r#"{"type":"string","format":"email"}"#, &[r#""a@b.c""#], &[r#""a""#, r#""@b""#, r#""a b@c""#]),
            (r#"{"type":"string","format":"uri"}"#, &[r#""https://a/b""#, r#""urn:a""#], &[r#""a/b""#, r#"":a""#, r#""a: b""#]),
            (r#"{"type":"string","format":"date"}"#, &[r#""2024-02-29""#], &[r#""2023-02-29""#, r#""2024-13-01""#, r#""24-01-01""#]),
            (
                r#"{"type":"string","format":"date-time"}"#,
                &[r#""2024-01-01T00:00:00Z""#, r#""2024-01-01T23:59:60.5+01:30""#],
                &[r#""2024-01-01""#, r#""2024-01-01T24:00:00Z""#, r#""2024-01-01T00:00:00""#, r#""2024-01-01T00:00:00.Z""#],
            ),
            (r#"{"future":true}"#, &["1", "{}"], &[]),
        ] {
            let schema = document(&format!(r#"{{"type":"object","properties":{{"f":{field}}}}}"#));
            let does_fit = |value: &str| fits(schema.root(), document(&format!(r#"{{"f":{value},"more":1}}"#)).root().into());
            assert!(good.iter().all(|value| does_fit(value)), "{field} takes {good:?}");
            assert!(!bad.iter().any(|value| does_fit(value)), "{field} refuses {bad:?}");
        }
    }

    #[test]
    fn what_is_required_must_be_there_and_a_form_is_an_object() {
        let schema = document(r#"{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}"#);
        let open = document(r#"{"type":"object","properties":{"a":{"type":"string"}}}"#);
        assert!(!fits(schema.root(), None) && fits(open.root(), None));
        assert!(!fits(open.root(), Some(document("[]").root())));
        assert!(fits(schema.root(), Some(document(r#"{"a":""}"#).root())) && !fits(schema.root(), Some(document("{}").root())));
    }
}
