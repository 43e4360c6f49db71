//! Sends the operator's token for an upstream along, unseen.
#![cfg_attr(target_family = "wasm", no_std)]
extern crate alloc;

use alloc::{format, string::String};
use sluice_sdk::{outbound::*, prelude::*, secrets::Secret};

#[derive(serde::Deserialize)]
pub struct Settings {
    secret: String,
}

pub struct Token(Settings);

impl Plugin for Token {
    type Config = Settings;

    fn manifest() -> Manifest {
        Manifest::new("example-on-outbound", "0.1.0", "Sends the operator's token for an upstream along, unseen.")
            .schema(r#"{"type":"object","properties":{"secret":{"type":"string"}},"required":["secret"]}"#)
            .need("outbound", "to set a header")
            .need("secret", "the token")
            .stateless()
    }

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(Token(settings))
    }
}

impl OnOutbound for Token {
    fn on_outbound(&self, departure: &Departure, _: &Exchange) -> OutboundVerdict {
        let Ok(token) = Secret::open(&self.0.secret) else {
            return Rejection::new(4041, "there is no token").into();
        };
        // Refused with another, the request may leave once more with this one.
        if departure.challenge().is_some() && departure.refused(&token) {
            return Rejection::new(4040, &format!("{} does not take the token", departure.upstream())).into();
        }
        Headers::new().secret("authorization", "Bearer ", token).into()
    }
}

sluice_sdk::lean!();
sluice_sdk::export!(Token: on_outbound);
