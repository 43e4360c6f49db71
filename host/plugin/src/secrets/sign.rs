//! Signatures with a secret as the key.

use super::Secret;
use ring::{rand::SystemRandom, rsa, signature};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject};

/// How to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Hs256,
    Rs256,
    Es256,
    Ed25519,
}

/// The signature of `data`. The error says what the secret would have to be.
pub(crate) fn sign(secret: &Secret, algorithm: Algorithm, data: &[u8]) -> Result<Vec<u8>, &'static str> {
    match algorithm {
        Algorithm::Hs256 => Ok(secret.hmac_sha256(data).to_vec()),
        Algorithm::Rs256 => rs256(&private_key(secret)?, data),
        Algorithm::Es256 => es256(&private_key(secret)?, data),
        Algorithm::Ed25519 => ed25519(&private_key(secret)?, data),
    }
}

fn private_key(secret: &Secret) -> Result<PrivateKeyDer<'static>, &'static str> {
    PrivateKeyDer::from_pem_slice(secret.expose()).map_err(|_| "the secret is no private key in PEM")
}

fn rs256(key: &PrivateKeyDer<'_>, data: &[u8]) -> Result<Vec<u8>, &'static str> {
    let pair = match key {
        PrivateKeyDer::Pkcs8(key) => rsa::KeyPair::from_pkcs8(key.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(key) => rsa::KeyPair::from_der(key.secret_pkcs1_der()),
        _ => return Err("the secret is no RSA key"),
    };
    let pair = pair.map_err(|_| "the secret is no RSA key of 2048 to 4096 bits")?;
    let mut signed = vec![0; pair.public().modulus_len()];
    pair.sign(&signature::RSA_PKCS1_SHA256, &SystemRandom::new(), data, &mut signed).map_err(|_| "the RSA key does not sign")?;
    Ok(signed)
}

fn es256(key: &PrivateKeyDer<'_>, data: &[u8]) -> Result<Vec<u8>, &'static str> {
    let random = SystemRandom::new();
    let PrivateKeyDer::Pkcs8(key) = key else { return Err("the secret is no P-256 key in PKCS#8") };
    let pair = signature::EcdsaKeyPair::from_pkcs8(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, key.secret_pkcs8_der(), &random)
        .map_err(|_| "the secret is no P-256 key in PKCS#8")?;
    Ok(pair.sign(&random, data).map_err(|_| "the P-256 key does not sign")?.as_ref().to_vec())
}

fn ed25519(key: &PrivateKeyDer<'_>, data: &[u8]) -> Result<Vec<u8>, &'static str> {
    let PrivateKeyDer::Pkcs8(key) = key else { return Err("the secret is no Ed25519 key in PKCS#8") };
    let pair = signature::Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.secret_pkcs8_der())
        .map_err(|_| "the secret is no Ed25519 key in PKCS#8")?;
    Ok(pair.sign(data).as_ref().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, KeyPair, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

    fn pem(label: &str, der: &[u8]) -> Secret {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        Secret::new(format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n").into_bytes())
    }

    #[test]
    fn each_signature_is_good_for_its_key_and_no_other_data() {
        let random = SystemRandom::new();
        let ec = signature::EcdsaKeyPair::generate_pkcs8(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair = signature::EcdsaKeyPair::from_pkcs8(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, ec.as_ref(), &random).unwrap();
        let signed = sign(&pem("PRIVATE KEY", ec.as_ref()), Algorithm::Es256, b"data").unwrap();
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref().to_vec());
        assert!(signed.len() == 64 && public.verify(b"data", &signed).is_ok() && public.verify(b"other", &signed).is_err());

        let ed = signature::Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        let pair = signature::Ed25519KeyPair::from_pkcs8(ed.as_ref()).unwrap();
        let signed = sign(&pem("PRIVATE KEY", ed.as_ref()), Algorithm::Ed25519, b"data").unwrap();
        let public = UnparsedPublicKey::new(&ED25519, pair.public_key().as_ref().to_vec());
        assert!(public.verify(b"data", &signed).is_ok() && public.verify(b"other", &signed).is_err());
        assert!(sign(&pem("PRIVATE KEY", ed.as_ref()), Algorithm::Es256, b"data").is_err(), "another kind of key");
        assert!(sign(&Secret::new(b"hunter2".to_vec()), Algorithm::Rs256, b"data").is_err(), "no key at all");
    }

    #[test]
    fn an_rsa_key_signs() {
        // A fixed one, since ring makes none.
        let key = Secret::new(include_bytes!("../../tests/keys/rsa.pem").to_vec());
        let PrivateKeyDer::Pkcs8(der) = private_key(&key).unwrap() else { panic!("it is in PKCS#8") };
        let pair = rsa::KeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
        let signed = sign(&key, Algorithm::Rs256, b"data").unwrap();
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref().to_vec());
        assert!(public.verify(b"data", &signed).is_ok() && public.verify(b"other", &signed).is_err());
    }
}
