//! An engine, guests by name, and messages to lend them.

pub mod guests;
pub mod handmade;
mod message;

pub use message::{Call, call, labels};

use sluice_plugin::{Engine, LoadError, Settings, Setup, WasmFilter};
use sluice_state::memory::MemoryStore;
use std::{path::Path, sync::Arc};

/// An engine small enough that many tests can have one each.
pub fn engine() -> Engine {
    // One folder for all: compiling is most of what loading takes.
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled-guests");
    let setup = Setup { instances_max: 64, cache: Some(cache), ..Setup::new(Arc::new(MemoryStore::new())) };
    Engine::start(setup).expect("wasm runs here")
}

/// Settings for a file of this name.
pub fn settings(name: &str, config: serde_json::Value) -> Settings {
    Settings { config, ..Settings::new(format!("{name}.wasm")) }
}

/// Load a guest or a standard plugin.
pub async fn try_load(engine: &Engine, settings: Settings) -> Result<Arc<WasmFilter>, LoadError> {
    let name = settings.file.strip_suffix(".wasm").expect("tests name files so").to_owned();
    engine.load(guests::bytes(&name), settings).await
}

/// The same for one that must load.
pub async fn load(engine: &Engine, name: &str, config: serde_json::Value) -> Arc<WasmFilter> {
    load_with(engine, settings(name, config)).await
}

/// The same with settings.
pub async fn load_with(engine: &Engine, settings: Settings) -> Arc<WasmFilter> {
    try_load(engine, settings).await.unwrap_or_else(|error| panic!("{error}"))
}
