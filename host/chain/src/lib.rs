//! The heart of Sluice: one request becomes an exchange, runs through the filters of one generation,
//! is resolved in the catalogue its principal sees, goes to one upstream and comes back.
//!
//! This crate owns no socket, no wasm and no configuration file. It never formats HTTP and never knows
//! which era an upstream speaks: transports translate at their own door.
//!
//! Reading order: [`exchange`], [`running`], [`verdict`], [`filter`], [`chunk`], [`upstream`], [`stream`], [`departures`], [`fetch`], [`subcall`], [`estate`], [`generation`], [`groups`], [`host`],
//! [`catalogue`], [`changes`], [`rescue`], [`record`], [`route`].

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod attributes;
pub mod breaker;
pub mod calls;
pub mod canary;
pub mod catalogue;
pub mod changes;
pub mod chunk;
pub mod departures;
pub mod estate;
pub mod exchange;
mod facts;
pub mod fault;
pub mod fetch;
pub mod filter;
pub mod gate;
pub mod generation;
pub mod groups;

mod handed;
pub mod host;
mod parked;
pub mod parted;
pub mod principal;
pub mod queue;
pub mod record;
pub mod rescue;
pub mod route;
mod run;
pub mod running;
mod seal;
pub mod selector;
pub mod stream;
pub mod subcall;
mod task;
mod ticket;
pub mod upstream;
pub mod verdict;
pub mod withheld;
