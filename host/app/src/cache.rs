//! Room in the cache folder: compiled plugins, and below it copies of fetched ones. What was not used for the longest time goes first, and
//! what somebody uses stays: a host holds a shared lock of each file that it has in use.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// What a writer that crashed left behind is gone after this.
const DRAFT: Duration = Duration::from_secs(3600);

/// What is there after room was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Room {
    /// Files that went.
    pub removed: usize,
    /// Bytes that stay.
    pub bytes: u64,
}

struct Entry {
    used: SystemTime,
    bytes: u64,
    path: PathBuf,
}

/// Make room in these folders together, until no more than `bytes_max` are there.
pub fn make_room(folders: &[&Path], bytes_max: u64) -> Room {
    let mut entries: Vec<Entry> = folders.iter().flat_map(|folder| entries(folder)).collect();
    entries.sort_by_key(|entry| entry.used);
    let mut room = Room { removed: 0, bytes: entries.iter().map(|entry| entry.bytes).sum() };
    for entry in &entries {
        if room.bytes <= bytes_max {
            break;
        }
        if let Ok(true) = remove(&entry.path) {
            room.removed += 1;
            room.bytes -= entry.bytes;
        }
    }
    if room.removed > 0 {
        tracing::info!(removed = room.removed, bytes = room.bytes, "room was made in the cache folder");
    }
    if room.bytes > bytes_max {
        tracing::warn!(bytes = room.bytes, "the cache folder holds more than limits.cache_bytes_max ({bytes_max}), all of it in use");
    }
    room
}

/// What counts; whatever else is in the folder is not ours to judge.
fn entries(folder: &Path) -> Vec<Entry> {
    let Ok(read) = fs::read_dir(folder) else { return Vec::new() };
    let entry = |file: fs::DirEntry| {
        let (path, facts) = (file.path(), file.metadata().ok()?);
        let used = facts.modified().ok()?;
        if !facts.is_file() {
            return None;
        }
        let is_draft = file.file_name().as_encoded_bytes().starts_with(b".");
        if is_draft && used.elapsed().is_ok_and(|age| age > DRAFT) {
            let _ = fs::remove_file(&path);
        }
        let is_kept = path.extension().is_some_and(|end| end == "cwasm" || end == "wasm" || end == "note");
        (is_kept && !is_draft).then_some(Entry { used, bytes: facts.len(), path })
    };
    read.flatten().filter_map(entry).collect()
}

/// Unless somebody uses it.
fn remove(path: &Path) -> io::Result<bool> {
    let file = File::open(path)?;
    if file.try_lock().is_err() {
        return Ok(false);
    }
    fs::remove_file(path).map(|()| true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &Path, name: &str, bytes: usize, age_s: u64) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, vec![0; bytes]).unwrap();
        let used = SystemTime::now() - Duration::from_secs(age_s);
        File::options().write(true).open(&path).unwrap().set_modified(used).unwrap();
        path
    }

    #[test]
    fn what_was_not_used_for_the_longest_time_goes_first_and_what_is_in_use_stays() {
        let (top, below) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (top, below) = (top.path(), below.path());
        let oldest = file(top, "a.cwasm", 100, 500);
        let old = file(below, "b.wasm", 100, 400);
        let young = file(below, "c.note", 100, 300);
        let youngest = file(top, "d.cwasm", 100, 200);
        let others = [file(top, "secret", 1000, 900), file(top, ".7-1", 10, 10)];
        let crashed = file(top, ".7-0", 10, 7200);
        let held = File::open(&oldest).unwrap();
        held.lock_shared().unwrap();
        let there = |paths: &[&PathBuf]| paths.iter().map(|path| path.exists()).collect::<Vec<_>>();

        assert_eq!(make_room(&[top, below], 400), Room { removed: 0, bytes: 400 }, "the control: it is enough");
        assert!(!crashed.exists());
        assert_eq!(make_room(&[top, below], 250), Room { removed: 2, bytes: 200 });
        assert_eq!(there(&[&oldest, &old, &young, &youngest]), [true, false, false, true]);
        assert_eq!(make_room(&[top, below], 0), Room { removed: 1, bytes: 100 }, "what is in use stays, whatever the bound");
        drop(held);
        assert_eq!(make_room(&[top, below], 99), Room { removed: 1, bytes: 0 });
        assert_eq!(there(&[&others[0], &others[1]]), [true, true], "what is none of ours stays");
    }
}
