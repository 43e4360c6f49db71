//! Asking for plugins, and putting them where others ask.

use crate::{
    artifact::Artifact,
    challenge::{Gate, Open},
    error::{FetchError, Kind},
    login::{self, Shown},
    oci,
    reference::{OciReference, Reference, is_this_machine},
    url,
};
use bytes::Bytes;
use oci_client::RegistryOperation;
use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};
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
        let host = reference.host();
        if reference.is_plain() && !self.may_be_plain(&host) {
            let what = format!("goes without TLS: write https://, or sluice.plugins.registries.\"{host}\".plain_http = true");
            return Err(FetchError::new(reference, Kind::Wrong, what));
        }
        let (login, left) = self.login(reference).await?;
        let asked = async {
            match reference {
                Reference::Url(file) => url::pull(self, reference, file, &login, kept).await,
                Reference::Oci(OciReference(image)) => oci::pull(self, reference, image, &login, kept).await,
            }
        };
        let came = tokio::time::timeout(left, asked).await;
        came.unwrap_or_else(|_| Err(FetchError::late(reference, self.settings.whole))).map_err(|error| login.weigh(error))
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
        let (login, left) = self.login(reference).await?;
        let put = oci::push(self, reference, image, &login, artifact);
        tokio::time::timeout(left, put).await.unwrap_or_else(|_| Err(FetchError::late(reference, self.settings.whole)))
    }

    /// May this host, with its port, be talked to without TLS?
    pub fn may_be_plain(&self, host: &str) -> bool {
        is_this_machine(host) || self.settings.hosts.get(host).is_some_and(|host| host.plain_http)
    }

    /// Who we are there, and how much of the time is left: what docker takes is not the server's fault.
    async fn login(&self, reference: &Reference) -> Result<(Shown, Duration), FetchError> {
        let began = Instant::now();
        let login = login::at(reference, &self.settings).await?;
        Ok((login, self.settings.whole.saturating_sub(began.elapsed())))
    }

    /// A client of this registry that has shown who we are, and what it shows.
    pub(crate) async fn client(
        &self,
        reference: &Reference,
        image: &oci_client::Reference,
        login: &Shown,
        operation: RegistryOperation,
    ) -> Result<(oci_client::Client, Shown), FetchError> {
        let Open { is_plain, shown } = Gate { registries: self, reference, image, login }.open(operation).await?;
        let client = oci::client(&self.settings, is_plain);
        let client = client.map_err(|error| oci::explain(error, reference, image.registry(), &shown.words))?;
        client.store_auth_if_needed(image.resolve_registry(), &shown.auth).await;
        Ok((client, shown))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{BufRead as _, BufReader, Write as _},
        net::TcpListener,
        sync::{Arc, Mutex},
        thread,
    };

    /// Answers until the test ends, and keeps each request's head.
    struct Server {
        address: String,
        seen: Arc<Mutex<Vec<String>>>,
    }

    impl Server {
        /// `answer`: from the first line of a request to a status, a header line or none, and a body.
        fn start(answer: impl Fn(&str) -> (u16, String, Vec<u8>) + Send + 'static) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap().to_string();
            let seen: Arc<Mutex<Vec<String>>> = Arc::default();
            let kept = seen.clone();
            thread::spawn(move || {
                for mut stream in listener.incoming().map_while(Result::ok) {
                    let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                    let (status, header, body) = answer(head.first().map_or("", String::as_str));
                    kept.lock().unwrap().push(head.join("\n"));
                    let head = format!("HTTP/1.1 {status} X\r\n{header}connection: close\r\ncontent-length: {}\r\n\r\n", body.len());
                    // Whoever hangs up meanwhile is no concern of ours.
                    let _ = stream.write_all(&[head.as_bytes(), &body].concat());
                }
            });
            Self { address, seen }
        }

        fn seen(&self) -> Vec<String> {
            self.seen.lock().unwrap().clone()
        }

        /// The same server under a name that is not this machine's: this address means all of them, and leads here as well.
        fn elsewhere(&self) -> String {
            self.address.replace("127.0.0.1", "0.0.0.0")
        }
    }

    const WASM: &[u8] = b"\0asm\x0d\0\x01\0";
    const GRANTED: &str = r#"{"token": "granted"}"#;

    fn manifest(urls: Option<String>) -> Vec<u8> {
        let artifact = Artifact {
            name: "a".into(),
            version: "1.0.0".into(),
            summary: String::new(),
            bytes: Bytes::from_static(WASM),
            imports: Vec::new(),
            exports: Vec::new(),
            signature: None,
        };
        let mut manifest: serde_json::Value = serde_json::from_slice(&artifact.manifest(&artifact.config()).unwrap()).unwrap();
        if let Some(url) = urls {
            manifest["layers"][0]["urls"] = serde_json::json!([url]);
        }
        manifest.to_string().into_bytes()
    }

    /// One that has the plugin, and answers strangers with this header line.
    fn registry(challenge: impl Into<String>) -> Server {
        let challenge = challenge.into();
        Server::start(move |line| match line {
            _ if line.contains(" /v2/ ") && !challenge.is_empty() => (401, format!("www-authenticate: {challenge}\r\n"), Vec::new()),
            _ if line.contains("/manifests/") => {
                (200, "content-type: application/vnd.oci.image.manifest.v1+json\r\n".to_owned(), manifest(None))
            }
            _ if line.contains("/blobs/") => (200, String::new(), WASM.to_vec()),
            _ => (200, String::new(), Vec::new()),
        })
    }

    fn tokens(status: u16, body: &str) -> Server {
        let body = body.to_owned();
        Server::start(move |_| (status, String::new(), body.clone().into_bytes()))
    }

    async fn pull(server: &Server, login: bool, plain: &[&str]) -> Result<Pulled, FetchError> {
        let password = || Login::Password { username: "acme".into(), password: Zeroizing::new("s3cret".into()) };
        let mut hosts: BTreeMap<String, Host> =
            plain.iter().map(|host| ((*host).to_owned(), Host { login: None, plain_http: true })).collect();
        // A token that nobody looks at is as good as none, and docker is not asked.
        let login = if login { password() } else { Login::Token(Zeroizing::new("own".into())) };
        hosts.insert(server.address.clone(), Host { login: Some(login), plain_http: true });
        let settings = Settings { hosts, connect: Duration::from_secs(2), whole: Duration::from_secs(20), bytes_max: 1 << 20 };
        let reference = format!("oci://{}/acme/a:1", server.address).parse().unwrap();
        Registries::new(settings).pull(&reference, &|_| None).await
    }

    #[tokio::test]
    async fn a_token_is_asked_for_and_shown() {
        let tokens = tokens(200, GRANTED);
        let registry = registry(format!("Bearer realm=\"http://{}/token?x=1\",service=\"a b\"", tokens.address));
        assert_eq!(pull(&registry, true, &[]).await.unwrap().bytes, WASM);
        let [asked] = &tokens.seen()[..] else { panic!("{:?}", tokens.seen()) };
        assert!(asked.starts_with("GET /token?x=1&scope=repository%3Aacme%2Fa%3Apull&service=a+b "), "{asked}");
        assert!(asked.contains("authorization: Basic "), "{asked}");
        let seen = registry.seen();
        let (strangers, known): (Vec<&String>, Vec<&String>) =
            seen.iter().partition(|head| !head.contains("authorization: Bearer granted"));
        assert_eq!((strangers.len(), known.len()), (1, 2), "{seen:?}");
        assert!(!seen.concat().contains("Basic"), "{seen:?}");
    }

    #[tokio::test]
    async fn a_token_service_that_is_down_says_no_no() {
        for (status, kind, says) in [
            (503, Kind::Down, "answers 503"),
            (429, Kind::Down, "answers 429"),
            (401, Kind::Denied, "which was shown the login of acme"),
            (403, Kind::Denied, "403 Forbidden: not you"),
            (404, Kind::Wrong, "neither yes nor no"),
        ] {
            let tokens = tokens(status, "not you");
            let registry = registry(format!("Bearer realm=\"http://{}/token\"", tokens.address));
            let error = pull(&registry, true, &[]).await.unwrap_err();
            assert_eq!(error.kind, kind, "{error}");
            assert!(error.what.contains(says), "{error}");
        }
        for answer in ["{}", r#"{"token": "a\nb"}"#, r#"{"token": ""}"#] {
            let tokens = tokens(200, answer);
            let registry = registry(format!("Bearer realm=\"http://{}/token\"", tokens.address));
            assert_eq!(pull(&registry, true, &[]).await.unwrap_err().kind, Kind::Wrong, "{answer}");
        }
    }

    #[tokio::test]
    async fn a_login_goes_nowhere_without_tls_because_a_registry_says_so() {
        let tokens = tokens(200, GRANTED);
        let there = tokens.elsewhere();
        let registry = registry(format!("Bearer realm=\"http://{there}/token\""));
        let error = pull(&registry, true, &[]).await.unwrap_err();
        assert_eq!((error.kind, tokens.seen().len()), (Kind::Wrong, 0), "{error}: {:?}", tokens.seen());
        assert!(error.what.contains("where there is no TLS") && error.what.contains(&there), "{error}");
        assert_eq!(pull(&registry, true, &[&there]).await.unwrap().bytes, WASM, "the control: the operator said so");
        assert_eq!(tokens.seen().len(), 1);

        // Nor by a redirect.
        let to = there.clone();
        let redirects = Server::start(move |_| (302, format!("location: http://{to}/token\r\n"), Vec::new()));
        let registry = self::registry(format!("Bearer realm=\"http://{}/token\"", redirects.address));
        let error = pull(&registry, true, &[]).await.unwrap_err();
        assert_eq!((error.kind, tokens.seen().len()), (Kind::Wrong, 1), "{error}");
        assert!(error.what.contains("where there is no TLS"), "{error}");
    }

    #[tokio::test]
    async fn a_login_is_shown_to_whom_it_is_asked_by() {
        let basic = registry("Basic realm=\"plugins\"");
        assert_eq!(pull(&basic, true, &[]).await.unwrap().bytes, WASM);
        assert!(basic.seen().concat().contains("authorization: Basic "), "{:?}", basic.seen());
        let open = registry("");
        assert_eq!(pull(&open, true, &[]).await.unwrap().bytes, WASM);
        assert!(!open.seen().concat().contains("authorization:"), "{:?}", open.seen());
        let guarded = registry("Bearer realm=\"http://127.0.0.1:1/token\"");
        assert_eq!(pull(&guarded, false, &[]).await.unwrap().bytes, WASM, "who has a token asks for none");
        assert!(guarded.seen().concat().contains("authorization: Bearer own"), "{:?}", guarded.seen());
        let down = Server::start(|_| (503, String::new(), Vec::new()));
        assert_eq!(pull(&down, true, &[]).await.unwrap_err().kind, Kind::Down);
    }

    #[tokio::test]
    async fn a_manifest_sends_us_nowhere_else() {
        let other = Server::start(|_| (200, String::new(), WASM.to_vec()));
        let url = format!("http://{}/admin", other.address);
        let registry = Server::start(move |line| match line {
            _ if line.contains("/manifests/") => {
                (200, "content-type: application/vnd.oci.image.manifest.v1+json\r\n".to_owned(), manifest(Some(url.clone())))
            }
            _ if line.contains("/blobs/") => (404, String::new(), Vec::new()),
            _ => (200, String::new(), Vec::new()),
        });
        let error = pull(&registry, true, &[]).await.unwrap_err();
        assert_eq!((error.kind, other.seen()), (Kind::Missing, Vec::new()), "{error}");
        assert!(registry.seen().iter().any(|head| head.contains("/blobs/")), "the control: it was asked itself");
    }
}
