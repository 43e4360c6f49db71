//! Texts that clients keep for us and can neither read nor forge.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chacha20poly1305::{
    ChaCha20Poly1305, Key, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use sha2::{Digest as _, Sha256};

/// A key for one process, or for as long as a secret is kept. (Replicas will share one with the estate's `state`.)
pub(crate) struct SealKey(ChaCha20Poly1305);

impl SealKey {
    /// A fresh random key. Fails only if the machine has no randomness.
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Self(ChaCha20Poly1305::new(Key::from_slice(&key))))
    }

    /// The key that a secret text gives: the same for the same text, and its own for each use.
    pub(crate) fn of(secret: &str, used_for: &str) -> Self {
        let key = Sha256::new_with_prefix(used_for).chain_update([0]).chain_update(secret).finalize();
        Self(ChaCha20Poly1305::new(&key))
    }

    /// `text`, to be opened only by who names the same `bound`. None when the machine has no randomness.
    pub(crate) fn seal(&self, bound: &[u8], text: &[u8]) -> Option<String> {
        let mut nonce = [0; 12];
        getrandom::fill(&mut nonce).ok()?;
        let sealed = self.0.encrypt(Nonce::from_slice(&nonce), Payload { msg: text, aad: bound }).ok()?;
        Some(URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat()))
    }

    /// What was sealed, if it was sealed here and bound to exactly this.
    pub(crate) fn open(&self, bound: &[u8], sealed: &str) -> Option<Vec<u8>> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(12)?;
        self.0.decrypt(Nonce::from_slice(nonce), Payload { msg: sealed, aad: bound }).ok()
    }
}
