//! Does with secrets what can be done, and notes what came of it.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use sluice_sdk::prelude::*;
use sluice_sdk::secrets::{self, Algorithm, Error, Owner, Secret};

#[derive(serde::Deserialize)]
struct Settings {
    /// With what it signs.
    #[serde(default)]
    algorithm: String,
}

struct UsesSecrets(Settings);

impl Plugin for UsesSecrets {
    type Config = Settings;

    fn manifest() -> Manifest {
        Manifest::new("uses-secrets", "0.1.0", "Uses secrets.").schema(r#"{"type":"object"}"#).need("secret:api", "to sign").stateless()
    }

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(UsesSecrets(settings))
    }
}

fn said<T>(answer: Result<T, Error>, show: impl FnOnce(T) -> String) -> String {
    match answer {
        Ok(value) => show(value),
        Err(Error::Denied(_)) => "denied".into(),
        Err(Error::Missing) => "missing".into(),
        Err(Error::Unsuited(_)) => "unsuited".into(),
        Err(Error::Unavailable(_)) => "unavailable".into(),
    }
}

fn done(answer: Result<(), Error>) -> String {
    said(answer, |()| "done".into())
}

fn hex(bytes: Vec<u8>) -> String {
    bytes.iter().map(|byte| alloc::format!("{byte:02x}")).collect()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

impl UsesSecrets {
    fn operators(&self, x: &Exchange, note: &mut impl FnMut(&str, String)) {
        note("other", said(Secret::open("other"), |_| "open".into()));
        let secret = match Secret::open("api") {
            Ok(secret) => secret,
            Err(error) => return note("open", said(Err::<(), _>(error), |()| String::new())),
        };
        note("hmac", hex(secret.hmac_sha256(b"data")));
        note("equals", alloc::format!("{} {}", secret.equals(b"s3cret"), secret.equals(b"s3cre7")));
        let derived = secret.derive("AWS4", b"day").derive("", b"place");
        note("derived", hex(derived.hmac_sha256(b"data")));
        note("reveal-derived", said(derived.reveal(), text));
        note("reveal", said(secret.reveal(), text));
        note("keep", done(secret.keep(x, Owner::Plugin, "mine", None)));
        note("keep-derived", done(derived.keep(x, Owner::Plugin, "mine", None)));
        let algorithm = match self.0.algorithm.as_str() {
            "rs256" => Algorithm::Rs256,
            "es256" => Algorithm::Es256,
            "ed25519" => Algorithm::Ed25519,
            _ => Algorithm::Hs256,
        };
        note("signed", said(secret.sign(algorithm, b"data"), hex));
    }

    fn own(x: &Exchange, note: &mut impl FnMut(&str, String)) {
        let who = x.attr("principal.id").unwrap_or_default();
        note("before", said(secrets::open_own(x, Owner::Principal, "token"), |secret| secret.equals(who.as_bytes()).to_string()));
        note("put", done(secrets::put(x, Owner::Principal, "token", who.as_bytes(), Some(60_000))));
        let own = secrets::open_own(x, Owner::Principal, "token");
        note("own", said(own, |secret| said(secret.reveal(), text)));
        let kept = secrets::open_own(x, Owner::Principal, "token").and_then(|secret| secret.keep(x, Owner::Plugin, "last", None));
        note("kept", done(kept));
        note("last", said(secrets::open_own(x, Owner::Plugin, "last"), |secret| secret.equals(who.as_bytes()).to_string()));
        note("tenants", done(secrets::put(x, Owner::Tenant, "token", b"t", None)));
        note("too-long", done(secrets::put(x, Owner::Plugin, "long", &[b'x'; 20_000], None)));
        note("nameless", done(secrets::put(x, Owner::Plugin, "", b"x", None)));
        note("removed", done(secrets::remove(x, Owner::Plugin, "last")));
        note("after", said(secrets::open_own(x, Owner::Plugin, "last"), |_| "open".into()));
    }
}

impl OnRequest for UsesSecrets {
    fn on_request(&self, _: &Head, x: &Exchange) -> Verdict {
        let mut note = |key: &str, value: String| {
            let _ = x.set_attr(key, &value);
        };
        self.operators(x, &mut note);
        Self::own(x, &mut note);
        Verdict::Next
    }
}

sluice_sdk::export!(UsesSecrets: on_request);
sluice_sdk::lean!();
