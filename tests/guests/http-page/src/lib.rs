//! Answers HTTP: tells what it was shown, or as its settings say.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;

use sluice_sdk::prelude::*;

#[derive(serde::Deserialize)]
struct Settings {
    /// Instead of 200.
    status: Option<u16>,
    #[serde(default)]
    headers: Vec<(String, String)>,
    /// So many bytes instead of what it was shown.
    bytes: Option<usize>,
    #[serde(default)]
    trap: bool,
}

struct Page(Settings);

impl Plugin for Page {
    type Config = Settings;

    fn manifest() -> Manifest {
        Manifest::new("http-page", "0.1.0", "Answers HTTP.")
            .schema(r#"{"type":"object"}"#)
            .route("/.well-known/oauth-protected-resource*", &["GET"])
            .route("/-/http-page/*", &["GET", "POST"])
            .may_need("http:/-/http-page/*", "to show what it is shown")
    }

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(Page(settings))
    }
}

impl OnHttp for Page {
    fn on_http(&self, request: &HttpRequest, x: &Exchange) -> HttpResponse {
        assert!(!self.0.trap, "as told");
        let mut text = alloc::format!("{} {} {:?} {}\n", request.method, request.path, request.query, request.base);
        for (name, value) in &request.headers {
            text += &alloc::format!("{name}: {value}\n");
        }
        for (key, value) in x.attrs("") {
            text += &alloc::format!("{key}={value}\n");
        }
        text += &alloc::format!("label {}\n", x.set_attr("seen", "yes").is_ok());
        text += &String::from_utf8_lossy(&request.body);
        let body = self.0.bytes.map_or(text.into_bytes(), |bytes| alloc::vec![b'x'; bytes]);
        let mut response = HttpResponse::new("text/plain", body).status(self.0.status.unwrap_or(200));
        for (name, value) in &self.0.headers {
            response = response.header(name, value);
        }
        response
    }
}

impl OnRequest for Page {
    fn on_request(&self, _: &Head, _: &Exchange) -> Verdict {
        Verdict::Next
    }
}

sluice_sdk::export!(Page: on_http, on_request);
sluice_sdk::lean!();
