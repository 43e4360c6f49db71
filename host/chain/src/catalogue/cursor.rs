//! Cursors a client can neither read nor forge: sealed over principal, list, view and offset.

use super::ListKind;
use crate::seal::SealKey;

/// Seals cursors for one process.
pub struct CursorKey(SealKey);

impl CursorKey {
    /// A fresh random key. Fails only if the machine has no randomness.
    pub fn random() -> Result<Self, getrandom::Error> {
        SealKey::random().map(Self)
    }

    /// A cursor for `offset` in the view with this digest.
    pub fn seal(&self, principal: &str, kind: ListKind, view: &[u8; 32], offset: u32) -> Option<String> {
        self.0.seal(&bound(principal, kind, view), &offset.to_le_bytes())
    }

    /// The offset, if the cursor was sealed for exactly this.
    pub fn open(&self, cursor: &str, principal: &str, kind: ListKind, view: &[u8; 32]) -> Option<u32> {
        let offset = self.0.open(&bound(principal, kind, view), cursor)?;
        Some(u32::from_le_bytes(offset.try_into().ok()?))
    }
}

fn bound(principal: &str, kind: ListKind, view: &[u8; 32]) -> Vec<u8> {
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
