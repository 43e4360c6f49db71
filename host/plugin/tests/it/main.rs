//! The plugin host against real components. One binary: each links all of wasmtime.

mod auth_jwt;
mod cache;
mod catalog;
mod chunks;
mod coverage;
mod definitions;
mod fetch;
mod handmade;
mod hooks;
mod hostile;
mod http;
mod instances;
mod loading;
mod outbound;
mod payload;
mod released;
mod residue;
mod search;
mod secrets;
mod snapshot;
mod standard;
mod support;
mod upstream;
mod world;
