//! Cursors a client can neither read nor forge: sealed over principal, list, view and offset.

use super::ListKind;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chacha20poly1305::{
    ChaCha20Poly1305, Key, KeyInit, Nonce,
    aead::{Aead, Payload},
};

/// Seals cursors for one process. (Replicas will share a key with the estate's `state`.)
pub struct CursorKey(ChaCha20Poly1305);

impl CursorKey {
    /// A fresh random key. Fails only if the machine has no randomness.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Self(ChaCha20Poly1305::new(Key::from_slice(&key))))
    }

    /// A cursor for `offset` in the view with this digest.
    pub fn seal(&self, principal: &str, kind: ListKind, view: &[u8; 32], offset: u32) -> Option<String> {
        let mut nonce = [0; 12];
        getrandom::fill(&mut nonce).ok()?;
        let aad = aad(principal, kind, view);
        let sealed = self.0.encrypt(Nonce::from_slice(&nonce), Payload { msg: &offset.to_le_bytes(), aad: &aad }).ok()?;
        Some(URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat()))
    }

    /// The offset, if the cursor was sealed for exactly this.
    pub fn open(&self, cursor: &str, principal: &str, kind: ListKind, view: &[u8; 32]) -> Option<u32> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(12)?;
        let aad = aad(principal, kind, view);
        let offset = self.0.decrypt(Nonce::from_slice(nonce), Payload { msg: sealed, aad: &aad }).ok()?;
        Some(u32::from_le_bytes(offset.try_into().ok()?))
    }
}

fn aad(principal: &str, kind: ListKind, view: &[u8; 32]) -> Vec<u8> {
    [kind.method().as_bytes(), b"\0", view, principal.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_opens_only_for_whom_and_what_it_was_sealed() {
        let key = CursorKey::random().unwrap();
        let (view, other) = ([1; 32], [2; 32]);
        let cursor = key.seal("p", ListKind::Tools, &view, 7).unwrap();
        assert_eq!(key.open(&cursor, "p", ListKind::Tools, &view), Some(7));
        assert_eq!(key.open(&cursor, "q", ListKind::Tools, &view), None);
        assert_eq!(key.open(&cursor, "p", ListKind::Prompts, &view), None);
        assert_eq!(key.open(&cursor, "p", ListKind::Tools, &other), None);
        assert_eq!(CursorKey::random().unwrap().open(&cursor, "p", ListKind::Tools, &view), None);
        for i in 0..cursor.len() {
            let mut bad = cursor.clone().into_bytes();
            bad[i] = if bad[i] == b'A' { b'B' } else { b'A' };
            let bad = String::from_utf8(bad).unwrap();
            // The last character carries unused bits; a decoder that accepts them yields the same bytes.
            assert!(key.open(&bad, "p", ListKind::Tools, &view).is_none_or(|o| o == 7 && i + 1 == cursor.len()));
        }
    }
}
