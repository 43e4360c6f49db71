//! The thread that writes.

use super::{COUNTED_WITHIN, KV, Record};
use crate::{Quota, memory::MemoryBucket};
use redb::{Database, Durability, ReadableDatabase as _, TableError};
use std::{
    collections::{HashMap, HashSet},
    io, mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};
use tokio::sync::oneshot;

/// How often what has ended is taken out of the file.
const SWEPT_EVERY: Duration = Duration::from_secs(60);

const CLOSED: &str = "the state file is closed";

type Answer = oneshot::Sender<Result<(), String>>;

/// What is to be written, and the thread that does.
pub(super) struct Writer {
    database: Database,
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
    pub(super) fn start(database: Database) -> io::Result<Arc<Self>> {
        let writer = Arc::new(Self {
            database,
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
    pub(super) fn bucket(&self, name: &str, quota: Quota) -> Arc<MemoryBucket> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = buckets.get(name) {
            return known.clone();
        }
        let bucket = Arc::new(MemoryBucket::new(quota));
        match self.read(name, &bucket) {
            Ok(0) => {}
            Ok(lost) => tracing::warn!(bucket = name, lost, "the state file holds more than the bucket may: the rest is forgotten"),
            Err(error) => tracing::error!(bucket = name, %error, "the state file cannot be read: the bucket begins empty"),
        }
        buckets.insert(name.into(), bucket.clone());
        bucket
    }

    /// How many keys found no room.
    fn read(&self, name: &str, bucket: &MemoryBucket) -> Result<usize, redb::Error> {
        let table = match self.database.begin_read()?.open_table(KV) {
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
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut swept = Instant::now();
        loop {
            let Pending { changed, waiting, is_over } = self.next();
            let mut done = self.write(&changed).map_err(|error| format!("the state file cannot be written: {error}"));
            if swept.elapsed() >= SWEPT_EVERY && done.is_ok() {
                swept = Instant::now();
                done = self.sweep().map_err(|error| format!("the state file cannot be swept: {error}"));
            }
            if let Err(problem) = &done {
                tracing::error!(problem, "state is in memory alone until the file can be written");
                // The next write tries it again.
                self.pending().changed.extend(changed);
                thread::sleep(COUNTED_WITHIN);
            }
            for answer in waiting {
                let _ = answer.send(done.clone());
            }
            if is_over {
                return;
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

    fn write(&self, changed: &HashSet<(Arc<str>, String)>) -> Result<(), redb::Error> {
        if changed.is_empty() {
            return Ok(());
        }
        let mut change = self.database.begin_write()?;
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
    }

    pub(super) fn sweep(&self) -> Result<(), redb::Error> {
        let change = self.database.begin_write()?;
        let now = SystemTime::now();
        change.open_table(KV)?.retain(|_, record| !Record::has_ended(record, now))?;
        change.commit()?;
        Ok(())
    }
}

#[cfg(test)]
impl Writer {
    /// Keys in the file.
    pub(super) fn count(&self) -> usize {
        use redb::ReadableTableMetadata as _;
        self.database.begin_read().unwrap().open_table(KV).unwrap().len().unwrap() as usize
    }
}
