//! Gives requests toward upstreams what its settings say.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use sluice_sdk::prelude::*;
use sluice_sdk::secrets::Secret;

#[derive(serde::Deserialize)]
#[serde(default)]
struct Settings {
    /// One of the operator's: it goes behind this text, into this header.
    secret: Option<(String, String, String)>,
    /// To this upstream only, instead of all it is granted.
    only: Option<String>,
    /// Once the upstream has refused the request, and not before.
    when_challenged: bool,
    /// Further headers.
    headers: Vec<(String, String)>,
    /// A header that says who asks.
    subject: Option<String>,
    /// A header that says what it was shown.
    saw: Option<String>,
    /// A header that says whether the refused request was sent with the secret of this name.
    tells_refused: Option<(String, String)>,
    /// Sends the person there first, until it has said yes.
    link: Option<String>,
    /// Refuses.
    reject: Option<String>,
    /// Breaks.
    trap: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            secret: None,
            only: None,
            when_challenged: false,
            headers: Vec::new(),
            subject: None,
            saw: None,
            tells_refused: None,
            link: None,
            reject: None,
            trap: false,
        }
    }
}

struct SetsHeaders(Settings);

impl Plugin for SetsHeaders {
    type Config = Settings;

    fn manifest() -> Manifest {
        Manifest::new("sets-headers", "0.1.0", "Gives requests headers.").schema(r#"{"type":"object"}"#).stateless()
    }

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(SetsHeaders(settings))
    }
}

fn shown(departure: &Departure) -> String {
    let headers: Vec<String> = departure.headers().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let challenge =
        departure.challenge().map_or_else(|| "none".to_string(), |c| format!("{} {}", c.status, c.www_authenticate.join(" | ")));
    let digest: String = departure.body_sha256().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{} {} [{challenge}] {digest} {}", departure.method(), departure.url(), headers.join(","))
}

impl OnOutbound for SetsHeaders {
    fn on_outbound(&self, departure: &Departure, x: &Exchange) -> OutboundVerdict {
        let Settings { secret, only, when_challenged, headers, subject, saw, tells_refused, link, reject, trap } = &self.0;
        if only.as_ref().is_some_and(|only| *only != departure.upstream()) {
            return Headers::new().into();
        }
        if *trap {
            panic!("as it was told");
        }
        if let Some(message) = reject {
            return Rejection::new(4030, message).tool_result().into();
        }
        let said = x.attr("sets-headers.answer.action");
        let is_due = !when_challenged || departure.challenge().is_some();
        if let Some(link) = link.as_ref().filter(|_| is_due && said.as_deref() != Some("accept")) {
            return Suspension::url("connect your account first", link).into();
        }
        let mut given = Headers::new();
        if let Some((name, prefix, secret)) = secret.as_ref().filter(|_| is_due) {
            match Secret::open(secret) {
                Ok(secret) => given = given.secret(name, prefix, secret),
                Err(error) => given = given.text("x-error", &format!("{error:?}")),
            }
        }
        given = headers.iter().fold(given, |given, (name, value)| given.text(name, value));
        if let Some(name) = subject {
            given = given.text(name, &x.attr("principal.subject").unwrap_or_default());
        }
        if let Some(name) = saw {
            given = given.text(name, &shown(departure));
        }
        if let Some((name, secret)) = tells_refused {
            let refused = Secret::open(secret).is_ok_and(|secret| departure.refused(&secret));
            given = given.text(name, &refused.to_string());
        }
        given.into()
    }
}

sluice_sdk::export!(SetsHeaders: on_outbound);
sluice_sdk::lean!();
