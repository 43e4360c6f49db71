//! JWTs that this host signs with a key it does not see (RFC 7515, RFC 7523).

use alloc::format;
use alloc::string::String;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sluice_sdk::clock;
use sluice_sdk::prelude::*;
use sluice_sdk::secrets::{self, Secret};

use crate::config::{Algorithm, Assertion, Key, Named};
use crate::problem::{self, Problem};
use crate::random;

/// Long enough for clocks that differ, short enough to be worth nothing later.
const LIFE_S: u64 = 60;

/// `private_key_jwt`: a client that signs (OpenID Connect Core section 9).
pub fn of_client(key: &Key, server: Named<'_>) -> Result<String, Problem> {
    sign(key, json!({"iss": server.client_id, "sub": server.client_id, "aud": server.issuer}))
}

/// That the caller is who this host says, and through which client it comes (RFC 8693 section 4.1).
pub fn of_caller(assertion: &Assertion, server: Named<'_>, x: &Exchange) -> Result<String, Problem> {
    sign(&assertion.key, claims_of_caller(assertion, server, x)?)
}

/// That this host is itself.
pub fn of_this_host(assertion: &Assertion, server: Named<'_>) -> Result<String, Problem> {
    sign(&assertion.key, json!({"iss": assertion.issuer, "sub": server.client_id, "aud": server.issuer}))
}

/// What a token says of the caller.
fn claims_of_caller(assertion: &Assertion, server: Named<'_>, x: &Exchange) -> Result<Value, Problem> {
    const NOT_SAID: &str = "the gateway must not speak for this caller";
    let authority = x.attr("principal.authority").unwrap_or_default();
    if !assertion.authenticators.is_empty() && !assertion.authenticators.contains(&authority) {
        return Err(Problem::operator(NOT_SAID, format!("{authority} is not in the subject's authenticators")));
    }
    let subject = x.attr("principal.subject").unwrap_or_default();
    let mut claims = json!({"iss": assertion.issuer, "sub": subject, "aud": server.issuer});
    match (x.attr("principal.tenant"), &assertion.tenant_claim) {
        (Some(tenant), Some(name)) => claims[name] = tenant.into(),
        // Without it two tenants' callers of one name would be one and the same there.
        (Some(_), None) => {
            return Err(Problem::operator(
                NOT_SAID,
                "the caller has a tenant, and the subject's tenant_claim does not say where that goes",
            ));
        }
        (None, _) => {}
    }
    if let Some(client) = x.attr("principal.claim.client_id") {
        claims["act"] = json!({"sub": client});
    }
    Ok(claims)
}

fn sign(key: &Key, mut claims: Value) -> Result<String, Problem> {
    let (name, algorithm) = match key.algorithm {
        Algorithm::ES256 => ("ES256", secrets::Algorithm::Es256),
        Algorithm::RS256 => ("RS256", secrets::Algorithm::Rs256),
        Algorithm::EdDSA => ("EdDSA", secrets::Algorithm::Ed25519),
    };
    let mut header = json!({"alg": name, "typ": "JWT"});
    if let Some(id) = &key.key_id {
        header["kid"] = id.as_str().into();
    }
    let now = clock::unix_seconds();
    claims["jti"] = random::token().into();
    claims["iat"] = now.into();
    claims["exp"] = (now + LIFE_S).into();
    let text = format!("{}.{}", encoded(&header), encoded(&claims));
    let secret = Secret::open(&key.secret).map_err(problem::secret)?;
    let signature = secret.sign(algorithm, text.as_bytes()).map_err(problem::secret)?;
    Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(format!("{value}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use sluice_sdk::testing::FakeExchange;

    fn config() -> Config {
        let config = json!({
            "servers": {"sts": {"issuer": "https://sts", "token_endpoint": "https://sts/token", "client_id": "sluice"}},
            "upstreams": {},
        });
        serde_json::from_value::<Config>(config).unwrap().check().unwrap()
    }

    fn assertion(more: Value) -> Assertion {
        let mut settings = json!({"key": {"secret": "k"}, "issuer": "https://mcp"});
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(settings).unwrap()
    }

    /// features.md §53: user and agent are both in it.
    #[test]
    fn f053_a_caller_is_named_with_the_client_it_comes_through() {
        let (config, x) =
            (config(), FakeExchange::default().with_attr("principal.subject", "ada").with_attr("principal.claim.client_id", "agent-7"));
        let claims = claims_of_caller(&assertion(json!({})), config.of("sts"), &x).unwrap();
        assert_eq!(claims, json!({"iss": "https://mcp", "sub": "ada", "aud": "https://sts", "act": {"sub": "agent-7"}}));
    }

    #[test]
    fn callers_of_one_name_are_not_taken_for_each_other() {
        let (config, x) =
            (config(), FakeExchange::default().with_attr("principal.subject", "ada").with_attr("principal.authority", "auth-jwt"));
        let x = x.with_attr("principal.tenant", "acme");
        let said = |more: Value| claims_of_caller(&assertion(more), config.of("sts"), &x);
        assert!(said(json!({})).unwrap_err().detail.contains("tenant_claim"));
        assert_eq!(said(json!({"tenant_claim": "org"})).unwrap()["org"], "acme");
        assert_eq!(said(json!({"tenant_claim": "org", "authenticators": ["auth-jwt"]})).unwrap()["sub"], "ada");
        assert!(said(json!({"tenant_claim": "org", "authenticators": ["auth-api-key"]})).unwrap_err().detail.contains("auth-jwt"));
    }
}
