//! What a registry wants to see before it answers, and the token that it is shown then.
//!
//! oci-client asks for tokens, too, but sends the login to whatever place the registry names, with TLS or without, and takes a token service
//! that is down for a "no". So it gets the token from here, and asks nobody.

use crate::{
    error::{FetchError, Kind, one_line, unauthorized},
    login::Shown,
    oci::requested,
    reference::{Reference, authority, is_this_machine},
    registries::Registries,
    url,
};
use http_auth::parser::ChallengeParser;
use oci_client::{RegistryOperation, secrets::RegistryAuth};
use reqwest::{
    Client, Response, Url,
    header::{HeaderMap, WWW_AUTHENTICATE},
};
use serde::Deserialize;

/// Longest answer of a token service that is read. A token is some thousand bytes where it names many groups.
const TOKEN_BYTES_MAX: usize = 256 << 10;

/// A registry that has not been shown anything yet.
pub(crate) struct Gate<'a> {
    pub(crate) registries: &'a Registries,
    pub(crate) reference: &'a Reference,
    pub(crate) image: &'a oci_client::Reference,
    pub(crate) login: &'a Shown,
}

/// Behind the gate.
pub(crate) struct Open {
    /// It goes without TLS.
    pub(crate) is_plain: bool,
    /// What is shown with each request.
    pub(crate) shown: Shown,
}

/// What the registry answers whom it does not know.
#[derive(Debug, PartialEq, Eq)]
enum Challenge {
    /// Nothing is to be shown.
    None,
    /// The login itself, or something that we do not know.
    Login,
    /// A token, which is given out there.
    Token { realm: String, service: Option<String> },
}

/// What a token service answers: one of the two, or both, which are the same then.
#[derive(Deserialize)]
struct Granted {
    token: Option<String>,
    access_token: Option<String>,
}

impl Gate<'_> {
    pub(crate) async fn open(&self, operation: RegistryOperation) -> Result<Open, FetchError> {
        let host = self.image.registry();
        let broken = |error| requested(&error, self.reference, host, &self.login.words);
        let client = url::client(self.registries).map_err(broken)?;
        let (is_plain, response) = self.knock(&client).await.map_err(broken)?;
        if let status @ (408 | 425 | 429 | 500..) = response.status().as_u16() {
            return Err(FetchError::status(self.reference, host, status, &self.login.words));
        }
        let challenge = Challenge::of(response.headers());
        let shown = match (&self.login.auth, challenge) {
            (RegistryAuth::Bearer(_), _) | (_, Challenge::Login) => self.login.clone(),
            (RegistryAuth::Anonymous, Challenge::None) => self.login.clone(),
            // Whoever does not ask for a login is not shown it.
            (RegistryAuth::Basic(..), Challenge::None) => {
                Shown { auth: RegistryAuth::Anonymous, words: "no login, as it asked for none at /v2/".to_owned(), ..self.login.clone() }
            }
            (_, Challenge::Token { realm, service }) => {
                let token = self.token(&client, &realm, service.as_deref(), operation).await?;
                Shown { auth: RegistryAuth::Bearer(token), ..self.login.clone() }
            }
        };
        self.fits_a_header(&shown)?;
        Ok(Open { is_plain, shown })
    }

    /// Asked with nothing in hand. Without TLS only where the operator said so, and on this machine where TLS is not answered.
    async fn knock(&self, client: &Client) -> reqwest::Result<(bool, Response)> {
        let host = self.image.resolve_registry();
        let ask = |scheme: &str| client.get(format!("{scheme}://{host}/v2/")).send();
        if self.registries.settings.hosts.get(self.image.registry()).is_some_and(|host| host.plain_http) {
            return Ok((true, ask("http").await?));
        }
        match ask("https").await {
            Err(error) if error.is_connect() && is_this_machine(host) => Ok((true, ask("http").await?)),
            answer => Ok((false, answer?)),
        }
    }

    async fn token(&self, client: &Client, realm: &str, service: Option<&str>, operation: RegistryOperation) -> Result<String, FetchError> {
        let (host, login) = (self.image.registry(), &self.login.words);
        let wrong = |what: String| FetchError::new(self.reference, Kind::Wrong, what);
        let mut realm = self.realm(realm).map_err(wrong)?;
        let giver = authority(&realm);
        let actions = match operation {
            RegistryOperation::Pull => "pull",
            RegistryOperation::Push => "pull,push",
        };
        realm.query_pairs_mut().append_pair("scope", &format!("repository:{}:{actions}", self.image.repository()));
        if let Some(service) = service {
            realm.query_pairs_mut().append_pair("service", service);
        }
        let broken = |error: reqwest::Error| requested(&error, self.reference, &giver, login);
        let response = self.login.on(client.get(realm)).send().await.map_err(broken)?;
        let status = response.status();
        let body = url::body(response, TOKEN_BYTES_MAX).await.map_err(broken)?.unwrap_or_default();
        match status.as_u16() {
            200 => {
                granted(&body).ok_or_else(|| wrong(format!("cannot be had: {giver}, the token service of {host}, answers without a token")))
            }
            401 | 403 => {
                let said = one_line(&String::from_utf8_lossy(&body));
                let what = format!("{} (its token service {giver} answers {status}: {said})", unauthorized(host, login));
                Err(FetchError::new(self.reference, Kind::Denied, what))
            }
            code @ (408 | 425 | 429 | 500..) => Err(FetchError::status(self.reference, &giver, code, login)),
            code => Err(wrong(format!("cannot be had: {giver}, the token service of {host}, answers {code}, which is neither yes nor no"))),
        }
    }

    /// Where tokens are given out, if our login may go there; else the end of a sentence.
    fn realm(&self, written: &str) -> Result<Url, String> {
        let host = self.image.registry();
        let realm = Url::parse(written).ok().filter(|url| matches!(url.scheme(), "https" | "http"));
        let realm = realm.ok_or_else(|| {
            format!("cannot be had: {host} sends us for a token to what is no URL; whoever runs it is to set its realm right")
        })?;
        let giver = authority(&realm);
        if realm.scheme() == "https" || self.registries.may_be_plain(&giver) {
            return Ok(realm);
        }
        Err(format!(
            "cannot be had: {host} wants the login at {giver}, where there is no TLS; it was not sent. Whoever runs {host} is to set its realm to https://; if it is meant, write sluice.plugins.registries.\"{giver}\".plain_http = true"
        ))
    }

    /// oci-client panics where it does not.
    fn fits_a_header(&self, shown: &Shown) -> Result<(), FetchError> {
        match &shown.auth {
            RegistryAuth::Bearer(token) if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) => {
                let what = format!(
                    "cannot be had: the token for {} is empty, or has characters that none has: get another",
                    self.image.registry()
                );
                Err(FetchError::new(self.reference, Kind::Wrong, what))
            }
            _ => Ok(()),
        }
    }
}

impl Challenge {
    fn of(headers: &HeaderMap) -> Self {
        let mut said = Self::None;
        for header in headers.get_all(WWW_AUTHENTICATE) {
            said = Self::Login;
            for challenge in ChallengeParser::new(header.to_str().unwrap_or_default()).flatten() {
                let value = |name: &str| {
                    let (_, value) = challenge.params.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
                    Some(value.to_unescaped())
                };
                if let Some(realm) = value("realm").filter(|_| challenge.scheme.eq_ignore_ascii_case("Bearer")) {
                    return Self::Token { realm, service: value("service") };
                }
            }
        }
        said
    }
}

fn granted(body: &[u8]) -> Option<String> {
    let granted: Granted = serde_json::from_slice(body).ok()?;
    granted.token.or(granted.access_token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_shown_is_read() {
        let of = |lines: &[&str]| {
            let lines = lines.iter().map(|line| (WWW_AUTHENTICATE, line.parse().unwrap()));
            Challenge::of(&lines.collect())
        };
        let token = |service: Option<&str>| Challenge::Token { realm: "https://a/t".into(), service: service.map(str::to_owned) };
        assert_eq!(of(&[]), Challenge::None);
        for basic in ["Basic realm=\"plugins\"", "Negotiate", "Bearer error=\"x\"", "\"", ""] {
            assert_eq!(of(&[basic]), Challenge::Login, "{basic}");
        }
        assert_eq!(of(&["Bearer realm=\"https://a/t\",service=\"a\",scope=\"x\""]), token(Some("a")));
        assert_eq!(of(&["bearer Realm=\"https://a/t\""]), token(None));
        assert_eq!(of(&["Basic realm=\"x\", Bearer realm=\"https://a/t\""]), token(None));
        assert_eq!(of(&["Basic realm=\"x\"", "Bearer realm=\"https://a/t\""]), token(None));
    }

    #[test]
    fn a_token_is_read_under_either_name() {
        for text in [r#"{"token": "a"}"#, r#"{"access_token": "a"}"#, r#"{"token": "a", "access_token": "b", "expires_in": 3}"#] {
            assert_eq!(granted(text.as_bytes()).as_deref(), Some("a"), "{text}");
        }
        for text in ["{}", "", "a", r#"{"token": 1}"#] {
            assert_eq!(granted(text.as_bytes()), None, "{text}");
        }
    }
}
