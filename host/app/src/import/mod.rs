//! Configurations of other systems, as ours: what of each became what, what did not, and what is the operator's to do about it.
//!
//! Nothing is started and nothing is fetched. Files that a configuration names are read. A secret that stands in one of them does not
//! stand in ours: a variable of the environment stands in its place.
//!
//! In reading order: `note`, `source`, `draft`, `kept`, `pasted`; then one file or folder for each system.

mod compose;
mod docker;
mod draft;
mod fastmcp;
mod kept;
mod mcp_proxy;
mod note;
mod pasted;
mod source;
mod words;

use std::path::{Path, PathBuf};

use crate::config::{Builtin, Config, Place, Problem, Report, Source, Surroundings, Whose};
use draft::Draft;
pub use note::Note;
use source::File;

/// Whose configuration it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Origin {
    /// Found out.
    Auto,
    /// mcp-proxy of PyPI: its file of named servers, its command line, or a composition with it.
    McpProxy,
    /// FastMCP: an object with `mcpServers`, or `fastmcp.json`.
    Fastmcp,
    /// Docker's MCP gateway: catalogs, `config.yaml`, `registry.yaml`, `tools.yaml`, secrets, its command line, or a composition with it.
    Docker,
}

/// What is to be read.
#[derive(Clone, Debug)]
pub struct Request {
    /// Whose it is.
    pub origin: Origin,
    /// Files, as the operator named them.
    pub files: Vec<PathBuf>,
    /// A command line, word by word.
    pub command: Vec<String>,
    /// The caller's directory and environment.
    pub surroundings: Surroundings,
    /// What is inside this binary.
    pub builtin: Builtin,
}

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// TOML.
    Toml,
    /// JSON.
    Json,
}

/// A configuration of ours.
#[derive(Clone, Debug)]
pub struct Imported {
    /// Its text, which the loader takes once the variables that the notes name are set.
    pub text: String,
    /// What was done, in the order of the sources.
    pub notes: Vec<Note>,
}

impl Request {
    /// Reads it all and writes what we make of it.
    pub fn run(&self, syntax: Syntax) -> Result<Imported, Report> {
        let files = self.files.iter().map(|file| File::read(file, &self.surroundings)).collect::<Result<Vec<_>, _>>().map_err(one)?;
        let mut draft = Draft::new(&self.surroundings);
        match self.found(&files).map_err(one)? {
            Origin::Docker => docker::read(files, &self.command, &mut draft),
            Origin::Fastmcp => fastmcp::read(&files, &self.command, &mut draft),
            Origin::McpProxy | Origin::Auto => mcp_proxy::read(&files, &self.command, &mut draft),
        }
        .map_err(one)?;
        if draft.is_empty() {
            let what = "nothing in it became a server".to_owned();
            let problems = vec![Problem { place: self.place(), whose: Whose::Server, what, suggestion: None }];
            return Err(Report { problems, warnings: draft.into_problems() });
        }
        let names = draft.variables();
        let (text, notes) = draft.written(syntax);
        self.check(&text, syntax, &names)?;
        Ok(Imported { text, notes })
    }

    /// What we wrote is held against our own loader, so that nobody has to take our word for it.
    fn check(&self, text: &str, syntax: Syntax, variables: &[String]) -> Result<(), Report> {
        let file = match syntax {
            Syntax::Toml => "sluice.toml",
            Syntax::Json => "sluice.json",
        };
        let surroundings = self.surroundings.with(variables.iter().map(String::as_str));
        let source = Source { surroundings, builtin: self.builtin, ..Source::default() };
        Config::read(text, Path::new(file), &source).map(drop).map_err(|mut report| {
            let what = "what it would become is refused: the places above are those of that".to_owned();
            report.problems.push(Problem { place: self.place(), whose: Whose::Server, what, suggestion: None });
            report
        })
    }

    fn found(&self, files: &[File]) -> Result<Origin, Problem> {
        if self.origin != Origin::Auto {
            return Ok(self.origin);
        }
        let by_command = (!self.command.is_empty()).then(|| words::system(&self.command)).flatten();
        by_command.or_else(|| files.iter().find_map(source::system)).ok_or_else(|| {
            let what = "is of no system that is known here".to_owned();
            let suggestion = Some("say whose it is: --from mcp-proxy, fastmcp or docker".to_owned());
            Problem { place: self.place(), whose: Whose::Syntax, what, suggestion }
        })
    }

    fn place(&self) -> Place {
        let first = self.files.first().map(|file| file.display().to_string());
        Place::File(first.or_else(|| self.command.first().cloned()).unwrap_or_else(|| "sluice import".to_owned()))
    }
}

fn one(problem: Problem) -> Report {
    Report { problems: vec![problem], warnings: Vec::new() }
}
