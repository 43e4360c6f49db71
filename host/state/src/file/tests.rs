use super::*;
use crate::contract;
use redb::StorageBackend;
use std::{
    os::unix::fs::PermissionsExt as _,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::SystemTime,
};
use tempfile::TempDir;

/// A store in a folder that goes with the process: each case has a file of its own.
fn fresh() -> FileStore {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let folder = FOLDER.get_or_init(|| tempfile::tempdir().unwrap());
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    FileStore::open(&folder.path().join(format!("{count}.redb"))).unwrap()
}

crate::contract_tests!(true, contract::Paused, fresh);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test]
async fn the_next_process_finds_what_this_one_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    {
        let store = FileStore::open(&path).unwrap();
        let (bucket, other) = (store.bucket("a", Quota::default()), store.bucket("ab", Quota::default()));
        bucket.set("stays", b"1".to_vec(), None).await.unwrap();
        bucket.set("ends", b"2".to_vec(), Some(Duration::from_millis(30))).await.unwrap();
        bucket.set("gone", b"3".to_vec(), None).await.unwrap();
        bucket.delete("gone").await.unwrap();
        bucket.incr("n", 41, seconds(60)).await.unwrap();
        assert_eq!(bucket.take("t", 3, 3, 0.001).await, Ok(0));
        assert_eq!(bucket.swap("s", None, b"4".to_vec(), Some(seconds(60))).await, Ok(true));
        other.set("stays", b"of another".to_vec(), None).await.unwrap();
    }
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "it is its owner's alone");
    thread::sleep(Duration::from_millis(40));
    let store = FileStore::open(&path).unwrap();
    let bucket = store.bucket("a", Quota::default());
    for (key, value) in [("stays", Some("1")), ("ends", None), ("gone", None), ("n", Some("41")), ("s", Some("4"))] {
        assert_eq!(bucket.get(key).await.unwrap().as_deref(), value.map(str::as_bytes), "{key}");
    }
    assert!(bucket.take("t", 1, 3, 0.001).await.unwrap() > 900_000, "what was taken stays taken");
    assert_eq!(bucket.incr("n", 1, seconds(60)).await, Ok(42));
}

/// A process that is killed: its store is never told to stop.
#[tokio::test]
async fn a_value_is_on_disk_when_it_was_acknowledged_and_a_counter_soon_after() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("state.redb"), folder.path().join("copy.redb"));
    let store = FileStore::open(&path).unwrap();
    let bucket = store.bucket("a", Quota::default());
    for round in 0..20u8 {
        bucket.set("v", vec![round], None).await.unwrap();
        std::fs::copy(&path, &copy).unwrap();
        let after = FileStore::open(&copy).unwrap().bucket("a", Quota::default());
        assert_eq!(after.get("v").await.unwrap().unwrap(), [round]);
    }
    bucket.incr("n", 7, seconds(60)).await.unwrap();
    thread::sleep(COUNTED_WITHIN * 5);
    std::fs::copy(&path, &copy).unwrap();
    let after = FileStore::open(&copy).unwrap().bucket("a", Quota::default());
    assert_eq!(after.get("n").await.unwrap().unwrap(), b"7");
}

#[tokio::test]
async fn what_has_ended_leaves_the_file() {
    let store = fresh();
    let bucket = store.bucket("a", Quota::default());
    bucket.set("stays", b"1".to_vec(), None).await.unwrap();
    for round in 0..10 {
        bucket.set(&format!("k{round}"), vec![0; 10], Some(seconds(3))).await.unwrap();
    }
    let count = || store.writer.count();
    assert_eq!(count(), 11);
    thread::sleep(seconds(3));
    store.writer.sweep().unwrap();
    assert_eq!(count(), 1);
}

#[tokio::test]
async fn a_file_is_one_process_s_of_a_layout_that_is_known_and_no_other_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    let said = |path: &Path| FileStore::open(path).map(|_| ()).unwrap_err().to_string();
    let store = FileStore::open(&path).unwrap();
    assert!(said(&path).contains("in use by another process"), "{}", said(&path));
    drop(store);
    let database = Database::open(&path).unwrap();
    let change = database.begin_write().unwrap();
    change.open_table(ABOUT).unwrap().insert("version", VERSION + 1).unwrap();
    change.commit().unwrap();
    drop(database);
    assert!(said(&path).contains("is of layout 2") && said(&path).contains("name another state file"), "{}", said(&path));
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "something of somebody's").unwrap();
    assert!(said(&text).contains("cannot be used"), "{}", said(&text));
    assert_eq!(std::fs::read_to_string(&text).unwrap(), "something of somebody's", "it is left as it is");
    assert!(said(&folder.path().join("no/state.redb")).contains("cannot be used"));
}

#[tokio::test]
async fn what_finds_no_room_is_forgotten_and_the_rest_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    let store = FileStore::open(&path).unwrap();
    let bucket = store.bucket("a", Quota::default());
    for key in ["a", "b", "c"] {
        bucket.set(key, b"1".to_vec(), None).await.unwrap();
    }
    drop(store);
    assert!(matches!(bucket.set("a", Vec::new(), None).await, Err(StateError::Unavailable(_))), "nobody waits for a store that has ended");
    drop(bucket);
    let bucket = FileStore::open(&path).unwrap().bucket("a", Quota { keys_max: 2, ..Quota::default() });
    let mut found = 0;
    for key in ["a", "b", "c"] {
        found += usize::from(bucket.get(key).await.unwrap().is_some());
    }
    assert_eq!(found, 2);
}

#[test]
fn records_are_read_as_they_were_written_and_nothing_else_is_one() {
    let now = SystemTime::now();
    for record in [&b""[..], b"1234567", b"12345678", b"\xff\xff\xff\xff\xff\xff\xff\xff\x09", b"\xff\xff\xff\xff\xff\xff\xff\xff\x01123"] {
        assert!(Record::read(record, now).is_none(), "{record:?}");
    }
}

/// A file on a disk that can be full.
#[derive(Debug)]
struct Full {
    file: FileBackend,
    is_full: Arc<AtomicBool>,
}

impl Full {
    fn check(&self) -> io::Result<()> {
        if self.is_full.load(Relaxed) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl StorageBackend for Full {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check().and_then(|()| self.file.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check().and_then(|()| self.file.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check().and_then(|()| self.file.write(offset, data))
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
}

#[tokio::test]
async fn a_full_disk_is_told_and_forgotten_once_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    let is_full = Arc::new(AtomicBool::default());
    let (at, full) = (path.clone(), is_full.clone());
    let store = FileStore::over(Box::new(move || open(&at, |file| Full { file, is_full: full.clone() }))).unwrap();
    let bucket = store.bucket("a", Quota::default());
    bucket.set("before", b"1".to_vec(), None).await.unwrap();
    is_full.store(true, Relaxed);
    for _ in 0..2 {
        let told = bucket.set("while", b"2".to_vec(), None).await;
        assert!(matches!(&told, Err(StateError::Unavailable(why)) if why.contains("cannot be written")), "{told:?}");
    }
    bucket.incr("n", 7, seconds(60)).await.unwrap();
    is_full.store(false, Relaxed);
    bucket.set("after", b"3".to_vec(), None).await.unwrap();
    drop((bucket, store));
    let bucket = FileStore::open(&path).unwrap().bucket("a", Quota::default());
    for (key, value) in [("before", "1"), ("while", "2"), ("after", "3"), ("n", "7")] {
        assert_eq!(bucket.get(key).await.unwrap().as_deref(), Some(value.as_bytes()), "{key}");
    }
}

/// `layouts/1.redb` is what this writes. It is frozen: a later version reads it, or says what to do.
#[tokio::test]
#[ignore = "writes layouts/VERSION.redb: once for each layout, and never again"]
async fn a_file_of_this_layout_is_written() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/file/layouts/{VERSION}.redb"));
    let store = FileStore::open(&path).unwrap();
    let bucket = store.bucket("plugin/a", Quota::default());
    bucket.set("bytes", vec![0, 255, 10], None).await.unwrap();
    bucket.set("ended", b"x".to_vec(), Some(Duration::from_millis(1))).await.unwrap();
    bucket.set("ends", b"y".to_vec(), Some(seconds(200 * 365 * 86_400))).await.unwrap();
    bucket.incr("counter", 41, seconds(200 * 365 * 86_400)).await.unwrap();
    bucket.take("tokens", 3, 3, 1e-12).await.unwrap();
    store.bucket("plugin/ab", Quota::default()).set("bytes", b"of another".to_vec(), None).await.unwrap();
}

/// A copy of a frozen file.
fn frozen(layout: u64, folder: &TempDir) -> PathBuf {
    let path = folder.path().join(format!("{layout}.redb"));
    std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/file/layouts/{layout}.redb")), &path).unwrap();
    path
}

async fn has_what_was_frozen(path: &Path) {
    let store = FileStore::open(path).unwrap();
    let bucket = store.bucket("plugin/a", Quota::default());
    for (key, value) in [("bytes", Some(&[0, 255, 10][..])), ("ended", None), ("ends", Some(b"y")), ("counter", Some(b"41"))] {
        assert_eq!(bucket.get(key).await.unwrap().as_deref(), value, "{key}");
    }
    assert!(bucket.take("tokens", 1, 3, 1e-12).await.unwrap() > 0, "what was taken stays taken");
    assert_eq!(store.bucket("plugin/ab", Quota::default()).get("bytes").await.unwrap().as_deref(), Some(&b"of another"[..]));
}

#[tokio::test]
async fn a_file_of_every_layout_is_taken_up_and_a_newer_one_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    for layout in 1..=VERSION {
        has_what_was_frozen(&frozen(layout, &folder)).await;
    }
    let change = |path: &Path, change: &dyn Fn(&redb::WriteTransaction)| {
        let database = Database::open(path).unwrap();
        let transaction = database.begin_write().unwrap();
        change(&transaction);
        transaction.commit().unwrap();
    };
    let numbered = |path: &Path| version(&Database::open(path).unwrap()).unwrap();
    // From before they were numbered: taken up, and then it is of this layout.
    let path = frozen(1, &folder);
    change(&path, &|transaction| assert!(transaction.delete_table(ABOUT).unwrap()));
    assert_eq!(numbered(&path), UNNUMBERED);
    has_what_was_frozen(&path).await;
    assert_eq!(numbered(&path), VERSION);
    // Of a version that is not written yet: who goes back to this one is told, and the newer one goes on with it.
    change(&path, &|transaction| drop(transaction.open_table(ABOUT).unwrap().insert("version", VERSION + 1).unwrap()));
    assert!(matches!(FileStore::open(&path), Err(FileError::Newer { found, .. }) if found == VERSION + 1));
    assert_eq!(numbered(&path), VERSION + 1);
    change(&path, &|transaction| drop(transaction.open_table(ABOUT).unwrap().insert("version", VERSION).unwrap()));
    has_what_was_frozen(&path).await;
}
