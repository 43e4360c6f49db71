//! Reaches upstreams with tokens that were exchanged for what the caller or the gateway has: in one step (RFC 8693), or as enterprise-managed
//! authorization has it, by an assertion of the identity provider (ID-JAG, RFC 7523).
//!
//! In reading order: [`config`] reads the settings; [`outbound`] decides what a request leaves with, [`turn`] who asks for it, [`exchange`] walks
//! the steps, [`subject`] says on whose behalf, [`token`] asks token endpoints, [`assertion`] signs; [`sign_in`] is how a caller shows who it is.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod assertion;
pub mod config;
pub mod exchange;
pub mod outbound;
mod pages;
pub mod problem;
mod random;
pub mod sign_in;
pub mod subject;
pub mod token;
mod turn;
pub mod url;

use alloc::string::String;
use core::cell::OnceCell;

use sluice_sdk::kv::{self, Bucket};
use sluice_sdk::outbound::Departure as Leaving;
use sluice_sdk::prelude::*;

use config::Config;
use outbound::{Departure, Stop};

/// The attribute that says which tool a request is part of a call of.
const TOOL: &str = "tool";

/// The plugin.
pub struct TokenExchange {
    config: Config,
    /// Opened with the first call that needs it, so that a store which is down does not keep the plugin from starting.
    bucket: OnceCell<Bucket>,
}

impl Plugin for TokenExchange {
    type Config = Config;

    fn manifest() -> Manifest {
        Manifest::new(
            "token-exchange",
            env!("CARGO_PKG_VERSION"),
            "Reaches upstreams with tokens exchanged for what the caller or the gateway has.",
        )
        .schema(include_str!("../config.schema.json"))
        .select(Hook::OnRequest, &["tools/call"], &[])
        .route("/-/token-exchange/*", &["GET"])
        .may_need("http:/-/token-exchange/*", "to let callers sign in")
        .need("fetch", "to ask identity providers and authorization servers for tokens")
        .may_need("secret", "to show who the gateway is, and what it exchanges")
        .stateless()
    }

    fn new(config: Config) -> Result<Self, String> {
        Ok(TokenExchange { config: config.check()?, bucket: OnceCell::new() })
    }
}

impl TokenExchange {
    fn bucket(&self) -> Result<&Bucket, kv::Error> {
        if let Some(bucket) = self.bucket.get() {
            return Ok(bucket);
        }
        let opened = Bucket::open("exchanges")?;
        Ok(self.bucket.get_or_init(|| opened))
    }
}

/// Leaves the name of the tool for what leaves on its behalf, where the settings tell tools apart: an upstream of an earlier era is not told it in
/// a header.
impl OnRequest for TokenExchange {
    fn on_request(&self, head: &Head, x: &Exchange) -> Verdict {
        let upstream = x.upstream().and_then(|upstream| self.config.upstreams.get(&upstream));
        match (&head.name, upstream.is_some_and(config::Upstream::tells_tools_apart)) {
            (Some(tool), true) if x.set_attr(TOOL, tool).is_err() => {
                Rejection::new(problem::OPERATOR, "the tool's name is too long").into()
            }
            _ => Verdict::Next,
        }
    }
}

impl OnOutbound for TokenExchange {
    fn on_outbound(&self, leaving: &Leaving, x: &Exchange) -> OutboundVerdict {
        let upstream = leaving.upstream();
        if !self.config.upstreams.contains_key(&upstream) {
            return Headers::new().into();
        }
        let bucket = match self.bucket() {
            Ok(bucket) => bucket,
            Err(error) => return problem::store(error).reject(&upstream).into(),
        };
        let tool = x.attr("token-exchange.tool");
        let departure = Departure {
            upstream: &upstream,
            url: &leaving.url(),
            tool: tool.as_deref(),
            challenge: leaving.challenge().map(|said| said.status),
            refused: &|secret| leaving.refused(secret),
        };
        match outbound::decide(&self.config, bucket, &departure, x) {
            Ok(None) => Headers::new().into(),
            Ok(Some(token)) => Headers::new().secret("authorization", "Bearer ", token).into(),
            Err(Stop::Problem(problem)) => problem.reject(&upstream).into(),
            Err(Stop::Ask(asks)) => asks.into(),
            Err(Stop::No(no)) => no.into(),
        }
    }
}

impl OnHttp for TokenExchange {
    fn on_http(&self, request: &HttpRequest, x: &Exchange) -> HttpResponse {
        match self.bucket() {
            Ok(bucket) => sign_in::answer(&self.config, bucket, request, x),
            Err(_) => HttpResponse::empty(503),
        }
    }
}

sluice_sdk::export!(TokenExchange: on_http, on_request, on_outbound);
sluice_sdk::lean!();
