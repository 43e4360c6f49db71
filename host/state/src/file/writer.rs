//! The thread that writes.

use super::{COUNTED_WITHIN, FileError, KV, Record};
use crate::{Quota, memory::MemoryBucket};
use redb::{Database, Durability, ReadableDatabase as _, TableError};
use std::{
    collections::{HashMap, HashSet},
    io, mem,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};
use tokio::sync::oneshot;

/// How often what has ended is taken out of the file.
const SWEPT_EVERY: Duration = Duration::from_secs(60);

const CLOSED: &str = "the state file is closed";

type Answer = oneshot::Sender<Result<(), String>>;

/// How the file is opened.
pub(super) type Open = Box<dyn Fn() -> Result<Database, FileError> + Send + Sync>;

/// What is to be written, and the thread that does.
pub(super) struct Writer {
    /// A database that could not write is of no use any more: it is closed, and opened again for the next attempt.
    database: Mutex<Option<Database>>,
    /// It has stopped: what comes now is not opened for again.
    is_closed: AtomicBool,
    open: Open,
    buckets: Mutex<HashMap<Arc<str>, Arc<MemoryBucket>>>,
    pending: Mutex<Pending>,
    stirred: Condvar,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Pending {
    /// Bucket and key: what is there when it is written counts. At most as many as there are keys.
    changed: HashSet<(Arc<str>, String)>,
    /// Who waits for it.
    waiting: Vec<Answer>,
    is_over: bool,
}

impl Writer {
    pub(super) fn start(database: Database, open: Open) -> io::Result<Arc<Self>> {
        let writer = Arc::new(Self {
            database: Mutex::new(Some(database)),
            is_closed: AtomicBool::new(false),
            open,
            buckets: Mutex::default(),
            pending: Mutex::default(),
            stirred: Condvar::new(),
            thread: Mutex::default(),
        });
        let own = writer.clone();
        let thread = thread::Builder::new().name("state-writer".into()).spawn(move || own.run())?;
        *writer.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(writer)
    }

    /// The bucket of this name, with what the file has of it.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn bucket(&self, name: &str, quota: Quota) -> Result<Arc<MemoryBucket>, String> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = buckets.get(name) {
            return Ok(known.clone());
        }
        let bucket = Arc::new(MemoryBucket::new(quota));
        match self.with(|database| read(database, name, &bucket))? {
            0 => {}
            lost => tracing::warn!(bucket = name, lost, "the state file holds more than the bucket may: the rest is forgotten"),
        }
        buckets.insert(name.into(), bucket.clone());
        Ok(bucket)
    }

    /// Does something with the database. Whatever goes wrong closes it.
    fn with<T>(&self, act: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, String> {
        let mut held = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_closed.load(Relaxed) {
            return Err(CLOSED.into());
        }
        let database = match held.take() {
            Some(database) => database,
            None => (self.open)().map_err(|error| error.to_string())?,
        };
        let done = act(&database).map_err(|error| error.to_string())?;
        *held = Some(database);
        Ok(done)
    }

    /// To be written soon.
    pub(super) fn changed(&self, bucket: &Arc<str>, keys: Vec<String>) {
        if keys.is_empty() {
            return;
        }
        let mut pending = self.pending();
        let is_first = pending.changed.is_empty();
        pending.changed.extend(keys.into_iter().map(|key| (bucket.clone(), key)));
        if is_first {
            self.stirred.notify_one();
        }
    }

    /// Written, or not, when this returns.
    pub(super) async fn keep(&self, bucket: &Arc<str>, keys: Vec<String>) -> Result<(), String> {
        let (answer, answered) = oneshot::channel();
        {
            let mut pending = self.pending();
            if pending.is_over {
                return Err(CLOSED.into());
            }
            pending.changed.extend(keys.into_iter().map(|key| (bucket.clone(), key)));
            pending.waiting.push(answer);
            self.stirred.notify_one();
        }
        answered.await.unwrap_or_else(|_| Err(CLOSED.into()))
    }

    /// Writes what is left, and ends.
    pub(super) fn stop(&self) {
        self.pending().is_over = true;
        self.stirred.notify_one();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
        // The file is another process's from here on.
        let mut held = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_closed.store(true, Relaxed);
        held.take();
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let (mut swept, mut is_failing) = (Instant::now(), false);
        loop {
            let Pending { changed, waiting, is_over } = self.next();
            let done = self.write(&changed).map_err(|error| format!("the state file cannot be written: {error}"));
            for answer in waiting {
                let _ = answer.send(done.clone());
            }
            match &done {
                Ok(()) if is_failing => tracing::info!("the state file is written again"),
                Err(problem) if !is_failing => tracing::error!(problem, "state is in memory alone until the file can be written"),
                _ => {}
            }
            is_failing = done.is_err();
            if is_over {
                return;
            }
            if is_failing {
                // The next write tries it again.
                self.pending().changed.extend(changed);
                thread::sleep(COUNTED_WITHIN);
            } else if swept.elapsed() >= SWEPT_EVERY {
                swept = Instant::now();
                if let Err(error) = self.sweep() {
                    tracing::warn!(error, "what has ended stays in the state file for another minute");
                }
            }
        }
    }

    /// Waits until somebody waits, or what has changed is old enough, or a sweep is due, or it is over.
    fn next(&self) -> Pending {
        let mut pending = self.pending();
        let mut until = Instant::now() + SWEPT_EVERY;
        let mut has_changes = false;
        loop {
            if !has_changes && !pending.changed.is_empty() {
                has_changes = true;
                until = Instant::now() + COUNTED_WITHIN;
            }
            let left = until.saturating_duration_since(Instant::now());
            if pending.is_over || !pending.waiting.is_empty() || left.is_zero() {
                let is_over = pending.is_over;
                return mem::replace(&mut pending, Pending { is_over, ..Pending::default() });
            }
            (pending, _) = self.stirred.wait_timeout(pending, left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn write(&self, changed: &HashSet<(Arc<str>, String)>) -> Result<(), String> {
        if changed.is_empty() {
            return Ok(());
        }
        self.with(|database| {
            let mut change = database.begin_write()?;
            change.set_durability(Durability::Immediate)?;
            {
                let mut table = change.open_table(KV)?;
                let now = SystemTime::now();
                for (name, key) in changed {
                    let bucket = self.buckets.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
                    match bucket.and_then(|bucket| bucket.kept(key)) {
                        Some(kept) => drop(table.insert((&**name, &**key), &*Record::of(&kept, now))?),
                        None => drop(table.remove((&**name, &**key))?),
                    }
                }
            }
            change.commit()?;
            Ok(())
        })
    }

    /// Takes out what has ended; an idle store writes nothing.
    pub(super) fn sweep(&self) -> Result<(), String> {
        self.with(|database| {
            let change = database.begin_write()?;
            let (now, mut has_ended) = (SystemTime::now(), false);
            change.open_table(KV)?.retain(|_, record| {
                let ends = Record::has_ended(record, now);
                has_ended |= ends;
                !ends
            })?;
            if has_ended {
                change.commit()?
            } else {
                change.abort()?
            }
            Ok(())
        })
    }
}

/// What the file has of a bucket. How many keys found no room.
fn read(database: &Database, name: &str, bucket: &MemoryBucket) -> Result<usize, redb::Error> {
    let table = match database.begin_read()?.open_table(KV) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(0),
        Err(error) => return Err(error.into()),
    };
    let now = SystemTime::now();
    let mut lost = 0;
    for entry in table.range((name, "")..)? {
        let (key, record) = entry?;
        let (of, key) = key.value();
        if of != name {
            break;
        }
        lost += Record::read(record.value(), now).map_or(0, |kept| usize::from(bucket.restore(key, kept).is_err()));
    }
    Ok(lost)
}

#[cfg(test)]
impl Writer {
    /// Keys in the file.
    pub(super) fn count(&self) -> usize {
        use redb::ReadableTableMetadata as _;
        self.with(|database| Ok(database.begin_read()?.open_table(KV)?.len()?)).unwrap() as usize
    }
}
