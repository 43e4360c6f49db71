//! State in this process and in a file: what one process left, the next one finds.
//!
//! The memory backend is what is asked; a thread writes what has changed into the file, many changes at a time. A value that was set,
//! swapped or deleted is on disk before the caller hears of it. A counter or a token bucket is there within [`COUNTED_WITHIN`]: a crash may forget
//! that much counting, so a limit may let through again what it let through in that time, and nothing else is lost.

mod record;
mod writer;

use crate::{
    bucket::{Bucket, Op, Outcome, Quota, StateError, Store},
    memory::MemoryBucket,
};
use futures_util::future::{BoxFuture, ready};
use record::Record;
use redb::{Database, DatabaseError, ReadableDatabase as _, StorageBackend, TableDefinition, TableError, backends::FileBackend};
use std::{
    fs::File,
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use writer::Writer;

/// How long a change of a counter or a token bucket may be in memory alone.
pub const COUNTED_WITHIN: Duration = Duration::from_millis(100);

/// Bucket and key, and a [`Record`].
const KV: TableDefinition<(&str, &str), &[u8]> = TableDefinition::new("kv");
/// What the file is.
const ABOUT: TableDefinition<&str, u64> = TableDefinition::new("about");
/// Of the layout of both tables. Files of each that there was are in `layouts/`, for the tests.
const VERSION: u64 = 1;
/// The layout of a file that does not say: one that is new, or from before they were numbered.
const UNNUMBERED: u64 = 0;
/// Of what redb keeps of the file in memory: values are asked of our own memory, so it is only for writing.
const CACHE_BYTES: usize = 4 << 20;

/// Why a state file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Another process has it open.
    #[error("{} is in use by another process: give each its own state file, or let them share Redis", .0.display())]
    InUse(PathBuf),
    /// Written by a newer version.
    #[error("{} is of layout {found}, and this version knows {VERSION}: start the version that wrote it, or name another state file (sluice.state.path)", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its layout.
        found: u64,
    },
    /// There is no thread to write with.
    #[error("no thread to write state with: {0}")]
    NoThread(io::Error),
    /// It cannot be opened, or is no state file.
    #[error("{} cannot be used: {problem}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
}

/// The backend of one process that outlives it.
pub struct FileStore {
    writer: Arc<Writer>,
}

impl FileStore {
    /// Opens the file, or makes it for its owner alone. Its folder has to be there.
    ///
    /// # Errors
    /// It is another process's, a newer version's, no state file, or cannot be opened.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let path = path.to_owned();
        Self::over(Box::new(move || open(&path, |file| file)))
    }

    fn over(open: writer::Open) -> Result<Self, FileError> {
        let database = open()?;
        let writer = Writer::start(database, open).map_err(FileError::NoThread)?;
        Ok(Self { writer })
    }
}

/// Opens the file, behind what `inside` makes of it.
fn open<B: StorageBackend>(path: &Path, inside: impl Fn(FileBackend) -> B) -> Result<Database, FileError> {
    let unusable = |problem: String| FileError::Unusable { path: path.to_owned(), problem };
    let file = private(path).map_err(|error| unusable(error.to_string()))?;
    let opened = FileBackend::new(file).and_then(|file| Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(inside(file)));
    let database = match opened {
        Ok(database) => database,
        Err(DatabaseError::DatabaseAlreadyOpen) => return Err(FileError::InUse(path.to_owned())),
        Err(error) => return Err(unusable(error.to_string())),
    };
    let found = version(&database).map_err(|error| unusable(error.to_string()))?;
    if found > VERSION {
        return Err(FileError::Newer { path: path.to_owned(), found });
    }
    bring_up(&database, found).map_err(|error| unusable(error.to_string()))?;
    Ok(database)
}

fn private(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// The layout that the file has.
fn version(database: &Database) -> Result<u64, redb::Error> {
    match database.begin_read()?.open_table(ABOUT) {
        Ok(about) => Ok(about.get("version")?.map_or(UNNUMBERED, |version| version.value())),
        Err(TableError::TableDoesNotExist(_)) => Ok(UNNUMBERED),
        Err(error) => Err(error.into()),
    }
}

/// Gives a file of an older layout this one, all of it or nothing.
fn bring_up(database: &Database, found: u64) -> Result<(), redb::Error> {
    if found == VERSION {
        return Ok(());
    }
    let change = database.begin_write()?;
    // From 0 to 1 nothing but the number is new. A later layout rewrites what is otherwise here, one step for each number between.
    change.open_table(ABOUT)?.insert("version", VERSION)?;
    change.commit()?;
    Ok(())
}

impl Store for FileStore {
    fn bucket(&self, name: &str, quota: Quota) -> Arc<dyn Bucket> {
        match self.writer.bucket(name, quota) {
            Ok(memory) => Arc::new(FileBucket { name: name.into(), memory, writer: self.writer.clone() }),
            Err(problem) => {
                tracing::error!(bucket = name, problem, "the state file cannot be read: the bucket is refused");
                Arc::new(Unreadable(problem))
            }
        }
    }

    fn kind(&self) -> &'static str {
        "file"
    }

    fn close(&self) {
        self.writer.stop();
    }

    fn waits(&self) -> bool {
        true
    }
}

impl Drop for FileStore {
    fn drop(&mut self) {
        self.writer.stop();
    }
}

struct FileBucket {
    name: Arc<str>,
    memory: Arc<MemoryBucket>,
    writer: Arc<Writer>,
}

impl Bucket for FileBucket {
    fn batch(&self, ops: Vec<Op>) -> BoxFuture<'_, Vec<Result<Outcome, StateError>>> {
        Box::pin(async move {
            let keys: Vec<(String, bool)> = ops.iter().map(touched).collect();
            let mut outcomes = self.memory.batch(ops).await;
            let changed = keys.into_iter().zip(&outcomes).filter(|(_, outcome)| has_changed(outcome));
            let (mut counted, mut kept) = (Vec::new(), Vec::new());
            changed.for_each(|((key, is_kept), _)| if is_kept { kept.push(key) } else { counted.push(key) });
            self.writer.changed(&self.name, counted);
            // One wait for all of them.
            if !kept.is_empty()
                && let Err(problem) = self.writer.keep(&self.name, kept).await
            {
                outcomes.iter_mut().for_each(|outcome| *outcome = Err(StateError::Unavailable(problem.clone())));
            }
            outcomes
        })
    }
}

/// What begins empty would let through what was refused before.
struct Unreadable(String);

impl Bucket for Unreadable {
    fn batch(&self, ops: Vec<Op>) -> BoxFuture<'_, Vec<Result<Outcome, StateError>>> {
        let refused = Err(StateError::Unavailable(format!("the state file cannot be read: {}", self.0)));
        Box::pin(ready(vec![refused; ops.len()]))
    }
}

/// The key of an operation, and whether what it changes has to be on disk before anybody hears of it.
fn touched(op: &Op) -> (String, bool) {
    match op {
        Op::Set(key, ..) | Op::Delete(key) | Op::Swap(key, ..) => (key.clone(), true),
        Op::Get(key) | Op::Incr(key, ..) | Op::Take(key, ..) => (key.clone(), false),
    }
}

/// Whether the key may hold something else than before.
fn has_changed(outcome: &Result<Outcome, StateError>) -> bool {
    matches!(outcome, Ok(Outcome::Done | Outcome::Count(_) | Outcome::WaitMs(0) | Outcome::Swapped(true)))
}

#[cfg(test)]
mod tests;
