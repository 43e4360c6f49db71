//! The rooms of the binary `sluice`: what an operator writes, sees and runs. The only crate that names the others.
//!
//! Reading order: [`cli`], [`config`], [`assembly`], [`serving`], [`chain`], [`record`], [`admin`]; [`author`].

#![forbid(unsafe_code)]

pub mod admin;
pub mod assembly;
pub mod author;
pub mod cache;
pub mod certificates;
pub mod chain;
pub mod cli;
pub mod config;
pub mod embedded;
mod fetcher;
pub mod keys;
pub mod record;
pub mod reloading;
pub mod sbom;
pub mod serving;
mod state;
pub mod token;
pub mod watch;

/// For programs that have a gateway inside, at the very beginning of their `main`: plugins are compiled in a process of their own, for
/// which this binary starts itself. Its exit code, if it was started for that.
pub fn compile_if_asked() -> Option<std::process::ExitCode> {
    let mut words = std::env::args().skip(1);
    (words.next().as_deref() == Some(cli::COMPILE)).then(|| sluice_plugin::compiler::serve(&words.collect::<Vec<_>>()))
}
