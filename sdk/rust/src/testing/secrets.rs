//! Secrets of the test's thread.

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::{FakeExchange, host};
use crate::exchange::Facts;
use crate::secrets::{Algorithm, Error, Owner};

/// What [`Secret`](crate::secrets::Secret) is natively. It signs with HS256; for the other algorithms the real host is needed.
#[derive(Debug)]
pub struct FakeSecret {
    pub(crate) bytes: Vec<u8>,
    name: Option<String>,
    is_operators: bool,
}

/// A secret that the plugin keeps.
pub(super) struct Kept {
    bytes: Vec<u8>,
    until_ms: Option<u64>,
}

fn hmac_sha256(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key).expect("a key of any length is taken");
    mac.update(data);
    mac.finalize().into_bytes().to_vec()
}

impl FakeSecret {
    /// One that a test has set with [`set_secret`](super::set_secret).
    pub fn open(name: &str) -> Result<Self, Error> {
        let found = host::with(|host| host.secrets.get(name).cloned());
        let bytes = found.ok_or_else(|| Error::Denied(format!("secret:{name} is not granted")))?;
        Ok(FakeSecret { bytes, name: Some(name.to_string()), is_operators: true })
    }

    /// Whether it is this.
    pub fn equals(&self, value: &[u8]) -> bool {
        self.bytes == value
    }

    /// HMAC-SHA-256 of `data`.
    pub fn hmac_sha256(&self, data: &[u8]) -> Vec<u8> {
        hmac_sha256(&self.bytes, data)
    }

    /// The key of a next step.
    pub fn derive(&self, prefix: &str, data: &[u8]) -> Self {
        let key = [prefix.as_bytes(), &self.bytes].concat();
        FakeSecret { bytes: hmac_sha256(&key, data), name: None, is_operators: self.is_operators }
    }

    /// HS256 only.
    pub fn sign(&self, algorithm: Algorithm, data: &[u8]) -> Result<Vec<u8>, Error> {
        match algorithm {
            Algorithm::Hs256 => Ok(self.hmac_sha256(data)),
            _ => Err(Error::Unsuited("the fake host signs with HS256 only".to_string())),
        }
    }

    /// The bytes, once a test has called [`grant_reveal`](super::grant_reveal).
    pub fn reveal(&self) -> Result<Vec<u8>, Error> {
        let name = self.name.as_ref().ok_or_else(|| Error::Unsuited("what was derived cannot be seen; use hmac-sha256".to_string()))?;
        match host::with(|host| host.reveals.contains(name)) {
            true => Ok(self.bytes.clone()),
            false => Err(Error::Denied(format!("reveal:{name} is not granted"))),
        }
    }

    /// Keeps what it holds.
    pub fn keep(&self, x: &FakeExchange, owner: Owner, name: &str, ttl_ms: Option<u32>) -> Result<(), Error> {
        if self.is_operators {
            return Err(Error::Denied("the operator's secrets stay where they are".to_string()));
        }
        put(x, owner, name, &self.bytes, ttl_ms)
    }
}

/// Whose it is: the principal and the tenant of the exchange are those of its attributes.
fn place(x: &FakeExchange, owner: Owner, name: &str) -> Result<(String, String), Error> {
    let known = |key: &str| x.attr(key).ok_or_else(|| Error::Unsuited(format!("the exchange has no {key}")));
    let owner = match owner {
        Owner::Plugin => "plugin".to_string(),
        Owner::Tenant => format!("tenant {}", known("principal.tenant")?),
        Owner::Principal => format!("principal {}", known("principal.id")?),
    };
    Ok((owner, name.to_string()))
}

pub(crate) fn put(x: &FakeExchange, owner: Owner, name: &str, value: &[u8], ttl_ms: Option<u32>) -> Result<(), Error> {
    let place = place(x, owner, name)?;
    host::with(|host| {
        let until_ms = ttl_ms.map(|ms| host.clock_ms + u64::from(ms));
        host.kept.insert(place, Kept { bytes: value.to_vec(), until_ms });
    });
    Ok(())
}

pub(crate) fn open_own(x: &FakeExchange, owner: Owner, name: &str) -> Result<FakeSecret, Error> {
    let place = place(x, owner, name)?;
    let found = host::with(|host| {
        let kept = host.kept.get(&place)?;
        kept.until_ms.is_none_or(|until| host.clock_ms < until).then(|| kept.bytes.clone())
    });
    let bytes = found.ok_or(Error::Missing)?;
    Ok(FakeSecret { bytes, name: Some(name.to_string()), is_operators: false })
}

pub(crate) fn remove(x: &FakeExchange, owner: Owner, name: &str) -> Result<(), Error> {
    let place = place(x, owner, name)?;
    host::with(|host| host.kept.remove(&place));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_secrets_are_their_owners() {
        host::reset();
        let ada = FakeExchange::default().with_attr("principal.id", "ada");
        let bob = FakeExchange::default().with_attr("principal.id", "bob");
        put(&ada, Owner::Principal, "token", b"t", Some(1000)).unwrap();
        assert!(open_own(&ada, Owner::Principal, "token").unwrap().equals(b"t"));
        assert_eq!(open_own(&bob, Owner::Principal, "token").err(), Some(Error::Missing));
        assert!(put(&FakeExchange::default(), Owner::Tenant, "token", b"t", None).is_err());
        host::advance_ms(1000);
        assert_eq!(open_own(&ada, Owner::Principal, "token").err(), Some(Error::Missing));
    }

    #[test]
    fn nothing_shows_a_secret_but_reveal() {
        host::reset();
        assert!(FakeSecret::open("api").is_err());
        host::set_secret("api", b"k");
        let secret = FakeSecret::open("api").unwrap();
        assert!(secret.reveal().is_err() && secret.keep(&FakeExchange::default(), Owner::Plugin, "mine", None).is_err());
        host::grant_reveal("api");
        assert_eq!(secret.reveal().unwrap(), b"k");
        assert_eq!(secret.derive("", b"x").hmac_sha256(b"y"), hmac_sha256(&secret.hmac_sha256(b"x"), b"y"));
    }
}
