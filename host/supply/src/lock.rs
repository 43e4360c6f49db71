//! `plugins.lock`: exactly which files are in force. Written by `sluice plugin lock`, kept with the configuration, demanded by `--locked`.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Plugins by the file (or path) that the chain knows them by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// Of this file's form.
    version: u32,
    #[serde(default)]
    plugins: BTreeMap<String, Locked>,
}

/// One plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    /// For whoever reads the file.
    pub name: String,
    /// For whoever reads the file.
    pub version: String,
    /// Of the file, lower-case hex. This is what counts.
    pub sha256: String,
    /// The operator's name of the key, if one signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
}

const VERSION: u32 = 1;
const ABOUT: &str = "# Which plugins are in force, file by file. `sluice plugin lock` writes it; with --locked, nothing else runs.\n";

/// Why a file may not be in force. Each is the end of a sentence that begins with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unlocked {
    /// The lock has another file.
    #[error("is not the file that is locked ({locked}): put that one back, or run `sluice plugin lock` if this one is meant")]
    Changed {
        /// Name, version and the beginning of the digest.
        locked: String,
    },
    /// The lock has none.
    #[error("is not among the locked plugins: take it away, or run `sluice plugin lock` if it is meant")]
    New,
}

impl Lock {
    /// Of these.
    pub fn new(plugins: impl IntoIterator<Item = (String, Locked)>) -> Self {
        Self { version: VERSION, plugins: plugins.into_iter().collect() }
    }

    /// May the file that the chain knows so be in force with this digest?
    ///
    /// # Errors
    /// It is not the locked one.
    pub fn admit(&self, file: &str, digest: &str) -> Result<(), Unlocked> {
        match self.plugins.get(file) {
            Some(locked) if locked.sha256 == digest => Ok(()),
            Some(locked) => {
                let digest: String = locked.sha256.chars().take(12).collect();
                Err(Unlocked::Changed { locked: format!("{} {}, sha256 {digest}…", locked.name, locked.version) })
            }
            None => Err(Unlocked::New),
        }
    }

    /// The digest of the file that the chain knows so, if it is locked.
    pub fn digest(&self, file: &str) -> Option<&str> {
        self.plugins.get(file).map(|locked| locked.sha256.as_str())
    }

    /// What is locked and not among these.
    pub fn missing<'l>(&'l self, there: &'l [&str]) -> impl Iterator<Item = &'l str> {
        self.plugins.keys().map(String::as_str).filter(|file| !there.contains(file))
    }

    /// As the file has it.
    ///
    /// # Errors
    /// A name that TOML cannot hold.
    pub fn text(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self).map(|text| format!("{ABOUT}{text}"))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It is no lock, or one of a newer form.
    pub fn read(text: &str) -> Result<Self, String> {
        let lock: Self = toml::from_str(text).map_err(|error| error.to_string().trim_end().replace('\n', "; "))?;
        match lock.version {
            VERSION => Ok(lock),
            other => Err(format!("it has version {other}, and this host knows {VERSION}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock() -> Lock {
        let locked = |digest: &str| Locked {
            name: "redact".into(),
            version: "1.0.0".into(),
            sha256: digest.repeat(32),
            signed_by: Some("acme".into()),
        };
        Lock::new([("10-redact.wasm".to_owned(), locked("ab")), ("/opt/b.wasm".to_owned(), Locked { signed_by: None, ..locked("cd") })])
    }

    #[test]
    fn only_the_locked_file_is_admitted() {
        assert_eq!(lock().admit("10-redact.wasm", &"ab".repeat(32)), Ok(()));
        assert!(matches!(lock().admit("10-redact.wasm", &"cd".repeat(32)), Err(Unlocked::Changed { .. })));
        assert_eq!(lock().admit("new.wasm", &"ab".repeat(32)), Err(Unlocked::New));
        assert_eq!(lock().missing(&["10-redact.wasm"]).collect::<Vec<_>>(), ["/opt/b.wasm"]);
    }

    #[test]
    fn a_lock_is_read_as_it_was_written() {
        assert_eq!(Lock::read(&lock().text().unwrap()), Ok(lock()));
        for bad in ["", "version = 2", "version = 1\nplugin = {}", "version = 1\n[plugins.a]\nname = \"a\"", "\0"] {
            assert!(Lock::read(bad).is_err(), "{bad:?}");
        }
        assert_eq!(Lock::read("version = 1"), Ok(Lock::new([])));
    }
}
