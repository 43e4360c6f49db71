//! The settings, as `config.schema.json` describes them, and what a schema cannot say of them.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::url::Url;

/// All settings.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where browsers reach this host. Never taken from a request.
    #[serde(default)]
    pub public_url: Option<String>,
    /// How authorization servers show this client to people.
    #[serde(default = "default_name")]
    pub client_name: String,
    /// The document that describes this client, which is its id at servers that take such documents.
    #[serde(default)]
    pub client_metadata_url: Option<String>,
    /// How a browser shows whose it is before it connects an account.
    #[serde(default)]
    pub sign_in: Option<SignIn>,
    /// Clients that were registered by hand, by name.
    #[serde(default)]
    pub clients: BTreeMap<String, Registered>,
    /// What is done for which upstream, by its id.
    pub upstreams: BTreeMap<String, Upstream>,
}

/// Who may finish a connection.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(untagged)]
pub enum SignIn {
    /// The one user of this machine.
    Local(Local),
    /// Whoever an identity provider knows by the name that the principal has.
    Provider(Provider),
}

/// The word for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Local {
    /// `"local"`.
    Local,
}

/// An OpenID provider: the one whose subjects are those of the principals.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Exactly as its metadata has it.
    pub issuer: String,
    /// This host, at the provider.
    pub client_id: String,
    /// Name of a granted secret.
    #[serde(default)]
    pub client_secret: Option<String>,
    /// The claim that has to be the principal's tenant, where principals have one.
    #[serde(default)]
    pub tenant_claim: Option<String>,
}

/// A client that was registered by hand at one authorization server, and is used there only.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registered {
    /// Exactly as its metadata has it.
    pub issuer: String,
    /// As the server knows it.
    pub client_id: String,
    /// Name of a granted secret.
    #[serde(default)]
    pub client_secret: Option<String>,
    /// It signs instead of showing a secret.
    #[serde(default)]
    pub client_key: Option<Key>,
}

/// A private key (`private_key_jwt`, OpenID Connect Core section 9).
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Name of a granted secret: the key in PEM.
    pub secret: String,
    /// How it signs.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// Which of the client's keys it is, where the server asks.
    #[serde(default)]
    pub key_id: Option<String>,
}

/// As JWS names them (RFC 7518, RFC 8037).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
pub enum Algorithm {
    /// P-256.
    #[default]
    ES256,
    /// RSA.
    RS256,
    /// Ed25519.
    EdDSA,
}

/// What is done for one upstream.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// As whom it is spoken to.
    pub mode: Mode,
    /// A name in `clients`.
    #[serde(default)]
    pub client: Option<String>,
    /// The authorization server, where the resource names several, or none but this one is to be used.
    #[serde(default)]
    pub issuer: Option<String>,
    /// Asked for where the upstream does not say which it wants.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// With `mode = "header"`.
    #[serde(default)]
    pub header: Option<Header>,
}

/// As whom an upstream is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// As the person who calls.
    AuthorizationCode,
    /// As this host, for everybody.
    ClientCredentials,
    /// With one header for everybody, without OAuth.
    Header,
}

/// A header whose value is a secret.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Lower case.
    #[serde(default = "default_header")]
    pub name: String,
    /// What stands before the secret.
    #[serde(default = "default_prefix")]
    pub prefix: String,
    /// Name of a granted secret.
    pub secret: String,
}

fn default_name() -> String {
    "Sluice".to_string()
}

fn default_header() -> String {
    "authorization".to_string()
}

fn default_prefix() -> String {
    "Bearer ".to_string()
}

impl Config {
    /// The settings, if they can be used together. The text of an error is for the operator.
    pub fn check(mut self) -> Result<Config, String> {
        let known = |name: &str, text: &str| Url::read(text).map_err(|why| format!("{name} {text} {why}"));
        if let Some(text) = &mut self.public_url {
            let url = known("public_url", text)?;
            if !matches!(url.path.as_str(), "" | "/") || !url.query.is_empty() {
                return Err(format!("public_url {text} has a path; it is scheme, host and port"));
            }
            *text = url.origin;
        }
        if let Some(text) = &self.client_metadata_url {
            let url = known("client_metadata_url", text)?;
            if url.is_loopback() || matches!(url.path.as_str(), "" | "/") {
                return Err(format!("client_metadata_url {text} is to be a public https URL with a path"));
            }
        }
        match &self.sign_in {
            Some(SignIn::Local(_)) if !self.public().is_some_and(|url| url.is_loopback()) => {
                return Err("sign_in = \"local\" is for one user on one machine: public_url is to be http://127.0.0.1:<port>".to_string());
            }
            Some(SignIn::Provider(provider)) => drop(known("sign_in.issuer", &provider.issuer)?),
            _ => {}
        }
        for (name, client) in &self.clients {
            known(&format!("clients.{name}.issuer"), &client.issuer)?;
            if client.client_secret.is_some() && client.client_key.is_some() {
                return Err(format!("clients.{name} has both a client_secret and a client_key; it shows one of them"));
            }
        }
        self.upstreams.iter().try_for_each(|(name, upstream)| self.check_upstream(name, upstream))?;
        Ok(self)
    }

    fn check_upstream(&self, name: &str, upstream: &Upstream) -> Result<(), String> {
        let client = match &upstream.client {
            Some(client) => {
                Some(self.clients.get(client).ok_or_else(|| format!("upstreams.{name}.client {client} is not one of clients"))?)
            }
            None => None,
        };
        if let (Some(issuer), Some(client)) = (&upstream.issuer, client)
            && *issuer != client.issuer
        {
            return Err(format!("upstreams.{name} names the issuer {issuer}, and a client that is registered at {}", client.issuer));
        }
        match upstream.mode {
            Mode::AuthorizationCode if self.public_url.is_none() => {
                Err(format!("upstreams.{name} connects accounts in a browser, so public_url has to say where browsers reach this gateway"))
            }
            Mode::ClientCredentials if !client.is_some_and(|client| client.client_secret.is_some() || client.client_key.is_some()) => {
                Err(format!("upstreams.{name} needs a client with a client_secret or a client_key"))
            }
            Mode::Header if upstream.header.is_none() => Err(format!("upstreams.{name} needs a header")),
            _ => Ok(()),
        }
    }

    /// Where browsers reach this host.
    pub fn public(&self) -> Option<Url> {
        Url::read(self.public_url.as_deref()?).ok()
    }

    /// A page of this plugin.
    pub fn page(&self, path: &str) -> String {
        format!("{}/-/oauth-client/{path}", self.public_url.as_deref().unwrap_or_default())
    }

    /// Where authorization servers send browsers back to.
    pub fn redirect_uri(&self) -> String {
        self.page("callback")
    }

    /// The id by which an upstream's authorization server has to be known, if the settings say so.
    pub fn issuer_of<'a>(&'a self, upstream: &'a Upstream) -> Option<&'a str> {
        let client = upstream.client.as_ref().and_then(|name| self.clients.get(name));
        upstream.issuer.as_deref().or(client.map(|client| client.issuer.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Config, String> {
        let config: Config = serde_json::from_str(json).map_err(|error| error.to_string())?;
        config.check()
    }

    /// The host fills in the schema's defaults; they must be ours.
    #[test]
    fn schema_and_code_agree() {
        let schema: serde_json::Value = serde_json::from_str(include_str!("../config.schema.json")).unwrap();
        let ours = read(r#"{"upstreams":{"u":{"mode":"header","header":{"secret":"s"}}}}"#).unwrap();
        assert_eq!(schema["properties"]["client_name"]["default"], ours.client_name.as_str());
        let header = ours.upstreams["u"].header.clone().unwrap();
        let defaults = &schema["properties"]["upstreams"]["additionalProperties"]["properties"]["header"]["properties"];
        assert_eq!(defaults["name"]["default"], header.name.as_str());
        assert_eq!(defaults["prefix"]["default"], header.prefix.as_str());
    }

    #[test]
    fn settings_that_do_not_fit_together_are_refused_with_what_to_change() {
        for (json, what) in [
            (r#"{"upstreams":{"u":{"mode":"authorization_code"}}}"#, "public_url"),
            (r#"{"public_url":"http://mcp.example.com","upstreams":{}}"#, "is not https"),
            (r#"{"public_url":"https://mcp.example.com/x","upstreams":{}}"#, "has a path"),
            (r#"{"public_url":"https://mcp.example.com","sign_in":"local","upstreams":{}}"#, "one user on one machine"),
            (r#"{"sign_in":{"issuer":"javascript:x","client_id":"c"},"upstreams":{}}"#, "sign_in.issuer"),
            (r#"{"client_metadata_url":"https://mcp.example.com","upstreams":{}}"#, "with a path"),
            (r#"{"upstreams":{"u":{"mode":"client_credentials"}}}"#, "needs a client"),
            (
                r#"{"clients":{"c":{"issuer":"https://a","client_id":"i"}},"upstreams":{"u":{"mode":"client_credentials","client":"c"}}}"#,
                "client_secret",
            ),
            (r#"{"upstreams":{"u":{"mode":"client_credentials","client":"c"}}}"#, "not one of clients"),
            (
                r#"{"clients":{"c":{"issuer":"https://a","client_id":"i","client_secret":"s","client_key":{"secret":"k"}}},"upstreams":{}}"#,
                "both",
            ),
            (
                r#"{"clients":{"c":{"issuer":"https://a","client_id":"i","client_secret":"s"}},"upstreams":{"u":{"mode":"client_credentials","client":"c","issuer":"https://b"}}}"#,
                "registered at https://a",
            ),
            (r#"{"upstreams":{"u":{"mode":"header"}}}"#, "needs a header"),
        ] {
            let why = read(json).map(drop).unwrap_err();
            assert!(why.contains(what), "{json}: {why}");
        }
        assert!(
            read(r#"{"public_url":"http://127.0.0.1:8080/","sign_in":"local","upstreams":{"u":{"mode":"authorization_code"}}}"#).is_ok()
        );
    }
}
