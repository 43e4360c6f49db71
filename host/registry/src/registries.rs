//! Asking for plugins, and putting them where others ask.

use crate::{
    artifact::Artifact,
    error::{FetchError, Kind},
    login, oci,
    reference::{OciReference, Reference, is_this_machine},
    url,
};
use bytes::Bytes;
use oci_client::RegistryOperation;
use std::{collections::BTreeMap, fmt, time::Duration};
use zeroize::Zeroizing;

/// Whom we know, and how long and how much we take.
#[derive(Debug, Clone)]
pub struct Settings {
    /// By host, with the port if there is one.
    pub hosts: BTreeMap<String, Host>,
    /// Until a connection is there.
    pub connect: Duration,
    /// Until all of one plugin is there.
    pub whole: Duration,
    /// Of one file.
    pub bytes_max: usize,
}

/// What the operator says of a host.
#[derive(Debug, Clone, Default)]
pub struct Host {
    /// Who we are there; else docker is asked.
    pub login: Option<Login>,
    /// It has no TLS.
    pub plain_http: bool,
}

/// Who we are at a host.
#[derive(Clone)]
pub enum Login {
    /// As people log in.
    Password {
        /// Who.
        username: String,
        /// It, or what the registry gives out in its place.
        password: Zeroizing<String>,
    },
    /// A bearer token.
    Token(Zeroizing<String>),
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { username, .. } => write!(f, "Password({username})"),
            Self::Token(_) => f.write_str("Token"),
        }
    }
}

/// A plugin that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// The file.
    pub bytes: Bytes,
    /// Its sha256, lower-case hex.
    pub digest: String,
    /// Of a registry: its manifest's, as `sha256:…`.
    pub manifest: Option<String>,
    /// The text of its signature, if it has one.
    pub signature: Option<String>,
}

/// All hosts that plugins come from.
#[derive(Debug)]
pub struct Registries {
    pub(crate) settings: Settings,
}

impl Registries {
    /// Nobody is asked before something is wanted.
    pub fn new(settings: Settings) -> Self {
        // What nobody chose before is ring's, here as in all of Sluice; what somebody chose stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { settings }
    }

    /// What the reference leads to. `kept` is asked for bytes before they are fetched; they have the digest it was asked by.
    ///
    /// # Errors
    /// One [`FetchError`], meant to be shown as it is.
    pub async fn pull(&self, reference: &Reference, kept: &(dyn Fn(&str) -> Option<Bytes> + Sync)) -> Result<Pulled, FetchError> {
        let asked = async {
            match reference {
                Reference::Url(file) => url::pull(self, reference, file, kept).await,
                Reference::Oci(OciReference(image)) => oci::pull(self, reference, image, kept).await,
            }
        };
        let limit = self.settings.whole;
        tokio::time::timeout(limit, asked).await.unwrap_or_else(|_| Err(FetchError::late(reference, limit)))
    }

    /// Puts a plugin there; its manifest's digest, as `sha256:…`.
    ///
    /// # Errors
    /// One [`FetchError`], meant to be shown as it is.
    pub async fn push(&self, reference: &Reference, artifact: &Artifact) -> Result<String, FetchError> {
        let wrong = |what: &str| Err(FetchError::new(reference, Kind::Wrong, what));
        let image = match reference {
            Reference::Oci(OciReference(image)) if image.digest().is_none() => image,
            Reference::Oci(_) => return wrong("names a digest, and that is known only once it is there: write a tag"),
            Reference::Url(_) => return wrong("is a URL, and a plugin is pushed to a registry: write oci://registry/repository:tag"),
        };
        if artifact.bytes.len() > self.settings.bytes_max {
            return wrong(&crate::artifact::too_large(artifact.bytes.len(), self.settings.bytes_max));
        }
        let limit = self.settings.whole;
        let put = oci::push(self, reference, image, artifact);
        tokio::time::timeout(limit, put).await.unwrap_or_else(|_| Err(FetchError::late(reference, limit)))
    }

    /// May this host, with its port, be talked to without TLS?
    pub fn may_be_plain(&self, host: &str) -> bool {
        is_this_machine(host) || self.settings.hosts.get(host).is_some_and(|host| host.plain_http)
    }

    pub(crate) async fn login(&self, host: &str) -> login::Shown {
        login::at(host, &self.settings.hosts).await
    }

    /// A client of this registry that has shown who we are. Without TLS only where the operator said so, and on this machine where TLS is
    /// not answered.
    pub(crate) async fn client(
        &self,
        reference: &Reference,
        image: &oci_client::Reference,
        operation: RegistryOperation,
    ) -> Result<(oci_client::Client, login::Shown), FetchError> {
        let host = image.registry();
        let is_plain = match self.settings.hosts.get(host) {
            Some(host) if host.plain_http => true,
            _ => is_this_machine(host) && !oci::answers_tls(&self.settings, image).await,
        };
        let login = self.login(host).await;
        let explain = |error| oci::explain(error, reference, host, &login.words);
        let client = oci::client(&self.settings, is_plain).map_err(explain)?;
        client.auth(image, &login.auth, operation).await.map_err(explain)?;
        Ok((client, login))
    }
}
