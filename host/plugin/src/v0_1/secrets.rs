//! `secrets`: handles to bytes that stay here.

use super::bindings::sluice::filter::secrets::{Algorithm, Error, Host, HostSecret, Owner as Said};
use crate::{
    grant::Place,
    guest::Guest,
    secrets::{self, Caller, KeepError, Owner, Secret},
    settings::Power,
};
use std::{sync::Arc, time::Duration};
use wasmtime::component::Resource;

/// A secret as a guest holds it.
pub struct OpenSecret {
    pub(crate) secret: Secret,
    /// Under which it may be revealed; none of what was derived.
    name: Option<Box<str>>,
    /// It is the operator's, or comes from one that is.
    is_operators: bool,
    /// Where it may be sent, if its grant says so; what was derived from it goes nowhere else either.
    bound: Option<Arc<[Place]>>,
}

impl OpenSecret {
    /// May it be sent there?
    pub(crate) fn may_go(&self, to: &Place) -> bool {
        self.bound.as_ref().is_none_or(|places| places.contains(to))
    }
}

/// Of a kept secret.
const NAME_BYTES_MAX: usize = 256;

type Answer<T> = wasmtime::Result<Result<T, Error>>;

/// The error of a host call that is not one of the host's own failures.
macro_rules! granted {
    ($answer:expr) => {
        match $answer {
            Ok(value) => value,
            Err(error) => return Ok(Err(error)),
        }
    };
}

impl Guest {
    fn may_keep_secrets(&self) -> Result<(), Error> {
        if self.may(Power::Secrets) { Ok(()) } else { Err(Error::Denied("secrets are not granted here".into())) }
    }

    /// The secret behind a handle. A handle of another kind cannot come from a guest: wasmtime checks them.
    pub(crate) fn secret(&self, handle: &Resource<OpenSecret>) -> wasmtime::Result<&OpenSecret> {
        Ok(self.secrets.get(handle)?)
    }

    fn hold(&mut self, open: OpenSecret) -> wasmtime::Result<Resource<OpenSecret>> {
        Ok(self.secrets.push(open)?)
    }

    fn owner(&self, said: Said) -> Result<Owner, Error> {
        let caller = self.lent.caller.as_ref();
        match said {
            Said::Plugin => Ok(Owner::Plugin),
            Said::Tenant => caller.and_then(Caller::tenant).ok_or_else(|| Error::Unsuited("no tenant is known here".into())),
            Said::Principal => {
                caller.and_then(Caller::principal).ok_or_else(|| Error::Unsuited("no principal with a name is known here".into()))
            }
        }
    }

    /// Keeps a secret for an owner, within the plugin's bounds.
    pub(crate) fn keep_secret(&self, owner: Said, name: &str, secret: Secret, ttl_ms: Option<u32>) -> Result<(), Error> {
        self.may_keep_secrets()?;
        let limits = self.limits();
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(Error::Unsuited(format!("a name has 1 to {NAME_BYTES_MAX} bytes")));
        }
        if secret.expose().len() > limits.secret_bytes_max {
            return Err(Error::Unavailable(format!("a kept secret has at most {} bytes", limits.secret_bytes_max)));
        }
        let owner = self.owner(owner)?;
        let ttl = ttl_ms.map(|ms| Duration::from_millis(ms.into()));
        self.plugin.shelf.put(owner, name, secret, ttl, limits.secrets_max).map_err(|KeepError(why)| Error::Unavailable(why))
    }
}

impl Host for Guest {
    fn put(&mut self, _: Resource<super::exchange::Exchange>, o: Said, name: String, value: Vec<u8>, ttl_ms: Option<u32>) -> Answer<()> {
        self.entered(name.len() + value.len())?;
        Ok(self.keep_secret(o, &name, Secret::new(value), ttl_ms))
    }

    fn open_own(&mut self, _: Resource<super::exchange::Exchange>, o: Said, name: String) -> Answer<Resource<OpenSecret>> {
        self.entered(name.len())?;
        granted!(self.may_keep_secrets());
        let owner = granted!(self.owner(o));
        let secret = granted!(self.plugin.shelf.find(&owner, &name).ok_or(Error::Missing));
        self.hold(OpenSecret { secret, name: Some(name.into()), is_operators: false, bound: None }).map(Ok)
    }

    fn remove(&mut self, _: Resource<super::exchange::Exchange>, o: Said, name: String) -> Answer<()> {
        self.entered(name.len())?;
        granted!(self.may_keep_secrets());
        let owner = granted!(self.owner(o));
        self.plugin.shelf.remove(&owner, &name);
        Ok(Ok(()))
    }
}

impl HostSecret for Guest {
    fn open(&mut self, name: String) -> Answer<Resource<OpenSecret>> {
        self.entered(name.len())?;
        granted!(self.may_keep_secrets());
        let Some(secret) = self.plugin.secrets.get(&name).cloned() else {
            return Ok(Err(Error::Denied(format!("secret:{} is not granted", crate::instance::one_line(&name)))));
        };
        let bound = self.plugin.grants.places(&name).map(Into::into);
        self.hold(OpenSecret { secret, name: Some(name.into()), is_operators: true, bound }).map(Ok)
    }

    fn equals(&mut self, handle: Resource<OpenSecret>, value: Vec<u8>) -> wasmtime::Result<bool> {
        self.entered(value.len())?;
        Ok(self.secret(&handle)?.secret.equals(&value))
    }

    fn hmac_sha256(&mut self, handle: Resource<OpenSecret>, data: Vec<u8>) -> wasmtime::Result<Vec<u8>> {
        self.entered(data.len())?;
        Ok(self.secret(&handle)?.secret.hmac_sha256(&data).to_vec())
    }

    fn derive(&mut self, handle: Resource<OpenSecret>, prefix: String, data: Vec<u8>) -> wasmtime::Result<Resource<OpenSecret>> {
        self.entered(prefix.len() + data.len())?;
        let from = self.secret(&handle)?;
        let (is_operators, bound) = (from.is_operators, from.bound.clone());
        let derived = OpenSecret { secret: from.secret.derive(&prefix, &data), name: None, is_operators, bound };
        self.hold(derived)
    }

    fn sign(&mut self, handle: Resource<OpenSecret>, algorithm: Algorithm, data: Vec<u8>) -> Answer<Vec<u8>> {
        self.entered(data.len())?;
        let algorithm = match algorithm {
            Algorithm::Hs256 => secrets::Algorithm::Hs256,
            Algorithm::Rs256 => secrets::Algorithm::Rs256,
            Algorithm::Es256 => secrets::Algorithm::Es256,
            Algorithm::Ed25519 => secrets::Algorithm::Ed25519,
        };
        // An RSA signature takes about a millisecond, and is the guest's to pay for.
        self.budget.look()?;
        let signed = secrets::sign(&self.secret(&handle)?.secret, algorithm, &data);
        self.budget.look()?;
        Ok(signed.map_err(|why| Error::Unsuited(why.into())))
    }

    fn reveal(&mut self, handle: Resource<OpenSecret>) -> Answer<Vec<u8>> {
        self.entered(0)?;
        let open = self.secret(&handle)?;
        let Some(name) = open.name.as_deref() else {
            return Ok(Err(Error::Unsuited("what was derived cannot be seen; use hmac-sha256".into())));
        };
        if !self.plugin.grants.reveals(name) {
            return Ok(Err(Error::Denied(format!("reveal:{} is not granted", crate::instance::one_line(name)))));
        }
        let bytes = open.secret.expose().to_vec();
        self.hand_over(bytes.len())?;
        Ok(Ok(bytes))
    }

    fn keep(
        &mut self,
        handle: Resource<OpenSecret>,
        _: Resource<super::exchange::Exchange>,
        o: Said,
        name: String,
        ttl_ms: Option<u32>,
    ) -> Answer<()> {
        self.entered(name.len())?;
        let open = self.secret(&handle)?;
        if open.is_operators {
            return Ok(Err(Error::Denied("the operator's secrets stay where they are".into())));
        }
        let secret = open.secret.clone();
        Ok(self.keep_secret(o, &name, secret, ttl_ms))
    }

    fn drop(&mut self, handle: Resource<OpenSecret>) -> wasmtime::Result<()> {
        self.secrets.delete(handle)?;
        Ok(())
    }
}
