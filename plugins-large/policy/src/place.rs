//! Where in a text an error lies.

use miette::Diagnostic;

/// `<name>, line 3: <what is wrong>`, with what Cedar advises, if it advises anything. Without a line where Cedar knows none.
pub fn told(name: &str, error: &dyn Diagnostic) -> String {
    let line = line(error).map_or_else(String::new, |line| format!(", line {line}"));
    let help = error.help().map_or_else(String::new, |help| format!(" ({help})"));
    format!("{name}{line}: {error}{help}")
}

/// The line of its first label, from 1.
fn line(error: &dyn Diagnostic) -> Option<usize> {
    let label = error.labels()?.next()?;
    let contents = error.source_code()?.read_span(label.inner(), 0, 0).ok()?;
    Some(contents.line() + 1)
}
