//! Bytes to machine code, off the tasks' threads and out of their way.

use crate::{cache, cache::Cache, engine::Engine};
use bytes::Bytes;
use std::time::Duration;
use tokio::sync::oneshot;
use wasmtime::component::Component;

/// A compilation that takes longer is announced.
const PATIENCE: Duration = Duration::from_secs(1);
/// Lower than anything that serves: 19 is the least.
pub(crate) const NICENESS: i32 = 15;

/// The component behind `bytes`, from the cache or compiled and then kept there.
pub(crate) async fn component(engine: &Engine, file: &str, digest: &str, bytes: Bytes) -> Result<Component, String> {
    let length = bytes.len();
    let mut work = std::pin::pin!(found_or_compiled(engine, digest, bytes));
    match tokio::time::timeout(PATIENCE, &mut work).await {
        Ok(done) => done,
        Err(_) => {
            tracing::info!("compiling {file} ({:.1} MB)…", length as f64 / 1e6);
            work.await
        }
    }
}

async fn found_or_compiled(engine: &Engine, digest: &str, bytes: Bytes) -> Result<Component, String> {
    let (wasmtime, cache, digest) = (engine.wasmtime().clone(), engine.cache(), digest.to_owned());
    let Some(compiler) = engine.compiler() else {
        return aside(move || {
            let found = cache.as_ref().and_then(|cache| cache.load(&wasmtime, &digest));
            found.map_or_else(|| compile(&wasmtime, cache.as_deref(), &digest, &bytes), Ok)
        })
        .await?;
    };
    if let Some(cache) = cache.clone() {
        let (wasmtime, digest) = (wasmtime.clone(), digest.clone());
        if let Some(found) = aside(move || cache.load(&wasmtime, &digest)).await? {
            return Ok(found);
        }
    }
    let code = compiler.compile(engine.memory(), &bytes).await?;
    aside(move || {
        if let Some(cache) = cache {
            cache.keep(&wasmtime, &digest, &code);
        }
        cache::deserialize(&wasmtime, &code).ok_or_else(|| "was compiled by another version of this program; start it again".to_owned())
    })
    .await?
}

/// Run on a thread of its own, of low priority: this work is long and has no pauses.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    let (tell, told) = oneshot::channel();
    std::thread::Builder::new()
        .name("compile".into())
        .stack_size(8 << 20)
        .spawn(move || {
            lower_priority();
            let _ = tell.send(work());
        })
        .map_err(|error| format!("cannot be compiled: no thread for it ({error})"))?;
    told.await.map_err(|_| "made the compiler panic; tell the plugin's author and us".into())
}

fn compile(engine: &wasmtime::Engine, cache: Option<&Cache>, digest: &str, bytes: &[u8]) -> Result<Component, String> {
    let component = Component::from_binary(engine, bytes).map_err(|error| refusal(&error))?;
    if let (Some(cache), Ok(code)) = (cache, component.serialize()) {
        cache.keep(engine, digest, &code);
    }
    Ok(component)
}

/// wasmtime's reason, in one line and in its operator's words.
pub(crate) fn refusal(error: &wasmtime::Error) -> String {
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
}
