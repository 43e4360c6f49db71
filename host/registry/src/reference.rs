//! What an operator writes for a plugin that is no file here.
//!
//! ```text
//! https://host/x.wasm#sha256:<64 hexadecimal digits>
//! oci://registry/repository:tag
//! oci://registry/repository@sha256:<64 hexadecimal digits>
//! ```
//! A URL says nothing of what is behind it tomorrow, so its digest is required. The digest of an `oci://` reference is the manifest's, as
//! everywhere. There is no default registry and no default tag.

use crate::is_digest;
use reqwest::Url;
use std::{fmt, net::IpAddr, str::FromStr};

/// Where a plugin is fetched from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reference {
    /// A file behind a URL.
    Url(UrlReference),
    /// An artifact in a registry.
    Oci(OciReference),
}

/// A file behind a URL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UrlReference {
    /// Without a fragment.
    pub(crate) url: Url,
    pub(crate) digest: String,
}

/// An artifact in a registry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OciReference(pub(crate) oci_client::Reference);

/// What is wrong with a reference, and what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// A URL without a digest.
    #[error("write the digest of the file behind it, as https://host/plugin.wasm#sha256:<64 digits>; `sha256sum` prints it")]
    NoDigest,
    /// A URL that is none, or holds what it may not.
    #[error("write https://host/plugin.wasm#sha256:<64 digits>, without a user: {0}")]
    Url(String),
    /// No registry.
    #[error("write the registry, too, as oci://ghcr.io/owner/plugin:1.0.0")]
    NoRegistry,
    /// Neither tag nor digest.
    #[error("write a tag or a digest, as oci://registry/plugin:1.0.0 or oci://registry/plugin@sha256:<64 digits>")]
    NoVersion,
    /// Anything else about an `oci://` reference.
    #[error("write oci://registry/repository:tag or oci://registry/repository@sha256:<64 digits>: {0}")]
    Oci(String),
}

const SCHEMES: [&str; 3] = ["oci://", "https://", "http://"];

impl Reference {
    /// Is it meant to be one? A file's path begins otherwise.
    pub fn is_meant(text: &str) -> bool {
        SCHEMES.iter().any(|scheme| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
    }

    /// Whom to ask: host and port, if there is one. A login is looked up by it.
    pub fn host(&self) -> String {
        match self {
            Self::Url(UrlReference { url, .. }) => authority(url),
            Self::Oci(OciReference(oci)) => oci.registry().to_owned(),
        }
    }

    /// What the plugin's settings may be called: the file's name without its ending, or the end of the repository's.
    pub fn name(&self) -> String {
        match self {
            Self::Url(UrlReference { url, .. }) => {
                let file = url.path().rsplit('/').next().unwrap_or_default();
                file.strip_suffix(".wasm").unwrap_or(file).to_owned()
            }
            Self::Oci(OciReference(oci)) => oci.repository().rsplit('/').next().unwrap_or_default().to_owned(),
        }
    }

    /// Does it name one thing for ever?
    pub fn is_pinned(&self) -> bool {
        match self {
            Self::Url(_) => true,
            Self::Oci(OciReference(oci)) => oci.digest().is_some(),
        }
    }

    /// The sha256 of the file, where the reference itself has it: a URL's. That of an `oci://` reference is its manifest's.
    pub fn file_digest(&self) -> Option<&str> {
        match self {
            Self::Url(UrlReference { digest, .. }) => Some(digest),
            Self::Oci(_) => None,
        }
    }

    /// Where it is, for eyes that may not see all: without a URL's query, which may be a key.
    pub fn place(&self) -> String {
        match self {
            Self::Url(UrlReference { url, .. }) => {
                let mut url = url.clone();
                url.set_query(None);
                url.to_string()
            }
            Self::Oci(_) => self.to_string(),
        }
    }

    /// Must it go without TLS, if at all?
    pub fn is_plain(&self) -> bool {
        matches!(self, Self::Url(UrlReference { url, .. }) if url.scheme() == "http")
    }
}

/// Host and port as they stand in a URL.
pub(crate) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Is this host, with or without a port, this machine?
pub fn is_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        match text.get(..6) {
            Some(start) if start.eq_ignore_ascii_case("oci://") => oci(&text[6..]).map(Self::Oci),
            _ => url(text).map(Self::Url),
        }
    }
}

fn url(text: &str) -> Result<UrlReference, ReferenceError> {
    let mut url = Url::parse(text).map_err(|error| ReferenceError::Url(error.to_string()))?;
    let said = |what: &str| Err(ReferenceError::Url(what.to_owned()));
    if !matches!(url.scheme(), "https" | "http") {
        return said("it begins otherwise");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return said("a login stands under sluice.plugins.registries");
    }
    let digest = url.fragment().and_then(|fragment| fragment.strip_prefix("sha256:")).filter(|digest| is_digest(digest));
    let digest = digest.ok_or(ReferenceError::NoDigest)?.to_owned();
    url.set_fragment(None);
    Ok(UrlReference { url, digest })
}

fn oci(text: &str) -> Result<OciReference, ReferenceError> {
    let (registry, _) = text.split_once('/').ok_or(ReferenceError::NoRegistry)?;
    // What has none of these is a user of Docker Hub to other tools.
    if !registry.contains(['.', ':']) && registry != "localhost" {
        return Err(ReferenceError::NoRegistry);
    }
    let reference: oci_client::Reference = text.parse().map_err(|error: oci_client::ParseError| ReferenceError::Oci(error.to_string()))?;
    let name = text.split('@').next().unwrap_or_default();
    let has_tag = name.rsplit('/').next().is_some_and(|last| last.contains(':'));
    match reference.digest() {
        None if !has_tag => Err(ReferenceError::NoVersion),
        Some(digest) if !digest.strip_prefix("sha256:").is_some_and(is_digest) => {
            Err(ReferenceError::Oci("its digest is not sha256".to_owned()))
        }
        _ => Ok(OciReference(reference)),
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(UrlReference { url, digest }) => write!(f, "{url}#sha256:{digest}"),
            Self::Oci(OciReference(oci)) => write!(f, "oci://{oci}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Reference, ReferenceError> {
        text.parse()
    }

    #[test]
    fn what_names_a_plugin_is_read_and_shown_as_it_was_written() {
        let digest = "ab".repeat(32);
        for (text, host, name, pinned) in [
            (format!("https://example.com/a/redact.wasm#sha256:{digest}"), "example.com", "redact", true),
            (format!("https://example.com:8443/x?v=1#sha256:{digest}"), "example.com:8443", "x", true),
            (format!("http://127.0.0.1:80/10-a.wasm#sha256:{digest}"), "127.0.0.1", "10-a", true),
            ("oci://ghcr.io/acme/redact:1.2.0".to_owned(), "ghcr.io", "redact", false),
            ("oci://localhost:5000/redact:latest".to_owned(), "localhost:5000", "redact", false),
            (format!("oci://ghcr.io/acme/redact@sha256:{digest}"), "ghcr.io", "redact", true),
            (format!("oci://ghcr.io/acme/redact:1.2.0@sha256:{digest}"), "ghcr.io", "redact", true),
            ("oci://docker.io/acme/redact:1".to_owned(), "docker.io", "redact", false),
        ] {
            let reference = read(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((reference.host().as_str(), reference.name().as_str(), reference.is_pinned()), (host, name, pinned), "{text}");
            assert_eq!(reference.to_string(), text.replace(":80/", "/"));
            assert_eq!(reference.file_digest(), text.starts_with("http").then_some(digest.as_str()), "{text}");
            assert!(!reference.place().contains(['?', '#']) && reference.place().contains(host), "{text}");
            assert!(Reference::is_meant(&text));
        }
    }

    #[test]
    fn what_names_none_says_what_to_write() {
        let digest = "ab".repeat(32);
        for (text, says) in [
            ("https://example.com/x.wasm".to_owned(), "digest of the file"),
            ("https://example.com/x.wasm#sha256:abc".to_owned(), "digest of the file"),
            (format!("https://example.com/x.wasm#sha256:{}", "AB".repeat(32)), "digest of the file"),
            (format!("https://u:p@example.com/x.wasm#sha256:{digest}"), "a login stands under"),
            (format!("ftp://example.com/x#sha256:{digest}"), "it begins otherwise"),
            ("oci://redact:1".to_owned(), "the registry, too"),
            ("oci://acme/redact:1".to_owned(), "the registry, too"),
            ("oci://ghcr.io/acme/redact".to_owned(), "a tag or a digest"),
            ("oci://localhost:5000/redact".to_owned(), "a tag or a digest"),
            ("oci://ghcr.io/Acme/redact:1".to_owned(), "oci://registry/repository:tag"),
            (format!("oci://ghcr.io/acme/redact@sha512:{}", "ab".repeat(64)), "not sha256"),
            ("oci://ghcr.io/acme/redact@sha256:12".to_owned(), "oci://registry/repository:tag"),
        ] {
            let error = read(&text).expect_err(&text).to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
        assert!(!Reference::is_meant("./plugins/a.wasm") && !Reference::is_meant("redact") && !Reference::is_meant("builtin:redact"));
    }

    #[test]
    fn this_machine_is_known_by_name_and_address() {
        for host in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.9.9.9", "[::1]:5000", "[::1]", "LOCALHOST"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in ["example.com", "localhost.example.com", "10.0.0.1:5000", "[fd00::1]:80", "", ":80"] {
            assert!(!is_this_machine(host), "{host}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in "\\PC{0,120}", rest in "[a-z0-9./:@#-]{0,90}") {
            for text in [text, format!("oci://{rest}"), format!("https://{rest}")] {
                if let Ok(reference) = read(&text) {
                    prop_assert_eq!(read(&reference.to_string()), Ok(reference));
                }
            }
        }
    }
}
