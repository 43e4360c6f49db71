//! What stands beside a plugin, in `<file>.wasm.sig`: which plugin this is, and who says so.
//!
//! ```text
//! sluice-plugin-signature 1
//! plugin redact 1.2.3
//! sha256 <64 hexadecimal digits>
//! ed25519 <key id> <signature in base64>
//! ```
//! The last line may be there up to eight times, for several keys. Signed are the first three lines, their line ends included.

use crate::key::{PrivateKey, PublicKey};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use semver::Version;
use std::{collections::BTreeMap, fmt, str::FromStr};

/// The first line. What is signed begins with it, so no signature made for another purpose is one of these.
const HEAD: &str = "sluice-plugin-signature 1";
const SIGNATURES_MAX: usize = 8;
/// Longest file read.
pub const BYTES_MAX: usize = 8 << 10;

/// Which plugin a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// As its manifest says.
    pub name: String,
    /// As its manifest says.
    pub version: Version,
    /// sha256 of the file, lower-case hex.
    pub digest: String,
}

/// A statement, with who says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    statement: Statement,
    /// Key ids and signatures.
    signatures: Vec<(String, Vec<u8>)>,
}

/// Why a signature is not believed. Each is the end of a sentence that begins with the plugin's file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// It is not written as signatures are.
    #[error("has a signature file that is none (line {0}): sign it again, with `sluice plugin sign`")]
    Malformed(usize),
    /// The file changed after it was signed, or the signature is another file's.
    #[error("is not the file that was signed: put the signature there that was made for it, or the file")]
    OtherFile,
    /// The key is pinned, and did not sign this.
    #[error("has a signature that the key {0:?} did not make: it was forged or damaged; get both files again from their publisher")]
    Forged(String),
    /// What was signed is another plugin, or another version of it.
    #[error("was signed as {signed} and says that it is {said}: its publisher must sign it again")]
    OtherPlugin {
        /// Name and version.
        signed: String,
        /// Name and version.
        said: String,
    },
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{HEAD}\nplugin {} {}\nsha256 {}\n", self.name, self.version, self.digest)
    }
}

impl Statement {
    /// With the signature of this key.
    pub fn sign(self, key: &PrivateKey) -> Signed {
        let signature = key.sign(self.to_string().as_bytes());
        Signed { signatures: vec![(key.public().id(), signature)], statement: self }
    }
}

impl Signed {
    /// What is said.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// The same, said by one more.
    #[must_use]
    pub fn and(mut self, key: &PrivateKey) -> Self {
        let more = self.statement.clone().sign(key).signatures;
        self.signatures.retain(|(id, _)| more.iter().all(|(new, _)| new != id));
        self.signatures.extend(more);
        self
    }

    /// Who says so of the file with this digest: the first of the pinned keys; none if only strangers do.
    ///
    /// # Errors
    /// It is about another file, or a pinned key is said to have signed and did not.
    pub fn signer<'k>(&self, digest: &str, pinned: &'k BTreeMap<String, PublicKey>) -> Result<Option<&'k str>, SignatureError> {
        let text = self.statement.to_string();
        let mut signer = None;
        for (id, signature) in &self.signatures {
            for (name, key) in pinned.iter().filter(|(_, key)| key.id() == *id) {
                if !key.verifies(text.as_bytes(), signature) {
                    return Err(SignatureError::Forged(name.clone()));
                }
                signer = signer.or(Some(name.as_str()));
            }
        }
        if self.statement.digest == digest { Ok(signer) } else { Err(SignatureError::OtherFile) }
    }

    /// Is this the plugin that was signed, now that it was asked what it is?
    ///
    /// # Errors
    /// It is another.
    pub fn check_manifest(&self, name: &str, version: &Version) -> Result<(), SignatureError> {
        let Statement { name: signed, version: signed_version, .. } = &self.statement;
        if signed == name && signed_version == version {
            return Ok(());
        }
        Err(SignatureError::OtherPlugin { signed: format!("{signed} {signed_version}"), said: format!("{name} {version}") })
    }
}

impl fmt::Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.statement.fmt(f)?;
        self.signatures.iter().try_for_each(|(id, signature)| writeln!(f, "ed25519 {id} {}", BASE64_STANDARD.encode(signature)))
    }
}

impl FromStr for Signed {
    type Err = SignatureError;

    fn from_str(text: &str) -> Result<Self, SignatureError> {
        let lines: Vec<&str> = text.lines().collect();
        let line = |at: usize| lines.get(at).copied().ok_or(SignatureError::Malformed(at + 1));
        if line(0)? != HEAD {
            return Err(SignatureError::Malformed(1));
        }
        let statement = statement(line(1)?, line(2)?)?;
        let signatures: Vec<_> = lines[3..]
            .iter()
            .enumerate()
            .map(|(at, line)| signature(line).ok_or(SignatureError::Malformed(at + 4)))
            .collect::<Result<_, _>>()?;
        if signatures.is_empty() || signatures.len() > SIGNATURES_MAX || text.len() > BYTES_MAX {
            return Err(SignatureError::Malformed(4));
        }
        Ok(Self { statement, signatures })
    }
}

fn statement(plugin: &str, digest: &str) -> Result<Statement, SignatureError> {
    let named = plugin.strip_prefix("plugin ").and_then(|rest| rest.split_once(' '));
    let (name, version) = named.ok_or(SignatureError::Malformed(2))?;
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let version = Version::parse(version).ok().filter(|_| is_name).ok_or(SignatureError::Malformed(2))?;
    let digest =
        digest.strip_prefix("sha256 ").filter(|hex| hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
    Ok(Statement { name: name.to_owned(), version, digest: digest.ok_or(SignatureError::Malformed(3))?.to_owned() })
}

fn signature(line: &str) -> Option<(String, Vec<u8>)> {
    let (id, signature) = line.strip_prefix("ed25519 ")?.split_once(' ')?;
    let is_id = id.len() == 16 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let signature = BASE64_STANDARD.decode(signature).ok().filter(|bytes| is_id && bytes.len() == 64)?;
    Some((id.to_owned(), signature))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> PrivateKey {
        PrivateKey::from_pem(&PrivateKey::generate().unwrap()).unwrap()
    }

    fn says(name: &str, version: &str) -> Statement {
        Statement { name: name.into(), version: version.parse().unwrap(), digest: "ab".repeat(32) }
    }

    fn pinned(keys: &[(&str, &PrivateKey)]) -> BTreeMap<String, PublicKey> {
        keys.iter().map(|(name, key)| ((*name).to_owned(), key.public())).collect()
    }

    #[test]
    fn what_a_pinned_key_signed_is_believed_and_nothing_else_is() {
        let (ours, theirs) = (key(), key());
        let signed = says("redact", "1.2.3").sign(&ours);
        let read: Signed = signed.to_string().parse().unwrap();
        assert_eq!(read, signed);
        let digest = "ab".repeat(32);
        assert_eq!(read.signer(&digest, &pinned(&[("acme", &ours)])), Ok(Some("acme")));
        assert_eq!(read.signer(&digest, &pinned(&[("other", &theirs)])), Ok(None), "a stranger's word");
        assert_eq!(read.signer(&"cd".repeat(32), &pinned(&[("acme", &ours)])), Err(SignatureError::OtherFile));
        let both: Signed = read.and(&theirs).to_string().parse().unwrap();
        assert_eq!(both.signer(&digest, &pinned(&[("other", &theirs)])), Ok(Some("other")), "a key that takes over");
    }

    #[test]
    fn every_change_to_what_was_signed_is_noticed() {
        let ours = key();
        let (digest, keys) = ("ab".repeat(32), pinned(&[("acme", &ours)]));
        let text = says("redact", "1.2.3").sign(&ours).to_string();
        for (from, to) in [("redact", "redacu"), ("1.2.3", "1.2.4"), ("1.2.3", "1.2.3-x")] {
            let forged: Signed = text.replace(from, to).parse().unwrap();
            assert_eq!(forged.signer(&digest, &keys), Err(SignatureError::Forged("acme".into())), "{to}");
        }
        // Another's signature under the name of a pinned key.
        let id = |key: &PrivateKey| key.public().id();
        let stranger = key();
        let forged: Signed = says("redact", "9.9.9").sign(&stranger).to_string().replace(&id(&stranger), &id(&ours)).parse().unwrap();
        assert_eq!(forged.signer(&digest, &keys), Err(SignatureError::Forged("acme".into())));
    }

    #[test]
    fn a_signature_is_about_one_plugin_and_one_version() {
        let signed = says("redact", "1.2.3").sign(&key());
        let check = |name: &str, version: &str| signed.check_manifest(name, &version.parse().unwrap());
        assert_eq!(check("redact", "1.2.3"), Ok(()));
        assert!(check("redact", "1.2.4").is_err() && check("other", "1.2.3").is_err());
    }

    #[test]
    fn what_is_no_signature_file_says_at_which_line() {
        let text = says("redact", "1.2.3").sign(&key()).to_string();
        let lines: Vec<&str> = text.lines().collect();
        let without =
            |at: usize| lines.iter().enumerate().filter(|(line, _)| *line != at).map(|(_, line)| format!("{line}\n")).collect::<String>();
        for (text, line) in [
            (String::new(), 1),
            (without(0), 1),
            (without(1), 2),
            (without(2), 3),
            (without(3), 4),
            (text.replace("redact", "Redact"), 2),
            (text.replace("1.2.3", "1.2"), 2),
            (text.replace("ab", "AB"), 3),
            (text.replace("ed25519 ", "ed448 "), 4),
            (format!("{text}\n"), 5),
            (format!("{text}{}", format!("{}\n", lines[3]).repeat(8)), 4),
        ] {
            assert_eq!(text.parse::<Signed>(), Err(SignatureError::Malformed(line)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in "\\PC{0,200}", lines in prop::collection::vec("[a-z0-9 .:+/=-]{0,90}", 0..6)) {
            let _ = text.parse::<Signed>();
            let _ = format!("{HEAD}\n{}", lines.join("\n")).parse::<Signed>();
        }
    }
}
