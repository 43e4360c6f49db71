//! Who we are at a host: what the operator wrote, what `docker login` left, or nobody.

use crate::registries::{Host, Login};
use docker_credential::{CredentialRetrievalError, DockerCredential};
use oci_client::secrets::RegistryAuth;
use std::collections::BTreeMap;

/// Docker Hub's logins stand under this name.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// A login, and the words for it in an error.
pub(crate) struct Shown {
    pub(crate) auth: RegistryAuth,
    pub(crate) words: String,
}

pub(crate) async fn at(host: &str, hosts: &BTreeMap<String, Host>) -> Shown {
    match hosts.get(host).and_then(|host| host.login.as_ref()) {
        Some(Login::Password { username, password }) => Shown {
            auth: RegistryAuth::Basic(username.clone(), password.to_string()),
            words: format!("the login of {username} in sluice.plugins.registries"),
        },
        Some(Login::Token(token)) => {
            Shown { auth: RegistryAuth::Bearer(token.to_string()), words: "the token in sluice.plugins.registries".to_owned() }
        }
        None => dockers(host).await,
    }
}

/// A credential helper is a program, and may take its time.
async fn dockers(host: &str) -> Shown {
    let server = if host == "docker.io" { DOCKER_HUB } else { host }.to_owned();
    let found = tokio::task::spawn_blocking(move || docker_credential::get_credential(&server)).await;
    let nobody = |why: &str| Shown { auth: RegistryAuth::Anonymous, words: format!("no login{why}") };
    match found {
        Ok(Ok(DockerCredential::UsernamePassword(username, password))) => {
            Shown { words: format!("docker's login of {username}"), auth: RegistryAuth::Basic(username, password) }
        }
        Ok(Ok(DockerCredential::IdentityToken(_))) => nobody(" (docker's is an identity token, which is not supported)"),
        Ok(Err(CredentialRetrievalError::NoCredentialConfigured | CredentialRetrievalError::ConfigNotFound)) => nobody(""),
        // There may be no such file; one that is there and broken is told as well.
        Ok(Err(CredentialRetrievalError::ConfigReadError)) => nobody(" (docker's config.json is not there or cannot be read)"),
        Ok(Err(CredentialRetrievalError::HelperFailure { helper, .. })) => nobody(&format!(" (docker's helper {helper} has none)")),
        Ok(Err(_)) | Err(_) => nobody(" (docker's cannot be read)"),
    }
}
