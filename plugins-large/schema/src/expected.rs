//! What is wrong, and what is expected, in words for whoever is to mend it.
//!
//! Places and names are the caller's own; values are never repeated. What a schema says is shown, since the tool is listed with it.

use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::{ValidationError, Validator};
use serde_json::Value;

/// Most mistakes told at once.
const MISTAKES_MAX: usize = 8;
/// Most bytes of a place, and of a piece of a schema.
const PIECE_BYTES_MAX: usize = 200;
/// Most alternatives that are gone into.
const ALTERNATIVES_MAX: usize = 5;

/// A line for each mistake: where, as a JSON pointer, and what is expected there. Nothing: it fits.
pub fn mistakes(validator: &Validator, schema: &Value, value: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for error in validator.iter_errors(value).take(MISTAKES_MAX) {
        for (place, expected) in told(&error, schema, 1) {
            lines.push(format!("{}: {expected}", piece(if place.is_empty() { "(as a whole)" } else { &place })));
        }
    }
    lines.truncate(MISTAKES_MAX);
    lines
}

/// Place and words. A missing member is told at the place where it should be, and one too many where it is.
fn told(error: &ValidationError<'_>, schema: &Value, level: usize) -> Vec<(String, String)> {
    let at = error.instance_path().as_str();
    let member = |name: &str| format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
    match error.kind() {
        Kind::Required { property } => vec![(member(property.as_str().unwrap_or_default()), "is missing".to_string())],
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            let known = known(error, schema);
            unexpected.iter().map(|name| (member(name), format!("is not known here{known}"))).collect()
        }
        _ => vec![(at.to_string(), words(error, schema, level))],
    }
}

/// What there is beside the keyword that allows no more.
fn known(error: &ValidationError<'_>, schema: &Value) -> String {
    let path = error.schema_path().as_str();
    let names = path.rsplit_once('/').and_then(|(around, _)| schema.pointer(around)?.get("properties")?.as_object());
    match names {
        Some(names) if !names.is_empty() => format!("; there are {}", piece(&names.keys().cloned().collect::<Vec<_>>().join(", "))),
        _ => String::new(),
    }
}

fn words(error: &ValidationError<'_>, schema: &Value, level: usize) -> String {
    let json = |value: &Value| piece(&value.to_string());
    match error.kind() {
        Kind::Type { kind } => format!("must be {}, not {}", types(kind), type_of(error.instance())),
        Kind::Enum { options } => match options.as_array() {
            Some(options) => format!("must be one of {}", piece(&options.iter().map(Value::to_string).collect::<Vec<_>>().join(", "))),
            None => format!("must be {}", json(options)),
        },
        Kind::Constant { expected_value } => format!("must be {}", json(expected_value)),
        Kind::Maximum { limit } => format!("must be at most {}", json(limit)),
        Kind::Minimum { limit } => format!("must be at least {}", json(limit)),
        Kind::ExclusiveMaximum { limit } => format!("must be less than {}", json(limit)),
        Kind::ExclusiveMinimum { limit } => format!("must be more than {}", json(limit)),
        Kind::MultipleOf { multiple_of } => format!("must be a multiple of {multiple_of}"),
        Kind::MaxLength { limit } => format!("must have at most {limit} characters"),
        Kind::MinLength { limit } => format!("must have at least {limit} characters"),
        Kind::Pattern { pattern } => format!("must match the regular expression {}", json(&Value::String(pattern.clone()))),
        Kind::Format { format } => format!("must be a text of the form `{}`", piece(format)),
        Kind::MaxItems { limit } => format!("must have at most {limit} items"),
        Kind::MinItems { limit } => format!("must have at least {limit} items"),
        Kind::AdditionalItems { limit } => format!("must have at most {limit} items"),
        Kind::UnevaluatedItems { .. } => "has items that are not known here".to_string(),
        Kind::UniqueItems => "must not have an item twice".to_string(),
        Kind::Contains => "lacks an item that it must contain, or has too many of them".to_string(),
        Kind::MaxProperties { limit } => format!("must have at most {limit} members"),
        Kind::MinProperties { limit } => format!("must have at least {limit} members"),
        Kind::PropertyNames { error } => format!("has a member whose name is not allowed: it {}", words(error, schema, level + 1)),
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => alternatives(context, schema, error.instance_path().as_str(), level),
        Kind::OneOfMultipleValid { .. } => "fits more than one of several alternatives, and must fit one".to_string(),
        Kind::Not { .. } => "is of a kind that is ruled out".to_string(),
        Kind::FalseSchema => "must not be there".to_string(),
        _ => "is not what the schema asks for".to_string(),
    }
}

/// The first mistake of each, with its place if that is another than `at`.
fn alternatives(context: &[Vec<ValidationError<'static>>], schema: &Value, at: &str, level: usize) -> String {
    let all = context.len();
    if level > 2 || all > ALTERNATIVES_MAX {
        return format!("fits none of {all} alternatives");
    }
    let first = |errors: &Vec<ValidationError<'static>>| {
        let (place, words) = told(errors.first()?, schema, level + 1).into_iter().next()?;
        Some(if place == at { words } else { format!("{} {words}", piece(&place)) })
    };
    let each: Vec<_> = context.iter().filter_map(first).zip(1..).map(|(words, n)| format!("({n}) {words}")).collect();
    format!("fits none of {all} alternatives: {}", each.join("; "))
}

fn types(kind: &TypeKind) -> String {
    let article = |name: String| match name.as_str() {
        "null" => name,
        "array" | "integer" | "object" => format!("an {name}"),
        _ => format!("a {name}"),
    };
    match kind {
        TypeKind::Single(one) => article(one.to_string()),
        TypeKind::Multiple(several) => several.iter().map(|one| article(one.to_string())).collect::<Vec<_>>().join(" or "),
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "this number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// In one line, and not without end.
pub fn piece(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    match text.char_indices().find(|(at, c)| at + c.len_utf8() > PIECE_BYTES_MAX) {
        Some((end, _)) => text[..end].chars().map(plain).chain(" …".chars()).collect(),
        None => text.chars().map(plain).collect(),
    }
}
