//! Which versions of signed plugins were in force: a plugin does not go back, and does not lose its signature, behind the operator's back.

use semver::Version;
use std::{collections::BTreeMap, fmt::Write as _};

/// The highest version of each plugin that was in force signed, by a name that the operator gave to the key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen(BTreeMap<String, (Version, String)>);

/// Why a plugin may not take its place. Each is the end of a sentence that begins with the plugin's file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GoneBack {
    /// A newer one was in force.
    #[error(
        "is {name} {version}, and {seen}, signed by {by:?}, was in force before: take that one, or allow this with sluice.plugins.allow_downgrade = [\"{name}@{version}\"]"
    )]
    Older {
        /// The plugin.
        name: String,
        /// Of this one.
        version: Version,
        /// That was in force.
        seen: Version,
        /// The operator's name of the key.
        by: String,
    },
    /// One that was signed was in force.
    #[error(
        "is {name} {version} without a signature that counts, and {name} was signed by {by:?} before: get its .sig file, or allow this with sluice.plugins.allow_downgrade = [\"{name}@{version}\"]"
    )]
    Unsigned {
        /// The plugin.
        name: String,
        /// Of this one.
        version: Version,
        /// The operator's name of the key.
        by: String,
    },
}

impl Seen {
    /// May this version be in force? `signer` is the operator's name of the key, if one signed.
    ///
    /// # Errors
    /// It would be a step back.
    pub fn admit(&self, name: &str, version: &Version, signer: Option<&str>) -> Result<(), GoneBack> {
        let Some((seen, by)) = self.0.get(name) else { return Ok(()) };
        let (name, version, by) = (name.to_owned(), version.clone(), by.clone());
        match signer {
            None => Err(GoneBack::Unsigned { name, version, by }),
            // Whatever the key: a publisher who takes another has not taken the old versions back into force.
            Some(_) if version < *seen => Err(GoneBack::Older { name, version, seen: seen.clone(), by }),
            Some(_) => Ok(()),
        }
    }

    /// This one is in force. Says whether that is news.
    pub fn note(&mut self, name: &str, version: &Version, signer: &str) -> bool {
        let is_news = self.0.get(name).is_none_or(|(seen, _)| seen < version);
        if is_news {
            self.0.insert(name.to_owned(), (version.clone(), signer.to_owned()));
        }
        is_news
    }

    /// As it is kept: a line each, of name, version and key's name.
    pub fn text(&self) -> String {
        self.0.iter().fold(String::new(), |mut out, (name, (version, by))| {
            let _ = writeln!(out, "{name} {version} {by}");
            out
        })
    }

    /// Reads what [`text`](Seen::text) wrote.
    ///
    /// # Errors
    /// The number of a line that was not written so.
    pub fn read(text: &str) -> Result<Self, usize> {
        let line = |(at, line): (usize, &str)| {
            let mut words = line.splitn(3, ' ');
            let mut word = || words.next().filter(|word| !word.is_empty()).ok_or(at + 1);
            let (name, version, by) = (word()?, word()?, word()?);
            Ok((name.to_owned(), (Version::parse(version).map_err(|_| at + 1)?, by.to_owned())))
        };
        text.lines().enumerate().map(line).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn a_plugin_goes_forward_and_not_back() {
        let mut seen = Seen::default();
        assert!(seen.admit("redact", &version("2.0.0"), None).is_ok(), "nothing is known of it");
        assert!(seen.note("redact", &version("2.0.0"), "acme") && !seen.note("redact", &version("1.0.0"), "acme"));
        for (new, signer, is_ok) in [
            ("2.0.0", Some("acme"), true),
            ("2.0.1", Some("acme"), true),
            ("10.0.0", Some("acme"), true),
            ("1.9.9", Some("acme"), false),
            ("1.9.9", Some("acme-2027"), false),
            ("2.0.0-rc.1", Some("acme"), false),
            ("2.0.0", None, false),
            ("3.0.0", None, false),
        ] {
            assert_eq!(seen.admit("redact", &version(new), signer).is_ok(), is_ok, "{new} {signer:?}");
        }
        assert!(seen.admit("other", &version("0.1.0"), None).is_ok());
    }

    #[test]
    fn what_is_kept_is_read_again() {
        let mut seen = Seen::default();
        seen.note("a", &version("1.0.0-rc.1+build"), "key with spaces");
        seen.note("b", &version("2.0.0"), "k");
        assert_eq!(Seen::read(&seen.text()), Ok(seen));
        for (text, line) in [("a", 1), ("a 1.0.0", 1), ("a 1 k", 1), ("a 1.0.0 k\n\n", 2)] {
            assert_eq!(Seen::read(text), Err(line), "{text:?}");
        }
    }
}
