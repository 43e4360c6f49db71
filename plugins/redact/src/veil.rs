//! What stands in a message instead of the data.

use alloc::string::String;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::config::Action;
use crate::token::hex;

/// Twelve hex digits: enough to tell a few million values apart, too few to be taken for a key.
const HASH_BYTES: usize = 6;

/// Writes replacements.
#[derive(Debug)]
pub(crate) struct Veil {
    replacement: String,
    salt: Option<String>,
}

impl Veil {
    pub(crate) fn new(replacement: String, salt: Option<String>) -> Self {
        Veil { replacement, salt }
    }

    /// What to write for data of this detector.
    pub(crate) fn over(&self, data: &str, name: &str, action: Action) -> String {
        match action {
            Action::Mask => mask(data),
            Action::Hash => self.hash(data, name),
            // A token that nobody made is none that anybody turns back.
            Action::Replace | Action::Token | Action::Refuse => self.replacement.replace("{name}", name),
        }
    }

    fn hash(&self, data: &str, name: &str) -> String {
        let salt = self.salt.as_deref().unwrap_or_default();
        let mut mac = Hmac::<Sha256>::new_from_slice(salt.as_bytes()).expect("HMAC takes keys of any length");
        mac.update(data.as_bytes());
        let digest = mac.finalize().into_bytes();
        let mut out = String::from("[");
        out.push_str(name);
        out.push(':');
        out.push_str(&hex(&digest[..HASH_BYTES]));
        out.push(']');
        out
    }
}

/// The last four characters stay, of short data at most a quarter.
fn mask(data: &str) -> String {
    let characters = data.chars().count();
    let hidden = characters - 4.min(characters / 4);
    let mut out = String::from("****");
    out.extend(data.chars().skip(hidden));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_shows_four_characters_or_a_quarter() {
        assert_eq!(mask("4111 1111 1111 1234"), "****1234");
        assert_eq!(mask("joe@x.io"), "****io");
        assert_eq!(mask("äöü"), "****");
        assert_eq!(mask("äöüßäöüßäöüßäöüß"), "****äöüß");
    }

    #[test]
    fn a_hash_depends_on_data_and_salt_only() {
        let veil = |salt: &str| Veil::new(String::new(), Some(salt.into()));
        let hash = |salt: &str, data: &str| veil(salt).over(data, "email", Action::Hash);
        // HMAC-SHA-256("salt", "joe@example.com"), from an independent implementation.
        assert_eq!(hash("salt", "joe@example.com"), "[email:a803d9b99877]");
        assert_ne!(hash("salt", "joe@example.com"), hash("pepper", "joe@example.com"));
        assert_ne!(hash("salt", "joe@example.com"), hash("salt", "joe@example.org"));
    }
}
