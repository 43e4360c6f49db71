//! The traits a plugin implements.

use alloc::string::{String, ToString};

use serde::de::DeserializeOwned;

use crate::catalog::{Answer, Entry, ListKind, Viewer};
use crate::chunk::{Batch, ChunkVerdict};
use crate::exchange::{Exchange, Head};
use crate::http::{HttpRequest, HttpResponse};
use crate::identity::{Credential, Outcome};
use crate::manifest::Manifest;
use crate::outbound::{Departure, OutboundVerdict};
use crate::verdict::{NotificationVerdict, Verdict};

pub use crate::bindings::on_done::exports::sluice::filter::on_done::{Done, Outcome as Ending, Passed};

/// What every plugin is: a description, and a value made from settings.
///
/// The value lives as long as the instance does, which may be one call. State that must outlive a call belongs in
/// [`kv`](crate::kv), and from request to response in attributes ([`Facts::set_attr`](crate::exchange::Facts)).
pub trait Plugin: Sized + 'static {
    /// The settings, as the manifest's schema describes them.
    type Config: DeserializeOwned;

    /// Says what the plugin is. Runs without any power: no log, no clock, no kv.
    fn manifest() -> Manifest;

    /// Makes the plugin, before its first hook. The message of an error is for the operator.
    fn new(config: Self::Config) -> Result<Self, String>;
}

/// The settings of a plugin that has none.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoConfig;

impl<'de> serde::Deserialize<'de> for NoConfig {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // The host has checked them against the schema; there is nothing left to look at.
        serde::de::IgnoredAny::deserialize(from).map(|_| NoConfig)
    }
}

/// Turns a caller's credential into a principal. Always a fresh instance.
pub trait Authenticate: Plugin {
    /// Says who is calling.
    fn authenticate(&self, credential: &Credential, x: &Exchange) -> Outcome;
}

/// Answers HTTP that is not MCP, at the routes of the manifest, before anybody has said who they are.
pub trait OnHttp: Plugin {
    /// Answers one request. The exchange has the facts of the way only.
    fn on_http(&self, request: &HttpRequest, x: &Exchange) -> HttpResponse;
}

/// Sees a request before the upstream does.
pub trait OnRequest: Plugin {
    /// Decides on a request.
    fn on_request(&self, head: &Head, x: &Exchange) -> Verdict;
}

/// Gives the HTTP requests toward granted upstreams (`outbound:<upstream>`) what they leave with.
pub trait OnOutbound: Plugin {
    /// Decides on one request that is about to leave.
    fn on_outbound(&self, departure: &Departure, x: &Exchange) -> OutboundVerdict;
}

/// Sees the answer, errors included, of every request that this plugin let pass.
pub trait OnResponse: Plugin {
    /// Decides on an answer.
    fn on_response(&self, head: &Head, x: &Exchange) -> Verdict;
}

/// Sees, piece by piece, answers that are too long to be held: instead of [`OnResponse`].
pub trait OnChunk: Plugin {
    /// Decides on one batch of texts.
    fn on_chunk(&self, head: &Head, batch: &Batch, x: &Exchange) -> ChunkVerdict;
}

/// Sees the notifications of a running exchange, in either direction.
pub trait OnNotification: Plugin {
    /// Decides on one notification.
    fn on_notification(&self, head: &Head, x: &Exchange) -> NotificationVerdict;
}

/// Shapes one list as one principal sees it.
pub trait OnCatalog: Plugin {
    /// Answers with one change per entry, in order; none at all keeps everything.
    fn on_catalog(&self, viewer: &Viewer, kind: ListKind, entries: &[Entry]) -> Answer;
}

/// Is told once that an exchange has ended.
pub trait OnDone: Plugin {
    /// Takes note; nothing can be changed any more.
    fn on_done(&self, head: &Head, done: &Done, x: &Exchange);
}

/// Makes a plugin from the settings the host sends.
#[doc(hidden)]
pub fn start<P: Plugin>(config: &str) -> Result<P, String> {
    P::new(serde_json::from_str(config).map_err(|error| error.to_string())?)
}
