//! Who this host is at an authorization server: registered by hand, described by a document, or registered by itself (RFC 7591).

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sluice_sdk::clock;
use sluice_sdk::fetch::{self, Capture, Place, Request};
use sluice_sdk::kv::Bucket;
use sluice_sdk::prelude::*;
use sluice_sdk::secrets::{self, Owner, Secret};

use crate::assertion;
use crate::config::{Config, Key, Registered, Upstream};
use crate::discovery::Server;
use crate::problem::{self, Problem};
use crate::random;
use crate::url::{self, Url};

/// A client at one authorization server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// As the server knows it.
    pub id: String,
    /// How it shows that it is that.
    pub auth: Auth,
}

/// How a client shows who it is at the token endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Auth {
    /// It has nothing to show; PKCE is what protects it.
    None,
    /// HTTP Basic.
    Basic(Held),
    /// In the form.
    Post(Held),
    /// It signs.
    Key(Key),
}

/// Where a client secret is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Held {
    /// The operator's, by its name.
    Operators(String),
    /// One that came with a registration.
    Own(String),
}

/// What is kept of a registration.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    client: Client,
    redirect_uri: String,
    /// Seconds since 1970; 0 is never.
    secret_ends: u64,
}

/// How a client that registers itself wants to show who it is, best first. What runs on somebody's own machine keeps no secret from its
/// owner, and servers ask none of it.
const NATIVE_METHODS: [&str; 3] = ["none", "client_secret_post", "client_secret_basic"];
const WEB_METHODS: [&str; 3] = ["client_secret_post", "client_secret_basic", "none"];

impl Client {
    /// The client for this upstream at this server; registered now if it has to be.
    pub fn at(x: &Exchange, bucket: &Bucket, config: &Config, upstream: &Upstream, server: &Server) -> Result<Client, Problem> {
        if let Some(name) = &upstream.client {
            let registered = config.clients.get(name).filter(|client| client.issuer == server.issuer);
            let detail = || format!("clients.{name} is not of {}", server.issuer);
            let registered = registered.ok_or_else(|| Problem::operator("its authorization server has changed", detail()))?;
            return Client::by_hand(registered, server);
        }
        match &config.client_metadata_url {
            Some(document) if server.takes_documents && allows(server, "none") => Ok(Client { id: document.clone(), auth: Auth::None }),
            _ => Client::by_itself(x, bucket, config, server),
        }
    }

    /// One that was registered by hand.
    pub fn by_hand(registered: &Registered, server: &Server) -> Result<Client, Problem> {
        let auth = match (&registered.client_key, &registered.client_secret) {
            (Some(key), _) if allows(server, "private_key_jwt") => Auth::Key(key.clone()),
            (None, Some(name)) => with_secret(server, Held::Operators(name.clone()))?,
            (None, None) => Auth::None,
            (Some(_), _) => return Err(Problem::operator("its authorization server takes no signed client", &server.issuer)),
        };
        Ok(Client { id: registered.client_id.clone(), auth })
    }

    /// Dynamic client registration, once an issuer: what was registered at one server is not known to another.
    fn by_itself(x: &Exchange, bucket: &Bucket, config: &Config, server: &Server) -> Result<Client, Problem> {
        let key = random::key("client", &[&server.issuer]);
        let redirect_uri = config.redirect_uri();
        let kept = bucket.get(&key).map_err(problem::store)?;
        if let Some(kept) = kept.as_deref().and_then(|text| serde_json::from_slice::<Kept>(text).ok())
            && kept.redirect_uri == redirect_uri
            && (kept.secret_ends == 0 || clock::unix_seconds() < kept.secret_ends)
            && kept.client.has_its_secret(x)
        {
            return Ok(kept.client);
        }
        let new = Client::register(x, config, server)?;
        let client = new.client.clone();
        let text = serde_json::to_vec(&new).map_err(|error| problem::unwritable(&error))?;
        // Whoever registers at the same time wins or loses whole: no secret is taken for another's.
        match bucket.swap(&key, kept.as_deref(), &text, None).map_err(problem::store)? {
            true => Ok(client),
            false => {
                new.client.forget_secret(x);
                let winner = bucket.get(&key).map_err(problem::store)?.and_then(|text| serde_json::from_slice::<Kept>(&text).ok());
                winner.map(|kept| kept.client).ok_or_else(|| Problem::network("the gateway is registering itself", &server.issuer))
            }
        }
    }

    fn register(x: &Exchange, config: &Config, server: &Server) -> Result<Kept, Problem> {
        const NO_WAY: &str = "the gateway is not registered at its authorization server";
        let endpoint = server.registration_endpoint.as_deref().ok_or_else(|| {
            Problem::operator(
                NO_WAY,
                format!("{} lets no client register itself; add one to clients and name it in the upstream", server.issuer),
            )
        })?;
        let redirect_uri = config.redirect_uri();
        let is_native = Url::read(&redirect_uri).is_ok_and(|url| url.is_loopback());
        let methods = if is_native { NATIVE_METHODS } else { WEB_METHODS };
        let method = methods.into_iter().find(|method| allows(server, method));
        let method = method.ok_or_else(|| Problem::operator(NO_WAY, format!("{} takes signed clients only", server.issuer)))?;
        let wanted = json!({
            "client_name": config.client_name,
            "redirect_uris": [redirect_uri],
            "application_type": if is_native { "native" } else { "web" },
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": method,
        });
        let name = format!("client:{}", random::token());
        let captures = [
            Capture::new("/client_secret", Owner::Plugin, &name),
            Capture::new("/registration_access_token", Owner::Plugin, "unused").for_ms(1),
        ];
        let request = Request::post(endpoint, wanted.to_string().as_bytes()).header("content-type", "application/json");
        let answer = fetch::send(x, &request, &[], &captures).map_err(|error| Problem::of_fetch(endpoint, error))?;
        let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let Some(id) = document["client_id"].as_str().filter(|_| matches!(answer.status, 200 | 201)) else {
            let detail = format!("{endpoint}: HTTP {} {}", answer.status, crate::token::code_of(&document));
            return Err(Problem::operator("its authorization server did not register the gateway", detail));
        };
        let has_secret = answer.captured.first() == Some(&true);
        let registered = document["token_endpoint_auth_method"].as_str().unwrap_or(if has_secret { method } else { "none" });
        let auth = match registered {
            "none" => Auth::None,
            "client_secret_post" if has_secret => Auth::Post(Held::Own(name)),
            "client_secret_basic" if has_secret => Auth::Basic(Held::Own(name)),
            other => {
                let detail = format!("{endpoint} registered a client with the method {other:?}");
                return Err(Problem::server("its authorization server registered the gateway in a way that cannot be used", detail));
            }
        };
        let secret_ends = document["client_secret_expires_at"].as_u64().unwrap_or(0);
        Ok(Kept { client: Client { id: id.to_string(), auth }, redirect_uri, secret_ends })
    }

    fn own_secret(&self) -> Option<&str> {
        match &self.auth {
            Auth::Basic(Held::Own(name)) | Auth::Post(Held::Own(name)) => Some(name),
            _ => None,
        }
    }

    /// kv may outlive the memory that secrets are kept in.
    fn has_its_secret(&self, x: &Exchange) -> bool {
        self.own_secret().is_none_or(|name| secrets::open_own(x, Owner::Plugin, name).is_ok())
    }

    fn forget_secret(&self, x: &Exchange) {
        if let Some(name) = self.own_secret() {
            // One that stays is unknown to everybody, and its time ends with the host's.
            let _ = secrets::remove(x, Owner::Plugin, name);
        }
    }

    /// Adds to a token request what says who asks; the secret to send along, if there is one.
    pub fn show(&self, x: &Exchange, server: &Server, form: &mut String) -> Result<Option<(Place, Secret)>, Problem> {
        let mut add = |members: &[(&str, &str)]| {
            form.push('&');
            form.push_str(&url::form(members));
        };
        match &self.auth {
            Auth::None => add(&[("client_id", &self.id)]),
            Auth::Post(held) => {
                add(&[("client_id", &self.id)]);
                return Ok(Some((Place::form("client_secret"), held.open(x)?)));
            }
            Auth::Basic(held) => {
                // RFC 6749 section 2.3.1: user and password are form-encoded first.
                let mut user = String::new();
                url::encode(&self.id, &mut user);
                return Ok(Some((Place::basic(&user), held.open(x)?)));
            }
            Auth::Key(key) => {
                let assertion = assertion::sign(key, &self.id, &server.issuer, clock::unix_seconds())?;
                add(&[
                    ("client_id", &self.id),
                    ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
                    ("client_assertion", &assertion),
                ]);
            }
        }
        Ok(None)
    }
}

impl Held {
    fn open(&self, x: &Exchange) -> Result<Secret, Problem> {
        match self {
            Held::Operators(name) => Secret::open(name),
            Held::Own(name) => secrets::open_own(x, Owner::Plugin, name),
        }
        .map_err(problem::secret)
    }
}

/// A secret in the form where that is taken: Basic wants it form-encoded, which nobody can do who does not see it.
fn with_secret(server: &Server, held: Held) -> Result<Auth, Problem> {
    match (allows(server, "client_secret_post"), allows(server, "client_secret_basic")) {
        (true, _) => Ok(Auth::Post(held)),
        (false, true) => Ok(Auth::Basic(held)),
        (false, false) => Err(Problem::operator("its authorization server takes no client secrets", &server.issuer)),
    }
}

fn allows(server: &Server, method: &str) -> bool {
    server.auth_methods.iter().any(|known| known == method)
}

/// The document that `client_metadata_url` points to, where that is here.
pub fn document(config: &Config) -> Option<String> {
    let id = config.client_metadata_url.as_ref().filter(|url| **url == config.page("client.json"))?;
    let document = json!({
        "client_id": id,
        "client_name": config.client_name,
        "client_uri": config.public_url,
        "redirect_uris": [config.redirect_uri()],
        "grant_types": Vec::from(["authorization_code", "refresh_token"]),
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    });
    Some(document.to_string())
}
