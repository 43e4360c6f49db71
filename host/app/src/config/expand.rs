//! `${…}` inside a text. What a variable holds is never expanded again, so nobody but the author of
//! the file decides what is looked up.

use super::inputs::Inputs;
use super::problem::{Whose, quoted};
use super::surroundings::{Builtin, Surroundings};

/// A part of a written text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Stands for itself.
    Literal(String),
    /// What stood between `${` and `}`.
    Reference(String),
}

/// Why a reference has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) whose: Whose,
    pub(crate) what: String,
    pub(crate) suggestion: Option<String>,
}

/// Cuts a text at its references. `$${` is a literal `${`.
pub(crate) fn pieces(written: &str) -> Result<Vec<Piece>, Missing> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = written;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            literal.push_str(&rest[..at - 1]);
            literal.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        let Some(length) = rest[at + 2..].find('}') else {
            return Err(Missing {
                whose: Whose::Setting,
                what: "${ without its }".to_owned(),
                suggestion: Some("a literal ${ is written $${".to_owned()),
            });
        };
        literal.push_str(&rest[..at]);
        if !literal.is_empty() {
            pieces.push(Piece::Literal(std::mem::take(&mut literal)));
        }
        pieces.push(Piece::Reference(rest[at + 2..at + 2 + length].to_owned()));
        rest = &rest[at + 3 + length..];
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    Ok(pieces)
}

/// Where references find their values.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) surroundings: &'a Surroundings,
    pub(super) inputs: &'a Inputs,
    pub(super) builtin: Builtin,
}

impl Scope<'_> {
    /// The value of one reference.
    pub(super) fn value(&self, reference: &str) -> Result<String, Missing> {
        if let Some(id) = reference.strip_prefix("input:") {
            return self.inputs.value(id, self.surroundings);
        }
        let plain = reference.strip_prefix("env:").unwrap_or(reference);
        let (name, default) = match plain.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (plain, None),
        };
        if !is_variable_name(name) {
            return unknown(reference);
        }
        if let (Some(default), None) = (default, self.surroundings.filled(name)) {
            return Ok(default.to_owned());
        }
        self.surroundings.variable(name).map(str::to_owned).or_else(|| self.of_an_editor(reference)).ok_or_else(|| not_set(name))
    }

    /// What VS Code and Cursor fill in themselves; the nearest thing we have to a workspace is the
    /// directory we were started in.
    fn of_an_editor(&self, reference: &str) -> Option<String> {
        let directory = self.surroundings.directory();
        match reference {
            "userHome" => self.surroundings.filled("HOME").map(str::to_owned),
            "workspaceFolder" | "cwd" => directory.to_str().map(str::to_owned),
            "workspaceFolderBasename" => directory.file_name().and_then(|n| n.to_str()).map(str::to_owned),
            "pathSeparator" => Some("/".to_owned()),
            _ => None,
        }
    }
}

/// As a shell has it.
pub(crate) fn is_variable_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn unknown(reference: &str) -> Result<String, Missing> {
    if reference == "/" {
        return Ok("/".to_owned());
    }
    Err(Missing {
        whose: Whose::Setting,
        what: format!("{} means nothing here", quoted(&format!("${{{reference}}}"))),
        suggestion: Some("known are ${VAR}, ${VAR:-default}, ${env:VAR} and ${input:id}; a literal ${ is written $${".to_owned()),
    })
}

/// Also for a secret that is named as `env:VAR`.
pub(super) fn not_set(name: &str) -> Missing {
    Missing {
        whose: Whose::Environment,
        what: format!("the environment variable {name} is not set"),
        suggestion: Some(format!("set it, or write ${{{name}:-a default}}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(written: &str) -> Result<String, Missing> {
        let surroundings = Surroundings::new("/work", [("A", "one"), ("EMPTY", ""), ("TWICE", "${A}"), ("HOME", "/home/ada")]);
        let inputs = Inputs::default();
        let scope = Scope { surroundings: &surroundings, inputs: &inputs, builtin: Builtin::default() };
        pieces(written)?
            .into_iter()
            .map(|piece| match piece {
                Piece::Literal(text) => Ok(text),
                Piece::Reference(reference) => scope.value(&reference),
            })
            .collect()
    }

    #[test]
    fn references_are_filled_in() {
        for (written, value) in [
            ("plain", "plain"),
            ("", ""),
            ("x${A}y", "xoney"),
            ("${env:A}${A}", "oneone"),
            ("${B:-two}", "two"),
            ("${B:-}", ""),
            ("${EMPTY:-two}", "two"),
            ("[${EMPTY}]", "[]"),
            ("$${A}", "${A}"),
            ("$$${A}", "$${A}"),
            ("$A 100$", "$A 100$"),
            ("${userHome}/x${/}y", "/home/ada/x/y"),
            ("${workspaceFolder}:${workspaceFolderBasename}", "/work:work"),
        ] {
            assert_eq!(expanded(written).as_deref(), Ok(value), "{written}");
        }
    }

    #[test]
    fn a_value_is_not_expanded_again() {
        assert_eq!(expanded("${TWICE}").as_deref(), Ok("${A}"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let whose = |written| expanded(written).unwrap_err().whose;
        assert_eq!(whose("${NOT_THERE}"), Whose::Environment);
        assert_eq!(whose("${input:key}"), Whose::Environment);
        assert_eq!(whose("${1:-x}"), Whose::Setting);
        assert_eq!(whose("${command:x}"), Whose::Setting);
        assert_eq!(whose("${A"), Whose::Setting);
    }
}
