//! The file of API keys that `sluice key` writes and the plugin `auth-api-key` is told: who has one, until when, and what it is known by.
//! No key is in it.

use anyhow::{Context as _, Result, anyhow, bail};
use hmac::{Hmac, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt::Write as _,
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown},
    path::{Path, PathBuf},
    time::SystemTime,
};
use zeroize::Zeroizing;

/// What the host takes of a file of settings.
const FILE_BYTES_MAX: usize = 1 << 20;
/// Bits of a key that nobody can guess, in bytes.
const KEY_BYTES: usize = 32;
const ID_BYTES_MAX: usize = 64;
const PREFIX_BYTES_MAX: usize = 32;
const HEAD: &str = "# Written by `sluice key`, which keeps no comments. No key is in here: only what they are known by.\n\n";

/// All keys of one file.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// In the order in which they were made.
    #[serde(default)]
    pub keys: Vec<Key>,
}

/// One key, as the settings of `auth-api-key` have it.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Names it, here and in logs, and stands in the key itself.
    pub id: String,
    /// `sha256:` or `hmac-sha256:`, and hex.
    pub hash: String,
    /// Whose it is; else the id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The tenant of that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Claims named `role`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// What it may be used for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<String>,
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Revoked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Further claims.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub claims: BTreeMap<String, String>,
    /// The one before it, while both are valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Previous>,
}

/// A key that another has taken the place of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Previous {
    /// As that of a key.
    pub hash: String,
    /// RFC 3339: until then it is valid.
    pub until: String,
}

/// How a key stands at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It lets its holder in.
    Live,
    /// It does, and so does the one before it, until then.
    Replacing(String),
    /// Not yet.
    Early,
    /// Not any more.
    Expired,
    /// Somebody took it back.
    Revoked,
    /// A date in it is none that this reader knows.
    Unclear,
}

/// A key that has just been made, and its digest. It is shown once.
pub struct Fresh {
    /// For its holder alone.
    pub key: Zeroizing<String>,
    /// For the file.
    pub hash: String,
}

impl Fresh {
    /// `<prefix><id>_` and 256 random bits in hex. What leaks can be told from other texts, and tells whose it is.
    ///
    /// # Errors
    /// The machine has no randomness, or the prefix fits into no header.
    pub fn make(prefix: &str, id: &str, pepper: Option<&[u8]>) -> Result<Fresh> {
        if prefix.len() > PREFIX_BYTES_MAX || !prefix.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b)) {
            bail!("{prefix:?} is no prefix of keys: at most {PREFIX_BYTES_MAX} letters, digits, '_', '-' and '.'");
        }
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        getrandom::fill(&mut *bytes).map_err(|error| anyhow!("no randomness: {error}"))?;
        // As long as it gets, so that no copy stays behind where it grew.
        let mut key = Zeroizing::new(String::with_capacity(prefix.len() + id.len() + 1 + 2 * KEY_BYTES));
        let _ = write!(key, "{prefix}{id}_");
        bytes.iter().for_each(|byte| {
            let _ = write!(key, "{byte:02x}");
        });
        let hash = hash(&key, pepper);
        Ok(Fresh { key, hash })
    }
}

/// What a key is known by.
pub fn hash(key: &str, pepper: Option<&[u8]>) -> String {
    let (mut text, digest) = match pepper {
        None => ("sha256:".to_owned(), Sha256::digest(key)),
        Some(pepper) => {
            let mut mac = Hmac::<Sha256>::new_from_slice(pepper).unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
            mac.update(key.as_bytes());
            ("hmac-sha256:".to_owned(), mac.finalize().into_bytes())
        }
    };
    digest.iter().for_each(|byte| {
        let _ = write!(text, "{byte:02x}");
    });
    text
}

/// An id that nobody has chosen.
///
/// # Errors
/// The machine has no randomness.
pub fn random_id() -> Result<String> {
    let mut bytes = [0; 5];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("no randomness: {error}"))?;
    Ok(bytes.iter().fold(String::from("k"), |id, byte| format!("{id}{byte:02x}")))
}

impl Keys {
    /// Adds a key.
    ///
    /// # Errors
    /// Its id is taken or none that a key can have, or a text of it is none that the plugin takes.
    pub fn add(&mut self, key: Key) -> Result<()> {
        let is_id =
            |id: &str| (1..=ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
        if !is_id(&key.id) {
            bail!("{:?} is no id of a key: 1 to {ID_BYTES_MAX} letters, digits, '-' and '.'", key.id);
        }
        if self.keys.iter().any(|known| known.id == key.id) {
            bail!("there is a key {} already: --replace makes another for it; an id of a revoked key is not used again", key.id);
        }
        let claims = key.claims.iter().flat_map(|(name, value)| [("--claim", name), ("--claim", value)]);
        let one = |flag, text: &'_ Option<String>| text.clone().map(|text| (flag, text));
        let single = [one("--subject", &key.subject), one("--tenant", &key.tenant), one("--note", &key.note)];
        let many = key.roles.iter().map(|role| ("--role", role)).chain(key.scopes.iter().map(|scope| ("--scope", scope))).chain(claims);
        for (flag, text) in single.into_iter().flatten().chain(many.map(|(flag, text)| (flag, text.clone()))) {
            if text.is_empty() || text.chars().any(char::is_control) {
                bail!("{flag} {text:?} is empty or has a control character");
            }
            if text.contains("${") {
                bail!("{flag} {text:?} has a ${{, which would be filled in when the file is read");
            }
        }
        if let Some(scope) = key.scopes.iter().find(|scope| scope.contains(char::is_whitespace)) {
            bail!("--scope {scope:?} has a space: give each scope by itself");
        }
        if let Some(name) = key.claims.keys().find(|name| ["key", "role"].contains(&name.as_str())) {
            bail!("--claim {name}= says what something else says already: roles are given with --role, and key is the id");
        }
        self.keys.push(key);
        Ok(())
    }

    /// What the plugin would refuse the whole file for, so that a gateway which runs would go on by the one before.
    ///
    /// # Errors
    /// Keys that let somebody in are known by digests of two kinds, or one would end before it begins.
    pub fn check(&self) -> Result<()> {
        let live = || self.keys.iter().filter(|key| !key.disabled);
        let is_keyed = |hash: &str| hash.starts_with("hmac-");
        let mut digests = live().flat_map(|key| {
            [&key.hash].into_iter().chain(key.previous.iter().map(|previous| &previous.hash)).map(move |hash| (&key.id, hash))
        });
        if let Some((first, kind)) = digests.next().map(|(id, hash)| (id, is_keyed(hash)))
            && let Some((other, _)) = digests.find(|(_, hash)| is_keyed(hash) != kind)
        {
            let (with, without) = if kind { (first, other) } else { (other, first) };
            bail!("the key {with} is made with a pepper and {without} without: one file has one kind, so begin another with --file");
        }
        let moment = |date: &Option<String>| date.as_ref().and_then(|date| humantime::parse_rfc3339(date).ok());
        if let Some(key) = live().find(|key| moment(&key.not_before).zip(moment(&key.expires)).is_some_and(|(begins, ends)| ends <= begins))
        {
            bail!(
                "the key {} would end before it begins ({}): give it another time with --expires",
                key.id,
                key.not_before.as_deref().unwrap_or_default()
            );
        }
        Ok(())
    }

    /// Gives a key another hash; the one before it stays valid until then, and none before that one does.
    ///
    /// # Errors
    /// There is no such key, or it was revoked.
    pub fn replace(&mut self, id: &str, hash: String, until: Option<String>, expires: Option<String>) -> Result<&Key> {
        let key = self.find(id)?;
        if key.disabled {
            bail!("the key {id} was revoked: make a key with another id");
        }
        let before = std::mem::replace(&mut key.hash, hash);
        key.previous = until.map(|until| Previous { hash: before, until });
        if expires.is_some() {
            key.expires = expires;
        }
        Ok(key)
    }

    /// Takes a key back; says whether it was good before.
    ///
    /// # Errors
    /// There is no such key.
    pub fn revoke(&mut self, id: &str) -> Result<bool> {
        let key = self.find(id)?;
        key.previous = None;
        Ok(!std::mem::replace(&mut key.disabled, true))
    }

    fn find(&mut self, id: &str) -> Result<&mut Key> {
        self.keys
            .iter_mut()
            .find(|key| key.id == id)
            .with_context(|| format!("there is no key {id:?}: sluice key ls shows those that there are"))
    }
}

impl Key {
    /// How it stands at this time.
    pub fn state(&self, now: SystemTime) -> State {
        if self.disabled {
            return State::Revoked;
        }
        let moment = |date: &String| humantime::parse_rfc3339(date);
        let (Ok(begins), Ok(ends), Ok(until)) = (
            self.not_before.as_ref().map(moment).transpose(),
            self.expires.as_ref().map(moment).transpose(),
            self.previous.as_ref().map(|previous| moment(&previous.until)).transpose(),
        ) else {
            return State::Unclear;
        };
        match &self.previous {
            _ if ends.is_some_and(|ends| ends <= now) => State::Expired,
            _ if begins.is_some_and(|begins| begins > now) => State::Early,
            Some(previous) if until.is_some_and(|until| until > now) => State::Replacing(previous.until.clone()),
            _ => State::Live,
        }
    }
}

/// A key file that nobody else changes meanwhile.
pub struct KeyFile {
    path: PathBuf,
    /// What is in it.
    pub keys: Keys,
    /// Whether it was there.
    pub is_new: bool,
    owner: Option<(u32, u32)>,
    /// Of its folder, so that it lasts while the file is replaced.
    _lock: File,
}

impl KeyFile {
    /// Reads the file, once nobody else changes it. It need not be there.
    ///
    /// # Errors
    /// It is no key file, no regular file, or cannot be read.
    pub fn open(path: &Path) -> Result<KeyFile> {
        let folder = folder(path);
        let lock = File::open(folder).and_then(|file| file.lock().map(|()| file));
        let lock = lock.with_context(|| format!("the folder of {} cannot be opened", path.display()))?;
        let (keys, owner) = match read(path) {
            Ok((keys, owner)) => (keys, Some(owner)),
            Err(error) if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::NotFound) => {
                (Keys::default(), None)
            }
            Err(error) => return Err(error),
        };
        Ok(KeyFile { path: path.to_owned(), keys, is_new: owner.is_none(), owner, _lock: lock })
    }

    /// Writes it, whole or not at all, for its owner only. It stays its owner's, who need not be us.
    ///
    /// # Errors
    /// It cannot be written, or would be longer than the host reads; then the old one is still there.
    pub fn save(&self) -> Result<()> {
        let cannot = || format!("{} cannot be written", self.path.display());
        let text = format!("{HEAD}{}", toml::to_string(&self.keys)?);
        if text.len() > FILE_BYTES_MAX {
            bail!(
                "{} would have more than 1 MiB, which is the most that is read: take keys out that were revoked long ago",
                self.path.display()
            );
        }
        let draft = draft(&self.path);
        let made = self.write(&draft, text.as_bytes()).and_then(|()| fs::rename(&draft, &self.path));
        if made.is_err() {
            let _ = fs::remove_file(&draft);
        }
        made.with_context(cannot)?;
        File::open(folder(&self.path)).and_then(|folder| folder.sync_all()).with_context(cannot)
    }

    fn write(&self, draft: &Path, bytes: &[u8]) -> io::Result<()> {
        let _ = fs::remove_file(draft);
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(draft)?;
        if let Some((user, group)) = self.owner {
            let ours = file.metadata()?;
            if (ours.uid(), ours.gid()) != (user, group) {
                fchown(&file, Some(user), Some(group))?;
            }
        }
        file.write_all(bytes)?;
        file.sync_all()
    }
}

/// The keys in a file, and whose file it is.
///
/// # Errors
/// It is not there, is not a regular file, can be written by others, or is no key file.
pub fn read(path: &Path) -> Result<(Keys, (u32, u32))> {
    let shown = path.display();
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
    let file = File::options().read(true).custom_flags(flags).open(path);
    let file = file.with_context(|| format!("{shown} cannot be opened"))?;
    let facts = file.metadata().with_context(|| format!("{shown} cannot be read"))?;
    if !facts.is_file() {
        bail!("{shown} is not a regular file");
    }
    if facts.mode() & 0o022 != 0 {
        bail!("{shown} can be written by others, so any key in it may be theirs: look through it, then chmod go-w it");
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX as u64 + 1).read_to_string(&mut text).with_context(|| format!("{shown} cannot be read"))?;
    if text.len() > FILE_BYTES_MAX {
        bail!("{shown} has more than 1 MiB");
    }
    let keys = toml::from_str(&text).map_err(|error| anyhow!("{shown} is not what sluice key writes: {}", error.to_string().trim_end()))?;
    Ok((keys, (facts.uid(), facts.gid())))
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Beside it, and hidden, so that nobody takes it for one.
fn draft(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.new", std::process::id()));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::time::Duration;

    fn key(id: &str) -> Key {
        Key { id: id.to_owned(), hash: hash(id, None), ..Key::default() }
    }

    fn said(result: Result<()>) -> String {
        format!("{:#}", result.expect_err("it is refused"))
    }

    #[test]
    fn a_key_is_long_and_named_and_its_digest_is_of_all_of_it() {
        let made = Fresh::make("slk_", "ada-laptop", None).unwrap();
        let secret = made.key.strip_prefix("slk_ada-laptop_").unwrap();
        assert!(secret.len() == 64 && secret.bytes().all(|b| b.is_ascii_hexdigit()), "{secret}");
        assert_eq!(made.hash, hash(&made.key, None));
        assert_ne!(Fresh::make("slk_", "ada-laptop", None).unwrap().hash, made.hash);
        // From RFC 4231, section 4.3.
        let keyed = "hmac-sha256:5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hash("what do ya want for nothing?", Some(b"Jefe")), keyed);
        assert_eq!(hash("abc", None), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(Fresh::make("a b", "x", None).is_err() && Fresh::make(&"p".repeat(33), "x", None).is_err());
        assert_ne!(random_id().unwrap(), random_id().unwrap());
    }

    #[test]
    fn what_is_written_is_read_again_and_is_the_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.toml");
        let mut file = KeyFile::open(&path).unwrap();
        assert!(file.is_new && file.keys.keys.is_empty());
        let whole = Key {
            subject: Some("Ada \"the\" first".to_owned()),
            tenant: Some("acme".to_owned()),
            roles: vec!["dev".to_owned()],
            scopes: vec!["read".to_owned(), "write".to_owned()],
            claims: BTreeMap::from([("team".to_owned(), "ß = 1 # no comment".to_owned())]),
            expires: Some("2027-01-01T00:00:00Z".to_owned()),
            ..key("ada")
        };
        file.keys.add(whole).unwrap();
        file.keys.add(key("bob")).unwrap();
        file.keys.replace("bob", hash("another", None), Some("2026-01-01T00:00:00Z".to_owned()), None).unwrap();
        file.save().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let written = std::mem::take(&mut file.keys);
        drop(file);
        let again = KeyFile::open(&path).unwrap();
        assert_eq!((again.keys.clone(), again.is_new), (written, false));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft stays behind");
    }

    #[test]
    fn ids_are_one_keys_and_texts_are_plain() {
        let mut keys = Keys::default();
        keys.add(key("ada")).unwrap();
        assert!(said(keys.add(key("ada"))).contains("--replace"));
        for id in ["", "a b", "a_b", "ä", &"x".repeat(65)] {
            assert!(said(keys.add(key(id))).contains("is no id of a key"), "{id}");
        }
        for (other, says) in [
            (Key { subject: Some(String::new()), ..key("x") }, "--subject"),
            (Key { tenant: Some("a\nb".to_owned()), ..key("x") }, "--tenant"),
            (Key { roles: vec!["${HOME}".to_owned()], ..key("x") }, "--role"),
            (Key { scopes: vec!["read write".to_owned()], ..key("x") }, "--scope"),
            (Key { claims: BTreeMap::from([("role".to_owned(), "admin".to_owned())]), ..key("x") }, "--claim role="),
        ] {
            assert!(said(keys.add(other)).contains(says), "{says}");
        }
        assert_eq!(keys.keys.len(), 1);
    }

    #[test]
    fn f046_a_key_lives_is_replaced_and_is_taken_back() {
        let mut keys = Keys::default();
        keys.add(Key { not_before: Some("1970-01-01T00:01:00Z".to_owned()), expires: Some("1970-01-01T00:10:00Z".to_owned()), ..key("k") })
            .unwrap();
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let states = |keys: &Keys| [0, 60, 300, 600].map(|seconds| keys.keys[0].state(at(seconds)));
        assert_eq!(states(&keys), [State::Early, State::Live, State::Live, State::Expired]);
        let until = "1970-01-01T00:05:00Z".to_owned();
        let before = keys.keys[0].hash.clone();
        keys.replace("k", hash("next", None), Some(until.clone()), None).unwrap();
        assert_eq!(keys.keys[0].previous, Some(Previous { hash: before, until: until.clone() }));
        assert_eq!(states(&keys), [State::Early, State::Replacing(until), State::Live, State::Expired]);
        assert!(keys.revoke("k").unwrap() && !keys.revoke("k").unwrap());
        assert_eq!(keys.keys[0].previous, None, "what it has replaced goes with it");
        assert_eq!(keys.keys[0].state(at(60)), State::Revoked);
        assert!(format!("{:#}", keys.replace("k", hash("x", None), None, None).unwrap_err()).contains("was revoked"));
        assert!(format!("{:#}", keys.revoke("other").unwrap_err()).contains("sluice key ls"));
        keys.keys[0] = Key { expires: Some("soon".to_owned()), ..key("k") };
        assert_eq!(keys.keys[0].state(at(0)), State::Unclear);
    }

    #[test]
    fn what_is_no_key_file_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.toml");
        for (text, mode, says) in [
            ("[sluice]\nlisten = 1\n", 0o600, "is not what sluice key writes"),
            ("[[keys]]\nid = \"a\"\nhash = \"x\"\ncolour = 1\n", 0o600, "is not what sluice key writes"),
            ("keys = []\n", 0o666, "can be written by others"),
        ] {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(said(KeyFile::open(&path).map(|_| ())).contains(says), "{says}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        symlink(&path, folder.path().join("link.toml")).unwrap();
        assert!(KeyFile::open(&folder.path().join("link.toml")).is_err());
        assert!(said(KeyFile::open(&folder.path().join("gone/keys.toml")).map(|_| ())).contains("folder"));
    }

    #[test]
    fn two_at_once_lose_no_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.toml");
        std::thread::scope(|scope| {
            for id in ["a", "b", "c", "d", "e", "f", "g", "h"] {
                let path = &path;
                scope.spawn(move || {
                    let mut file = KeyFile::open(path).unwrap();
                    file.keys.add(key(id)).unwrap();
                    file.save().unwrap();
                });
            }
        });
        assert_eq!(read(&path).unwrap().0.keys.len(), 8);
    }
}
