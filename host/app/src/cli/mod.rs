//! The command line. Each command is a file; `main` only turns an outcome into an exit code.

/// Prints one line of a command's result.
macro_rules! say {
    ($($part:tt)*) => { $crate::cli::print_line(format_args!($($part)*)) };
}

mod access;
mod call;
mod check;
mod definitions;
mod diff;
mod import;
mod key;
mod ls;
mod pins;
mod plugin;
mod serve;
mod stdio;

use crate::{
    assembly::{Assembly, Purpose},
    config::{Builtin, Config, Loaded, Report, Source, Surroundings},
    embedded,
};
use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use std::{
    fmt,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

/// Outcomes as exit codes, documented in `--help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Good = 0,
    /// Something broke while running.
    Broken = 1,
    /// The configuration has problems; they are on standard error.
    Config = 3,
    /// `call`: the gateway or the tool said no.
    Refused = 4,
    /// `ls --against`: the lists are not those of the file; `diff`: one would change the other.
    Differs = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An MCP proxy that runs every message through a chain of sandboxed WebAssembly filters.
#[derive(Parser)]
#[command(name = "sluice", version, after_help = HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const HELP: &str = "\
Start here:
  sluice serve --config claude_desktop_config.json     one endpoint for all servers of a client's own file
  sluice ls --config FILE                              what that gives: upstreams, tools, plugins and their powers
  sluice check --config FILE                           all that is wrong with a file, at once
  sluice diff OLD NEW                                  what another configuration would change in a gateway that runs
  sluice import servers.json -o sluice.toml            what mcp-proxy, FastMCP or Docker's gateway had, as a file of ours
  sluice ls --config FILE --pins                       the definitions of today, as the settings of builtin:pin
  sluice call TOOL '{\"text\":\"hi\"}'                     call a tool of a Sluice that runs
  sluice access --as ada --role dev                    what such a caller sees, and what is kept from it
  sluice key new ada --expires 90d                     an API key for builtin:auth-api-key
  sluice plugin new --lang rust NAME                   a plugin of your own: new, build, test, drop it into the directory
Drop .wasm files into the plugin directory while it serves; each takes effect without a dropped call.

Exit codes: 0 done, 1 something broke, 2 wrong usage, 3 problems in the configuration, 4 a call was refused,\n5 lists differ from their pins,\nor two configurations from one another.";

#[derive(Subcommand)]
enum Command {
    /// Serve Streamable HTTP on /mcp until SIGTERM or Ctrl-C, then drain.
    Serve(serve::Serve),
    /// Serve one client on standard input and output, for clients that start servers as commands.
    Stdio(stdio::Stdio),
    /// Show all problems of a configuration at once, each with its line and a suggestion.
    Check(check::Check),
    /// Say in words what another configuration would change, and what of it would wait for the next start.
    Diff(diff::Diff),
    /// Write a configuration from that of mcp-proxy, FastMCP or Docker's MCP gateway, and say what of it could not be carried.
    Import(import::Import),
    /// Show upstreams, tools, and plugins with their powers.
    Ls(ls::Ls),
    /// Show what a caller sees of each list and what is kept from it, or who sees a tool.
    Access(access::Access),
    /// Call one tool of a Sluice that runs, and print its result.
    Call(call::Call),
    /// Make, show and take back API keys, in a file that holds only what they are known by.
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Write, sign and lock plugins, and see what one may do.
    #[command(subcommand)]
    Plugin(plugin::Plugin),
    /// Print the JSON Schema of the configuration file.
    Schema,
}

/// What Sluice starts itself as, to compile a plugin within bounds.
pub const COMPILE: &str = "compile-plugin";
/// What Sluice starts itself as, to confine itself and become a server.
pub const CHILD: &str = "confined-child";

/// Where the configuration is.
#[derive(Args, Clone, Debug, Default)]
pub struct ConfigArgs {
    /// Configuration file: a client's own (mcpServers, servers) or ours, JSON, TOML or YAML [default: sluice.json, .toml or .yaml here, else none].
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Plugin directory to load and watch [default: `plugins` beside the configuration].
    #[arg(long, value_name = "DIR")]
    plugins: Option<PathBuf>,
    /// Run only the plugin files that `plugins.lock` names, beside the configuration (`sluice plugin lock` writes it).
    #[arg(long)]
    locked: bool,
}

impl ConfigArgs {
    /// This file, or what lies here.
    fn of_file(config: Option<PathBuf>) -> Self {
        Self { config, ..Self::default() }
    }

    fn source(&self, listen: Option<String>) -> Source {
        Source {
            file: self.config.clone(),
            listen,
            plugins_dir: self.plugins.clone(),
            surroundings: Surroundings::of_process(),
            builtin: Builtin { servers: embedded::SERVERS, plugins: embedded::PLUGIN_NAMES },
        }
    }

    fn read(&self, listen: Option<String>) -> Result<Loaded, Report> {
        let mut loaded = Config::load(&self.source(listen))?;
        loaded.config.settings.plugins.locked |= self.locked;
        Ok(loaded)
    }

    /// Read it all. Problems and warnings are printed; `None` means there were problems.
    fn load(&self, listen: Option<String>) -> Option<Config> {
        match self.read(listen) {
            Ok(loaded) => {
                loaded.warnings.iter().for_each(|w| eprintln!("warning: {w}"));
                Some(loaded.config)
            }
            Err(report) => {
                eprintln!("{report}");
                None
            }
        }
    }
}

/// Starts what a configuration names, looks at it, and stops it again. Problems are printed.
fn look(config: Config, at: impl AsyncFnOnce(&Assembly) -> Result<()>) -> Result<Exit> {
    serve::runtime()?.block_on(async {
        match Assembly::new(config, Purpose::Look).await {
            Ok(assembly) => {
                let looked = at(&assembly).await;
                assembly.close().await;
                looked.map(|()| Exit::Good)
            }
            Err(problems) => {
                eprintln!("{problems:#}");
                Ok(Exit::Config)
            }
        }
    })
}

/// What others named, for a terminal: what moves a cursor, hides or reorders is spelt.
fn plain(text: &str) -> String {
    let spelt = |c: char| if matches!(c, '"' | '\'') { vec![c] } else { c.escape_debug().collect() };
    text.chars().flat_map(spelt).collect()
}

/// To standard output. Whoever reads may have seen enough (`| head`); any other loss is an error.
fn print_line(line: fmt::Arguments<'_>) {
    match writeln!(io::stdout().lock(), "{line}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => eprintln!("cannot write to standard output: {error}"),
        Ok(()) | Err(_) => {}
    }
}

/// Run the command line of this process.
pub fn run() -> ExitCode {
    if let Some(code) = crate::own_process_if_asked() {
        return code;
    }
    let exit = match Cli::parse().command {
        Command::Serve(serve) => serve.run(),
        Command::Stdio(stdio) => stdio.run(),
        Command::Check(check) => check.run(),
        Command::Diff(diff) => diff.run(),
        Command::Import(import) => import.run(),
        Command::Ls(ls) => ls.run(),
        Command::Access(access) => access.run(),
        Command::Call(call) => call.run(),
        Command::Key(key) => key.run(),
        Command::Plugin(plugin) => plugin.run(),
        Command::Schema => {
            say!("{:#}", crate::config::file_schema());
            Ok(Exit::Good)
        }
    };
    match exit {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("error: {error:#}");
            Exit::Broken.into()
        }
    }
}
