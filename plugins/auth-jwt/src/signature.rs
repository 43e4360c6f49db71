//! The one step that is cryptography, and a library's: RustCrypto's in a component; natively ring's, which the host is built with
//! anyway. The table of tokens (`tests/matrix.rs`) is run against both: here, and in the host's tests against the component.

use crate::jws::Algorithm;

/// A key whose kind and size fit the algorithm, in base64url.
pub(crate) enum PublicKey<'k> {
    Rsa { n: &'k str, e: &'k str },
    Ec { x: &'k str, y: &'k str },
    Ed { x: &'k str },
}

/// Is this the signature, in base64url, of this text?
#[cfg(target_family = "wasm")]
pub(crate) fn verifies(algorithm: Algorithm, key: &PublicKey<'_>, text: &str, signature: &str) -> bool {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
    use rsa::{BigUint, Pkcs1v15Sign, Pss, RsaPublicKey, signature::Verifier as _, traits::SignatureScheme};
    use sha2::{Digest as _, Sha256, Sha384, Sha512};
    let bytes = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
    let (text, signature) = (text.as_bytes(), bytes(signature));
    fn rsa(key: (&[u8], &[u8]), how: impl SignatureScheme, digest: &[u8], signature: &[u8]) -> bool {
        let (n, e) = (BigUint::from_bytes_be(key.0), BigUint::from_bytes_be(key.1));
        RsaPublicKey::new(n, e).is_ok_and(|key| key.verify(how, digest, signature).is_ok())
    }
    match (key, algorithm) {
        (PublicKey::Rsa { n, e }, _) => {
            let (n, e) = (bytes(n), bytes(e));
            let key = (&n[..], &e[..]);
            match algorithm {
                Algorithm::RS256 => rsa(key, Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(text), &signature),
                Algorithm::RS384 => rsa(key, Pkcs1v15Sign::new::<Sha384>(), &Sha384::digest(text), &signature),
                Algorithm::RS512 => rsa(key, Pkcs1v15Sign::new::<Sha512>(), &Sha512::digest(text), &signature),
                Algorithm::PS256 => rsa(key, Pss::new::<Sha256>(), &Sha256::digest(text), &signature),
                Algorithm::PS384 => rsa(key, Pss::new::<Sha384>(), &Sha384::digest(text), &signature),
                Algorithm::PS512 => rsa(key, Pss::new::<Sha512>(), &Sha512::digest(text), &signature),
                Algorithm::ES256 | Algorithm::EdDSA => false,
            }
        }
        (PublicKey::Ec { x, y }, Algorithm::ES256) => {
            let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&[vec![4], bytes(x), bytes(y)].concat());
            let signature = p256::ecdsa::Signature::from_slice(&signature);
            matches!((key, signature), (Ok(key), Ok(signature)) if key.verify(text, &signature).is_ok())
        }
        (PublicKey::Ed { x }, Algorithm::EdDSA) => {
            let key = bytes(x).try_into().ok().and_then(|x| ed25519_dalek::VerifyingKey::from_bytes(&x).ok());
            let signature = ed25519_dalek::Signature::from_slice(&signature);
            matches!((key, signature), (Some(key), Ok(signature)) if key.verify_strict(text, &signature).is_ok())
        }
        (PublicKey::Ec { .. } | PublicKey::Ed { .. }, _) => false,
    }
}

/// Is this the signature, in base64url, of this text?
#[cfg(not(target_family = "wasm"))]
pub(crate) fn verifies(algorithm: Algorithm, key: &PublicKey<'_>, text: &str, signature: &str) -> bool {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
    use ring::signature::{self as theirs, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};
    let bytes = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
    let (text, signature) = (text.as_bytes(), bytes(signature));
    let rsa = |how: &RsaParameters| {
        let PublicKey::Rsa { n, e } = key else { return false };
        let number = |text: &str| bytes(text).into_iter().skip_while(|byte| *byte == 0).collect::<Vec<u8>>();
        RsaPublicKeyComponents { n: number(n), e: number(e) }.verify(how, text, &signature).is_ok()
    };
    let other = |how: &'static dyn VerificationAlgorithm| {
        let key = match key {
            PublicKey::Ec { x, y } => [vec![4], bytes(x), bytes(y)].concat(),
            PublicKey::Ed { x } => bytes(x),
            PublicKey::Rsa { .. } => return false,
        };
        UnparsedPublicKey::new(how, key).verify(text, &signature).is_ok()
    };
    match algorithm {
        Algorithm::RS256 => rsa(&theirs::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => rsa(&theirs::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => rsa(&theirs::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::PS256 => rsa(&theirs::RSA_PSS_2048_8192_SHA256),
        Algorithm::PS384 => rsa(&theirs::RSA_PSS_2048_8192_SHA384),
        Algorithm::PS512 => rsa(&theirs::RSA_PSS_2048_8192_SHA512),
        Algorithm::ES256 => other(&theirs::ECDSA_P256_SHA256_FIXED),
        Algorithm::EdDSA => other(&theirs::ED25519),
    }
}
