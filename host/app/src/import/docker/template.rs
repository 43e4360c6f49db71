//! `{{server.key|function}}` in a catalog: what `config.yaml` has for a server, put into its command, variables and volumes.

use crate::config::tree::{Node, Table, Value as Tree};
use crate::import::source::{list, text};

/// What an expression becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// One text.
    Text(String),
    /// Several.
    List(Vec<String>),
}

impl Value {
    fn texts(self) -> Vec<String> {
        match self {
            Value::Text(text) => vec![text],
            Value::List(texts) => texts,
        }
    }

    fn first(&self) -> &str {
        match self {
            Value::Text(text) => text,
            Value::List(texts) => texts.first().map_or("", String::as_str),
        }
    }

    fn is_empty(&self) -> bool {
        self.first().is_empty()
    }

    fn each(self, change: impl Fn(String) -> String) -> Value {
        match self {
            Value::Text(text) => Value::Text(change(text)),
            Value::List(texts) => Value::List(texts.into_iter().map(change).collect()),
        }
    }
}

/// The configuration of one server.
pub(super) struct Scope<'c> {
    /// As templates call it: dots are underscores.
    pub(super) server: String,
    /// What is set, if anything is.
    pub(super) config: Option<&'c Table>,
}

impl Scope<'_> {
    /// One text: what is a list stands in it as its parts.
    pub(super) fn text(&self, expression: &str) -> String {
        self.value(expression).texts().join(" ")
    }

    /// Texts of a list: an expression that is nothing else may become several, or none.
    pub(super) fn texts(&self, expressions: &[String]) -> Vec<String> {
        expressions.iter().flat_map(|expression| self.value(expression).texts()).collect()
    }

    fn value(&self, expression: &str) -> Value {
        let mut parts: Vec<Value> = Vec::new();
        let mut rest = expression;
        while let Some((before, inner, after)) = cut(rest) {
            if !before.is_empty() {
                parts.push(Value::Text(before.to_owned()));
            }
            parts.push(self.term(inner));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Value::Text(rest.to_owned()));
        }
        match parts.len() {
            0 => Value::Text(String::new()),
            1 => parts.remove(0),
            _ => Value::Text(parts.into_iter().flat_map(Value::texts).collect()),
        }
    }

    fn term(&self, term: &str) -> Value {
        let mut functions = term.split('|');
        let path = functions.next().unwrap_or_default();
        functions.fold(self.looked_up(path), |value, function| applied(value, function))
    }

    fn looked_up(&self, path: &str) -> Value {
        let mut keys = path.split('.').map(str::trim);
        let nothing = Value::Text(String::new());
        let found = keys.next().filter(|server| *server == self.server).and(self.config);
        let Some(config) = found else { return nothing };
        let mut node: Option<&Node> = None;
        for key in keys {
            let next = match node {
                None => config.get(key),
                Some(above) => above.find(&[key]),
            };
            let Some(next) = next else { return nothing };
            node = Some(next);
        }
        match node.map(|node| (&node.value, node)) {
            Some((Tree::List(_), node)) => Value::List(list(node).iter().filter_map(text).collect()),
            Some((_, node)) => Value::Text(text(node).unwrap_or_default()),
            None => nothing,
        }
    }
}

/// Before, inside and after the first `{{…}}`.
fn cut(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once("{{")?;
    let (inner, after) = rest.split_once("}}")?;
    Some((before, inner, after))
}

/// The gateway's functions. One that it does not know changes nothing there either.
fn applied(value: Value, function: &str) -> Value {
    let function = function.trim();
    match function.split_once(':').unwrap_or((function, "")) {
        ("volume", _) => value.each(|path| if path.is_empty() { path } else { format!("{path}:{}", inside(&path)) }),
        ("volume-target", _) => value.each(|path| inside(&path)),
        ("into", _) => Value::List(value.texts()),
        ("first", _) => Value::Text(value.first().to_owned()),
        ("last", _) => Value::Text(value.texts().pop().unwrap_or_default()),
        ("or", default) if value.is_empty() => match default.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some("") => Value::List(Vec::new()),
            Some(several) => Value::List(several.split(',').map(str::to_owned).collect()),
            None => Value::Text(default.to_owned()),
        },
        ("mount_as", target) if value.is_empty() => {
            let _ = target;
            Value::Text(String::new())
        }
        ("mount_as", target) => Value::Text(format!("{}:{}", value.first(), target.trim())),
        _ => value,
    }
}

/// The path in a container of Linux: `C:\x` is `/C/x`.
fn inside(path: &str) -> String {
    let mut letters = path.chars();
    match (letters.next(), letters.next()) {
        (Some(drive), Some(':')) if drive.is_ascii_alphabetic() && path[2..].starts_with('\\') => {
            format!("/{drive}{}", path[2..].replace('\\', "/"))
        }
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::source::File;

    fn texts(expression: &str) -> Vec<String> {
        let config = "paths: [/a, /b]\nhost: db\nport: 5432\nempty: ''\nnone: []\njira: { url: https://j }\n";
        let file = File::of(config, "c.yaml".into(), "/c.yaml".into()).unwrap();
        Scope { server: "s_x".into(), config: Some(&file.root) }.texts(&[expression.to_owned()])
    }

    #[test]
    fn expressions_are_the_gateways() {
        for (expression, wanted) in [
            ("plain", vec!["plain"]),
            ("{{s_x.host}}:{{ s_x.port }}", vec!["db:5432"]),
            ("{{s_x.jira.url}}", vec!["https://j"]),
            ("{{s_x.paths|volume|into}}", vec!["/a:/a", "/b:/b"]),
            ("{{s_x.paths|volume-target|into}}", vec!["/a", "/b"]),
            ("{{s_x.paths|first}}", vec!["/a"]),
            ("{{s_x.paths|last}}", vec!["/b"]),
            ("{{s_x.empty|or:x}}", vec!["x"]),
            ("{{s_x.none|or:[y,z]}}", vec!["y", "z"]),
            ("{{s_x.none|or:[]|into}}", vec![]),
            ("{{s_x.host|mount_as:/data:ro}}", vec!["db:/data:ro"]),
            ("{{s_x.gone|mount_as:/data}}", vec![""]),
            ("{{other.host}}", vec![""]),
            ("{{s_x.host", vec!["{{s_x.host"]),
        ] {
            assert_eq!(texts(expression), wanted, "{expression}");
        }
        assert_eq!(inside(r"C:\a\b"), "/C/a/b");
        assert_eq!(inside("€:x"), "€:x");
    }
}
