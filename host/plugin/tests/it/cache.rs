//! Compiled code on disk: used when it is ours, and never otherwise.

use crate::support::{call, guests};
use serde_json::json;
use sluice_chain::filter::Filter;
use sluice_plugin::{Engine, Settings, Setup, cache::Cache};
use sluice_state::memory::MemoryStore;
use std::{
    fs,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::Arc,
};

fn engine(folder: &Path) -> Engine {
    Engine::start(Setup { instances_max: 8, cache: Some(folder.into()), ..Setup::new(Arc::new(MemoryStore::new())) }).unwrap()
}

async fn works(engine: &Engine, name: &str) {
    let filter = engine.load(guests::bytes(name), Settings::new("x.wasm")).await.unwrap();
    call("ls", json!({})).request(&filter).await.unwrap();
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    let mut entries: Vec<_> = all.filter(|path| path.extension().is_some_and(|e| e == "cwasm")).collect();
    entries.sort();
    entries
}

#[tokio::test]
async fn what_was_compiled_is_used_again() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("deep/cache");
    let first = engine(&folder);
    assert!(first.caches());
    works(&first, "facts-only").await;
    let kept = entries(&folder);
    assert_eq!(kept.len(), 1);
    let made = fs::metadata(&kept[0]).unwrap().ino();
    works(&engine(&folder), "facts-only").await;
    assert_eq!(fs::metadata(&kept[0]).unwrap().ino(), made, "not written again");
    for path in [folder.clone(), folder.join("secret"), kept[0].clone()] {
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o077, 0, "{}", path.display());
    }
}

#[tokio::test]
async fn a_changed_file_is_never_loaded() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("cache");
    works(&engine(&folder), "facts-only").await;
    let path = entries(&folder).remove(0);
    let whole = fs::read(&path).unwrap();
    let changed: [(&str, Vec<u8>); 6] = [
        ("a flipped bit of code", {
            let mut b = whole.clone();
            let at = b.len() / 2;
            b[at] ^= 1;
            b
        }),
        ("a flipped bit of the seal", {
            let mut b = whole.clone();
            b[3] ^= 1;
            b
        }),
        ("cut short", whole[..whole.len() / 2].to_vec()),
        ("only a seal", whole[..32].to_vec()),
        ("empty", Vec::new()),
        ("longer", [&whole[..], b"x"].concat()),
    ];
    for (how, bytes) in changed {
        fs::write(&path, &bytes).unwrap();
        works(&engine(&folder), "facts-only").await;
        assert_eq!(fs::read(&path).unwrap().len(), whole.len(), "{how}: it was compiled again and kept");
        assert_ne!(fs::read(&path).unwrap(), bytes, "{how}");
    }
}

#[tokio::test]
async fn one_file_cannot_stand_in_for_another() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("cache");
    let first = engine(&folder);
    works(&first, "facts-only").await;
    let facts = entries(&folder).remove(0);
    works(&first, "label").await;
    let label = entries(&folder).into_iter().find(|path| *path != facts).unwrap();
    fs::copy(&label, &facts).unwrap();
    let filter = engine(&folder).load(guests::bytes("facts-only"), Settings::new("x.wasm")).await.unwrap();
    assert_eq!(&*filter.identity().name, "facts-only");
}

#[tokio::test]
async fn a_file_from_another_folder_is_foreign() {
    let root = tempfile::tempdir().unwrap();
    let (ours, theirs) = (root.path().join("ours"), root.path().join("theirs"));
    works(&engine(&ours), "facts-only").await;
    works(&engine(&theirs), "facts-only").await;
    let path = entries(&ours).remove(0);
    let own = fs::read(&path).unwrap();
    fs::copy(entries(&theirs).remove(0), &path).unwrap();
    works(&engine(&ours), "facts-only").await;
    assert_eq!(fs::read(&path).unwrap()[..32], own[..32], "it was compiled and sealed again");
}

#[tokio::test]
async fn links_and_open_files_are_not_read() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("cache");
    works(&engine(&folder), "facts-only").await;
    let path = entries(&folder).remove(0);
    let elsewhere = root.path().join("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    symlink(&elsewhere, &path).unwrap();
    works(&engine(&folder), "facts-only").await;
    assert!(!fs::symlink_metadata(&path).unwrap().is_symlink(), "a fresh file took its place");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    works(&engine(&folder), "facts-only").await;
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_folder_that_is_not_private_is_not_used() {
    let root = tempfile::tempdir().unwrap();
    type Make = Box<dyn Fn(&Path)>;
    let refusals: [(&str, Make, &str); 4] = [
        (
            "open",
            Box::new(|path| {
                fs::create_dir(path).unwrap();
                fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
            }),
            "open to others",
        ),
        (
            "link",
            Box::new(|path| {
                let to = path.with_extension("to");
                fs::create_dir(&to).unwrap();
                fs::set_permissions(&to, fs::Permissions::from_mode(0o700)).unwrap();
                symlink(&to, path).unwrap();
            }),
            "link",
        ),
        ("file", Box::new(|path| fs::write(path, "x").unwrap()), "cannot be made"),
        (
            "secret",
            Box::new(|path| {
                fs::create_dir(path).unwrap();
                fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
                fs::write(path.join("secret"), [0; 32]).unwrap();
                fs::set_permissions(path.join("secret"), fs::Permissions::from_mode(0o644)).unwrap();
            }),
            "secret",
        ),
    ];
    for (name, make, says) in refusals {
        let path = root.path().join(name);
        make(&path);
        let why = Cache::open(&path).err().unwrap_or_else(|| panic!("{name} was taken"));
        assert!(why.contains(says), "{name}: {why}");
        let engine = engine(&path);
        assert!(!engine.caches(), "{name}");
        works(&engine, "facts-only").await;
    }
}

/// The code of `label`, for the place of `facts-only`'s.
struct Poison {
    target: PathBuf,
    code: Vec<u8>,
}

impl Poison {
    /// From a folder that holds the two.
    fn brew(folder: &Path) -> Self {
        let found = entries(folder);
        let digest = sluice_plugin::artifact::digest(&guests::bytes("facts-only"));
        let target = found.iter().find(|path| path.to_string_lossy().contains(&digest)).expect("facts-only was compiled");
        let source = found.iter().find(|path| *path != target).expect("label was compiled");
        Self { target: target.clone(), code: fs::read(source).unwrap()[32..].to_vec() }
    }

    /// Under a seal made with this secret, and as private as the real one.
    fn put(&self, secret: &[u8]) {
        use hmac::{Hmac, Mac as _};
        let name = self.target.file_name().unwrap().to_str().unwrap();
        let mut seal = Hmac::<sha2::Sha256>::new_from_slice(secret).unwrap();
        seal.update(&(name.len() as u64).to_le_bytes());
        seal.update(name.as_bytes());
        seal.update(&self.code);
        let sealed = [&seal.finalize().into_bytes()[..], &self.code].concat();
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&self.target).unwrap();
        file.write_all(&sealed).unwrap();
    }
}

async fn name_of_facts_only(folder: &Path) -> String {
    let filter = engine(folder).load(guests::bytes("facts-only"), Settings::new("x.wasm")).await.unwrap();
    filter.identity().name.to_string()
}

/// Whoever can write the folder but not read its secret gets nothing run; with the secret, he does.
#[tokio::test]
async fn code_under_a_forged_seal_never_runs() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("cache");
    let first = engine(&folder);
    works(&first, "facts-only").await;
    works(&first, "label").await;
    let poison = Poison::brew(&folder);
    for forged in [&[0; 32][..], b"", &[0xff; 32], b"secret"] {
        poison.put(forged);
        assert_eq!(name_of_facts_only(&folder).await, "facts-only", "{forged:?}");
    }
    poison.put(&fs::read(folder.join("secret")).unwrap());
    assert_eq!(name_of_facts_only(&folder).await, "label", "the control: only the secret stood between the poison and its run");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_who_writes_all_the_time_gets_nothing_run() {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("cache");
    let first = engine(&folder);
    works(&first, "facts-only").await;
    works(&first, "label").await;
    let stop = Arc::new(AtomicBool::new(false));
    let (poison, stopped) = (Poison::brew(&folder), stop.clone());
    let writer = std::thread::spawn(move || {
        let mut writes = 0;
        while !stopped.load(Relaxed) {
            poison.put(&[7; 32]);
            writes += 1;
        }
        writes
    });
    let mut loads = 0;
    let began = std::time::Instant::now();
    while began.elapsed() < std::time::Duration::from_secs(2) || loads < 5 {
        assert_eq!(name_of_facts_only(&folder).await, "facts-only");
        loads += 1;
    }
    stop.store(true, Relaxed);
    println!("cache: N={loads} loads during {} poisoned writes, 0 ran the poison", writer.join().unwrap());
}

#[tokio::test]
async fn code_of_another_engine_is_not_loaded() {
    use hmac::{Hmac, Mac as _};
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("cache");
    works(&engine(&folder), "facts-only").await;
    let path = entries(&folder).remove(0);
    // Sealed with the right secret, and made by an engine that never stops a guest.
    let other = wasmtime::Engine::new(wasmtime::Config::new().epoch_interruption(false)).unwrap();
    let code = other.precompile_component(&guests::bytes("facts-only")).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    let mut seal = Hmac::<sha2::Sha256>::new_from_slice(&fs::read(folder.join("secret")).unwrap()).unwrap();
    seal.update(&(name.len() as u64).to_le_bytes());
    seal.update(name.as_bytes());
    seal.update(&code);
    let sealed = [&seal.finalize().into_bytes()[..], &code].concat();
    fs::write(&path, &sealed).unwrap();
    works(&engine(&folder), "facts-only").await;
    assert_ne!(fs::read(&path).unwrap(), sealed, "it was compiled again by an engine that stops guests");
}
