//! The rooms of the binary `sluice`: what an operator writes, sees and runs. The only crate that names the others.
//!
//! Reading order: [`cli`], [`config`], [`assembly`], [`serving`], [`handoff`], [`chain`], [`record`], [`admin`]; [`author`].

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
pub mod handoff;
pub mod import;
pub mod keys;
pub mod record;
pub mod reloading;
pub mod sbom;
pub mod serving;
mod state;
pub mod token;
pub mod watch;

/// For programs that have a gateway inside, at the very beginning of their `main`: plugins are compiled in a process of their own, and confined
/// servers begin as one, for which this binary starts itself. Its exit code, if it was started for that.
pub fn own_process_if_asked() -> Option<std::process::ExitCode> {
    let mut words = std::env::args_os().skip(1);
    let first = words.next()?;
    if first == cli::CHILD {
        return Some(sluice_transport::upstream::stdio::confine::become_child(&words.collect::<Vec<_>>()));
    }
    let text = |word: std::ffi::OsString| word.to_string_lossy().into_owned();
    (first == cli::COMPILE).then(|| sluice_plugin::compiler::serve(&words.map(text).collect::<Vec<_>>()))
}
