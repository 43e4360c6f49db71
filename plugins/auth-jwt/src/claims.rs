//! What a token claims, and whether that is meant for us, and now (RFC 7519 §4.1, RFC 9068 §4).

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use crate::refused::Refused;

/// Past it a number is no time, and JSON readers differ about what it is.
const SECONDS_MAX: f64 = (1_u64 << 53) as f64;

/// The claims of a token, or what introspection says of one.
#[derive(Debug)]
pub struct Claims(pub(crate) Map<String, Value>);

/// What claims are held against.
pub struct Expected<'e> {
    /// Whose token it has to be.
    pub issuer: &'e str,
    /// One of these has to be among its audiences.
    pub audiences: &'e [String],
    /// Seconds since 1970.
    pub now: u64,
    /// By how many seconds clocks may differ.
    pub leeway: u64,
    /// `sha256:` and hex: the certificate that the caller showed.
    pub certificate: Option<String>,
}

impl Claims {
    /// The text of a claim, if it is there.
    pub fn text(&self, name: &'static str) -> Result<Option<&str>, Refused> {
        self.0.get(name).map(|value| value.as_str().ok_or(Refused::Claim(name))).transpose()
    }

    /// A claim that must be there.
    pub fn required(&self, name: &'static str) -> Result<&str, Refused> {
        self.text(name)?.filter(|text| !text.is_empty()).ok_or(Refused::Claim(name))
    }

    /// A time, rounded so that nobody gains by it.
    fn seconds(&self, name: &'static str, round: fn(f64) -> f64) -> Result<Option<u64>, Refused> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let seconds = value.as_f64().filter(|seconds| (0.0..SECONDS_MAX).contains(seconds));
        seconds.map(|seconds| Some(round(seconds) as u64)).ok_or(Refused::Claim(name))
    }

    /// The texts of a claim that is one text or a list of them.
    pub fn texts(&self, name: &'static str) -> Result<Vec<&str>, Refused> {
        let bad = Refused::Claim(name);
        match self.0.get(name) {
            None => Ok(Vec::new()),
            Some(Value::String(one)) => Ok(vec![one]),
            Some(Value::Array(many)) => many.iter().map(|item| item.as_str().ok_or(bad.clone())).collect(),
            Some(_) => Err(bad),
        }
    }

    /// By its name, or by a JSON pointer (`/realm_access/roles`).
    pub fn at(&self, place: &str) -> Option<&Value> {
        match place.strip_prefix('/').map(|rest| rest.split('/')) {
            None => self.0.get(place),
            Some(mut parts) => {
                let unescaped = |part: &str| part.replace("~1", "/").replace("~0", "~");
                let first = self.0.get(&unescaped(parts.next()?))?;
                parts.try_fold(first, |value, part| value.get(unescaped(part)))
            }
        }
    }

    /// What was granted: `scope` as one text (RFC 8693 §4.2), or `scp` as issuers had it before, one text or a list.
    pub fn scopes(&self) -> Result<Vec<String>, Refused> {
        let scope = self.text("scope")?.unwrap_or_default();
        let mut scopes: Vec<String> = Vec::new();
        for scope in scope.split(' ').chain(self.texts("scp")?.into_iter().flat_map(|text| text.split(' '))) {
            if !scope.bytes().all(|b| matches!(b, b'!' | b'#'..=b'[' | b']'..=b'~')) {
                return Err(Refused::Claim("scope"));
            }
            if !scope.is_empty() && !scopes.iter().any(|known| known == scope) {
                scopes.push(scope.to_string());
            }
        }
        Ok(scopes)
    }

    /// Whether this token is from the issuer it has to be from, for us, for now, and for whom it is shown by. When it ends.
    pub fn check(&self, expected: &Expected<'_>) -> Result<u64, Refused> {
        if self.required("iss")? != expected.issuer {
            return Err(Refused::Issuer);
        }
        let audiences = self.texts("aud")?;
        if audiences.is_empty() {
            return Err(Refused::Claim("aud"));
        }
        if !audiences.iter().any(|audience| expected.audiences.iter().any(|ours| ours == audience)) {
            return Err(Refused::Audience);
        }
        let ends = self.seconds("exp", f64::floor)?.ok_or(Refused::Claim("exp"))?;
        if expected.now >= ends + expected.leeway {
            return Err(Refused::Expired);
        }
        for name in ["nbf", "iat"] {
            if self.seconds(name, f64::ceil)?.is_some_and(|begins| begins > expected.now + expected.leeway) {
                return Err(Refused::NotYet);
            }
        }
        for name in ["jti", "client_id", "azp"] {
            self.text(name)?;
        }
        self.required("sub")?;
        self.check_binding(expected.certificate.as_deref())?;
        Ok(ends)
    }

    /// A token that only the holder of a key may use is no bearer token: the certificate shown has to be that key (RFC 8705 §3.1). Any
    /// other proof, such as DPoP's, is not asked for here, so nothing shows that it was given.
    fn check_binding(&self, certificate: Option<&str>) -> Result<(), Refused> {
        let Some(confirmed) = self.0.get("cnf") else { return Ok(()) };
        let members = confirmed.as_object().ok_or(Refused::Claim("cnf"))?;
        let (Some(thumbprint), 1) = (members.get("x5t#S256").and_then(Value::as_str), members.len()) else {
            return Err(Refused::Binding);
        };
        let digest = BASE64_URL_SAFE_NO_PAD.decode(thumbprint).map_err(|_| Refused::Claim("cnf"))?;
        let shown = digest.iter().fold("sha256:".to_string(), |text, byte| format!("{text}{byte:02x}"));
        if certificate == Some(shown.as_str()) { Ok(()) } else { Err(Refused::Binding) }
    }
}
