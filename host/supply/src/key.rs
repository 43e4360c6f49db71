//! Ed25519 keys (RFC 8032) of those who publish plugins.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ring::{
    rand::SystemRandom,
    signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey},
};
use sha2::{Digest as _, Sha256};
use std::{fmt, str::FromStr};
use zeroize::Zeroizing;

const KIND: &str = "ed25519:";
const TAG: &str = "PRIVATE KEY";

/// A key that signatures are checked with, written `ed25519:` and base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicKey([u8; 32]);

/// What is no key, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeyError(&'static str);

impl PublicKey {
    /// Names the key in signatures: 16 hexadecimal digits of its SHA-256. A hint which key to try, and no proof of anything.
    pub fn id(&self) -> String {
        Sha256::digest(self.0)[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(crate) fn verifies(&self, text: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(text, signature).is_ok()
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = text.strip_prefix(KIND).and_then(|base64| BASE64_STANDARD.decode(base64).ok());
        let key: Option<[u8; 32]> = bytes.and_then(|bytes| bytes.try_into().ok());
        key.map(Self).ok_or(KeyError("a public key is \"ed25519:\" and 32 bytes in base64, as `sluice plugin keygen` prints it"))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{KIND}{}", BASE64_STANDARD.encode(self.0))
    }
}

/// A key that plugins are signed with.
pub struct PrivateKey(Ed25519KeyPair);

impl PrivateKey {
    /// A new key, as PEM (PKCS#8); openssl reads it, too.
    ///
    /// # Errors
    /// This machine has no randomness.
    pub fn generate() -> Result<Zeroizing<String>, KeyError> {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| KeyError("this machine has no randomness"))?;
        Ok(Zeroizing::new(pem::encode(&pem::Pem::new(TAG, made.as_ref()))))
    }

    /// The key in a PEM file, ours or openssl's (`openssl genpkey -algorithm ed25519`).
    ///
    /// # Errors
    /// It is none.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let bad = KeyError("it is no Ed25519 private key in PEM (PKCS#8), as `sluice plugin keygen` makes it");
        let block = pem::parse(text).ok().filter(|block| block.tag() == TAG).ok_or_else(|| bad.clone())?;
        let der = Zeroizing::new(block.into_contents());
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map(Self).map_err(|_| bad)
    }

    /// What the operator pins.
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(bytes)
    }

    pub(crate) fn sign(&self, text: &[u8]) -> Vec<u8> {
        self.0.sign(text).as_ref().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_written_as_it_is_read() {
        let private = PrivateKey::from_pem(&PrivateKey::generate().unwrap()).unwrap();
        let public = private.public();
        assert_eq!(public.to_string().parse(), Ok(public));
        assert_eq!(public.id().len(), 16);
        for bad in ["", "ed25519:", "ed25519:AAAA", "rsa:AAAA", &public.to_string().replace("ed25519:", "ed25519: ")] {
            assert!(bad.parse::<PublicKey>().is_err(), "{bad}");
        }
    }

    /// As `openssl genpkey -algorithm ed25519` writes it; the key of RFC 8032 §7.1, test 1.
    #[test]
    fn a_key_of_openssl_is_taken() {
        let text =
            "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
        let key = PrivateKey::from_pem(text).unwrap();
        assert_eq!(key.public().to_string(), "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
        for bad in [
            "",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n",
        ] {
            assert!(PrivateKey::from_pem(bad).is_err(), "{bad}");
        }
    }
}
