//! The plugin host against real components. One binary: each links all of wasmtime.

mod hooks;
mod support;
