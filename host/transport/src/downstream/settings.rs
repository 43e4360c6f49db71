//! What an operator decides about one listener.

use bytes::Bytes;
use http::HeaderName;
use ipnet::IpNet;
use sluice_state::Bucket;
use sluice_wire::{json::Limits as JsonLimits, revision::Revision};
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use super::names::Names;
use crate::{hop::Hop, tls::ServerTls};

/// One listener: where it answers, whom it hears, how much it takes.
#[derive(Clone)]
pub struct Settings {
    /// The path of the MCP endpoint.
    pub path: String,
    /// Which `Host` and `Origin` are ours.
    pub names: Names,
    /// TLS of our own, on TCP listeners.
    pub tls: Option<Arc<ServerTls>>,
    /// Networks of proxies that end TLS for us and whose `X-Forwarded-*` headers are believed.
    /// Without one and without TLS of our own, only loopback addresses may be listened on.
    pub trusted_proxies: Vec<IpNet>,
    /// Headers besides `Authorization` that may carry a credential, e.g. `x-api-key`.
    pub credential_headers: Vec<HeaderName>,
    /// Who we are to gateways behind us.
    pub hop: Hop,
    /// Headers that filters may see as `http.header.<name>`.
    pub fact_headers: Vec<HeaderName>,
    /// Which eras are served.
    pub eras: Eras,
    /// Whether HTTP+SSE (2024-11-05) is served too, at `/sse` and `/messages`.
    pub http_sse: bool,
    /// Name and version of this host, JSON text of an object, where no single server stands behind it.
    pub info: Bytes,
    /// Where legacy sessions are written down, for other processes to go on with; none: each is this process's alone.
    pub session_records: Option<Arc<dyn Bucket>>,
    /// The bounds.
    pub limits: Limits,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("path", &self.path).field("eras", &self.eras).field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Settings {
    /// Loopback names, both eras, `/mcp`, every limit at its default.
    pub fn new(name: &str, version: &str) -> Settings {
        let quote = sluice_wire::json::quote;
        Settings {
            path: "/mcp".to_owned(),
            names: Names::loopback(),
            tls: None,
            trusted_proxies: Vec::new(),
            credential_headers: vec![HeaderName::from_static("x-api-key")],
            hop: Hop::default(),
            fact_headers: Vec::new(),
            eras: Eras::default(),
            http_sse: true,
            info: format!(r#"{{"name":{},"version":{}}}"#, quote(name), quote(version)).into(),
            session_records: None,
            limits: Limits::default(),
        }
    }

    /// Whether it is safe to listen there.
    ///
    /// # Errors
    /// [`ListenRefused`] for an address that others can reach while nothing encrypts the way.
    pub fn check(&self, address: SocketAddr) -> Result<(), ListenRefused> {
        let is_private = address.ip().to_canonical().is_loopback() || self.tls.is_some() || !self.trusted_proxies.is_empty();
        is_private.then_some(()).ok_or(ListenRefused { address })
    }

    /// Whether this peer is a proxy whose word on the client's address counts.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.trusted_proxies.iter().any(|network| network.contains(&peer))
    }

    /// Whether this peer may connect at all: on an open address without TLS only the proxies may.
    pub(super) fn hears(&self, peer: IpAddr) -> bool {
        self.tls.is_some() || peer.to_canonical().is_loopback() || self.trusts(peer)
    }
}

/// An address that is not loopback, without TLS of our own or a declared proxy that ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{address} can be reached from outside and nothing encrypts the way: listen on 127.0.0.1, set `tls`, or declare the TLS-terminating proxy in `trusted_proxy`"
)]
pub struct ListenRefused {
    /// Where it was to listen.
    pub address: SocketAddr,
}

/// Which eras of the protocol a listener serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Eras {
    /// 2024-11-05 to 2025-11-25.
    pub legacy: bool,
    /// 2026-07-28.
    pub modern: bool,
}

impl Default for Eras {
    fn default() -> Eras {
        Eras { legacy: true, modern: true }
    }
}

impl Eras {
    /// Legacy revisions served over HTTP, newest first. 2024-11-05 has a transport of its own there.
    pub(super) fn legacy_over_http(self) -> &'static [Revision] {
        if self.legacy { &Revision::LEGACY[..3] } else { &[] }
    }

    /// Legacy revisions served over stdio and HTTP+SSE, newest first.
    pub(super) fn legacy_over_stdio(self) -> &'static [Revision] {
        if self.legacy { &Revision::LEGACY } else { &[] }
    }

    /// Modern revisions served, newest first.
    pub(super) fn modern(self) -> &'static [Revision] {
        if self.modern { &Revision::MODERN } else { &[] }
    }
}

/// Every bound of a listener. Defaults follow the limits table of the design.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Most connections at once; further ones wait to be accepted.
    pub connections_max: usize,
    /// For the TLS handshake.
    pub handshake_wait: Duration,
    /// An HTTP/2 connection this old takes no further stream and ends with those it has.
    pub connection_age: Duration,
    /// Longest body of a request to a plugin's route.
    pub route_body_bytes_max: usize,
    /// Longest request header block.
    pub header_bytes_max: usize,
    /// From the first byte of a request, or from connecting, to the end of its header block.
    pub header_wait: Duration,
    /// Of one request: the longest body, or line on stdio, and what its JSON may hold.
    pub json: JsonLimits,
    /// For the whole body to arrive.
    pub body_wait: Duration,
    /// Longest pause between two requests on one connection.
    pub idle_wait: Duration,
    /// Longest time a client may leave us unable to write.
    pub write_stall: Duration,
    /// Quiet time on an event stream after which a comment is sent.
    pub comment_after: Duration,
    /// Quiet time of an exchange after which its answer becomes an event stream, so that nobody on
    /// the way takes the connection for dead. Until then an answer can still choose its HTTP status.
    pub commit_after: Duration,
    /// How long an idle HTTP/1 connection may bring one more request once a drain was asked for. Whoever sends it just then is answered, and
    /// told that the connection ends; closed at once it would not know whether it ran.
    pub drain_linger: Duration,
    /// For exchanges in flight to end once a drain was asked for.
    pub drain_grace: Duration,
    /// Other gateways that a request may have passed through.
    pub gateways_max: usize,
    /// Most legacy sessions.
    pub sessions_max: usize,
    /// Most legacy sessions of one principal; its least recently used one makes room.
    pub sessions_per_principal_max: usize,
    /// Unused sessions end after this.
    pub session_idle: Duration,
    /// Most notifications that wait for a session's event stream.
    pub outbox_messages_max: usize,
    /// Of one session: most events kept for a client that loses a stream and comes back with `Last-Event-ID`.
    pub replay_events_max: usize,
    /// The same in bytes; the newest event is kept whatever its size.
    pub replay_bytes_max: usize,
    /// Of all sessions together: most bytes so kept; beyond it events are sent and not kept.
    pub replay_total_bytes_max: usize,
    /// For so long, at least.
    pub replay_age: Duration,
    /// How long a client is asked to wait before it comes back (2025-11-25).
    pub retry_after: Duration,
    /// Most messages in one batch (2025-03-26).
    pub batch_messages_max: usize,
    /// Most requests in flight on one stdio or HTTP+SSE connection.
    pub stdio_in_flight_max: usize,
    /// For what is in flight when a stdio client closes its side; then it is cancelled.
    pub stdio_linger: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections_max: 10_000,
            handshake_wait: Duration::from_secs(5),
            connection_age: Duration::from_secs(3600),
            route_body_bytes_max: 64 * 1024,
            header_bytes_max: 32 * 1024,
            header_wait: Duration::from_secs(10),
            json: JsonLimits::REQUEST,
            body_wait: Duration::from_secs(30),
            idle_wait: Duration::from_secs(120),
            write_stall: Duration::from_secs(30),
            comment_after: Duration::from_secs(15),
            commit_after: Duration::from_secs(30),
            drain_linger: Duration::from_secs(1),
            drain_grace: Duration::from_secs(30),
            gateways_max: 8,
            sessions_max: 10_000,
            sessions_per_principal_max: 256,
            session_idle: Duration::from_secs(3600),
            outbox_messages_max: 64,
            replay_events_max: 256,
            replay_bytes_max: 1024 * 1024,
            replay_total_bytes_max: 64 * 1024 * 1024,
            replay_age: Duration::from_secs(300),
            retry_after: Duration::from_secs(1),
            batch_messages_max: 50,
            stdio_in_flight_max: 256,
            stdio_linger: Duration::from_secs(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_address_needs_a_declared_proxy() {
        let mut settings = Settings::new("s", "1");
        for (address, fine) in [
            ("127.0.0.1:0", true),
            ("127.3.2.1:80", true),
            ("[::1]:80", true),
            ("[::ffff:127.0.0.1]:80", true),
            ("0.0.0.0:80", false),
            ("[::]:80", false),
            ("192.168.1.5:80", false),
            ("[2001:db8::1]:80", false),
        ] {
            assert_eq!(settings.check(address.parse().expect(address)).is_ok(), fine, "{address}");
        }
        settings.trusted_proxies = vec!["10.0.0.0/8".parse().expect("a network")];
        assert!(settings.check("0.0.0.0:80".parse().expect("an address")).is_ok());
        assert!(settings.hears("10.1.2.3".parse().expect("an address")));
        assert!(settings.hears("::ffff:10.1.2.3".parse().expect("an address")));
        assert!(settings.hears("127.0.0.1".parse().expect("an address")));
        assert!(!settings.hears("11.1.2.3".parse().expect("an address")));
        assert!(!settings.trusts("127.0.0.1".parse().expect("an address")));
    }
}
