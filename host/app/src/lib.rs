//! The rooms of the binary `sluice`: what an operator writes, sees and runs. The only crate that names the others.
//!
//! Reading order: [`cli`], [`config`], [`assembly`], [`chain`], [`record`], [`admin`]; [`author`].

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
pub mod sbom;
mod state;
pub mod token;
pub mod watch;
