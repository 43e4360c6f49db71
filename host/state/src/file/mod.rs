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
use futures_util::future::BoxFuture;
use record::Record;
use redb::{Database, DatabaseError, ReadableTable as _, TableDefinition, backends::FileBackend};
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
/// Of the layout of both tables.
const VERSION: u64 = 1;
/// Of what redb keeps of the file in memory: values are asked of our own memory, so it is only for writing.
const CACHE_BYTES: usize = 4 << 20;

/// Why a state file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Another process has it open.
    #[error("{} is in use by another process: give each its own state file, or let them share Redis", .0.display())]
    InUse(PathBuf),
    /// Written by a newer version.
    #[error("{} is of layout {found}, and this version knows {VERSION}: start the version that wrote it, or another state file", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its layout.
        found: u64,
    },
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
        let unusable = |problem: String| FileError::Unusable { path: path.to_owned(), problem };
        let file = private(path).map_err(|error| unusable(error.to_string()))?;
        let opened = FileBackend::new(file).and_then(|file| Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(file));
        let database = match opened {
            Ok(database) => database,
            Err(DatabaseError::DatabaseAlreadyOpen) => return Err(FileError::InUse(path.to_owned())),
            Err(error) => return Err(unusable(error.to_string())),
        };
        match version(&database).map_err(|error| unusable(error.to_string()))? {
            found if found > VERSION => Err(FileError::Newer { path: path.to_owned(), found }),
            _ => Ok(Self { writer: Writer::start(database).map_err(|error| unusable(error.to_string()))? }),
        }
    }
}

fn private(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// The layout that the file has, after it was given ours if it had none.
fn version(database: &Database) -> Result<u64, redb::Error> {
    let change = database.begin_write()?;
    let found = {
        let mut about = change.open_table(ABOUT)?;
        let found = about.get("version")?.map(|version| version.value());
        match found {
            Some(found) => found,
            None => {
                about.insert("version", VERSION)?;
                VERSION
            }
        }
    };
    change.commit()?;
    Ok(found)
}

impl Store for FileStore {
    fn bucket(&self, name: &str, quota: Quota) -> Arc<dyn Bucket> {
        let memory = self.writer.bucket(name, quota);
        Arc::new(FileBucket { name: name.into(), memory, writer: self.writer.clone() })
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

impl FileBucket {
    /// Waits until what the key holds by now is on disk.
    async fn kept<T>(&self, key: &str, done: Result<T, StateError>) -> Result<T, StateError> {
        let done = done?;
        self.writer.keep(&self.name, key).await.map_err(StateError::Unavailable)?;
        Ok(done)
    }

    fn counted<T>(&self, key: &str, done: Result<T, StateError>) -> Result<T, StateError> {
        if done.is_ok() {
            self.writer.changed(&self.name, key);
        }
        done
    }
}

impl Bucket for FileBucket {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, StateError>> {
        self.memory.get(key)
    }

    fn set<'a>(&'a self, key: &'a str, value: Vec<u8>, ttl: Option<Duration>) -> BoxFuture<'a, Result<(), StateError>> {
        Box::pin(async move { self.kept(key, self.memory.set(key, value, ttl).await).await })
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), StateError>> {
        Box::pin(async move { self.kept(key, self.memory.delete(key).await).await })
    }

    fn incr<'a>(&'a self, key: &'a str, by: i64, ttl: Duration) -> BoxFuture<'a, Result<i64, StateError>> {
        Box::pin(async move { self.counted(key, self.memory.incr(key, by, ttl).await) })
    }

    fn take<'a>(&'a self, key: &'a str, cost: u32, burst: u32, per_second: f64) -> BoxFuture<'a, Result<u32, StateError>> {
        Box::pin(async move { self.counted(key, self.memory.take(key, cost, burst, per_second).await) })
    }

    fn swap<'a>(
        &'a self,
        key: &'a str,
        expect: Option<&'a [u8]>,
        value: Vec<u8>,
        ttl: Option<Duration>,
    ) -> BoxFuture<'a, Result<bool, StateError>> {
        Box::pin(async move {
            match self.memory.swap(key, expect, value, ttl).await? {
                true => self.kept(key, Ok(true)).await,
                false => Ok(false),
            }
        })
    }

    /// One wait for all of them.
    fn batch(&self, ops: Vec<Op>) -> BoxFuture<'_, Vec<Result<Outcome, StateError>>> {
        Box::pin(async move {
            let keys: Vec<(String, bool)> = ops.iter().filter_map(changes).collect();
            let mut outcomes = self.memory.batch(ops).await;
            let mut last = None;
            for (key, is_kept) in &keys {
                self.writer.changed(&self.name, key);
                last = is_kept.then_some(key).or(last);
            }
            // Whatever has changed before is written with it.
            if let Some(key) = last
                && let Err(problem) = self.writer.keep(&self.name, key).await
            {
                outcomes.iter_mut().for_each(|outcome| *outcome = Err(StateError::Unavailable(problem.clone())));
            }
            outcomes
        })
    }
}

/// The key that an operation may change, and whether that has to be on disk before anybody hears of it.
fn changes(op: &Op) -> Option<(String, bool)> {
    match op {
        Op::Get(_) => None,
        Op::Set(key, ..) | Op::Delete(key) | Op::Swap(key, ..) => Some((key.clone(), true)),
        Op::Incr(key, ..) | Op::Take(key, ..) => Some((key.clone(), false)),
    }
}

#[cfg(test)]
mod tests;
