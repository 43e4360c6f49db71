//! What the operator demands of the files of plugins: signatures, versions that do not go back, a lock. Those inside the binary are as
//! good as the binary.

use super::{BUILTIN, Found, Placed, folder};
use crate::config::{Config, Signatures};
use anyhow::{Context as _, Result, anyhow};
use semver::Version;
use sluice_chain::filter::{Filter, Identity};
use sluice_registry::registries::Pulled;
use sluice_supply::{Lock, Locked, PublicKey, Seen, Signed, signature};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// The operator's demands, and what was in force before.
pub struct Supply {
    keys: BTreeMap<String, PublicKey>,
    signatures: Signatures,
    /// `name@version`, each.
    allowed: Vec<String>,
    lock: Option<Lock>,
    seen: Mutex<Seen>,
    seen_file: PathBuf,
    /// Whoever only looks puts nothing in force.
    remembers: bool,
}

/// Who signed a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signer {
    signed: Option<Signed>,
    /// The operator's name of the key.
    pub name: Option<String>,
}

impl Supply {
    /// # Errors
    /// A lock that is demanded and not there, or a file that is not written as it should be.
    pub(super) fn open(config: &Config, remembers: bool) -> Result<Self> {
        let plugins = &config.settings.plugins;
        let lock = plugins.locked.then(|| read_lock(&config.places.lock_file)).transpose()?;
        let seen_file = config.places.versions_file.clone();
        Ok(Self {
            keys: plugins.keys.iter().map(|(name, key)| (name.clone(), key.get())).collect(),
            signatures: plugins.signatures,
            allowed: plugins.allow_downgrade.clone(),
            lock,
            seen: Mutex::new(read_seen(&seen_file)?),
            seen_file,
            remembers,
        })
    }

    /// Before anything of a file is compiled or asked: is it the locked one, and who signed it?
    pub(super) fn check_file(&self, found: &Found, digest: &str) -> Result<Signer, String> {
        if found.is_builtin() {
            return Ok(Signer::default());
        }
        let said = |what: String| format!("{} {what}", found.key);
        if let Some(lock) = &self.lock {
            lock.admit(&found.key, digest).map_err(|why| said(why.to_string()))?;
        }
        let signed: Option<Signed> = found
            .signature
            .as_ref()
            .map(|text| text.parse())
            .transpose()
            .map_err(|why: signature::SignatureError| said(why.to_string()))?;
        let name = match &signed {
            Some(signed) => signed.signer(digest, &self.keys).map_err(|why| said(why.to_string()))?.map(str::to_owned),
            None => None,
        };
        if self.signatures == Signatures::Required && name.is_none() {
            return Err(said(match signed {
                Some(_) => "is signed by none of the keys in sluice.plugins.keys: pin its publisher's key there if you trust it".into(),
                None => format!("is not signed, and sluice.plugins.signatures is \"required\": {}", found.place_of_signature()),
            }));
        }
        Ok(Signer { signed, name })
    }

    /// Once it has said what it is: is that what was signed, and no step back?
    pub(super) fn check_plugin(&self, found: &Found, identity: &Identity, signer: &Signer) -> Result<(), String> {
        if found.is_builtin() {
            return Ok(());
        }
        let said = |what: String| format!("{} {what}", found.key);
        let version = Version::parse(&identity.version).map_err(|error| said(format!("has a version that is none: {error}")))?;
        if let (Some(signed), Some(_)) = (&signer.signed, &signer.name) {
            signed.check_manifest(&identity.name, &version).map_err(|why| said(why.to_string()))?;
        }
        if self.allowed.contains(&format!("{}@{}", identity.name, identity.version)) {
            return Ok(());
        }
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.admit(&identity.name, &version, signer.name.as_deref()).map_err(|why| said(why.to_string()))
    }

    /// Does what is put in force count for later starts?
    pub(super) fn remembers(&self) -> bool {
        self.remembers
    }

    /// The digest that the lock has for this link of the chain.
    pub(super) fn locked(&self, key: &str) -> Option<&str> {
        self.lock.as_ref()?.digest(key)
    }

    /// Can a signature count at all?
    pub(super) fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Is there a signature that counts?
    pub(super) fn counts(&self, pulled: &Pulled) -> bool {
        let signed = pulled.signature.as_ref().and_then(|text| text.parse::<Signed>().ok());
        signed.is_some_and(|signed| matches!(signed.signer(&pulled.digest, &self.keys), Ok(Some(_))))
    }

    /// What is locked and not in this chain.
    pub(super) fn missing(&self, chain: &[String]) -> Vec<String> {
        let there: Vec<&str> = chain.iter().map(String::as_str).collect();
        let line =
            |file: &str| format!("{file} is locked and not in the chain: put it back, or run `sluice plugin lock` if it is to be gone");
        self.lock.iter().flat_map(|lock| lock.missing(&there)).map(line).collect()
    }

    /// These are in force: from now on their versions do not go back.
    pub(super) fn note(&self, placed: &[Placed]) {
        if !self.remembers {
            return;
        }
        let news = |seen: &mut Seen| {
            let signed = placed.iter().filter_map(|p| Some((p.filter.identity(), p.signer.name.as_deref()?)));
            let mut is_news = false;
            for (identity, signer) in signed {
                is_news |= Version::parse(&identity.version).is_ok_and(|version| seen.note(&identity.name, &version, signer));
            }
            is_news
        };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !news(&mut seen) {
            return;
        }
        // Another process may have written meanwhile.
        let mut whole = read_seen(&self.seen_file).unwrap_or_else(|_| seen.clone());
        news(&mut whole);
        if let Err(error) = write(&self.seen_file, whole.text().as_bytes()) {
            tracing::error!(file = %self.seen_file.display(), %error, "versions of signed plugins cannot be remembered: an older one could come back after a restart");
        }
        *seen = whole;
    }
}

/// What a lock of these has.
pub(super) fn lock_of(placed: &[Placed]) -> Lock {
    let files = placed.iter().filter(|p| !p.key.starts_with(BUILTIN));
    Lock::new(files.map(|p| {
        let identity = p.filter.identity();
        let (name, version) = (identity.name.to_string(), identity.version.to_string());
        (p.key.clone(), Locked { name, version, sha256: p.digest.to_string(), signed_by: p.signer.name.clone() })
    }))
}

/// Whole or not at all, readable for everybody who may read its folder and written by us alone.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o644).open(&draft)?;
    file.write_all(bytes).and_then(|()| file.sync_all())?;
    fs::rename(&draft, path)
}

fn read_lock(path: &Path) -> Result<Lock> {
    let text = folder::text(path).map_err(|why| anyhow!(why))?;
    let text =
        text.with_context(|| format!("{} is not there, and sluice.plugins.locked demands it: run `sluice plugin lock`", path.display()))?;
    Lock::read(&text).map_err(|why| anyhow!("{} is no lock: {why}", path.display()))
}

fn read_seen(path: &Path) -> Result<Seen> {
    let text = folder::text(path).map_err(|why| anyhow!(why))?.unwrap_or_default();
    Seen::read(&text).map_err(|line| {
        anyhow!("line {line} of {} is not as Sluice writes it: put the file back, or remove it if versions may go back", path.display())
    })
}
