//! Lines into a file or a stream, many to one write. A line is whole or absent, never torn between two writers.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::Duration,
};

/// Longest time a line waits before it is written.
const WAIT: Duration = Duration::from_millis(20);
/// Beyond this the writer of a line writes it out itself: a slow disk slows the calls down instead of filling memory.
const BUFFER_MAX: usize = 1024 * 1024;

/// A line sink with a thread of its own. Dropping it writes what is left.
pub struct Sink {
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<()>>,
}

struct Shared {
    buffer: Mutex<Buffer>,
    filled: Condvar,
    target: Mutex<Box<dyn Write + Send>>,
}

#[derive(Default)]
struct Buffer {
    lines: Vec<u8>,
    closed: bool,
}

impl Sink {
    /// Lines to standard error.
    pub fn stderr() -> io::Result<Self> {
        Self::new(Box::new(io::stderr()), "log")
    }

    /// Lines appended to a file that only this user may read; made with its folder when absent.
    pub fn append(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut options = File::options();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Self::new(Box::new(options.open(path)?), "audit")
    }

    fn new(target: Box<dyn Write + Send>, name: &str) -> io::Result<Self> {
        let shared = Arc::new(Shared { buffer: Mutex::default(), filled: Condvar::new(), target: Mutex::new(target) });
        let theirs = shared.clone();
        let thread = thread::Builder::new().name(format!("sluice-{name}")).spawn(move || theirs.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Add one line; `write` puts it in without a line end.
    pub fn line(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut buffer = lock(&self.shared.buffer);
        let was_empty = buffer.lines.is_empty();
        write(&mut buffer.lines);
        buffer.lines.push(b'\n');
        let full = buffer.lines.len() > BUFFER_MAX;
        drop(buffer);
        if full {
            self.flush();
        } else if was_empty {
            self.shared.filled.notify_one();
        }
    }

    /// Write everything out now.
    pub fn flush(&self) {
        self.shared.write_out();
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        lock(&self.shared.buffer).closed = true;
        self.shared.filled.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self) {
        loop {
            let buffer = lock(&self.buffer);
            let buffer = self.filled.wait_while(buffer, |b| b.lines.is_empty() && !b.closed).unwrap_or_else(PoisonError::into_inner);
            let closed = buffer.closed;
            drop(buffer);
            if !closed {
                thread::sleep(WAIT);
            }
            self.write_out();
            if closed {
                return;
            }
        }
    }

    fn write_out(&self) {
        // The target first, so that two writers cannot swap the order of what they took.
        let mut target = lock(&self.target);
        let lines = std::mem::take(&mut lock(&self.buffer).lines);
        if lines.is_empty() {
            return;
        }
        if let Err(error) = target.write_all(&lines) {
            let lost = lines.iter().filter(|b| **b == b'\n').count();
            tracing::error!(%error, lost, "records could not be written; check the disk");
        }
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_many_threads_are_whole_and_all_there() {
        let folder = std::env::temp_dir().join(format!("sluice-sink-{}", std::process::id()));
        let path = folder.join("a.jsonl");
        let sink = Sink::append(&path).unwrap();
        thread::scope(|s| {
            for t in 0..4 {
                let sink = &sink;
                s.spawn(move || {
                    (0..1000).for_each(|i| sink.line(|out| out.extend_from_slice(format!("{t}:{i}:{}", "x".repeat(40)).as_bytes())))
                });
            }
        });
        drop(sink);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(text.lines().count(), 4000);
        assert!(text.lines().all(|l| l.ends_with(&"x".repeat(40))));
    }
}
