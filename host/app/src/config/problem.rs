//! What is wrong with a configuration, where, whose fault it is, and what to do.

use std::fmt;

/// Where a problem is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A flag of the command line.
    Flag(&'static str),
    /// A file as a whole.
    File(String),
    /// A character of a file; line and column count from 1.
    Text {
        /// The file as the operator named it.
        file: String,
        /// Its line.
        line: u32,
        /// The character in that line.
        column: u32,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Flag(flag) => f.write_str(flag),
            Place::File(file) => f.write_str(&one_line(file)),
            Place::Text { file, line, column } => write!(f, "{}:{line}:{column}", one_line(file)),
        }
    }
}

/// Who can put it right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The text is not JSON, TOML or YAML.
    Syntax,
    /// A setting of ours, under `sluice`, in a sidecar or in a flag.
    Setting,
    /// The part of the file that a client reads too: the servers.
    Server,
    /// The file is fine, but a variable that it names is not set.
    Environment,
    /// A file or directory cannot be read, or others can read it.
    Disk,
}

/// One thing wrong, or one thing worth a warning. Its `Display` is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// Who can put it right.
    pub whose: Whose,
    /// What is wrong. Never holds the content of a secret.
    pub what: String,
    /// What to do, if we can guess.
    pub suggestion: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, one_line(&self.what))?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "; {}", one_line(suggestion)),
            None => Ok(()),
        }
    }
}

/// Everything found in one load. The caller decides what follows from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What stops the start.
    pub problems: Vec<Problem>,
    /// What does not.
    pub warnings: Vec<Problem>,
}

impl Report {
    /// Both lists in the order of the file.
    pub(crate) fn sorted(mut self) -> Report {
        self.problems.sort_by(|a, b| a.place.cmp(&b.place));
        self.warnings.sort_by(|a, b| a.place.cmp(&b.place));
        self
    }
}

/// One line for each finding, problems first, then one line with the counts.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "{problem}")?;
        }
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        write!(f, "{}, {}", counted(self.problems.len(), "problem"), counted(self.warnings.len(), "warning"))
    }
}

fn counted(count: usize, noun: &str) -> String {
    match count {
        0 => format!("no {noun}s"),
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

/// What an operator typed, quoted and short enough for a message.
pub(crate) fn quoted(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    let mut short: String = text.chars().take(CHARS_MAX).collect();
    if text.chars().nth(CHARS_MAX).is_some() {
        short.push('…');
    }
    format!("{short:?}")
}

/// A file name or a quoted value can hold a line break or an escape sequence of a terminal.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// The known word that `typed` probably meant.
pub(crate) fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = folded(typed);
    // One slip in a short word, about one in three characters in a long one.
    let allowed = (typed.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|word| (strsim::osa_distance(&typed, &folded(word)), word))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// `maxConnections`, `Max-Connections` and `max_connections` are the same slip.
fn folded(word: &str) -> String {
    word.chars().take(64).filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_one_line() {
        let problem = Problem {
            place: Place::Text { file: "sluice.json".into(), line: 12, column: 7 },
            whose: Whose::Setting,
            what: "unknown key \"rate_limt\" under sluice".into(),
            suggestion: Some("did you mean \"rate_limit\"?".into()),
        };
        assert_eq!(problem.to_string(), "sluice.json:12:7: unknown key \"rate_limt\" under sluice; did you mean \"rate_limit\"?");
        let hostile = Problem { what: "a\nb\u{1b}[2J".into(), ..problem };
        assert!(!hostile.to_string().contains(['\n', '\u{1b}']));
    }

    #[test]
    fn the_nearest_word_is_found_and_a_far_one_is_not() {
        let known = ["listen", "limits", "audit", "allowed_hosts"];
        assert_eq!(nearest("lisen", known), Some("listen"));
        assert_eq!(nearest("allowedHosts", known), Some("allowed_hosts"));
        assert_eq!(nearest("adit", known), Some("audit"));
        assert_eq!(nearest("state", known), None);
        assert_eq!(nearest("", known), None);
    }

    #[test]
    fn places_sort_by_line_and_column() {
        let at = |line, column| Place::Text { file: "f".into(), line, column };
        let mut places = vec![at(10, 1), at(2, 9), at(2, 3), Place::Flag("--listen")];
        places.sort();
        assert_eq!(places, [Place::Flag("--listen"), at(2, 3), at(2, 9), at(10, 1)]);
    }
}
