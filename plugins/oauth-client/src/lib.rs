//! Reaches upstreams with OAuth: as each person who calls, with a grant of their own, or as the gateway.
//!
//! In reading order: [`config`] reads the settings; [`outbound`] decides what a request leaves with, [`challenge`] reads what an upstream
//! wants, [`discovery`] finds its authorization server, [`client`] who this host is there, [`scope`] what is asked for, [`token`] and
//! [`grant`] get, keep and renew tokens; [`flow`] is a connection on its way, [`connect`] its pages, [`sign_in`] whose browser it is.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod assertion;
pub mod challenge;
pub mod client;
pub mod config;
pub mod connect;
pub mod discovery;
pub mod flow;
pub mod grant;
pub mod outbound;
mod pages;
pub mod problem;
mod random;
mod redirect;
pub mod scope;
pub mod sign_in;
pub mod token;
pub mod url;

use alloc::string::String;
use core::cell::OnceCell;

use sluice_sdk::kv::{self, Bucket};
use sluice_sdk::outbound::Departure as Leaving;
use sluice_sdk::prelude::*;

use challenge::Demand;
use config::Config;
use outbound::{Challenge, Decision, Departure};

/// The plugin.
pub struct OauthClient {
    config: Config,
    /// Opened with the first call that needs it, so that a store which is down does not keep the plugin from starting.
    bucket: OnceCell<Bucket>,
}

impl Plugin for OauthClient {
    type Config = Config;

    fn manifest() -> Manifest {
        Manifest::new("oauth-client", env!("CARGO_PKG_VERSION"), "Reaches upstreams with OAuth.")
            .schema(include_str!("../config.schema.json"))
            .route("/-/oauth-client/*", &["GET", "POST"])
            .may_need("http:/-/oauth-client/*", "to let people connect their accounts")
            .may_need("fetch", "to ask authorization servers")
            .may_need("secret", "to show who the gateway is")
            .stateless()
    }

    fn new(config: Config) -> Result<Self, String> {
        Ok(OauthClient { config: config.check()?, bucket: OnceCell::new() })
    }
}

impl OauthClient {
    fn bucket(&self) -> Result<&Bucket, kv::Error> {
        if let Some(bucket) = self.bucket.get() {
            return Ok(bucket);
        }
        let opened = Bucket::open("grants")?;
        Ok(self.bucket.get_or_init(|| opened))
    }
}

impl OnOutbound for OauthClient {
    fn on_outbound(&self, leaving: &Leaving, x: &Exchange) -> OutboundVerdict {
        let upstream = leaving.upstream();
        if !self.config.upstreams.contains_key(&upstream) {
            return Headers::new().into();
        }
        let bucket = match self.bucket() {
            Ok(bucket) => bucket,
            Err(error) => return problem::store(error).reject(&upstream).into(),
        };
        let departure = Departure {
            upstream: &upstream,
            url: &leaving.url(),
            operation: &operation(&leaving.headers()),
            challenge: leaving.challenge().map(|said| Challenge { status: said.status, demand: Demand::read(&said.www_authenticate) }),
            refused: &|secret| leaving.refused(secret),
        };
        match outbound::decide(&self.config, bucket, &departure, x) {
            Decision::Bare => Headers::new().into(),
            Decision::With(name, prefix, secret) => Headers::new().secret(&name, &prefix, secret).into(),
            Decision::Reject(no) => no.into(),
            Decision::Suspend(asks) => asks.into(),
        }
    }
}

/// What a request does, as far as its headers say: those of a modern upstream name method and tool.
fn operation(headers: &[(String, String)]) -> String {
    let of = |name: &str| headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str());
    alloc::format!("{} {}", of("mcp-method"), of("mcp-name"))
}

impl OnHttp for OauthClient {
    fn on_http(&self, request: &HttpRequest, x: &Exchange) -> HttpResponse {
        match self.bucket() {
            Ok(bucket) => connect::answer(&self.config, bucket, request, x),
            Err(_) => HttpResponse::empty(503),
        }
    }
}

sluice_sdk::export!(OauthClient: on_http, on_outbound);
sluice_sdk::lean!();
