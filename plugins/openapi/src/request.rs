//! A request made of arguments.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use sluice_sdk::fetch::Request;

use crate::config::{self, Api};
use crate::json::{self, Value};
use crate::operation::{Body, BodyKind, Form, Operation, Parameter, Piece, Place};
use crate::style;

/// The longest URL that is sent: most servers take no longer one.
const URL_BYTES_MAX: usize = 8 << 10;

/// The request that these arguments ask for, or what is wrong with them, for the model to read.
pub fn make(operation: &Operation, api: &Api, arguments: &str) -> Result<Request, String> {
    let given = json::read(arguments).ok_or("the arguments are nested too deep")?;
    let Value::Object(members) = &given else { return Err("the arguments are no object".to_string()) };
    // What is null is as good as not there.
    let value = |name: &str| json::member(&given, name).filter(|value| !matches!(value, Value::Null));
    check_names(operation, members, |name| value(name).is_some())?;

    let mut url = api.base_url.trim_end_matches('/').to_string();
    url.push_str(&path(operation, value)?);
    let query = query(operation, value)?;
    if !query.is_empty() {
        url.push('?');
        url.push_str(&query.join("&"));
    }
    if url.len() > URL_BYTES_MAX {
        return Err(format!("the URL would be {} bytes, and {URL_BYTES_MAX} are the most", url.len()));
    }

    let mut request = Request::new(operation.method, &url);
    request.timeout_ms = api.timeout_ms;
    // Where neither the operator nor an argument says anything else.
    let mut usual =
        Vec::from([("accept", "application/json, */*;q=0.5"), ("user-agent", concat!("sluice-openapi/", env!("CARGO_PKG_VERSION")))]);
    for (name, value) in &api.headers {
        request = request.header(&name.to_ascii_lowercase(), value);
    }
    for parameter in operation.parameters.iter().filter(|parameter| parameter.place == Place::Header) {
        if let Some(value) = value(&parameter.argument) {
            let text = in_path(parameter, value, style::bare)?;
            if !config::is_header_value(&text) {
                return Err(format!("{:?} goes into a header, which is of printable ASCII characters", parameter.argument));
            }
            request = request.header(&parameter.name.to_ascii_lowercase(), &text);
        }
    }
    if let Some(body) = &operation.body
        && let Some(value) = value(&body.argument)
    {
        usual.push(("content-type", &body.media_type));
        request.body = written(body, value)?.into_bytes();
    }
    let own: Vec<String> = api.own_headers().collect();
    for (name, value) in usual {
        if !own.iter().any(|own| own == name) && !request.headers.iter().any(|(set, _)| set == name) {
            request = request.header(name, value);
        }
    }
    Ok(request)
}

/// What is needed is there, and what is not known is not.
fn check_names(operation: &Operation, given: &[(Cow<'_, str>, Value<'_>)], has: impl Fn(&str) -> bool) -> Result<(), String> {
    let parameters = operation.parameters.iter().map(|parameter| (parameter.argument.as_str(), parameter.is_required));
    let known: Vec<_> = parameters.chain(operation.body.iter().map(|body| (body.argument.as_str(), body.is_required))).collect();
    if let Some((unknown, _)) = given.iter().find(|(given, _)| !known.iter().any(|(name, _)| name == given)) {
        let shown: String = unknown.chars().take(64).collect();
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        return Err(format!("there is no argument {shown:?}; there are: {}", names.join(", ")));
    }
    let missing: Vec<&str> = known.iter().filter(|(name, is_required)| *is_required && !has(name)).map(|(name, _)| *name).collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("what is missing: {}", missing.join(", "))) }
}

fn path<'v, 'a: 'v>(operation: &Operation, value: impl Fn(&str) -> Option<&'v Value<'a>>) -> Result<String, String> {
    let mut path = String::new();
    for piece in &operation.pieces {
        match piece {
            Piece::Text(text) => path.push_str(text),
            Piece::Parameter(at) => {
                let parameter = &operation.parameters[*at];
                let value = value(&parameter.argument).ok_or_else(|| format!("what is missing: {}", parameter.argument))?;
                let text = in_path(parameter, value, style::percent)?;
                if text.is_empty() {
                    return Err(format!("{:?} is part of a path, so it cannot be empty", parameter.argument));
                }
                path.push_str(&text);
            }
        }
    }
    // Escaping does not keep these where they are, since they are resolved as if they were not escaped.
    if style::has_dots(&path) {
        return Err("an argument that is part of a path cannot be \".\" or \"..\", nor have these between slashes".to_string());
    }
    Ok(path)
}

fn query<'v, 'a: 'v>(operation: &Operation, value: impl Fn(&str) -> Option<&'v Value<'a>>) -> Result<Vec<String>, String> {
    let in_query = || operation.parameters.iter().filter(|parameter| parameter.place == Place::Query);
    let mut pairs = Vec::new();
    for parameter in in_query() {
        let Some(value) = value(&parameter.argument) else { continue };
        let written = match parameter.form {
            Form::Json => {
                let text = json::write(value);
                [(parameter.name.clone(), format!("{}={}", style::percent(&parameter.name), style::percent(&text)))].into()
            }
            Form::Styled { style, explode, allow_reserved } => {
                let escape = if allow_reserved { style::reserved } else { style::percent };
                style::in_query(style, explode, &parameter.name, value, escape).map_err(|why| format!("{:?} {why}", parameter.argument))?
            }
        };
        for (name, pair) in written {
            // Members of an object that is spread over a query are names of their own there: not those of others.
            if name != parameter.name && in_query().any(|other| other.name == name) {
                return Err(format!("{:?} cannot have {name:?} within, which is another argument", parameter.argument));
            }
            pairs.push(pair);
        }
    }
    Ok(pairs)
}

fn in_path(parameter: &Parameter, value: &Value<'_>, escape: fn(&str) -> Cow<'_, str>) -> Result<String, String> {
    match parameter.form {
        Form::Json => Ok(escape(&json::write(value)).into_owned()),
        Form::Styled { style, explode, .. } => {
            style::in_path(style, explode, &parameter.name, value, escape).map_err(|why| format!("{:?} {why}", parameter.argument))
        }
    }
}

fn written(body: &Body, value: &Value<'_>) -> Result<String, String> {
    match body.kind {
        BodyKind::Json => Ok(json::write(value)),
        BodyKind::Form => style::form(value).map_err(|why| format!("{:?} {why}", body.argument)),
        BodyKind::Text => json::text(value).map(str::to_string).ok_or_else(|| format!("{:?} has to be a text", body.argument)),
    }
}

/// For messages: without arguments, which may be nobody else's business.
pub fn shown(operation: &Operation) -> String {
    format!("{} {}", operation.method, operation.path)
}
