//! Who signs what, and the signature itself (AWS General Reference, "Create a signed AWS API request").

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use sha2::{Digest, Sha256};
use sluice_sdk::glob;
use sluice_sdk::prelude::*;
use sluice_sdk::secrets::{Secret, why};

use crate::canonical::Request;
use crate::config::{Config, Payload, SignerConfig};
use crate::moment::Moment;
use crate::problem::Problem;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
const SIGNED_HEADER: &str = "x-amz-content-sha256";
const TOKEN_HEADER: &str = "x-amz-security-token";

/// All signers, checked.
#[derive(Debug)]
pub struct Signers(Vec<Signer>);

/// How requests to some upstreams are signed.
#[derive(Debug)]
pub struct Signer(SignerConfig);

impl Signers {
    /// Checks what a schema cannot say, and that the secrets may be used.
    pub fn new(config: Config) -> Result<Self, String> {
        if config.signers.is_empty() {
            return Err("signers is empty, so there is nothing to sign; write an entry, or leave the plugin out".to_string());
        }
        let mut signers: Vec<Signer> = Vec::with_capacity(config.signers.len());
        for (at, signer) in (1..).zip(config.signers) {
            check(&signer).map_err(|why| format!("signers, entry {at}: {why}"))?;
            let is_covered = |before: &Signer| signer.upstreams.iter().all(|glob| glob::any(&before.0.upstreams, glob));
            if let Some(before) = signers.iter().position(is_covered) {
                let why = format!("entry {} is about all its upstreams already, and the first one counts", before + 1);
                return Err(format!("signers, entry {at} is never used: {why}"));
            }
            signers.push(Signer(signer));
        }
        Ok(Signers(signers))
    }

    /// The one for an upstream.
    pub fn of(&self, upstream: &str) -> Option<&Signer> {
        self.0.iter().find(|signer| glob::any(&signer.0.upstreams, upstream))
    }
}

fn check(signer: &SignerConfig) -> Result<(), String> {
    if signer.upstreams.is_empty() || signer.upstreams.iter().any(String::is_empty) {
        return Err("upstreams names nobody; for all of them say [\"*\"]".to_string());
    }
    let is_word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    for (name, text) in [("service", &signer.service), ("region", &signer.region)] {
        if !is_word(text) {
            return Err(format!("{name} is AWS's name for it: small letters, digits and -"));
        }
    }
    let is_id = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if signer.access_key_id.is_empty() || signer.access_key_id.len() > 128 || !signer.access_key_id.bytes().all(is_id) {
        return Err("access_key_id is 1 to 128 letters and digits".to_string());
    }
    if signer.query.contains('+') {
        return Err("query has a +, which servers read in two ways; write %20 for a space and %2B for a plus, in the upstream's url too"
            .to_string());
    }
    if signer.query.starts_with('?') || !signer.query.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
        return Err("query is what stands behind the ? of the url, as it stands there: encoded, without ? and #".to_string());
    }
    open(&signer.secret_access_key, "secret_access_key")?;
    if let Some(name) = &signer.session_token {
        let token = open(name, "session_token")?;
        if token.reveal().is_err() {
            let why = "the token is part of what is signed, and only what is seen can be";
            return Err(format!("session_token: {why}; it is granted with grants = [\"reveal:{name}\"] in the sidecar"));
        }
    }
    Ok(())
}

fn open(name: &str, setting: &str) -> Result<Secret, String> {
    Secret::open(name).map_err(|error| format!("{setting}: the secret {name:?} cannot be used: {}", why(error)))
}

impl Signer {
    /// The headers that make a request signed.
    pub fn sign(&self, departure: &impl Departs, unix_seconds: u64) -> Result<Headers, Problem> {
        let Signer(config) = self;
        let moment = Moment::of(unix_seconds).ok_or_else(|| Problem::host("the clock shows no time that can be signed"))?;
        let url = departure.url();
        let (authority, path) = split(&url).ok_or_else(|| Problem::host("the upstream's URL cannot be read"))?;
        let is_s3 = config.service.starts_with("s3");
        let payload = match config.payload {
            Payload::Signed => hex(&departure.body_sha256()),
            Payload::Unsigned => UNSIGNED.to_string(),
        };
        let mut own = Vec::from([("x-amz-date", moment.time.clone())]);
        if is_s3 || config.payload == Payload::Unsigned {
            own.push((SIGNED_HEADER, payload.clone()));
        }
        let token = config.session_token.as_deref().map(Token::open).transpose()?;
        if let Some(token) = &token {
            own.push((TOKEN_HEADER, token.text.clone()));
        }

        let mut headers = signed(&departure.headers(), authority, &own)?;
        headers.extend(own.iter().map(|(name, value)| (name.to_string(), value.clone())));
        let request = Request { method: &departure.method(), path, query: &config.query, headers, payload: &payload, is_s3 };
        let (canonical, names) = request.canonical();

        let scope = format!("{}/{}/{}/aws4_request", moment.date, config.region, config.service);
        let digest = hex(&Sha256::digest(canonical.as_bytes()));
        let to_sign = format!("{ALGORITHM}\n{}\n{scope}\n{digest}", moment.time);
        let signature = hex(&self.key(&moment.date)?.hmac_sha256(to_sign.as_bytes()));
        let authorization =
            format!("{ALGORITHM} Credential={}/{scope}, SignedHeaders={names}, Signature={signature}", config.access_key_id);

        let leaves = Headers::new().text("authorization", &authorization);
        let leaves = own.iter().filter(|(name, _)| *name != TOKEN_HEADER).fold(leaves, |leaves, (name, value)| leaves.text(name, value));
        // By its handle, so that it is withheld like any secret.
        Ok(match token {
            Some(token) => leaves.secret(TOKEN_HEADER, "", token.secret),
            None => leaves,
        })
    }

    /// Good for one day, region and service. None of the steps to it is seen here.
    fn key(&self, date: &str) -> Result<Secret, Problem> {
        let secret = Secret::open(&self.0.secret_access_key).map_err(|error| Problem::secret(&self.0.secret_access_key, error))?;
        let dated = secret.derive("AWS4", date.as_bytes());
        Ok(dated.derive("", self.0.region.as_bytes()).derive("", self.0.service.as_bytes()).derive("", b"aws4_request"))
    }
}

struct Token {
    secret: Secret,
    text: String,
}

impl Token {
    fn open(name: &str) -> Result<Self, Problem> {
        let secret = Secret::open(name).map_err(|error| Problem::secret(name, error))?;
        let bytes = secret.reveal().map_err(|error| Problem::secret(name, error))?;
        let text = String::from_utf8(bytes).map_err(|_| Problem::host("the session token is no text"))?;
        Ok(Token { secret, text })
    }
}

/// Of the headers that are set already, those that must be signed: where it goes, what the body is, and all of AWS's.
fn signed(headers: &[(String, String)], authority: &str, own: &[(&str, String)]) -> Result<Vec<(String, String)>, Problem> {
    let mut signed = Vec::new();
    let mut has_host = false;
    for (name, value) in headers {
        let is_aws = name.starts_with("x-amz-") && !own.iter().any(|(own, _)| own == name);
        if is_aws && value.is_empty() {
            return Err(Problem::host("one of its x-amz- headers is withheld from plugins, and what is not seen cannot be signed"));
        }
        let must = is_aws || ["host", "content-type"].contains(&name.as_str());
        if must && !value.is_empty() {
            has_host |= name == "host";
            signed.push((name.clone(), value.clone()));
        }
    }
    if !has_host {
        signed.push(("host".to_string(), authority.to_string()));
    }
    Ok(signed)
}

/// Authority, without a user, and path.
fn split(url: &str) -> Option<(&str, &str)> {
    let (_, rest) = url.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let authority = authority.rsplit_once('@').map_or(authority, |(_, authority)| authority);
    (!authority.is_empty()).then_some((authority, path))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
