//! Compiled code kept between starts.
//!
//! Such code is native: whoever writes it runs in this process. So it lives in a private folder, never in
//! the plugin directory; each file is sealed with a secret of that folder over what it claims to be; a file
//! is read whole and checked, and what was checked is what is loaded. Anything odd is a miss, or, when it
//! concerns the folder itself, no cache at all. How much of it there is, its owner decides: here a file that is in use is held by a lock,
//! and one that is read becomes the youngest.

use crate::artifact::hex;
use hmac::{Hmac, Mac};
use rustix::{
    fs::{AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, Stat, flock, fstat, openat, renameat, unlinkat},
    io::Errno,
    process::geteuid,
};
use sha2::{Digest, Sha256};
use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    fs::File,
    hash::{Hash, Hasher},
    io::{Read, Write},
    os::{fd::OwnedFd, unix::fs::DirBuilderExt},
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::SystemTime,
};
use wasmtime::component::Component;

const SECRET: &str = "secret";
const SECRET_BYTES: usize = 32;
const MAC_BYTES: usize = 32;
const SUFFIX: &str = ".cwasm";
/// Python's is 35 MB.
const ENTRY_BYTES_MAX: u64 = 1 << 30;

type Seal = Hmac<Sha256>;

/// A private folder of compiled components.
pub struct Cache {
    folder: OwnedFd,
    secret: [u8; SECRET_BYTES],
    /// Files in use, each with a shared lock, by name.
    held: Mutex<HashMap<String, OwnedFd>>,
}

impl Cache {
    /// Open the folder, making it if need be. The error is the end of a sentence about the folder.
    ///
    /// # Errors
    /// When it is not a folder of ours that only we can enter.
    pub fn open(path: &Path) -> Result<Self, String> {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(path).map_err(|error| format!("cannot be made: {error}"))?;
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
        let folder = openat(CWD, path, flags, Mode::empty()).map_err(|error| match error {
            Errno::LOOP | Errno::NOTDIR => "is a link or no folder; name the folder itself".to_owned(),
            error => format!("cannot be opened: {error}"),
        })?;
        private(&folder, FileType::Directory).map_err(|why| format!("{why}; run `chmod 700` on it as its owner, or name another"))?;
        let secret = secret(&folder)?;
        Ok(Self { folder, secret, held: Mutex::default() })
    }

    /// The component compiled from the file of this digest by this very engine, if it is here and whole.
    pub(crate) fn load(&self, engine: &wasmtime::Engine, digest: &str) -> Option<Component> {
        let name = name(engine, digest);
        let sealed = self.read(&name)?;
        let (mac, code) = sealed.split_at_checked(MAC_BYTES)?;
        if self.seal(&name, code).verify_slice(mac).is_err() {
            tracing::warn!("compiled code in the cache was changed by somebody else, so it is not used: {name}");
            self.remove(&name);
            return None;
        }
        deserialize(engine, code)
    }

    /// Is there anything under this digest? Whether it is whole shows when it is loaded.
    pub(crate) fn has(&self, engine: &wasmtime::Engine, digest: &str) -> bool {
        self.file(&name(engine, digest)).is_some()
    }

    /// Keep what was compiled. A failure costs a compilation at the next start, so it is only told.
    pub(crate) fn keep(&self, engine: &wasmtime::Engine, digest: &str, code: &[u8]) {
        let name = name(engine, digest);
        if let Err(error) = self.write(&name, code) {
            tracing::warn!("compiled code cannot be kept: {error}");
        }
    }

    /// These are in use, and no others: whoever makes room in the folder leaves them.
    pub(crate) fn hold<'d>(&self, engine: &wasmtime::Engine, digests: impl Iterator<Item = &'d str>) {
        let names: HashSet<String> = digests.map(|digest| name(engine, digest)).collect();
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|name, _| names.contains(name));
        for name in names {
            if let Entry::Vacant(place) = held.entry(name)
                && let Some((file, _)) = self.file(place.key())
                && flock(&file, FlockOperation::NonBlockingLockShared).is_ok()
            {
                place.insert(file);
            }
        }
    }

    /// The seal covers the name, so a file cannot stand in for another.
    fn seal(&self, name: &str, code: &[u8]) -> Seal {
        let mut seal = Seal::new_from_slice(&self.secret).expect("a key of any length is taken");
        seal.update(&(name.len() as u64).to_le_bytes());
        seal.update(name.as_bytes());
        seal.update(code);
        seal
    }

    /// With its facts.
    fn file(&self, name: &str) -> Option<(OwnedFd, Stat)> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = openat(&self.folder, name, flags, Mode::empty()).ok()?;
        let stat = private(&file, FileType::RegularFile).ok()?;
        Some((file, stat))
    }

    /// Reading is using: from now on it is the youngest.
    fn read(&self, name: &str) -> Option<Vec<u8>> {
        let (file, stat) = self.file(name)?;
        let size = u64::try_from(stat.st_size).ok().filter(|size| *size <= ENTRY_BYTES_MAX)?;
        let mut bytes = Vec::with_capacity(size as usize);
        let file = File::from(file);
        let _ = file.set_modified(SystemTime::now());
        file.take(ENTRY_BYTES_MAX).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    fn write(&self, name: &str, code: &[u8]) -> std::io::Result<()> {
        static UNIQUE: AtomicU64 = AtomicU64::new(0);
        let temporary = format!(".{}-{}", std::process::id(), UNIQUE.fetch_add(1, Relaxed));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&self.folder, &*temporary, flags, Mode::from_raw_mode(0o600))?);
        let written = file.write_all(&self.seal(name, code).finalize().into_bytes()).and_then(|()| file.write_all(code));
        let done = written.and_then(|()| Ok(renameat(&self.folder, &*temporary, &self.folder, name)?));
        if done.is_err() {
            self.remove(&temporary);
        }
        done
    }

    fn remove(&self, name: &str) {
        let _ = unlinkat(&self.folder, name, AtFlags::empty());
    }
}

/// Is it ours, of this type, and closed to everybody else? The error is the end of a sentence.
fn private(file: &OwnedFd, wanted: FileType) -> Result<Stat, String> {
    let stat = fstat(file).map_err(|error| format!("cannot be read: {error}"))?;
    if FileType::from_raw_mode(stat.st_mode) != wanted {
        return Err(format!("is not a {}", if wanted == FileType::Directory { "folder" } else { "file" }));
    }
    if stat.st_uid != geteuid().as_raw() {
        return Err("belongs to another user".into());
    }
    if stat.st_mode & 0o077 != 0 {
        return Err(format!("is open to others (mode {:o})", stat.st_mode & 0o777));
    }
    Ok(stat)
}

/// The folder's secret, made when there is none.
fn secret(folder: &OwnedFd) -> Result<[u8; SECRET_BYTES], String> {
    let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match openat(folder, SECRET, read, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return make_secret(folder),
        Err(error) => return Err(format!("has a secret that cannot be opened: {error}")),
    };
    private(&file, FileType::RegularFile).map_err(|why| format!("has a secret that {why}; remove it"))?;
    let mut secret = [0; SECRET_BYTES];
    File::from(file).read_exact(&mut secret).map_err(|_| "has a secret that is cut short; remove it".to_owned())?;
    Ok(secret)
}

fn make_secret(folder: &OwnedFd) -> Result<[u8; SECRET_BYTES], String> {
    let mut secret = [0; SECRET_BYTES];
    getrandom::fill(&mut secret).map_err(|error| format!("cannot have a secret: {error}"))?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(folder, SECRET, flags, Mode::from_raw_mode(0o600)) {
        Ok(file) => File::from(file).write_all(&secret).map_err(|error| format!("cannot hold a secret: {error}"))?,
        // Another process was first; it may still be writing, and then its secret is short and we do without.
        Err(Errno::EXIST) => return self::secret(folder),
        Err(error) => return Err(format!("cannot hold a secret: {error}")),
    }
    Ok(secret)
}

/// Says what the code was made from and by what.
fn name(engine: &wasmtime::Engine, digest: &str) -> String {
    let mut maker = Maker(Sha256::new());
    env!("CARGO_PKG_VERSION").hash(&mut maker);
    engine.precompile_compatibility_hash().hash(&mut maker);
    format!("{digest}-{}{SUFFIX}", &hex(&maker.0.finalize())[..32])
}

/// Collects what wasmtime hashes, under a hash that does not change with the standard library.
struct Maker(Sha256);

impl Hasher for Maker {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

/// Anything wasmtime does not like is a miss.
#[expect(unsafe_code, reason = "the only way to load compiled code; the caller has verified its seal, or it is our compiler's")]
pub(crate) fn deserialize(engine: &wasmtime::Engine, code: &[u8]) -> Option<Component> {
    // SAFETY: `code` must be what such an engine's `serialize` or `precompile_component` gave. Either it was sealed by this
    // process or an earlier one with a secret that only our user can read, under a name that holds the hash of the engine's
    // settings and of the source; or this binary, started again as a compiler, has just written it into a pipe that only we
    // hold. It is in our own memory, which nobody can change between check and use, and wasmtime compares its own version
    // and the engine's settings.
    unsafe { Component::deserialize(engine, code) }.ok()
}
