//! Copies of what was fetched, by digest, so that a host starts without a network.
//!
//! In a private folder: `<sha256>.wasm`, and `<sha256 of a reference>.note`, which says what it led to and what was signed. A copy is
//! checked against its digest when it is read, and a URL's against the URL's; a note is believed in all else, as the folder is ours alone.
//! Anything odd is a miss. What a running host uses is held by a shared lock of its file, which whoever makes room respects.

use crate::{digest, reference::Reference, registries::Pulled};
use bytes::Bytes;
use rustix::{fs::OFlags, process::geteuid};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, DirBuilder, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::SystemTime,
};

const NOTE_BYTES_MAX: u64 = 64 << 10;

/// The folder.
#[derive(Debug)]
pub struct Kept {
    folder: PathBuf,
    bytes_max: u64,
}

/// One of the copies. As long as it lives, nobody makes room with it.
#[derive(Debug)]
pub struct Copy {
    /// What was fetched.
    pub pulled: Pulled,
    _held: Vec<File>,
}

/// What a reference led to.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    reference: String,
    sha256: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    manifest: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
}

impl Kept {
    /// Open the folder, making it if need be. The error is the end of a sentence about it. `bytes_max`: of one copy.
    ///
    /// # Errors
    /// When it is not a folder of ours that only we can enter.
    pub fn open(folder: &Path, bytes_max: usize) -> Result<Self, String> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| format!("cannot be made: {error}"))?;
        let facts = fs::symlink_metadata(folder).map_err(|error| format!("cannot be read: {error}"))?;
        if !facts.is_dir() || facts.uid() != geteuid().as_raw() || facts.mode() & 0o077 != 0 {
            return Err("is not a folder that only its owner, we, can enter; run `chmod 700` on it, or name another".to_owned());
        }
        Ok(Self { folder: folder.to_owned(), bytes_max: bytes_max as u64 })
    }

    /// The last good copy of what a reference led to; of the one with this digest, if one is named.
    pub fn find(&self, reference: &Reference, digest: Option<&str>) -> Option<Copy> {
        let (note, held) = self.read(&note_name(reference, digest), NOTE_BYTES_MAX)?;
        let note: Note = serde_json::from_slice(&note).ok()?;
        let is_so = |digest: Option<&str>| digest.is_none_or(|digest| digest == note.sha256);
        let is_meant = note.reference == reference.to_string() && is_so(digest) && is_so(reference.file_digest());
        let (bytes, blob) = self.blob(&note.sha256).filter(|_| is_meant)?;
        // The other note leads here as well, and both are in use.
        let other = self.read(&note_name(reference, digest.is_none().then_some(&note.sha256)), NOTE_BYTES_MAX);
        let held = [held, blob].into_iter().chain(other.map(|(_, other)| other)).collect();
        let pulled = Pulled { bytes, digest: note.sha256, manifest: note.manifest, signature: note.signature };
        Some(Copy { pulled, _held: held })
    }

    /// The bytes of this digest, from whatever reference they came.
    pub fn bytes(&self, digest: &str) -> Option<Bytes> {
        self.blob(digest).map(|(bytes, _)| bytes)
    }

    fn blob(&self, wanted: &str) -> Option<(Bytes, File)> {
        if !crate::is_digest(wanted) {
            return None;
        }
        let name = blob_name(wanted);
        let (bytes, held) = self.read(&name, self.bytes_max)?;
        if digest(&bytes) != wanted {
            tracing::warn!("a kept copy was changed, so it is not used: {name}");
            let _ = fs::remove_file(self.folder.join(name));
            return None;
        }
        Some((bytes, held))
    }

    /// Keep what a reference led to. It is found by its digest; whether it is any good is not said yet.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn keep(&self, reference: &Reference, pulled: &Pulled) -> io::Result<()> {
        if self.bytes(&pulled.digest).is_none() {
            self.write(&blob_name(&pulled.digest), &pulled.bytes)?;
        }
        self.write(&note_name(reference, Some(&pulled.digest)), &note(reference, pulled)?)
    }

    /// It was taken into a chain: from now on it is the last good copy, and the note of that is held as long as the file lives.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn is_good(&self, reference: &Reference, pulled: &Pulled) -> io::Result<Option<File>> {
        let name = note_name(reference, None);
        self.write(&name, &note(reference, pulled)?)?;
        Ok(self.read(&name, NOTE_BYTES_MAX).map(|(_, held)| held))
    }

    /// Reading is using: from now on it is the youngest.
    fn read(&self, name: &str, bytes_max: u64) -> Option<(Bytes, File)> {
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let mut file = File::options().read(true).custom_flags(flags).open(self.folder.join(name)).ok()?;
        let facts = file.metadata().ok()?;
        if !facts.is_file() || facts.len() > bytes_max {
            return None;
        }
        // Whoever makes room right now has it, or it stays; what was read is good in any case.
        let _ = file.try_lock_shared();
        let _ = file.set_modified(SystemTime::now());
        let mut bytes = Vec::with_capacity(usize::try_from(facts.len()).ok()?);
        (&mut file).take(bytes_max).read_to_end(&mut bytes).ok()?;
        Some((bytes.into(), file))
    }

    /// Whole or not at all.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let (draft, mut file) = self.draft()?;
        let done = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&draft, self.folder.join(name)));
        if done.is_err() {
            let _ = fs::remove_file(&draft);
        }
        done
    }

    /// In a container every process has the same number, so the name may be taken by one that crashed.
    fn draft(&self) -> io::Result<(PathBuf, File)> {
        static UNIQUE: AtomicU64 = AtomicU64::new(0);
        loop {
            let draft = self.folder.join(format!(".{}-{}", std::process::id(), UNIQUE.fetch_add(1, Relaxed)));
            match File::options().write(true).create_new(true).mode(0o600).open(&draft) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                opened => return Ok((draft, opened?)),
            }
        }
    }
}

fn note(reference: &Reference, pulled: &Pulled) -> io::Result<Vec<u8>> {
    let Pulled { digest, manifest, signature, .. } = pulled.clone();
    Ok(serde_json::to_vec(&Note { reference: reference.to_string(), sha256: digest, manifest, signature })?)
}

fn blob_name(digest: &str) -> String {
    format!("{digest}.wasm")
}

/// Two for each: what a tag led to last, and what it led to when it had this digest, which a lock may name.
fn note_name(reference: &Reference, sha256: Option<&str>) -> String {
    let what = sha256.map_or_else(|| reference.to_string(), |sha256| format!("{reference} {sha256}"));
    format!("{}.note", digest(what.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn pulled(bytes: &'static [u8]) -> Pulled {
        let manifest = Some("sha256:m".to_owned());
        Pulled { bytes: Bytes::from_static(bytes), digest: digest(bytes), manifest, signature: Some("s".into()) }
    }

    fn keep(kept: &Kept) {
        kept.keep(&reference(), &pulled(b"one")).unwrap();
        kept.is_good(&reference(), &pulled(b"one")).unwrap();
    }

    fn reference() -> Reference {
        "oci://localhost:5000/a:1".parse().unwrap()
    }

    #[test]
    fn what_was_kept_is_found_and_a_tags_older_meaning_too() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::open(&folder.path().join("fetched"), 100).unwrap();
        assert!(kept.find(&reference(), None).is_none());
        for bytes in [&b"one"[..], b"two"] {
            kept.keep(&reference(), &pulled(bytes)).unwrap();
        }
        assert!(kept.find(&reference(), None).is_none(), "neither proved good yet");
        kept.is_good(&reference(), &pulled(b"two")).unwrap();
        assert_eq!(kept.find(&reference(), None).unwrap().pulled, pulled(b"two"));
        assert_eq!(kept.find(&reference(), Some(&digest(b"one"))).unwrap().pulled, pulled(b"one"));
        assert!(kept.find(&reference(), Some(&digest(b"three"))).is_none());
        assert!(kept.find(&"oci://localhost:5000/a:2".parse().unwrap(), None).is_none());
        assert_eq!(kept.bytes(&digest(b"one")).as_deref(), Some(&b"one"[..]));
    }

    #[test]
    fn a_copy_that_was_changed_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("kept");
        let kept = Kept::open(&folder, 100).unwrap();
        keep(&kept);
        assert!(kept.find(&reference(), None).is_some(), "the control");
        let blob = folder.join(blob_name(&digest(b"one")));
        fs::write(&blob, b"eno").unwrap();
        assert!(kept.find(&reference(), None).is_none());
        assert!(!blob.exists(), "it tempts nobody any more");
        for (name, text) in [(note_name(&reference(), None), "{}"), (blob_name(&digest(b"one")), "")] {
            fs::write(folder.join(name), text).unwrap();
            assert!(kept.find(&reference(), None).is_none());
        }
    }

    #[test]
    fn a_note_makes_no_other_file_of_a_url() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("kept");
        let kept = Kept::open(&folder, 100).unwrap();
        let url: Reference = format!("https://example.com/a.wasm#sha256:{}", digest(b"one")).parse().unwrap();
        kept.is_good(&url, &pulled(b"one")).unwrap();
        keep(&kept);
        kept.keep(&reference(), &pulled(b"two")).unwrap();
        assert_eq!(kept.find(&url, None).unwrap().pulled, pulled(b"one"), "the control");
        let note = folder.join(note_name(&url, None));
        let text = fs::read_to_string(&note).unwrap();
        fs::write(&note, text.replace(&format!(r#""sha256":"{}""#, digest(b"one")), &format!(r#""sha256":"{}""#, digest(b"two")))).unwrap();
        assert!(fs::read_to_string(&note).unwrap().contains(&digest(b"two")));
        assert!(kept.find(&url, None).is_none());
    }

    #[test]
    fn what_a_crashed_writer_left_is_in_nobodys_way() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("kept");
        let kept = Kept::open(&folder, 100).unwrap();
        for n in 0..1000 {
            fs::write(folder.join(format!(".{}-{n}", std::process::id())), "half").unwrap();
        }
        keep(&kept);
        assert!(kept.find(&reference(), None).is_some());
    }

    #[test]
    fn a_copy_in_use_is_held() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("kept");
        let kept = Kept::open(&folder, 100).unwrap();
        keep(&kept);
        let is_free = || File::open(folder.join(blob_name(&digest(b"one")))).unwrap().try_lock().is_ok();
        assert!(is_free(), "the control");
        let copy = kept.find(&reference(), None).unwrap();
        assert!(!is_free());
        drop(copy);
        assert!(is_free());
    }

    #[test]
    fn a_folder_that_others_enter_is_none() {
        let above = tempfile::tempdir().unwrap();
        let folder = above.path().join("kept");
        assert!(Kept::open(&folder, 100).is_ok(), "the control");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(Kept::open(&folder, 100).unwrap_err().contains("chmod 700"));
        let link = above.path().join("link");
        std::os::unix::fs::symlink("/tmp", &link).unwrap();
        assert!(Kept::open(&link, 100).is_err());
    }
}
