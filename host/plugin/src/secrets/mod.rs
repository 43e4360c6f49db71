//! Secrets that guests use and do not see: the operator's, and those that plugins keep.

mod kept;
mod sign;

pub(crate) use kept::{Caller, KeepError, Owner, Shelf, Shelves};
pub(crate) use sign::{Algorithm, sign};

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, fmt, sync::Arc};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The bytes of one secret. Cloning shares them; the memory is wiped with the last clone. Nothing shows them.
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<Vec<u8>>>);

/// The operator's secrets by name.
pub type Secrets = BTreeMap<String, Secret>;

impl Secret {
    /// From bytes that nobody else should keep.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Zeroizing::new(bytes)))
    }

    /// The bytes. Whoever calls this answers for where they go.
    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }

    /// In a time that depends on neither value, nor on how long this one is.
    pub(crate) fn equals(&self, value: &[u8]) -> bool {
        Sha256::digest(self.expose()).ct_eq(&Sha256::digest(value)).into()
    }

    pub(crate) fn hmac_sha256(&self, data: &[u8]) -> [u8; 32] {
        hmac_sha256(self.expose(), data)
    }

    /// The key of the next step of a chain.
    pub(crate) fn derive(&self, prefix: &str, data: &[u8]) -> Self {
        let key = Zeroizing::new([prefix.as_bytes(), self.expose()].concat());
        Self::new(hmac_sha256(&key, data).to_vec())
    }
}

fn hmac_sha256(key: &[u8], data: &[u8]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key).expect("a key of any length is taken");
    mac.update(data);
    mac.finalize().into_bytes().into()
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::hex;

    #[test]
    fn nothing_shows_the_bytes() {
        let secret = Secret::new(b"hunter2".to_vec());
        assert_eq!(format!("{secret:?}"), "Secret");
        assert!(secret.equals(b"hunter2") && !secret.equals(b"hunter") && !secret.equals(b""));
    }

    /// The example of AWS's own documentation: "deriving the signing key", 20120215, us-east-1, iam.
    #[test]
    fn a_chain_of_derivations_is_that_of_signature_4() {
        let secret = Secret::new(b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_vec());
        let key = ["20120215", "us-east-1", "iam", "aws4_request"]
            .iter()
            .enumerate()
            .fold(secret, |key, (step, data)| key.derive(if step == 0 { "AWS4" } else { "" }, data.as_bytes()));
        assert_eq!(hex(key.expose()), "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d");
    }
}
