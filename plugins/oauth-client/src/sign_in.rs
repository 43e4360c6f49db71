//! Who is in front of the browser (OpenID Connect Core, authorization code flow): the identity provider whose subjects are those of the
//! principals says so.

use alloc::string::{String, ToString};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use sluice_sdk::clock;
use sluice_sdk::prelude::*;

use crate::client::Client;
use crate::config::{Provider, Registered};
use crate::discovery::{self, Server};
use crate::flow::{Person, Step};
use crate::problem::Problem;
use crate::random;
use crate::redirect;
use crate::token::{self, Refused};

/// Clocks differ by so much.
const SKEW_S: u64 = 60;

/// The provider, as it describes itself.
pub fn provider(x: &Exchange, provider: &Provider) -> Result<Server, Problem> {
    discovery::server(x, &provider.issuer)
}

/// Where the browser is sent to sign in.
pub fn page(provider: &Provider, server: &Server, step: &Step, state: &str, redirect_uri: &str) -> Result<String, Problem> {
    let members = [
        ("response_type", "code"),
        ("client_id", provider.client_id.as_str()),
        ("redirect_uri", redirect_uri),
        ("scope", "openid"),
        ("state", state),
        ("nonce", &step.nonce),
        ("code_challenge", &random::digest(&step.verifier)),
        ("code_challenge_method", "S256"),
    ];
    Ok(redirect::to(&server.authorizes()?, &members))
}

/// Whether the person who came back with this code is this one.
pub fn is(
    x: &Exchange,
    provider: &Provider,
    server: &Server,
    step: &Step,
    code: &str,
    redirect_uri: &str,
    person: &Person,
) -> Result<bool, Problem> {
    let client = Client::by_hand(&registered(provider), server)?;
    let members = [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", redirect_uri), ("code_verifier", &step.verifier)];
    let answer = token::ask_who(x, server, &client, &members).map_err(|refused| match refused {
        Refused::Grant(detail) => Problem::server("the identity provider takes its own code back", detail),
        Refused::Problem(problem) => problem,
    })?;
    let token = answer.id_token.ok_or_else(|| Problem::operator("the identity provider does not say who signed in", &provider.issuer))?;
    let claims = claims(&token, provider, &step.nonce, clock::unix_seconds())
        .map_err(|why| Problem::server("the identity provider's word cannot be trusted", why))?;
    let tenant = provider.tenant_claim.as_ref().and_then(|name| claims[name.as_str()].as_str());
    Ok(claims["sub"].as_str() == Some(person.subject.as_str()) && (person.tenant.is_none() || person.tenant.as_deref() == tenant))
}

fn registered(provider: &Provider) -> Registered {
    Registered {
        issuer: provider.issuer.clone(),
        client_id: provider.client_id.clone(),
        client_secret: provider.client_secret.clone(),
        client_key: None,
    }
}

/// The claims of an identity token, checked as OpenID Connect Core section 3.1.3.7 has it. Its signature is not: the token comes from
/// the token endpoint itself, and TLS says whose that is (item 6).
fn claims(token: &str, provider: &Provider, nonce: &str, now: u64) -> Result<Value, String> {
    let mut parts = token.split('.');
    let (Some(_), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err("the identity token is no JWS".to_string());
    };
    let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|error| error.to_string())?;
    let claims: Value = serde_json::from_slice(&payload).map_err(|error| error.to_string())?;
    let text = |name: &str| claims[name].as_str();
    let audience = match &claims["aud"] {
        Value::String(only) => *only == provider.client_id,
        Value::Array(all) => {
            let is_ours = |item: &Value| item.as_str() == Some(&provider.client_id);
            all.iter().any(is_ours) && (all.len() == 1 || text("azp").is_some())
        }
        _ => false,
    };
    let time = |name: &str| claims[name].as_u64();
    let wrong = [
        (text("iss") != Some(&provider.issuer), "iss"),
        (!audience, "aud"),
        (text("azp").is_some_and(|azp| azp != provider.client_id), "azp"),
        (time("exp").is_none_or(|exp| exp.saturating_add(SKEW_S) <= now), "exp"),
        (time("iat").is_none_or(|iat| iat > now.saturating_add(SKEW_S)), "iat"),
        (text("nonce") != Some(nonce), "nonce"),
        (text("sub").is_none_or(str::is_empty), "sub"),
    ];
    match wrong.iter().find(|(is_wrong, _)| *is_wrong) {
        Some((_, claim)) => Err(alloc::format!("the identity token's {claim} is not what it has to be")),
        None => Ok(claims),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: u64 = 1_000_000;

    fn provider() -> Provider {
        Provider { issuer: "https://id.example.com".into(), client_id: "sluice".into(), client_secret: None, tenant_claim: None }
    }

    fn good() -> Value {
        json!({"iss": "https://id.example.com", "aud": "sluice", "sub": "ada", "nonce": "n", "exp": NOW + 300, "iat": NOW})
    }

    fn read(claims: &Value) -> Result<Value, String> {
        let token = alloc::format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()));
        super::claims(&token, &provider(), "n", NOW)
    }

    #[test]
    fn a_good_token_is_taken() {
        assert_eq!(read(&good()).unwrap()["sub"], "ada");
        let mut several = good();
        several["aud"] = json!(["other", "sluice"]);
        several["azp"] = json!("sluice");
        assert!(read(&several).is_ok());
    }

    #[test]
    fn each_claim_is_checked() {
        for (claim, value) in [
            ("iss", json!("https://id.example.com/")),
            ("iss", Value::Null),
            ("aud", json!("other")),
            ("aud", json!(["other"])),
            ("aud", json!(["sluice", "other"])),
            ("aud", json!({"sluice": true})),
            ("azp", json!("other")),
            ("exp", json!(NOW - 61)),
            ("exp", json!("tomorrow")),
            ("exp", Value::Null),
            ("iat", json!(NOW + 61)),
            ("nonce", json!("m")),
            ("nonce", Value::Null),
            ("sub", json!("")),
            ("sub", json!(7)),
        ] {
            let mut claims = good();
            claims[claim] = value.clone();
            let why = read(&claims).unwrap_err();
            assert!(why.contains(claim), "{claim} {value}: {why}");
        }
        for token in ["", "a.b", "e30.!.x", "e30.e30.x.y", "e30.bm8.x"] {
            assert!(super::claims(token, &provider(), "n", NOW).is_err(), "{token}");
        }
    }
}
