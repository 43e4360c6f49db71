//! Bytes to machine code, off the tasks' threads and out of their way.

use crate::{
    cache,
    engine::Engine,
    snapshot::{rewrite, state::State},
};
use bytes::Bytes;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};
use tokio::{
    sync::{OnceCell, oneshot},
    time::Instant,
};
use wasmtime::component::Component;

/// A compilation that takes longer is announced.
const PATIENCE: Duration = Duration::from_secs(1);
/// Lower than anything that serves: 19 is the least.
pub(crate) const NICENESS: i32 = 15;

/// What is being compiled for the chain, oldest first.
#[derive(Clone, Default)]
pub(crate) struct Underway(Arc<Mutex<Vec<Compiling>>>);

/// A file that is being compiled.
#[derive(Debug, Clone)]
pub struct Compiling {
    /// As the settings name it.
    pub file: Arc<str>,
    /// Size of the component.
    pub bytes: usize,
    /// When it began.
    pub since: Instant,
}

impl std::fmt::Display for Compiling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({:.1} MB, {} s so far)", self.file, self.bytes as f64 / 1e6, self.since.elapsed().as_secs())
    }
}

impl Underway {
    pub(crate) fn list(&self) -> Vec<Compiling> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn enter(&self, file: &Arc<str>, bytes: usize) -> Entry<'_> {
        let compiling = Compiling { file: file.clone(), bytes, since: Instant::now() };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(compiling.clone());
        Entry { all: self, compiling }
    }
}

/// A component that those share who load the same file at the same time.
pub(crate) type Shared = Arc<OnceCell<Component>>;

/// Those that are being loaded, by digest. What is loaded is found among the plugins in use.
#[derive(Clone, Default)]
pub(crate) struct Loading(Arc<Mutex<HashMap<String, Weak<OnceCell<Component>>>>>);

impl Loading {
    pub(crate) fn of(&self, digest: &str) -> Shared {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, shared| shared.strong_count() > 0);
        if let Some(shared) = all.get(digest).and_then(Weak::upgrade) {
            return shared;
        }
        let shared = Shared::default();
        all.insert(digest.to_owned(), Arc::downgrade(&shared));
        shared
    }
}

/// One of them, for as long as it lives.
struct Entry<'u> {
    all: &'u Underway,
    compiling: Compiling,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let mut all = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        let this = all.iter().position(|other| other.since == self.compiling.since && other.file == self.compiling.file);
        this.map(|at| all.remove(at));
    }
}

/// The component behind `bytes`, from the cache or compiled and then kept there. As many at once as there are processors.
pub(crate) async fn component(engine: &Engine, file: &Arc<str>, digest: &str, bytes: Bytes) -> Result<Component, String> {
    let _turn = engine.compile_turn().await;
    if let Some(found) = cached(engine, digest).await {
        return Ok(found);
    }
    let entry = engine.underway().enter(file, bytes.len());
    let mut work = std::pin::pin!(kept(engine, Job::Whole, &bytes, digest));
    if let Ok(done) = tokio::time::timeout(PATIENCE, &mut work).await {
        return done;
    }
    tracing::info!("compiling {file} ({:.1} MB)…", bytes.len() as f64 / 1e6);
    let done = work.await;
    tracing::info!("compiling {file} took {:.1} s", entry.compiling.since.elapsed().as_secs_f64());
    done
}

/// What machine code is made of.
pub(crate) enum Job {
    /// The component itself.
    Whole,
    /// With accessors to its memories.
    Instrumented,
    /// With these memories instead of its own.
    Snapshot(State),
}

impl Job {
    /// Does it, on this thread. The error is the end of a sentence about the file.
    pub(crate) fn run(&self, engine: &wasmtime::Engine, bytes: &[u8]) -> Result<Vec<u8>, String> {
        let code = match self {
            Self::Whole => engine.precompile_component(bytes),
            Self::Instrumented => rewrite::instrumented(bytes).and_then(|bytes| engine.precompile_component(&bytes)),
            Self::Snapshot(state) => rewrite::snapshot(bytes, state).and_then(|bytes| engine.precompile_component(&bytes)),
        };
        code.map_err(|error| match self {
            Self::Whole => refusal(&error),
            _ => crate::instance::one_line(&format!("{error:#}")),
        })
    }
}

/// What is kept under this key.
pub(crate) async fn cached(engine: &Engine, key: &str) -> Option<Component> {
    let (wasmtime, cache, key) = (engine.wasmtime().clone(), engine.cache()?, key.to_owned());
    aside(move || cache.load(&wasmtime, &key)).await.ok()?
}

/// Does a job, and keeps what comes of it under this key.
pub(crate) async fn kept(engine: &Engine, job: Job, bytes: &Bytes, key: &str) -> Result<Component, String> {
    let code = code(engine, job, bytes).await?;
    let (wasmtime, cache, key) = (engine.wasmtime().clone(), engine.cache(), key.to_owned());
    aside(move || {
        if let Some(cache) = cache {
            cache.keep(&wasmtime, &key, &code);
        }
        deserialized(&wasmtime, &code)
    })
    .await?
}

/// Does a job whose result nobody will ask for again.
pub(crate) async fn job(engine: &Engine, job: Job, bytes: &Bytes) -> Result<Component, String> {
    let code = code(engine, job, bytes).await?;
    let wasmtime = engine.wasmtime().clone();
    aside(move || deserialized(&wasmtime, &code)).await?
}

async fn code(engine: &Engine, job: Job, bytes: &Bytes) -> Result<Vec<u8>, String> {
    if let Some(compiler) = engine.compiler() {
        return compiler.compile(engine.memory(), &job, bytes).await;
    }
    let (wasmtime, bytes) = (engine.wasmtime().clone(), bytes.clone());
    aside(move || job.run(&wasmtime, &bytes)).await?
}

fn deserialized(engine: &wasmtime::Engine, code: &[u8]) -> Result<Component, String> {
    cache::deserialize(engine, code).ok_or_else(|| "was compiled by another version of this program; start it again".to_owned())
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
