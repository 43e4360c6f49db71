//! Knows one caller by a bearer token.
#![cfg_attr(target_family = "wasm", no_std)]
extern crate alloc;

use alloc::string::String;
use sluice_sdk::prelude::*;

#[derive(serde::Deserialize)]
pub struct Settings {
    token: String,
    subject: String,
}

pub struct OneCaller(Settings);

impl Plugin for OneCaller {
    type Config = Settings;

    fn manifest() -> Manifest {
        Manifest::new("example-authenticate", "0.1.0", "Knows one caller by a bearer token.")
            .schema(
                r#"{"type":"object","properties":{"token":{"type":"string"},"subject":{"type":"string"}},"required":["token","subject"]}"#,
            )
            .stateless()
    }

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(OneCaller(settings))
    }
}

impl Authenticate for OneCaller {
    fn authenticate(&self, credential: &Credential, _: &Exchange) -> Outcome {
        match credential.scheme.as_str() {
            "bearer" if credential.value == self.0.token => Principal::new(&self.0.subject, 60_000).into(),
            "bearer" | "none" => Rejection::new(4010, "a bearer token is needed").status(401).header("www-authenticate", "Bearer").into(),
            _ => Outcome::Abstain,
        }
    }
}

sluice_sdk::lean!();
sluice_sdk::export!(OneCaller: authenticate);
