//! Values of `env` and `headers`. Any of them may be a secret, so all are treated as one.

use crate::config::expand::{is_variable_name, pieces};
use crate::config::problem::quoted;
use crate::config::reader::Reader;
use crate::config::reference::by_variable;
use crate::config::secret::{Secret, is_referred, looks_secret};
use crate::config::tree::{Entry, Position, Value};

/// Values that are written out in the file. One warning speaks for all of them.
#[derive(Default)]
pub(super) struct Inline {
    first: Option<(Position, String, String)>,
    count: usize,
}

impl Inline {
    pub(super) fn note(&mut self, at: Position, key: &str, reader: &Reader) {
        self.count += 1;
        self.first.get_or_insert_with(|| (at, reader.path(), key.to_owned()));
    }

    pub(super) fn warn(self, reader: &mut Reader) {
        let Some((at, path, key)) = self.first else { return };
        let others = match self.count {
            1 => String::new(),
            2 => " (and one more value)".to_owned(),
            count => format!(" (and {} more values)", count - 1),
        };
        let what = format!("{path} is written out in the file{others}; such values are treated as secrets");
        let name = key.to_ascii_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        let suggestion = format!("better kept in the environment: {}: \"env:{name}\", or ${{{name}}} inside a longer text", quoted(&key));
        reader.warn(at, what, Some(suggestion));
    }
}

/// A value by reference (`env:NAME`), with references inside, or written out. `file:` is not a
/// reference here: `DATABASE_URL=file:./dev.db` means itself.
pub(super) fn secret(entry: &Entry, inline: &mut Inline, reader: &mut Reader) -> Option<Secret> {
    let node = &entry.node;
    let written = match &node.value {
        Value::Text(written) => written,
        _ => return super::loose(node, reader).map(|text| Secret::new(text.value().to_owned(), "inline")),
    };
    if let Some(name) = written.strip_prefix("env:").filter(|name| is_variable_name(name)) {
        return by_variable(name, node, reader);
    }
    let text = reader.expanded(written, node.at)?;
    let referred = pieces(written).is_ok_and(|pieces| is_referred(&pieces)) && !looks_secret(written);
    if !referred && !written.is_empty() {
        inline.note(node.at, &entry.key, reader);
    }
    let origin = if referred { written.as_str() } else { "inline" };
    Some(Secret::new(text.value().to_owned(), origin))
}
