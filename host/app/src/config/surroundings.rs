//! What a configuration may look at besides its own text.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// What this binary has inside, by name: what `builtin:<name>` can mean.
#[derive(Clone, Copy, Debug, Default)]
pub struct Builtin {
    /// Demo servers, for `{"url": "builtin:<name>"}`.
    pub servers: &'static [&'static str],
    /// Embedded plugins, for the chain.
    pub plugins: &'static [&'static str],
}

impl Builtin {
    pub(super) fn suggest(&self, name: &str, known: &[&str]) -> String {
        match super::problem::nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean \"builtin:{near}\"?"),
            None => format!("there are {}", known.join(", ")),
        }
    }
}

/// The caller's directory and environment, taken once so that one load sees one state of them.
///
/// There are no hidden environment keys: a variable counts only where the file names it, and
/// `HOME`, `XDG_STATE_HOME`, `XDG_CACHE_HOME` and `PATH` mean what they mean everywhere.
#[derive(Clone, Default)]
pub struct Surroundings {
    directory: PathBuf,
    variables: BTreeMap<String, String>,
}

impl Surroundings {
    /// Those of this process. A variable that is not UTF-8 is left out: no file can name its value.
    pub fn of_process() -> Surroundings {
        let readable =
            |(name, value): (std::ffi::OsString, std::ffi::OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
        Surroundings {
            directory: std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
            variables: std::env::vars_os().filter_map(readable).collect(),
        }
    }

    /// Made up, for tests and for callers that are no process of their own.
    pub fn new<'a>(directory: impl Into<PathBuf>, variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Surroundings {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Surroundings { directory: directory.into(), variables: variables.into_iter().map(owned).collect() }
    }

    pub(crate) fn directory(&self) -> &std::path::Path {
        &self.directory
    }

    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// Empty is as good as absent where a default exists.
    /// With something in these variables, where nothing is.
    pub(crate) fn with<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Surroundings {
        let mut more = self.clone();
        for name in names {
            more.variables.entry(name.to_owned()).or_insert_with(|| "x".to_owned());
        }
        more
    }

    pub(super) fn filled(&self, name: &str) -> Option<&str> {
        self.variable(name).filter(|value| !value.is_empty())
    }
}

/// Names only: the values are other people's secrets.
impl std::fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings").field("directory", &self.directory).field("variables", &self.variables.len()).finish()
    }
}
