//! The settings, as `config.schema.json` describes them, and what a schema cannot say of them.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use sluice_sdk::glob;

use crate::random;
use crate::url::Url;

/// So many scopes are asked for at once.
const SCOPES_MAX: usize = 64;

/// What an assertion says besides.
const OWN_CLAIMS: [&str; 8] = ["iss", "sub", "aud", "act", "jti", "iat", "nbf", "exp"];

/// All settings.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where browsers reach this host. Never taken from a request.
    #[serde(default)]
    pub public_url: Option<String>,
    /// Identity providers and authorization servers, by a name of the operator's.
    pub servers: BTreeMap<String, Server>,
    /// What is done for which upstream, by its id.
    pub upstreams: BTreeMap<String, Upstream>,
}

/// Somebody with a token endpoint, and who this host is there.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Exactly as its metadata has it.
    pub issuer: String,
    /// Where tokens are asked for (RFC 6749 section 3.2).
    pub token_endpoint: String,
    /// This host, as the server knows it.
    pub client_id: String,
    /// Name of a granted secret.
    #[serde(default)]
    pub client_secret: Option<String>,
    /// Where the secret stands.
    #[serde(default)]
    pub client_auth: ClientAuth,
    /// It signs instead of showing a secret.
    #[serde(default)]
    pub client_key: Option<Key>,
    /// People sign in there.
    #[serde(default)]
    pub sign_in: Option<SignIn>,
}

/// Where a client secret stands (RFC 6749 section 2.3.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// In the form.
    #[default]
    Post,
    /// In the header.
    Basic,
}

/// A private key.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Name of a granted secret: the key in PEM.
    pub secret: String,
    /// How it signs.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// Which of the signer's keys it is, where the server asks.
    #[serde(default)]
    pub key_id: Option<String>,
}

/// As JWS names them (RFC 7518, RFC 8037).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
pub enum Algorithm {
    /// P-256.
    #[default]
    ES256,
    /// RSA.
    RS256,
    /// Ed25519.
    EdDSA,
}

/// How people sign in (OpenID Connect, authorization code flow).
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// Where browsers are sent.
    pub authorization_endpoint: String,
    /// What says who a token is of.
    pub userinfo_endpoint: String,
    /// Asked for.
    #[serde(default = "default_sign_in_scopes")]
    pub scopes: Vec<String>,
    /// The member of its answer that has to be the principal's tenant, where principals have one.
    #[serde(default)]
    pub tenant_claim: Option<String>,
}

/// What is done for one upstream.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// In how many steps.
    pub mode: Mode,
    /// A name in `servers`: who issues the token that the upstream takes.
    pub server: String,
    /// A name in `servers`: the identity provider.
    #[serde(default)]
    pub idp: Option<String>,
    /// On whose behalf.
    pub subject: Subject,
    /// Who acts.
    #[serde(default)]
    pub actor: Option<Token>,
    /// The upstream, by the name that the server has for it.
    #[serde(default)]
    pub audience: Option<String>,
    /// The upstream, by its URL.
    #[serde(default)]
    pub resource: Option<String>,
    /// Each token has them.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// What calls of some tools need besides, by globs on the names that clients see.
    #[serde(default)]
    pub tools: BTreeMap<String, Vec<String>>,
    /// Calls of these get a token of their own, which is kept for nobody.
    #[serde(default)]
    pub per_call: Vec<String>,
    /// What names all of this: a token that was got under other settings is not found under these.
    #[serde(skip)]
    pub fingerprint: String,
}

/// In how many steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
pub enum Mode {
    /// One (RFC 8693).
    #[serde(rename = "exchange")]
    Exchange,
    /// Two: an assertion of the identity provider (RFC 8693), and a token for it (RFC 7523).
    #[serde(rename = "id-jag")]
    IdJag,
}

/// On whose behalf a token is asked for.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(untagged)]
pub enum Subject {
    /// The caller, by a token from a sign-in of theirs.
    Person(Person),
    /// Somebody who is not who calls, or the caller by this host's own word.
    Token(Token),
}

/// The caller, signed in.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// Which of the tokens that come of the sign-in.
    pub signed_in: Signed,
}

/// What comes of a sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signed {
    /// Says who somebody is, to this host.
    IdToken,
    /// For the provider's own use, and whoever it says.
    AccessToken,
}

/// A token that this host has or makes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(untagged)]
pub enum Token {
    /// The operator's: the same for everybody.
    Secret(OperatorsToken),
    /// An assertion of this host's.
    Signed(Assertion),
}

impl Token {
    /// What tells it from another.
    fn parts(&self) -> [&str; 4] {
        match self {
            Token::Secret(token) => ["secret", &token.secret, token.kind.urn(), ""],
            Token::Signed(signed) => ["signed", &signed.key.secret, &signed.issuer, signed.tenant_claim.as_deref().unwrap_or_default()],
        }
    }
}

/// A secret of the operator's that is a token.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorsToken {
    /// Name of a granted secret.
    pub secret: String,
    /// What it is.
    #[serde(default, rename = "type")]
    pub kind: TokenType,
}

/// A JWT that this host signs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assertion {
    /// What signs it.
    pub key: Key,
    /// This host's name as an issuer.
    pub issuer: String,
    /// What the principal's tenant is called in it.
    #[serde(default)]
    pub tenant_claim: Option<String>,
    /// Whose principals it may speak of; all, if none is named.
    #[serde(default)]
    pub authenticators: Vec<String>,
}

/// RFC 8693 section 3.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenType {
    /// OAuth's.
    #[default]
    AccessToken,
    /// OpenID Connect's.
    IdToken,
    /// Any other JWT.
    Jwt,
    /// In base64url.
    Saml2,
}

impl TokenType {
    /// Its name on the wire.
    pub fn urn(self) -> &'static str {
        match self {
            TokenType::AccessToken => "urn:ietf:params:oauth:token-type:access_token",
            TokenType::IdToken => "urn:ietf:params:oauth:token-type:id_token",
            TokenType::Jwt => "urn:ietf:params:oauth:token-type:jwt",
            TokenType::Saml2 => "urn:ietf:params:oauth:token-type:saml2",
        }
    }
}

fn default_sign_in_scopes() -> Vec<String> {
    Vec::from(["openid".to_string()])
}

impl Config {
    /// The settings, if they can be used together. The text of an error is for the operator.
    pub fn check(mut self) -> Result<Config, String> {
        if let Some(text) = &mut self.public_url {
            let url = known("public_url", text)?;
            if !matches!(url.path.as_str(), "" | "/") || !url.query.is_empty() {
                return Err(format!("public_url {text} has a path; it is scheme, host and port"));
            }
            *text = url.origin;
        }
        self.servers.iter().try_for_each(|(name, server)| server.check(name))?;
        self.upstreams.iter().try_for_each(|(name, upstream)| self.check_upstream(name, upstream))?;
        let prints: Vec<String> = self.upstreams.values().map(|upstream| self.fingerprint(upstream)).collect();
        for (upstream, print) in self.upstreams.values_mut().zip(prints) {
            upstream.fingerprint = print;
        }
        Ok(self)
    }

    fn check_upstream(&self, name: &str, upstream: &Upstream) -> Result<(), String> {
        let server = |key: &str, of: &str| self.servers.get(of).ok_or_else(|| format!("upstreams.{name}.{key} {of} is not one of servers"));
        server("server", &upstream.server)?;
        let idp = upstream.idp.as_ref().map(|idp| server("idp", idp)).transpose()?;
        if upstream.mode == Mode::IdJag {
            if idp.is_none() {
                return Err(format!("upstreams.{name} needs idp: who issues the assertion that server takes"));
            }
            let is_identity = match &upstream.subject {
                Subject::Person(person) => person.signed_in == Signed::IdToken,
                Subject::Token(Token::Secret(token)) => matches!(token.kind, TokenType::IdToken | TokenType::Saml2),
                Subject::Token(Token::Signed(_)) => false,
            };
            if !is_identity {
                return Err(format!("upstreams.{name}.subject has to be an id_token or saml2: no other proves to idp who somebody is"));
            }
            if upstream.audience.is_some() {
                return Err(format!("upstreams.{name}.audience is the issuer of server with mode = \"id-jag\", and nothing else"));
            }
        }
        if let Subject::Person(_) = &upstream.subject {
            if self.of(upstream.idp()).sign_in.is_none() {
                return Err(format!("upstreams.{name}.subject is whoever signs in, so servers.{} needs sign_in", upstream.idp()));
            }
            if self.public_url.is_none() {
                return Err(format!(
                    "upstreams.{name}.subject signs in in a browser, so public_url has to say where that reaches this gateway"
                ));
            }
        } else if upstream.mode == Mode::Exchange && idp.is_some() {
            return Err(format!("upstreams.{name}.idp has no part in this: nobody signs in, and mode is \"exchange\""));
        }
        if let Subject::Token(Token::Signed(assertion)) = &upstream.subject
            && let Some(claim) = assertion.tenant_claim.as_deref().filter(|claim| OWN_CLAIMS.contains(claim))
        {
            return Err(format!("upstreams.{name}.subject.tenant_claim {claim} says something else already"));
        }
        if let Some(resource) = &upstream.resource {
            // RFC 8707 section 2: absolute, and without a fragment.
            known(&format!("upstreams.{name}.resource"), resource)?;
        }
        let most = upstream.tools.values().chain([&upstream.scopes]).map(Vec::len).sum::<usize>();
        if most > SCOPES_MAX {
            return Err(format!("upstreams.{name} has {most} scopes; {SCOPES_MAX} are the most"));
        }
        upstream.tools.values().chain([&upstream.scopes]).flatten().try_for_each(|scope| check_scope(&format!("upstreams.{name}"), scope))
    }

    /// From whom a token is, for what, and on whose behalf. Its scopes are part of its key besides.
    fn fingerprint(&self, upstream: &Upstream) -> String {
        let (server, idp) = (self.of(&upstream.server), self.of(upstream.idp()));
        let mode = if upstream.mode == Mode::Exchange { "exchange" } else { "id-jag" };
        let mut parts =
            Vec::from([mode, upstream.audience.as_deref().unwrap_or_default(), upstream.resource.as_deref().unwrap_or_default()]);
        for at in [server, idp] {
            parts.extend([at.server.issuer.as_str(), &at.server.token_endpoint, &at.server.client_id]);
        }
        match &upstream.subject {
            Subject::Person(person) => parts.push(if person.signed_in == Signed::IdToken { "id" } else { "access" }),
            Subject::Token(token) => parts.extend(token.parts()),
        }
        parts.extend(upstream.actor.iter().flat_map(Token::parts));
        random::key("settings", &parts)
    }

    /// A server whose name was checked.
    pub fn of(&self, name: &str) -> Named<'_> {
        match self.servers.get_key_value(name) {
            Some((name, server)) => Named { name, server },
            None => unreachable!("check looked at every name"),
        }
    }

    /// A page of this plugin.
    pub fn page(&self, path: &str) -> String {
        format!("{}/-/token-exchange/{path}", self.public_url.as_deref().unwrap_or_default())
    }
}

/// A server with what the operator calls it.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    /// For people.
    pub name: &'a str,
    server: &'a Server,
}

impl core::ops::Deref for Named<'_> {
    type Target = Server;

    fn deref(&self) -> &Server {
        self.server
    }
}

impl Server {
    fn check(&self, name: &str) -> Result<(), String> {
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
            return Err(format!("servers.{name}: a name has small letters, digits and - only; it stands in a URL"));
        }
        known(&format!("servers.{name}.issuer"), &self.issuer)?;
        known(&format!("servers.{name}.token_endpoint"), &self.token_endpoint)?;
        if self.client_secret.is_some() && self.client_key.is_some() {
            return Err(format!("servers.{name} has both a client_secret and a client_key; it shows one of them"));
        }
        if self.client_auth == ClientAuth::Basic && self.client_secret.is_none() {
            return Err(format!("servers.{name}.client_auth says where client_secret stands, and there is none"));
        }
        let Some(sign_in) = &self.sign_in else { return Ok(()) };
        known(&format!("servers.{name}.sign_in.authorization_endpoint"), &sign_in.authorization_endpoint)?;
        known(&format!("servers.{name}.sign_in.userinfo_endpoint"), &sign_in.userinfo_endpoint)?;
        if sign_in.scopes.len() > SCOPES_MAX || !sign_in.scopes.iter().any(|scope| scope == "openid") {
            return Err(format!("servers.{name}.sign_in.scopes needs openid, and at most {SCOPES_MAX} in all"));
        }
        sign_in.scopes.iter().try_for_each(|scope| check_scope(&format!("servers.{name}.sign_in"), scope))
    }
}

impl Upstream {
    /// Where people sign in.
    pub fn idp(&self) -> &str {
        self.idp.as_deref().unwrap_or(&self.server)
    }

    /// What a request for this tool, or for none, needs: in the order of the settings, each once.
    pub fn scopes_of(&self, tool: Option<&str>) -> Vec<&str> {
        let of_tool = self.tools.iter().filter(|(pattern, _)| tool.is_some_and(|tool| glob::matches(pattern, tool)));
        let mut scopes: Vec<&str> = Vec::new();
        for scope in self.scopes.iter().chain(of_tool.flat_map(|(_, scopes)| scopes)) {
            if !scopes.contains(&scope.as_str()) {
                scopes.push(scope);
            }
        }
        scopes
    }

    /// Whether calls of this tool get a token each.
    pub fn is_per_call(&self, tool: Option<&str>) -> bool {
        tool.is_some_and(|tool| glob::any(&self.per_call, tool))
    }

    /// Whether it matters which tool is called.
    pub fn tells_tools_apart(&self) -> bool {
        !self.tools.is_empty() || !self.per_call.is_empty()
    }

    /// The token is the same whoever calls.
    pub fn is_shared(&self) -> bool {
        matches!(self.subject, Subject::Token(Token::Secret(_)))
    }
}

fn known(name: &str, text: &str) -> Result<Url, String> {
    Url::read(text).map_err(|why| format!("{name} {text} {why}"))
}

/// RFC 6749 section 3.3.
fn check_scope(place: &str, scope: &str) -> Result<(), String> {
    let is_scope = !scope.is_empty() && scope.len() <= 256 && scope.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
    if is_scope { Ok(()) } else { Err(format!("{place}: {scope:?} is no scope: printable ASCII without spaces, quotes and backslashes")) }
}
