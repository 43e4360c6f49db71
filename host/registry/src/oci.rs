//! Registries, by the distribution protocol.

use crate::{
    artifact::{self, Artifact},
    digest,
    error::{FetchError, Kind, chain, missing, unauthorized},
    login::Shown,
    reference::Reference,
    registries::{Pulled, Registries, Settings},
};
use bytes::Bytes;
use oci_client::{
    Client, RegistryOperation,
    client::{ClientConfig, ClientProtocol},
    errors::{DigestError, OciDistributionError as Error, OciEnvelope, OciErrorCode},
    manifest::OCI_IMAGE_MEDIA_TYPE,
};
use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::AsyncWrite;

const AGENT: &str = concat!("sluice/", env!("CARGO_PKG_VERSION"));

pub(crate) fn client(settings: &Settings, is_plain: bool) -> Result<Client, Error> {
    ClientConfig {
        protocol: if is_plain { ClientProtocol::Http } else { ClientProtocol::Https },
        // An index is none of ours to choose from: what runs would depend on the machine.
        platform_resolver: None,
        connect_timeout: Some(settings.connect),
        read_timeout: Some(settings.whole),
        user_agent: AGENT,
        ..ClientConfig::default()
    }
    .try_into()
}

pub(crate) async fn pull(
    registries: &Registries,
    reference: &Reference,
    image: &oci_client::Reference,
    login: &Shown,
    kept: &(dyn Fn(&str) -> Option<Bytes> + Sync),
) -> Result<Pulled, FetchError> {
    let (client, login) = registries.client(reference, image, login, RegistryOperation::Pull).await?;
    let explain = |error| explain(error, reference, image.registry(), &login.words);
    let wrong = |what: String| FetchError::new(reference, Kind::Wrong, what);
    let (manifest, manifest_digest) = client.pull_manifest(image, &login.auth).await.map_err(explain)?;
    let layer = artifact::layer(manifest, registries.settings.bytes_max).map_err(wrong)?;
    let bytes = match kept(&layer.digest) {
        Some(bytes) => bytes,
        None => {
            let mut bounded = Bounded { bytes: Vec::with_capacity(layer.size), bytes_max: layer.size };
            // By its digest alone: the manifest may name URLs besides, and whoever wrote it would choose what this machine asks for.
            client.pull_blob(image, format!("sha256:{}", layer.digest).as_str(), &mut bounded).await.map_err(explain)?;
            bounded.bytes.into()
        }
    };
    // oci-client looked already; what is relied on is looked at here.
    let came = digest(&bytes);
    if came != layer.digest {
        return Err(wrong(changed(&layer.digest, &came)));
    }
    Ok(Pulled { bytes, digest: layer.digest, manifest: Some(manifest_digest), signature: layer.signature })
}

pub(crate) async fn push(
    registries: &Registries,
    reference: &Reference,
    image: &oci_client::Reference,
    login: &Shown,
    artifact: &Artifact,
) -> Result<String, FetchError> {
    let (client, login) = registries.client(reference, image, login, RegistryOperation::Push).await?;
    let explain = |error| explain(error, reference, image.registry(), &login.words);
    let config = artifact.config();
    let manifest = artifact.manifest(&config).map_err(|error| FetchError::new(reference, Kind::Wrong, error.to_string()))?;
    for blob in [&artifact.bytes, &config] {
        let digest = format!("sha256:{}", digest(blob));
        if !client.blob_exists(image, &digest).await.map_err(explain)? {
            client.push_blob(image, blob.clone(), &digest).await.map_err(explain)?;
        }
    }
    let digest = format!("sha256:{}", digest(&manifest));
    let kind = OCI_IMAGE_MEDIA_TYPE.parse().expect("a media type is a header's value");
    client.push_manifest_raw(image, manifest, kind).await.map_err(explain)?;
    Ok(digest)
}

/// What came is not what was asked for: the end of a sentence.
pub(crate) fn changed(wanted: &str, came: &str) -> String {
    format!(
        "is not what was asked for: it has sha256 {came} and not {wanted}, so it was changed or damaged there or on the way; it is not used"
    )
}

/// In the operator's words.
pub(crate) fn explain(error: Error, reference: &Reference, host: &str, login: &str) -> FetchError {
    let said = |kind, what: String| FetchError::new(reference, kind, what);
    match error {
        Error::RequestError(error) => requested(&error, reference, host, login),
        Error::UnauthorizedError { .. } => said(Kind::Denied, unauthorized(host, login)),
        Error::RegistryError { envelope, .. } => refused(&envelope, reference, host, login),
        Error::ServerError { code, .. } => FetchError::status(reference, host, code, login),
        Error::ImageManifestNotFoundError(_) => said(Kind::Missing, missing(host)),
        Error::DigestError(DigestError::VerificationError { expected, actual }) => {
            let bare = |digest: &str| digest.trim_start_matches("sha256:").to_owned();
            said(Kind::Wrong, changed(&bare(&expected), &bare(&actual)))
        }
        Error::IoError(error) => said(Kind::Wrong, error.to_string()),
        error => said(Kind::Wrong, format!("is no plugin, or {host} is no registry: {error}")),
    }
}

/// The way there, or the way back.
pub(crate) fn requested(error: &reqwest::Error, reference: &impl fmt::Display, host: &str, login: &str) -> FetchError {
    if let Some(status) = error.status() {
        return FetchError::status(reference, host, status.as_u16(), login);
    }
    if error.is_redirect() {
        return FetchError::new(reference, Kind::Wrong, format!("leads elsewhere: {}", chain(error)));
    }
    let what = format!("cannot be had: {host} is not reached, or breaks off ({}): check its name and the network", chain(error));
    FetchError::new(reference, Kind::Down, what)
}

fn refused(envelope: &OciEnvelope, reference: &Reference, host: &str, login: &str) -> FetchError {
    let status = match envelope.errors.first().map(|error| &error.code) {
        Some(OciErrorCode::Unauthorized) => 401,
        Some(OciErrorCode::Denied) => 403,
        Some(OciErrorCode::Toomanyrequests) => 429,
        Some(
            OciErrorCode::ManifestUnknown
            | OciErrorCode::NameUnknown
            | OciErrorCode::BlobUnknown
            | OciErrorCode::ManifestBlobUnknown
            | OciErrorCode::NotFound,
        ) => 404,
        _ => return FetchError::new(reference, Kind::Wrong, format!("is not taken by {host}: {envelope}")),
    };
    FetchError::status(reference, host, status, login)
}

/// Takes as many bytes as were promised.
struct Bounded {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl AsyncWrite for Bounded {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, more: &[u8]) -> Poll<io::Result<usize>> {
        if self.bytes.len() + more.len() > self.bytes_max {
            let what = format!("is longer than its manifest says ({} bytes): it is not used", self.bytes_max);
            return Poll::Ready(Err(io::Error::other(what)));
        }
        self.bytes.extend_from_slice(more);
        Poll::Ready(Ok(more.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
