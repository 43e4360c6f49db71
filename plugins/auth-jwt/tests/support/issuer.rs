//! An issuer of tokens: its keys, what it publishes of them, and whatever it or somebody else may write into a token. Used by this
//! plugin's tests, and by the host's against the component.

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use ring::{
    hmac,
    rand::SystemRandom,
    rsa::PublicKeyComponents as RsaPublicKeyComponents,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair,
        KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
    },
};
use serde_json::{Value, json};
use std::{
    sync::LazyLock,
    time::{SystemTime, UNIX_EPOCH},
};

pub const ISSUER: &str = "https://id.example/t";
pub const RESOURCE: &str = "https://mcp.example/mcp";
/// When the test began: a component's clock is the machine's.
pub static NOW: LazyLock<u64> = LazyLock::new(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs());

/// The private keys.
pub struct Keys {
    pub rsa: RsaKeyPair,
    pub rsa_other: RsaKeyPair,
    pub p256: EcdsaKeyPair,
    pub p384: EcdsaKeyPair,
    pub p256_other: EcdsaKeyPair,
    pub ed: Ed25519KeyPair,
    pub ed_other: Ed25519KeyPair,
}

pub static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys {
    // ring makes no RSA keys. These two were made for these tests and open nothing.
    rsa: rsa(include_str!("rsa-1.txt")),
    rsa_other: rsa(include_str!("rsa-2.txt")),
    p256: ec(&ECDSA_P256_SHA256_FIXED_SIGNING),
    p384: ec(&ECDSA_P384_SHA384_FIXED_SIGNING),
    p256_other: ec(&ECDSA_P256_SHA256_FIXED_SIGNING),
    ed: ed(),
    ed_other: ed(),
});

fn ed() -> Ed25519KeyPair {
    Ed25519KeyPair::from_pkcs8(Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap().as_ref()).unwrap()
}

fn rsa(pkcs8: &str) -> RsaKeyPair {
    RsaKeyPair::from_pkcs8(&BASE64_STANDARD.decode(pkcs8.replace('\n', "")).unwrap()).unwrap()
}

fn ec(how: &'static EcdsaSigningAlgorithm) -> EcdsaKeyPair {
    let random = SystemRandom::new();
    EcdsaKeyPair::from_pkcs8(how, EcdsaKeyPair::generate_pkcs8(how, &random).unwrap().as_ref(), &random).unwrap()
}

/// What signs a token.
#[derive(Clone, Copy)]
pub enum By {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Es256,
    Es384,
    Ed,
    /// An RSA key that the issuer has under another name, or not at all.
    Other,
    /// A key that the issuer does not have.
    OtherEs256,
    /// The same.
    OtherEd,
    /// HMAC-SHA-256 under this.
    Mac(&'static [u8]),
    /// No signature at all.
    Nobody,
}

pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn rsa_signature(key: &RsaKeyPair, how: &'static dyn RsaEncoding, text: &[u8]) -> Vec<u8> {
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(how, &SystemRandom::new(), text, &mut signature).unwrap();
    signature
}

pub fn signature(by: By, text: &[u8]) -> Vec<u8> {
    match by {
        By::Rs256 => rsa_signature(&KEYS.rsa, &RSA_PKCS1_SHA256, text),
        By::Rs384 => rsa_signature(&KEYS.rsa, &RSA_PKCS1_SHA384, text),
        By::Rs512 => rsa_signature(&KEYS.rsa, &RSA_PKCS1_SHA512, text),
        By::Ps256 => rsa_signature(&KEYS.rsa, &RSA_PSS_SHA256, text),
        By::Other => rsa_signature(&KEYS.rsa_other, &RSA_PKCS1_SHA256, text),
        By::Es256 => KEYS.p256.sign(&SystemRandom::new(), text).unwrap().as_ref().to_vec(),
        By::OtherEs256 => KEYS.p256_other.sign(&SystemRandom::new(), text).unwrap().as_ref().to_vec(),
        By::OtherEd => KEYS.ed_other.sign(text).as_ref().to_vec(),
        By::Es384 => KEYS.p384.sign(&SystemRandom::new(), text).unwrap().as_ref().to_vec(),
        By::Ed => KEYS.ed.sign(text).as_ref().to_vec(),
        By::Mac(key) => hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec(),
        By::Nobody => Vec::new(),
    }
}

/// A token of these texts, as they are.
pub fn token(header: &str, claims: &str, by: By) -> String {
    let signed = format!("{}.{}", b64(header), b64(claims));
    format!("{signed}.{}", b64(signature(by, signed.as_bytes())))
}

/// Claims that are fine.
pub fn claims() -> Value {
    json!({"iss": ISSUER, "aud": RESOURCE, "sub": "ada", "iat": *NOW - 10, "nbf": *NOW - 10, "exp": *NOW + 300, "scope": "mcp notes"})
}

/// Fine, but for these members; null takes one away.
pub fn claims_with(other: Value) -> String {
    let mut claims = claims();
    for (name, value) in other.as_object().unwrap() {
        match value {
            Value::Null => claims.as_object_mut().unwrap().remove(name),
            value => claims.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    claims.to_string()
}

pub const HEADER: &str = r#"{"alg":"RS256","typ":"at+jwt","kid":"r"}"#;

pub fn good() -> String {
    token(HEADER, &claims().to_string(), By::Rs256)
}

pub fn rsa_jwk(key: &RsaKeyPair, more: Value) -> Value {
    let public = RsaPublicKeyComponents::<Vec<u8>>::from(key.public());
    let mut jwk = json!({"kty": "RSA", "n": b64(public.n), "e": b64(public.e)});
    jwk.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    jwk
}

fn ec_jwk(curve: &str, id: &str, key: &EcdsaKeyPair) -> Value {
    let point = &key.public_key().as_ref()[1..];
    let (x, y) = point.split_at(point.len() / 2);
    json!({"kty": "EC", "crv": curve, "kid": id, "x": b64(x), "y": b64(y)})
}

/// What the issuer publishes: keys that serve, and keys that must not.
pub fn key_set() -> Value {
    let mut small = rsa_jwk(&KEYS.rsa, json!({"kid": "small"}));
    small["n"] = b64([&[0xc5][..], &[0x11; 127]].concat()).into();
    json!({"keys": [
        rsa_jwk(&KEYS.rsa, json!({"kid": "r", "use": "sig"})),
        rsa_jwk(&KEYS.rsa, json!({"kid": "r-rs256", "alg": "RS256", "key_ops": ["verify"]})),
        rsa_jwk(&KEYS.rsa, json!({"kid": "r-enc", "use": "enc"})),
        rsa_jwk(&KEYS.rsa, json!({"kid": "r-wrap", "key_ops": ["wrapKey"]})),
        rsa_jwk(&KEYS.rsa, json!({"kid": "r-private", "d": "AQAB"})),
        small,
        rsa_jwk(&KEYS.rsa_other, json!({"kid": "two"})),
        rsa_jwk(&KEYS.rsa, json!({"kid": "two"})),
        ec_jwk("P-256", "e", &KEYS.p256),
        ec_jwk("P-384", "e3", &KEYS.p384),
        {"kty": "OKP", "crv": "Ed25519", "kid": "d", "x": b64(KEYS.ed.public_key())},
        {"kty": "oct", "kid": "shared", "k": b64(b"a shared key of thirty-two bytes")},
        {"kty": "EC", "crv": "P-256", "kid": "off", "x": b64([1; 32]), "y": b64([1; 32])},
        {"kty": "new", "kid": "unknown"},
        "no key"
    ]})
}
