//! What nobody can guess, and what it is kept as.

use alloc::string::String;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use sluice_sdk::random;

/// 256 bits, in 43 characters of base64url.
pub fn token() -> String {
    URL_SAFE_NO_PAD.encode(random::bytes::<32>())
}

/// SHA-256 in base64url: of a PKCE verifier its S256 challenge (RFC 7636 section 4.2), of anything else a name that gives nothing away.
pub fn digest(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(text.as_bytes()))
}

/// A key of one length for any parts; no two lists of parts share one.
pub fn key(kind: &str, parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    alloc::format!("{kind}:{}", URL_SAFE_NO_PAD.encode(hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636, appendix B.
    #[test]
    fn the_challenge_is_that_of_the_rfc() {
        assert_eq!(digest("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(key("grant", &["ab", "c"]), key("grant", &["a", "bc"]));
        assert_ne!(key("grant", &["a"]), key("flow", &["a"]));
        assert_ne!(token(), token());
    }
}
