//! Answers at a path of its own.
#![cfg_attr(target_family = "wasm", no_std)]
extern crate alloc;

use alloc::{format, string::String};
use sluice_sdk::prelude::*;

pub struct Hello;

impl Plugin for Hello {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        Manifest::new("example-on-http", "0.1.0", "Answers at a path of its own.").route("/-/example-on-http/*", &["GET"]).stateless()
    }

    fn new(_: NoConfig) -> Result<Self, String> {
        Ok(Hello)
    }
}

impl OnHttp for Hello {
    fn on_http(&self, request: &HttpRequest, _: &Exchange) -> HttpResponse {
        match request.path.as_str() {
            "/-/example-on-http/hello" => HttpResponse::json(format!(r#"{{"endpoint": "{}/mcp"}}"#, request.base)),
            _ => HttpResponse::empty(404),
        }
    }
}

sluice_sdk::lean!();
sluice_sdk::export!(Hello: on_http);
