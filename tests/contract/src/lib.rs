//! A released contract against an edited one: which edits leave every built plugin working (ADR 35).
//!
//! What is compared is what a binary or its author can see: names, types, functions, worlds. Comments are free.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod compare;
mod contract;
mod release;
mod spelling;
mod uses;

pub use compare::{Change, compare};
pub use contract::Contract;
pub use release::{Comparison, comparisons, releases};
pub use uses::uses;
