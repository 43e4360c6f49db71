//! `sluice import`

use super::{Exit, plain};
use crate::{
    config::{Builtin, Surroundings},
    embedded,
    import::{Origin, Request, Syntax},
};
use anyhow::{Context as _, Result};
use clap::Args;
use std::{fs, io::Write as _, path::PathBuf};

#[derive(Args)]
pub struct Import {
    /// Whose configuration it is.
    #[arg(long, value_name = "SYSTEM", default_value = "auto", hide_possible_values = true)]
    from: Origin,
    /// Write it there instead of to standard output: TOML or JSON, by its name.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write over a file that is there.
    #[arg(long, requires = "output")]
    force: bool,
    /// Files of that system.
    #[arg(value_name = "FILE", required_unless_present = "command")]
    files: Vec<PathBuf>,
    /// The command that it was started with, after `--`.
    #[arg(last = true)]
    command: Vec<String>,
}

impl Import {
    /// Says on standard error what became of everything.
    pub fn run(self) -> Result<Exit> {
        let syntax = match self.output.as_ref().map(|file| file.extension().and_then(|extension| extension.to_str())) {
            None | Some(Some("toml")) => Syntax::Toml,
            Some(Some("json" | "jsonc")) => Syntax::Json,
            Some(_) => anyhow::bail!("the name of the file to write has to end in .toml or .json"),
        };
        let builtin = Builtin { servers: embedded::SERVERS, plugins: embedded::PLUGIN_NAMES };
        let (files, command) = (self.files, self.command);
        let request = Request { origin: self.from, files, command, surroundings: Surroundings::of_process(), builtin };
        let imported = match request.run(syntax) {
            Ok(imported) => imported,
            Err(report) => {
                eprintln!("{report}");
                return Ok(Exit::Config);
            }
        };
        match self.output {
            None => super::print_line(format_args!("{}", imported.text.trim_end())),
            Some(file) => {
                let mut open = fs::OpenOptions::new();
                open.write(true).create(true).truncate(true).create_new(!self.force);
                let named = || format!("{} cannot be written (--force writes over what is there)", file.display());
                open.open(&file).with_context(named)?.write_all(imported.text.as_bytes()).with_context(named)?;
            }
        }
        imported.notes.iter().for_each(|note| eprintln!("{}", plain(&note.to_string())));
        Ok(Exit::Good)
    }
}
