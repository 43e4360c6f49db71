//! From the claims of a token to a principal.

use serde_json::Value;
use sluice_sdk::prelude::*;

use crate::claims::Claims;
use crate::config::Issuer;
use crate::refused::Refused;

const SUBJECT_BYTES_MAX: usize = 512;
/// What the host takes of scopes and claims together, less a bit.
const CLAIMS_BYTES_MAX: usize = 60 << 10;

/// Who this is, for `ttl_ms`.
pub(crate) fn principal(claims: &Claims, issuer: &Issuer, per_client: bool, ttl_ms: u32) -> Result<Principal, Refused> {
    let client = claims.text("client_id")?.or(claims.text("azp")?);
    let mut principal = Principal::new(&subject(claims, issuer, client, per_client)?, ttl_ms);
    principal.tenant = tenant(claims, issuer)?;
    principal.scopes = claims.scopes()?;
    let mut said = vec![("iss".to_string(), issuer.issuer.clone())];
    said.extend(client.map(|client| ("client_id".to_string(), client.to_string())));
    said.extend(roles(claims, issuer)?.into_iter().map(|role| ("role".to_string(), role)));
    for name in &issuer.claims {
        said.extend(texts(claims.at(name)).into_iter().map(|text| (name.trim_start_matches('/').to_string(), text)));
    }
    if said.iter().any(|(name, value)| has_control(name) || has_control(value)) {
        return Err(Refused::Claim("text"));
    }
    let texts = said.iter().map(|(name, value)| name.len() + value.len() + 16).chain(principal.scopes.iter().map(|scope| scope.len() + 16));
    if texts.sum::<usize>() > CLAIMS_BYTES_MAX {
        return Err(Refused::Claim("scope"));
    }
    principal.claims = said;
    Ok(principal)
}

/// With `per_client` a client's name stands before the subject, its slashes escaped, so that no two pairs are one text.
fn subject(claims: &Claims, issuer: &Issuer, client: Option<&str>, per_client: bool) -> Result<String, Refused> {
    let subject = claims.required("sub")?;
    if subject.len() > SUBJECT_BYTES_MAX || has_control(subject) {
        return Err(Refused::Claim("sub"));
    }
    let prefix = &issuer.subject_prefix;
    match (per_client, client) {
        (false, _) => Ok(format!("{prefix}{subject}")),
        (true, Some(client)) if client.len() <= SUBJECT_BYTES_MAX / 4 => {
            Ok(format!("{prefix}{}/{subject}", client.replace('%', "%25").replace('/', "%2F")))
        }
        (true, _) => Err(Refused::Claim("client_id")),
    }
}

/// A line feed tells the values of one claim apart, and no text that people read needs the others.
fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}

/// Who may speak of which tenants is the operator's to say: a token of one issuer is never another's tenant's.
fn tenant(claims: &Claims, issuer: &Issuer) -> Result<Option<String>, Refused> {
    let Some(place) = &issuer.tenant_claim else { return Ok(issuer.tenant.clone()) };
    let said = claims
        .at(place)
        .and_then(Value::as_str)
        .filter(|tenant| !tenant.is_empty() && !has_control(tenant))
        .ok_or(Refused::Claim("tenant"))?;
    let is_known = issuer.tenants.is_empty() || issuer.tenants.iter().any(|tenant| tenant == said);
    if is_known { Ok(Some(said.to_string())) } else { Err(Refused::Claim("tenant")) }
}

/// A claim of another type is no token of anybody we know.
fn roles(claims: &Claims, issuer: &Issuer) -> Result<Vec<String>, Refused> {
    let Some(said) = issuer.roles_claim.as_ref().and_then(|place| claims.at(place)) else { return Ok(Vec::new()) };
    let is_texts = said.is_string() || said.as_array().is_some_and(|items| items.iter().all(Value::is_string));
    if !is_texts {
        return Err(Refused::Claim("roles"));
    }
    let texts = texts(Some(said));
    if issuer.roles.is_empty() {
        return Ok(texts);
    }
    Ok(texts.iter().filter_map(|role| issuer.roles.get(role).cloned()).collect())
}

/// What of a claim is text, numbers and booleans as they are written.
fn texts(claim: Option<&Value>) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    };
    match claim {
        Some(Value::Array(items)) => items.iter().filter_map(text).collect(),
        Some(value) => text(value).into_iter().collect(),
        None => Vec::new(),
    }
}
