//! The settings, as `config.schema.json` describes them, and what a schema cannot say about them.

use std::collections::{BTreeMap, BTreeSet};

use crate::jws::Algorithm;

/// All settings.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The URL that clients connect to, and tokens are for (RFC 8707).
    pub resource: String,
    /// Other URLs of the same gateway, each with metadata of its own.
    #[serde(default)]
    pub more_resources: Vec<String>,
    /// Whose tokens are believed.
    pub issuers: Vec<Issuer>,
    /// What tokens say they are for, where an issuer does not take URLs; instead of the resources.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// With which tokens may be signed.
    #[serde(default = "default_algorithms")]
    pub algorithms: Vec<String>,
    /// What `typ` may be; an empty one stands for tokens that have none.
    #[serde(default = "default_types")]
    pub types: Vec<String>,
    /// Scopes that every token needs, and that clients are told of first.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// A broad scope, and the narrower ones that are in it.
    #[serde(default)]
    pub includes: BTreeMap<String, Vec<String>>,
    /// Scopes that some requests need besides.
    #[serde(default)]
    pub requires: Vec<Requirement>,
    /// A bearer token that begins with one of these is left to the next authenticator.
    #[serde(default)]
    pub left_prefixes: Vec<String>,
    /// For people: the name of the resource in its metadata.
    #[serde(default)]
    pub resource_name: Option<String>,
    /// For people: a page about it.
    #[serde(default)]
    pub resource_documentation: Option<String>,
    /// Whether two clients of one person are two principals.
    #[serde(default)]
    pub per_client: bool,
    /// By how many seconds the issuer's clock and ours may differ.
    #[serde(default = "default_leeway")]
    pub leeway_s: u32,
    /// When keys are asked for again.
    #[serde(default = "default_refresh")]
    pub refresh_s: u32,
    /// The least time between two questions to an issuer for its keys.
    #[serde(default = "default_refetch")]
    pub refetch_s: u32,
    /// How long keys serve while their issuer does not answer.
    #[serde(default = "default_stale")]
    pub stale_s: u32,
    /// How long one question to an issuer may take.
    #[serde(default = "default_fetch")]
    pub fetch_ms: u32,
}

/// Whose tokens are believed, and what of them.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// Exactly as tokens have it in `iss`.
    pub issuer: String,
    /// Where its keys are, if that is not to be asked of it.
    #[serde(default)]
    pub jwks_uri: Option<String>,
    /// Stands before subjects, so that two issuers cannot speak of the same one.
    #[serde(default)]
    pub subject_prefix: String,
    /// Whose all its tokens are.
    #[serde(default)]
    pub tenant: Option<String>,
    /// The claim that says whose a token is; it must be there.
    #[serde(default)]
    pub tenant_claim: Option<String>,
    /// The tenants that it may speak of; none written: any.
    #[serde(default)]
    pub tenants: Vec<String>,
    /// The claim with roles.
    #[serde(default)]
    pub roles_claim: Option<String>,
    /// Its names of roles, and ours; with any here, others are left out.
    #[serde(default)]
    pub roles: BTreeMap<String, String>,
    /// Claims that filters may see.
    #[serde(default)]
    pub claims: Vec<String>,
    /// For tokens that say nothing themselves.
    #[serde(default)]
    pub introspection: Option<Introspection>,
}

/// How an issuer is asked about a token (RFC 7662).
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Introspection {
    /// Where, if that is not to be asked of it.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// Who asks.
    pub client_id: String,
    /// The operator's name of the secret that shows it.
    pub secret: String,
    /// Where the secret goes.
    #[serde(default)]
    pub auth: ClientAuth,
}

/// Where the secret goes (RFC 6749 §2.3.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// Into the header.
    #[default]
    Basic,
    /// Into the body.
    Post,
}

/// Scopes that some requests need.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// Methods, with `*` for anything; none: all.
    #[serde(default)]
    pub methods: Vec<String>,
    /// Tools, prompts or URIs, as the client sees them; none: all.
    #[serde(default)]
    pub names: Vec<String>,
    /// All of these.
    pub scopes: Vec<String>,
}

fn default_algorithms() -> Vec<String> {
    ["RS256", "PS256", "ES256", "EdDSA"].map(str::to_string).to_vec()
}

fn default_types() -> Vec<String> {
    ["at+jwt", "JWT"].map(str::to_string).to_vec()
}

fn default_leeway() -> u32 {
    30
}

fn default_refresh() -> u32 {
    600
}

fn default_refetch() -> u32 {
    10
}

fn default_stale() -> u32 {
    86_400
}

fn default_fetch() -> u32 {
    1_200
}

impl Config {
    /// The algorithms by themselves.
    pub fn signing(&self) -> Result<Vec<Algorithm>, String> {
        let read = |name: &String| Algorithm::named(name).ok_or_else(|| format!("{name} is no algorithm that tokens are signed with here"));
        self.algorithms.iter().map(read).collect()
    }

    /// Checks what a schema cannot say.
    pub fn check(&self) -> Result<(), String> {
        self.resources().try_for_each(|resource| url("a resource", resource))?;
        for issuer in &self.issuers {
            url("an issuer", &issuer.issuer).or_else(|error| match issuer.issuer.strip_suffix('/') {
                Some(bare) => url("an issuer", bare),
                None => Err(error),
            })?;
        }
        let names: BTreeSet<_> = self.issuers.iter().map(|issuer| &issuer.issuer).collect();
        if names.len() < self.issuers.len() {
            return Err("an issuer stands there twice".to_string());
        }
        self.check_subjects()?;
        self.check_tenants()?;
        self.check_places()?;
        if self.stale_s < self.refresh_s || self.refresh_s < self.refetch_s {
            return Err("stale_s is at least refresh_s, and that is at least refetch_s".to_string());
        }
        let written = self.requires.iter().flat_map(|needed| &needed.scopes).chain(self.includes.iter().flat_map(|(_, narrower)| narrower));
        for scope in self.scopes.iter().chain(self.includes.keys()).chain(written) {
            let is_token = !scope.is_empty() && scope.bytes().all(|b| matches!(b, b'!' | b'#'..=b'[' | b']'..=b'~'));
            if !is_token {
                return Err(format!("{scope:?} is no scope (RFC 6749 §3.3)"));
            }
        }
        Ok(())
    }

    /// Where several may speak, nobody may speak for another's subjects.
    fn check_subjects(&self) -> Result<(), String> {
        for (at, one) in self.issuers.iter().enumerate() {
            for other in &self.issuers[at + 1..] {
                let (a, b) = (&one.subject_prefix, &other.subject_prefix);
                if a.starts_with(b.as_str()) || b.starts_with(a.as_str()) {
                    return Err(format!(
                        "{} and {} could name the same subject: give each a subject_prefix that the other's does not begin with",
                        one.issuer, other.issuer
                    ));
                }
            }
        }
        Ok(())
    }

    /// Where several may speak, nobody may speak for another's tenants.
    fn check_tenants(&self) -> Result<(), String> {
        for Issuer { issuer, tenant, tenant_claim, tenants, .. } in &self.issuers {
            if tenant_claim.is_none() && !tenants.is_empty() {
                return Err(format!("{issuer} has tenants and no tenant_claim: name the claim that says whose a token is"));
            }
            if tenant_claim.is_some() && tenant.is_some() {
                return Err(format!("{issuer} has both tenant and tenant_claim: keep one of them"));
            }
            if tenant_claim.is_some() && tenants.is_empty() && self.issuers.len() > 1 {
                return Err(format!("{issuer} could name any tenant, another issuer's too: list those it may name in its tenants"));
            }
        }
        for (at, one) in self.issuers.iter().enumerate() {
            let names = |issuer: &Issuer| issuer.tenants.iter().chain(&issuer.tenant).cloned().collect::<BTreeSet<_>>();
            if let Some(other) = self.issuers[at + 1..].iter().find(|other| !names(one).is_disjoint(&names(other))) {
                return Err(format!("{} and {} could name the same tenant: only one of them may", one.issuer, other.issuer));
            }
        }
        Ok(())
    }

    /// Keys are not fetched in the clear, nor tokens shown to anybody but who may have issued them.
    fn check_places(&self) -> Result<(), String> {
        for issuer in &self.issuers {
            let endpoint = issuer.introspection.as_ref().and_then(|how| how.endpoint.as_ref());
            for place in issuer.jwks_uri.iter().chain(endpoint) {
                let path = place.split_once('?').map_or(place.as_str(), |(path, _)| path);
                url("a place of an issuer", path.strip_suffix('/').unwrap_or(path))?;
            }
        }
        let asked: Vec<_> = self.issuers.iter().filter(|issuer| issuer.introspection.is_some()).collect();
        match asked[..] {
            [one, other, ..] => Err(format!(
                "{} and {} would both be shown every token that says nothing itself, each other's too: only one issuer may have introspection",
                one.issuer, other.issuer
            )),
            _ => Ok(()),
        }
    }

    /// Every URL that tokens may be for.
    pub fn resources(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.resource).chain(&self.more_resources)
    }
}

/// In the one spelling that clients and issuers compare: https, or http on this machine.
fn url(what: &str, text: &str) -> Result<(), String> {
    let bad = |why: &str| Err(format!("{text:?} is not the URL of {what}: {why}"));
    let Some((scheme, rest)) = text.split_once("://") else { return bad("it has no scheme") };
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let host = if authority.starts_with('[') { authority.split_inclusive(']').next() } else { authority.split(':').next() };
    let is_local = matches!(host, Some("127.0.0.1" | "localhost" | "[::1]"));
    if scheme != "https" && !(scheme == "http" && is_local) {
        return bad("it begins with https://, or with http:// if it is on this machine");
    }
    if host.is_none_or(str::is_empty) || authority.contains('@') || authority.bytes().any(|b| b.is_ascii_uppercase()) {
        return bad("a host is written in lower case, with nothing before it");
    }
    if path.ends_with('/') || !text.bytes().all(|b| b.is_ascii_graphic() && !br#"?#"\<>"#.contains(&b)) {
        return bad("it ends without a slash, and has neither query nor fragment");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The host fills in the schema's defaults; they must be ours.
    #[test]
    fn schema_and_code_agree() {
        let schema: serde_json::Value = serde_json::from_str(include_str!("../config.schema.json")).unwrap();
        let ours: Config = serde_json::from_str(r#"{"resource":"https://h/mcp","issuers":[]}"#).unwrap();
        let default = |name: &str| schema["properties"][name]["default"].clone();
        assert_eq!(default("algorithms"), serde_json::json!(ours.algorithms));
        assert_eq!(default("types"), serde_json::json!(ours.types));
        for (name, value) in [
            ("leeway_s", ours.leeway_s),
            ("refresh_s", ours.refresh_s),
            ("refetch_s", ours.refetch_s),
            ("stale_s", ours.stale_s),
            ("fetch_ms", ours.fetch_ms),
        ] {
            assert_eq!(default(name), value, "{name}");
        }
    }

    #[test]
    fn issuers_do_not_speak_for_each_other() {
        let check = |issuers: serde_json::Value| {
            serde_json::from_value::<Config>(serde_json::json!({"resource": "https://h/mcp", "issuers": issuers})).unwrap().check()
        };
        let two = |a: serde_json::Value, b: serde_json::Value| {
            let with = |name: &str, mut more: serde_json::Value| {
                more["issuer"] = format!("https://{name}.example").into();
                more["subject_prefix"] = format!("{name}:").into();
                more
            };
            check(serde_json::json!([with("a", a), with("b", b)]))
        };
        let asks = serde_json::json!({"introspection": {"client_id": "c", "secret": "s"}});
        let of = |tenants: &[&str]| serde_json::json!({"tenant_claim": "org", "tenants": tenants});
        let none = || serde_json::json!({});
        assert_eq!(two(of(&["acme"]), of(&["globex"])), Ok(()));
        assert_eq!(two(of(&["acme"]), serde_json::json!({"tenant": "globex"})), Ok(()));
        assert_eq!(two(asks.clone(), none()), Ok(()));
        assert_eq!(check(serde_json::json!([{"issuer": "https://a.example", "tenant_claim": "org"}])), Ok(()), "alone it may name any");
        for (refused, why) in [
            (two(of(&[]), none()), "any tenant"),
            (two(of(&["acme"]), of(&["acme", "b"])), "the same tenant"),
            (two(of(&["acme"]), serde_json::json!({"tenant": "acme"})), "the same tenant"),
            (two(serde_json::json!({"tenants": ["acme"]}), none()), "no tenant_claim"),
            (two(serde_json::json!({"tenant": "a", "tenant_claim": "org", "tenants": ["b"]}), none()), "both"),
            (two(asks.clone(), asks), "only one issuer"),
            (two(serde_json::json!({"jwks_uri": "http://a.example/jwks"}), none()), "a place of an issuer"),
            (
                two(serde_json::json!({"introspection": {"client_id": "c", "secret": "s", "endpoint": "http://a.example/i"}}), none()),
                "a place of an issuer",
            ),
        ] {
            assert!(refused.as_ref().is_err_and(|error| error.contains(why)), "{why}: {refused:?}");
        }
        assert_eq!(two(serde_json::json!({"jwks_uri": "https://a.example/jwks/?v=1"}), none()), Ok(()));
    }

    #[test]
    fn a_url_has_one_spelling() {
        for good in ["https://mcp.example.com/mcp", "https://h", "http://127.0.0.1:7411/mcp", "http://localhost/mcp", "http://[::1]:1/mcp"]
        {
            assert_eq!(url("a resource", good), Ok(()), "{good}");
        }
        for bad in [
            "mcp.example.com/mcp",
            "http://mcp.example.com/mcp",
            "http://127.0.0.1.example.com/mcp",
            "http://localhost@evil.example/mcp",
            "https://",
            "https:///mcp",
            "https://H/mcp",
            "HTTPS://h/mcp",
            "https://a@h/mcp",
            "https://h/mcp/",
            "https://h/mcp?x",
            "https://h/mcp#x",
            "https://h/m cp",
            "ftp://h/mcp",
        ] {
            assert!(url("a resource", bad).is_err(), "{bad}");
        }
    }
}
