//! T24: what an attacker can write into a token, and what an honest issuer may.

use super::{issuer::*, refused::Refused};
use serde_json::json;

/// One token, and what must come of it.
pub struct Row {
    pub name: &'static str,
    pub token: String,
    /// None: it must pass.
    pub refused: Option<Refused>,
}

fn row(name: &'static str, refused: impl Into<Option<Refused>>, token: String) -> Row {
    Row { name, token, refused: refused.into() }
}

/// With this header, and claims that are fine.
fn header(name: &'static str, refused: impl Into<Option<Refused>>, header: &str, by: By) -> Row {
    row(name, refused, token(header, &claims().to_string(), by))
}

/// With these claims, and a header that is fine.
fn claimed(name: &'static str, refused: impl Into<Option<Refused>>, other: serde_json::Value) -> Row {
    row(name, refused, token(HEADER, &claims_with(other), By::Rs256))
}

/// What an honest issuer may write.
pub fn honest() -> Vec<Row> {
    vec![
        row("control: as it should be", None, good()),
        header("control: PS256", None, r#"{"alg":"PS256","typ":"at+jwt","kid":"r"}"#, By::Ps256),
        header("control: ES256", None, r#"{"alg":"ES256","typ":"at+jwt","kid":"e"}"#, By::Es256),
        header("control: EdDSA", None, r#"{"alg":"EdDSA","typ":"at+jwt","kid":"d"}"#, By::Ed),
        header("control: a key for RS256 alone", None, r#"{"alg":"RS256","typ":"at+jwt","kid":"r-rs256"}"#, By::Rs256),
        header("control: one of two keys of a name", None, r#"{"alg":"RS256","typ":"at+jwt","kid":"two"}"#, By::Rs256),
        header("control: no kid, and one key it can be", None, r#"{"alg":"EdDSA","typ":"at+jwt"}"#, By::Ed),
        header("control: typ JWT", None, r#"{"alg":"RS256","typ":"JWT","kid":"r"}"#, By::Rs256),
        header("control: typ in full, in capitals", None, r#"{"alg":"RS256","typ":"application/AT+JWT","kid":"r"}"#, By::Rs256),
        header("control: x5t is not looked at", None, r#"{"alg":"RS256","typ":"JWT","kid":"r","x5t":"AAAA"}"#, By::Rs256),
        claimed("control: two audiences", None, json!({"aud": ["https://other.example", RESOURCE]})),
        claimed("control: times with a fraction", None, json!({"exp": *NOW as f64 + 60.5, "iat": *NOW as f64 - 0.5})),
        claimed("control: ended within the leeway", None, json!({"exp": *NOW - 10})),
        claimed("control: begins within the leeway", None, json!({"nbf": *NOW + 20})),
        claimed("control: no nbf, no iat", None, json!({"nbf": null, "iat": null})),
        claimed("control: scp, a list", None, json!({"scope": null, "scp": ["mcp", "x"]})),
        claimed("control: scp, a text", None, json!({"scope": null, "scp": "mcp x"})),
    ]
}

fn algorithms() -> Vec<Row> {
    let unsigned = |alg: &str| token(&format!(r#"{{"alg":"{alg}","typ":"at+jwt","kid":"r"}}"#), &claims().to_string(), By::Nobody);
    // What a careless verifier would take for the shared key.
    let public: &'static [u8] = Box::leak(key_set()["keys"][0]["n"].as_str().unwrap().to_owned().into_bytes().into_boxed_slice());
    vec![
        row("none", Refused::Algorithm, unsigned("none")),
        row("None", Refused::Algorithm, unsigned("None")),
        row("NONE", Refused::Algorithm, unsigned("NONE")),
        row("no name", Refused::Algorithm, unsigned("")),
        row("rs256, small", Refused::Algorithm, unsigned("rs256")),
        row("RS256 with a space", Refused::Algorithm, unsigned("RS256 ")),
        header("HS256 under the public key", Refused::Algorithm, r#"{"alg":"HS256","typ":"at+jwt","kid":"r"}"#, By::Mac(public)),
        header(
            "HS256 under a shared key of the set",
            Refused::Algorithm,
            r#"{"alg":"HS256","typ":"at+jwt","kid":"shared"}"#,
            By::Mac(b"a shared key of thirty-two bytes"),
        ),
        header("HS256 under nothing", Refused::Algorithm, r#"{"alg":"HS256","typ":"at+jwt","kid":"r"}"#, By::Mac(b"")),
        header("RS384 is not on the list", Refused::Algorithm, r#"{"alg":"RS384","typ":"at+jwt","kid":"r"}"#, By::Rs384),
        header("RS512 is not on the list", Refused::Algorithm, r#"{"alg":"RS512","typ":"at+jwt","kid":"r"}"#, By::Rs512),
        header("ES256K", Refused::Algorithm, r#"{"alg":"ES256K","typ":"at+jwt","kid":"e"}"#, By::Es256),
        header("alg is a list", Refused::Malformed, r#"{"alg":["RS256"],"typ":"at+jwt","kid":"r"}"#, By::Rs256),
        header("alg is null", Refused::Malformed, r#"{"alg":null,"typ":"at+jwt","kid":"r"}"#, By::Rs256),
        header("no alg", Refused::Malformed, r#"{"typ":"at+jwt","kid":"r"}"#, By::Rs256),
        header("alg twice", Refused::Malformed, r#"{"alg":"none","alg":"RS256","typ":"at+jwt","kid":"r"}"#, By::Rs256),
        header("ES256 with an RSA key", Refused::Key, r#"{"alg":"ES256","typ":"at+jwt","kid":"r"}"#, By::Es256),
        header("RS256 with a P-256 key", Refused::Key, r#"{"alg":"RS256","typ":"at+jwt","kid":"e"}"#, By::Rs256),
        header("ES384 is not spoken", Refused::Algorithm, r#"{"alg":"ES384","typ":"at+jwt","kid":"e"}"#, By::Es384),
        header("EdDSA with an RSA key", Refused::Key, r#"{"alg":"EdDSA","typ":"at+jwt","kid":"r"}"#, By::Ed),
        header("PS256 with a key for RS256 alone", Refused::Key, r#"{"alg":"PS256","typ":"at+jwt","kid":"r-rs256"}"#, By::Ps256),
        header("PS256 said, RS256 done", Refused::Signature, r#"{"alg":"PS256","typ":"at+jwt","kid":"r"}"#, By::Rs256),
        header("RS256 said, PS256 done", Refused::Signature, r#"{"alg":"RS256","typ":"at+jwt","kid":"r"}"#, By::Ps256),
    ]
}

fn keys() -> Vec<Row> {
    let kid = |kid: &str| format!(r#"{{"alg":"RS256","typ":"at+jwt","kid":{}}}"#, json!(kid));
    let own = rsa_jwk(&KEYS.rsa_other, json!({"kid": "own"}));
    vec![
        header("another's key under a known name", Refused::Signature, HEADER, By::Other),
        header("another's key, ES256", Refused::Signature, r#"{"alg":"ES256","typ":"at+jwt","kid":"e"}"#, By::OtherEs256),
        header("another's key, EdDSA", Refused::Signature, r#"{"alg":"EdDSA","typ":"at+jwt","kid":"d"}"#, By::OtherEd),
        header("a name that is not there", Refused::Key, &kid("nobody"), By::Rs256),
        header("a path for a name", Refused::Key, &kid("../../../../dev/null"), By::Mac(b"")),
        header("SQL for a name", Refused::Key, &kid("x' UNION SELECT 'key"), By::Mac(b"key")),
        header("a URL for a name", Refused::Key, &kid("https://evil.example/jwks"), By::Other),
        header("a name with a zero in it", Refused::Key, &kid("r\0"), By::Rs256),
        header("a long name", Refused::Malformed, &kid(&"r".repeat(257)), By::Rs256),
        header("kid is a number", Refused::Malformed, r#"{"alg":"RS256","typ":"at+jwt","kid":1}"#, By::Rs256),
        header("no kid, and several keys it can be", Refused::Key, r#"{"alg":"RS256","typ":"at+jwt"}"#, By::Rs256),
        header("a key for encryption", Refused::Key, &kid("r-enc"), By::Rs256),
        header("a key for wrapping", Refused::Key, &kid("r-wrap"), By::Rs256),
        header("a key whose private part is public", Refused::Key, &kid("r-private"), By::Rs256),
        header("an RSA key of 1024 bits", Refused::Key, &kid("small"), By::Rs256),
        header("a point that is not on its curve", Refused::Signature, r#"{"alg":"ES256","typ":"at+jwt","kid":"off"}"#, By::Es256),
        header(
            "a key of its own, jwk",
            Refused::Signature,
            &format!(r#"{{"alg":"RS256","typ":"at+jwt","kid":"r","jwk":{own}}}"#),
            By::Other,
        ),
        header("a key of its own, jwk alone", Refused::Key, &format!(r#"{{"alg":"RS256","typ":"at+jwt","jwk":{own}}}"#), By::Other),
        header(
            "keys of its own, jku",
            Refused::Key,
            r#"{"alg":"RS256","typ":"at+jwt","kid":"own","jku":"https://evil.example/jwks"}"#,
            By::Other,
        ),
        header(
            "keys of its own, x5u",
            Refused::Key,
            r#"{"alg":"RS256","typ":"at+jwt","kid":"own","x5u":"https://evil.example/x5u"}"#,
            By::Other,
        ),
        header("a chain of its own, x5c", Refused::Signature, r#"{"alg":"RS256","typ":"at+jwt","kid":"r","x5c":["MIIB"]}"#, By::Other),
    ]
}

fn headers() -> Vec<Row> {
    vec![
        header("crit", Refused::Critical, r#"{"alg":"RS256","typ":"at+jwt","kid":"r","crit":["exp"],"exp":1}"#, By::Rs256),
        header("crit, empty", Refused::Critical, r#"{"alg":"RS256","typ":"at+jwt","kid":"r","crit":[]}"#, By::Rs256),
        header("b64", Refused::Critical, r#"{"alg":"RS256","typ":"at+jwt","kid":"r","b64":false}"#, By::Rs256),
        header("zip", Refused::Critical, r#"{"alg":"RS256","typ":"at+jwt","kid":"r","zip":"DEF"}"#, By::Rs256),
        header("an ID-JAG", Refused::Type, r#"{"alg":"RS256","typ":"oauth-id-jag+jwt","kid":"r"}"#, By::Rs256),
        header("a DPoP proof", Refused::Type, r#"{"alg":"RS256","typ":"dpop+jwt","kid":"r"}"#, By::Rs256),
        header("a logout token", Refused::Type, r#"{"alg":"RS256","typ":"logout+jwt","kid":"r"}"#, By::Rs256),
        header("no typ", Refused::Type, r#"{"alg":"RS256","kid":"r"}"#, By::Rs256),
        header("typ is a number", Refused::Malformed, r#"{"alg":"RS256","typ":1,"kid":"r"}"#, By::Rs256),
        header("typ twice", Refused::Malformed, r#"{"alg":"RS256","typ":"x","typ":"JWT","kid":"r"}"#, By::Rs256),
        header("a header that is a list", Refused::Malformed, "[]", By::Rs256),
        header("a header that is nothing", Refused::Malformed, "", By::Rs256),
    ]
}

fn claims_rows() -> Vec<Row> {
    let claim = Refused::Claim;
    vec![
        claimed("ended", Refused::Expired, json!({"exp": *NOW - 30})),
        claimed("ended long ago", Refused::Expired, json!({"exp": 0})),
        claimed("no exp", claim("exp"), json!({"exp": null})),
        claimed("exp is a text", claim("exp"), json!({"exp": (*NOW + 300).to_string()})),
        claimed("exp is a list", claim("exp"), json!({"exp": [*NOW + 300]})),
        claimed("exp is true", claim("exp"), json!({"exp": true})),
        claimed("exp is an object", claim("exp"), json!({"exp": {}})),
        claimed("exp is negative", claim("exp"), json!({"exp": -1})),
        claimed("exp is beyond all numbers", claim("exp"), json!({"exp": 1e300})),
        claimed("exp is 2^64 - 1", claim("exp"), json!({"exp": u64::MAX})),
        row(
            "exp is null",
            claim("exp"),
            token(HEADER, &claims().to_string().replace(&format!("\"exp\":{}", *NOW + 300), "\"exp\":null"), By::Rs256),
        ),
        claimed("begins later", Refused::NotYet, json!({"nbf": *NOW + 600})),
        claimed("nbf is a text", claim("nbf"), json!({"nbf": "0"})),
        claimed("issued later", Refused::NotYet, json!({"iat": *NOW + 3600})),
        claimed("iat is a text", claim("iat"), json!({"iat": "0"})),
        claimed("no iss", claim("iss"), json!({"iss": null})),
        claimed("another issuer", Refused::Issuer, json!({"iss": "https://evil.example"})),
        claimed("an issuer with a slash more", Refused::Issuer, json!({"iss": format!("{ISSUER}/")})),
        claimed("an issuer in capitals", Refused::Issuer, json!({"iss": ISSUER.to_uppercase()})),
        claimed("iss is a list", claim("iss"), json!({"iss": [ISSUER]})),
        claimed("another audience", Refused::Audience, json!({"aud": "https://mcp.example/other"})),
        claimed("the audience of the whole host", Refused::Audience, json!({"aud": "https://mcp.example"})),
        claimed("a longer audience", Refused::Audience, json!({"aud": format!("{RESOURCE}/")})),
        claimed("audiences, none of them ours", Refused::Audience, json!({"aud": ["a", "b"]})),
        claimed("no aud", claim("aud"), json!({"aud": null})),
        claimed("no audience in aud", claim("aud"), json!({"aud": []})),
        claimed("aud with a number in it", claim("aud"), json!({"aud": [1, RESOURCE]})),
        claimed("aud is an object", claim("aud"), json!({"aud": {RESOURCE: true}})),
        claimed("no sub", claim("sub"), json!({"sub": null})),
        claimed("sub is nothing", claim("sub"), json!({"sub": ""})),
        claimed("sub is a number", claim("sub"), json!({"sub": 1})),
        claimed("sub with a line end", claim("sub"), json!({"sub": "a\nb"})),
        claimed("sub is long", claim("sub"), json!({"sub": "a".repeat(513)})),
        claimed("scope is a list", claim("scope"), json!({"scope": ["mcp"]})),
        claimed("scope is a number", claim("scope"), json!({"scope": 1})),
        claimed("scope with a quote", claim("scope"), json!({"scope": "mcp \""})),
        claimed("scope with a line end", claim("scope"), json!({"scope": "mcp\nadmin"})),
        claimed("scp with a number in it", claim("scp"), json!({"scp": ["mcp", 1]})),
        claimed("client_id is a number", claim("client_id"), json!({"client_id": 1})),
        claimed("jti is a number", claim("jti"), json!({"jti": 1})),
        claimed("bound to a key of DPoP's", Refused::Binding, json!({"cnf": {"jkt": "x"}})),
        claimed("bound to a certificate that was not shown", Refused::Binding, json!({"cnf": {"x5t#S256": b64([7; 32])}})),
        claimed("cnf is a text", claim("cnf"), json!({"cnf": "x"})),
        row("a claim twice", Refused::Malformed, token(HEADER, &claims().to_string().replacen('{', r#"{"sub":"root","#, 1), By::Rs256)),
        row("claims that are a list", Refused::Malformed, token(HEADER, "[]", By::Rs256)),
        row("claims that are a text", Refused::Malformed, token(HEADER, r#""{}""#, By::Rs256)),
        row("no UTF-8", Refused::Malformed, format!("{}.{}.{}", b64(HEADER), b64(b"{\"a\":\"\xff\"}"), b64("x"))),
    ]
}

/// The signature of a token of somebody else under these claims.
fn other_claims(header: &str, by: By) -> String {
    let (signed, signature) = {
        let good = token(header, &claims().to_string(), by);
        let (a, b) = good.rsplit_once('.').unwrap();
        (a.to_owned(), b.to_owned())
    };
    format!("{}.{}.{signature}", signed.split_once('.').unwrap().0, b64(claims_with(json!({"sub": "root"}))))
}

fn texts() -> Vec<Row> {
    let good = good();
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (head, body) = signed.split_once('.').unwrap();
    let flipped =
        |text: &str| text.chars().enumerate().map(|(at, c)| if at == 5 { if c == 'A' { 'B' } else { 'A' } } else { c }).collect::<String>();
    let no_jwt = Refused::Malformed;
    vec![
        row("nothing", no_jwt.clone(), String::new()),
        row("dots", no_jwt.clone(), "..".into()),
        row("no signature", Refused::Signature, format!("{signed}.")),
        row("two parts", no_jwt.clone(), signed.into()),
        row("four parts", no_jwt.clone(), format!("{good}.x")),
        row("five parts, as an encrypted one has", no_jwt.clone(), "a.b.c.d.e".into()),
        row("a bit of the signature turned", Refused::Signature, format!("{signed}.{}", flipped(signature))),
        row("half a signature", Refused::Signature, format!("{signed}.{}", &signature[..128])),
        row("another token's claims", Refused::Signature, format!("{head}.{}.{signature}", b64(claims_with(json!({"sub": "root"}))))),
        row("another token's claims, ES256", Refused::Signature, other_claims(r#"{"alg":"ES256","typ":"at+jwt","kid":"e"}"#, By::Es256)),
        row("another token's claims, EdDSA", Refused::Signature, other_claims(r#"{"alg":"EdDSA","typ":"at+jwt","kid":"d"}"#, By::Ed)),
        row("padding", no_jwt.clone(), format!("{good}==")),
        row("base64 that is not for URLs", no_jwt.clone(), format!("{head}.{}+/.{signature}", &body[2..])),
        row("a space before it", no_jwt.clone(), format!(" {good}")),
        row("a line end in it", no_jwt.clone(), format!("{head}\n.{body}.{signature}")),
        row("JSON itself", no_jwt.clone(), format!("{HEADER}.{}.", claims())),
        row("17 KiB", no_jwt, format!("{good}{}", "A".repeat(17 << 10))),
    ]
}

/// All of them.
pub fn all() -> Vec<Row> {
    [honest(), algorithms(), keys(), headers(), claims_rows(), texts()].into_iter().flatten().collect()
}
