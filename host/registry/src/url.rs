//! Files behind URLs.

use crate::{
    artifact::{SIGNATURE_BYTES_MAX, too_large},
    digest,
    error::{FetchError, Kind},
    login::Shown,
    oci::{changed, requested},
    reference::{Reference, UrlReference, authority},
    registries::{Pulled, Registries},
};
use bytes::{Bytes, BytesMut};
use reqwest::{Client, Response, Url, redirect};

/// Releases lie behind one redirect or two.
const REDIRECTS_MAX: usize = 5;
const AGENT: &str = concat!("sluice/", env!("CARGO_PKG_VERSION"));

/// Where one file and its signature come from.
struct Server<'a> {
    client: Client,
    reference: &'a Reference,
    host: String,
    login: &'a Shown,
}

pub(crate) async fn pull(
    registries: &Registries,
    reference: &Reference,
    file: &UrlReference,
    login: &Shown,
    kept: &(dyn Fn(&str) -> Option<Bytes> + Sync),
) -> Result<Pulled, FetchError> {
    let host = authority(&file.url);
    let client = client(registries).map_err(|error| requested(&error, reference, &host, &login.words))?;
    let server = Server { client, reference, host, login };
    let bytes = match kept(&file.digest) {
        Some(bytes) => bytes,
        None => server.file(file, registries.settings.bytes_max).await?,
    };
    let signature = server.signature(file).await?;
    Ok(Pulled { bytes, digest: file.digest.clone(), manifest: None, signature })
}

/// Follows a few redirects, and none out of TLS.
pub(crate) fn client(registries: &Registries) -> reqwest::Result<Client> {
    let plain: Vec<String> = registries.settings.hosts.iter().filter(|(_, host)| host.plain_http).map(|(name, _)| name.clone()).collect();
    let may_be_plain = move |url: &Url| {
        let host = authority(url);
        crate::reference::is_this_machine(&host) || plain.contains(&host)
    };
    let follow = redirect::Policy::custom(move |attempt| {
        if attempt.previous().len() > REDIRECTS_MAX {
            attempt.error("too many redirects")
        } else if attempt.url().scheme() != "https" && !may_be_plain(attempt.url()) {
            attempt.error("it redirects to where there is no TLS")
        } else {
            attempt.follow()
        }
    });
    let settings = &registries.settings;
    Client::builder().redirect(follow).connect_timeout(settings.connect).timeout(settings.whole).user_agent(AGENT).build()
}

impl Server<'_> {
    async fn file(&self, file: &UrlReference, bytes_max: usize) -> Result<Bytes, FetchError> {
        let response = self.get(file.url.clone()).await?;
        if !response.status().is_success() {
            return Err(FetchError::status(self.reference, &self.host, response.status().as_u16(), &self.login.words));
        }
        let wrong = |what: String| FetchError::new(self.reference, Kind::Wrong, what);
        let bytes = self.body(response, bytes_max).await?.map_err(|size| wrong(too_large(size, bytes_max)))?;
        let came = digest(&bytes);
        if came == file.digest { Ok(bytes) } else { Err(wrong(changed(&file.digest, &came))) }
    }

    /// What stands beside it, as beside a file. Stores that tell strangers nothing answer 403 for what is not there.
    async fn signature(&self, file: &UrlReference) -> Result<Option<String>, FetchError> {
        let mut url = file.url.clone();
        url.set_path(&format!("{}.sig", url.path()));
        let response = self.get(url).await?;
        match response.status().as_u16() {
            403 | 404 | 410 => return Ok(None),
            status if !response.status().is_success() => {
                return Err(FetchError::status(&format!("the signature of {}", self.reference), &self.host, status, &self.login.words));
            }
            _ => {}
        }
        let wrong = |what: &str| FetchError::new(self.reference, Kind::Wrong, what);
        let bytes = self.body(response, SIGNATURE_BYTES_MAX).await?;
        let bytes = bytes.map_err(|_| wrong("has a signature beside it that is longer than any is: something else is at its URL"))?;
        let text = String::from_utf8(bytes.into()).map_err(|_| wrong("has a signature beside it that is no text"))?;
        Ok(Some(text))
    }

    async fn get(&self, url: Url) -> Result<Response, FetchError> {
        self.login.on(self.client.get(url)).send().await.map_err(|error| self.broken(&error))
    }

    async fn body(&self, response: Response, bytes_max: usize) -> Result<Result<Bytes, u64>, FetchError> {
        body(response, bytes_max).await.map_err(|error| self.broken(&error))
    }

    fn broken(&self, error: &reqwest::Error) -> FetchError {
        requested(error, self.reference, &self.host, &self.login.words)
    }
}

/// As far as it may be long; else how long it is at least.
pub(crate) async fn body(mut response: Response, bytes_max: usize) -> reqwest::Result<Result<Bytes, u64>> {
    if let Some(length) = response.content_length().filter(|length| *length > bytes_max as u64) {
        return Ok(Err(length));
    }
    let mut whole = BytesMut::new();
    while let Some(more) = response.chunk().await? {
        whole.extend_from_slice(&more);
        if whole.len() > bytes_max {
            return Ok(Err(whole.len() as u64));
        }
    }
    Ok(Ok(whole.freeze()))
}
