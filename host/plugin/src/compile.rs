//! Bytes to machine code, off the tasks' threads and out of their way.

use crate::cache::Cache;
use bytes::Bytes;
use std::{sync::Arc, time::Duration};
use tokio::sync::oneshot;
use wasmtime::component::Component;

/// A compilation that takes longer is announced.
const PATIENCE: Duration = Duration::from_secs(1);
/// Lower than anything that serves: 19 is the least.
const NICENESS: i32 = 15;

/// The component behind `bytes`, from the cache or compiled and then kept there.
pub(crate) async fn component(
    engine: &wasmtime::Engine,
    cache: Option<Arc<Cache>>,
    file: &str,
    digest: &str,
    bytes: Bytes,
) -> Result<Component, String> {
    let (length, engine, digest) = (bytes.len(), engine.clone(), digest.to_owned());
    let (tell, mut told) = oneshot::channel();
    let work = move || {
        lower_priority();
        let found = cache.as_ref().and_then(|cache| cache.load(&engine, &digest));
        let component = match found {
            Some(component) => Ok(component),
            None => compile(&engine, cache.as_deref(), &digest, &bytes),
        };
        let _ = tell.send(component);
    };
    std::thread::Builder::new()
        .name("compile".into())
        .stack_size(8 << 20)
        .spawn(work)
        .map_err(|error| format!("cannot be compiled: no thread for it ({error})"))?;
    let done = match tokio::time::timeout(PATIENCE, &mut told).await {
        Ok(done) => done,
        Err(_) => {
            tracing::info!("compiling {file} ({:.1} MB)…", length as f64 / 1e6);
            told.await
        }
    };
    done.unwrap_or_else(|_| Err("made the compiler panic; tell the plugin's author and us".into()))
}

fn compile(engine: &wasmtime::Engine, cache: Option<&Cache>, digest: &str, bytes: &[u8]) -> Result<Component, String> {
    let component = Component::from_binary(engine, bytes).map_err(|error| refusal(&error))?;
    if let (Some(cache), Ok(code)) = (cache, component.serialize()) {
        cache.keep(engine, digest, &code);
    }
    Ok(component)
}

/// wasmtime's reason, in one line and in its operator's words.
fn refusal(error: &wasmtime::Error) -> String {
    let why = crate::instance::one_line(&error.root_cause().to_string());
    if why.contains("unexpected end") {
        return format!("is cut short ({why}); copy or build it again");
    }
    format!("is not a component this host takes: {why}; build for wasm32-wasip2")
}

/// What is being served goes first.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    {
        let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = NICENESS;
}
