//! Who we are at a host: what the operator wrote, what `docker login` left, or nobody.

use crate::{
    error::{FetchError, Kind, one_line},
    reference::Reference,
    registries::{Login, Settings},
};
use docker_credential::{CredentialRetrievalError as Failure, DockerCredential};
use oci_client::secrets::RegistryAuth;
use reqwest::RequestBuilder;
use std::{thread, time::Duration};
use tokio::sync::oneshot;

/// Docker Hub's logins stand under this name.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";
/// What a credential helper says that has no login. Some say it too, such as Amazon's, when they cannot get one.
const NOT_FOUND: &str = "credentials not found";

/// A login, and the words for it in an error.
#[derive(Clone)]
pub(crate) struct Shown {
    pub(crate) auth: RegistryAuth,
    pub(crate) words: String,
    /// Docker's helper was to have a login and gave none, so whoever is refused may be us or a stranger.
    pub(crate) is_doubtful: bool,
}

type Asked = Result<DockerCredential, Failure>;

impl Shown {
    fn new(auth: RegistryAuth, words: impl Into<String>) -> Self {
        Self { auth, words: words.into(), is_doubtful: false }
    }

    fn nobody(why: &str) -> Self {
        Self::new(RegistryAuth::Anonymous, format!("no login{why}"))
    }

    /// A request that shows it.
    pub(crate) fn on(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.auth {
            RegistryAuth::Anonymous => request,
            RegistryAuth::Basic(username, password) => request.basic_auth(username, Some(password)),
            RegistryAuth::Bearer(token) => request.bearer_auth(token),
        }
    }

    /// A "no" that may have been meant for a stranger is none to us.
    pub(crate) fn weigh(&self, error: FetchError) -> FetchError {
        let kind = if self.is_doubtful && error.kind == Kind::Denied { Kind::Down } else { error.kind };
        FetchError { kind, ..error }
    }
}

/// # Errors
/// Docker's credential helper fails, or says nothing in time: who we are is not known then, which is not the same as nobody.
pub(crate) async fn at(reference: &Reference, settings: &Settings) -> Result<Shown, FetchError> {
    let host = reference.host();
    match settings.hosts.get(&host).and_then(|host| host.login.as_ref()) {
        Some(Login::Password { username, password }) => Ok(Shown::new(
            RegistryAuth::Basic(username.clone(), password.to_string()),
            format!("the login of {username} in sluice.plugins.registries"),
        )),
        Some(Login::Token(token)) => Ok(Shown::new(RegistryAuth::Bearer(token.to_string()), "the token in sluice.plugins.registries")),
        None => {
            let server = if host == "docker.io" { DOCKER_HUB } else { &host }.to_owned();
            dockers(reference, settings.whole, move || docker_credential::get_credential(&server)).await
        }
    }
}

/// A credential helper is a program, and may take its time, or for ever. So it is asked on a thread that nobody waits for: a runtime that ends
/// waits for its own blocking tasks, and the process with it.
async fn dockers(reference: &Reference, limit: Duration, ask: impl FnOnce() -> Asked + Send + 'static) -> Result<Shown, FetchError> {
    let (tell, told) = oneshot::channel();
    let thread = thread::Builder::new().name("docker-login".into()).spawn(move || {
        // Nobody may be there any more.
        let _ = tell.send(ask());
    });
    if let Err(error) = thread {
        return Err(unknown(reference, &format!("cannot be asked for: this machine has no thread for it ({error})")));
    }
    match tokio::time::timeout(limit, told).await {
        Ok(Ok(asked)) => shown(reference, asked),
        Ok(Err(_)) => Ok(Shown::nobody(" (docker's cannot be read)")),
        Err(_) => Err(unknown(reference, &format!("did not come within {} ms: its credential helper hangs", limit.as_millis()))),
    }
}

fn shown(reference: &Reference, asked: Asked) -> Result<Shown, FetchError> {
    Ok(match asked {
        Ok(DockerCredential::UsernamePassword(username, password)) => {
            let words = format!("docker's login of {username}");
            Shown::new(RegistryAuth::Basic(username, password), words)
        }
        Ok(DockerCredential::IdentityToken(_)) => Shown::nobody(" (docker's is an identity token, which is not supported)"),
        Err(Failure::NoCredentialConfigured | Failure::ConfigNotFound) => Shown::nobody(""),
        // There may be no such file; one that is there and broken is told as well.
        Err(Failure::ConfigReadError) => Shown::nobody(" (docker's config.json is not there or cannot be read)"),
        Err(Failure::HelperFailure { helper, stdout, .. }) if stdout.contains(NOT_FOUND) => {
            let words = format!(" ({helper} has none, or could not get one)");
            Shown { is_doubtful: true, ..Shown::nobody(&words) }
        }
        Err(Failure::HelperFailure { helper, stdout, stderr }) => {
            let said = stderr.lines().chain(stdout.lines()).find(|line| !line.trim().is_empty()).unwrap_or("nothing");
            return Err(unknown(reference, &format!("cannot be had: {helper} fails, and says: {}", one_line(said))));
        }
        Err(Failure::HelperCommunicationError) => {
            return Err(unknown(
                reference,
                "cannot be had: the credential helper that its config.json names is not there, or does not listen",
            ));
        }
        Err(Failure::MalformedHelperResponse) => {
            return Err(unknown(reference, "cannot be had: its credential helper answers what is no login"));
        }
        Err(Failure::CredentialDecodingError | Failure::CredentialMismatchError) => Shown::nobody(" (docker's cannot be read)"),
    })
}

/// Neither the registry's fault nor its word.
fn unknown(reference: &Reference, what: &str) -> FetchError {
    let host = reference.host();
    let what = format!(
        "was not asked for: docker's login for {host} {what}. Put the helper right, or write a login under sluice.plugins.registries.\"{host}\""
    );
    FetchError::new(reference, Kind::Down, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn reference() -> Reference {
        "oci://registry.example/acme/a:1".parse().unwrap()
    }

    fn failed(stdout: &str, stderr: &str) -> Asked {
        Err(Failure::HelperFailure { helper: "docker-credential-x".into(), stdout: stdout.into(), stderr: stderr.into() })
    }

    #[test]
    fn a_helper_that_fails_is_not_one_that_has_nothing() {
        let nobody = shown(&reference(), failed("credentials not found in native keychain\n", "")).ok().unwrap();
        assert_eq!((nobody.auth, nobody.words.contains("docker-credential-x has none")), (RegistryAuth::Anonymous, true));
        for (asked, says) in [
            (failed("", "\ncannot reach IAM\nsecond line"), "docker-credential-x fails, and says: cannot reach IAM."),
            (failed("no session", ""), "says: no session."),
            (Err(Failure::HelperCommunicationError), "is not there, or does not listen"),
            (Err(Failure::MalformedHelperResponse), "what is no login"),
        ] {
            let error = shown(&reference(), asked).err().unwrap();
            assert_eq!(error.kind, Kind::Down, "{error}");
            assert!(error.what.contains(says) && error.what.contains("registries.\"registry.example\""), "{error}");
        }
    }

    #[test]
    fn a_no_to_a_stranger_is_none_where_a_helper_was_to_know_us() {
        let denied = || FetchError::status(&reference(), "registry.example", 401, "no login");
        let weighed = |asked: Asked| shown(&reference(), asked).ok().unwrap().weigh(denied()).kind;
        assert_eq!(weighed(failed("credentials not found in native keychain\n", "")), Kind::Down);
        assert_eq!(weighed(Err(Failure::NoCredentialConfigured)), Kind::Denied, "the control: nobody was to know us");
        assert_eq!(weighed(Ok(DockerCredential::UsernamePassword("a".into(), "b".into()))), Kind::Denied);
    }

    #[test]
    fn a_helper_that_hangs_holds_up_nobody() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let began = Instant::now();
        let hangs = || {
            thread::sleep(Duration::from_secs(30));
            Err(Failure::NoCredentialConfigured)
        };
        let error = runtime.block_on(dockers(&reference(), Duration::from_millis(50), hangs)).err().unwrap();
        drop(runtime);
        assert!(began.elapsed() < Duration::from_secs(20), "the end of the runtime waits for it");
        assert_eq!(error.kind, Kind::Down);
        assert!(error.what.contains("within 50 ms: its credential helper hangs"), "{error}");
    }
}
