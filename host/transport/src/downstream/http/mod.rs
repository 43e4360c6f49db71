//! Streamable HTTP: both eras behind one path.
//!
//! Every request passes the same checks in the same order: names ([`super::names`]), route,
//! credential, method, media types, size, JSON, envelope; then its era is told apart and its own
//! rules apply. Nothing is read of a body before its sender is known.
//!
//! Reading order: [`Listener`], `connection` (one client's bytes), `socket`, `pace` and `patience` (how
//! long it is waited for), `http2` (many exchanges on one connection), `endpoint` (the checks), `card` (what anybody may
//! know), `routes` (what plugins answer), `intake` (the body), `modern` and `legacy` (the two eras), `sse` (the transport before), `batch`, `answer` (what goes back),
//! `events` (streams), `streamed` (answers as they come), `content` (bytes on their way out).

mod answer;
mod batch;
mod card;
mod connection;
mod content;
mod endpoint;
mod events;
mod headers;
mod http2;
mod intake;
mod legacy;
mod listener;
mod media;
mod modern;
mod pace;
mod patience;
mod routes;
mod socket;
mod sse;
mod streamed;

pub use listener::{Listener, UnixEndpoint};

use sluice_chain::{
    exchange::Delivery,
    host::{Host, Push},
    principal::PrincipalKey,
};
use std::{
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use listener::{Peer, Stream};

use super::{
    channels::Channels,
    records::Records,
    sessions::Sessions,
    settings::{Eras, ListenRefused, Settings},
};

/// What all connections of an endpoint share.
pub(super) struct Shared {
    pub(super) host: Arc<Host>,
    pub(super) settings: Settings,
    pub(super) sessions: Arc<Sessions>,
    pub(super) records: Option<Records>,
    /// Open streams of HTTP+SSE, and what counts on them: they carry the legacy era only.
    pub(super) channels: Channels,
    pub(super) sse_settings: Arc<Settings>,
    pub(super) drain: CancellationToken,
}

/// Why an endpoint cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address is not safe to listen on.
    #[error(transparent)]
    Refused(#[from] ListenRefused),
    /// A listener does not know its own address.
    #[error("the listener has no address")]
    Address(#[source] std::io::Error),
}

/// How often unused sessions are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// Serves MCP on every listener until `drain` is cancelled; then takes no new connection, lets what
/// is in flight end within the grace time, and returns.
///
/// Several listeners are one endpoint: a session opened through one is known to the others. The
/// endpoint registers itself as the place for notifications that no exchange owns.
///
/// Dropping the future ends all connections at once.
///
/// # Errors
/// [`ServeError`], before anything is accepted.
pub async fn serve(listeners: Vec<Listener>, host: Arc<Host>, settings: Settings, drain: CancellationToken) -> Result<(), ServeError> {
    for listener in &listeners {
        if let Some(address) = listener.address().map_err(ServeError::Address)? {
            settings.check(address)?;
        }
    }
    let sessions = Arc::new(Sessions::new(&settings.limits));
    let records = settings.session_records.clone().map(|bucket| Records::new(bucket, settings.limits.session_idle));
    let channels = Channels::new(&settings.limits);
    let sse_settings = Arc::new(Settings { eras: Eras { modern: false, ..settings.eras }, ..settings.clone() });
    let permits = Arc::new(Semaphore::new(settings.limits.connections_max));
    let shared = Arc::new(Shared { host, settings, sessions, records, channels, sse_settings, drain });
    shared.host.register_push(Arc::new(Unasked(Arc::downgrade(&shared))));
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn(accept(listener, shared.clone(), permits.clone()));
    }
    let mut sweep = interval(SWEEP_EVERY);
    let mut is_draining = false;
    loop {
        tokio::select! {
            () = shared.drain.cancelled(), if !is_draining => {
                is_draining = true;
                shared.host.end_subscriptions();
            }
            ended = accepting.join_next() => if ended.is_none() { return Ok(()) },
            _ = sweep.tick() => shared.sweep(),
        }
    }
}

/// What no request asked for, on its way to the sessions of both transports.
struct Unasked(Weak<Shared>);

impl Push for Unasked {
    fn push(&self, principal: &PrincipalKey, session: Option<&str>, delivery: Delivery) {
        let Some(shared) = self.0.upgrade() else { return };
        shared.channels.push(principal, session, &delivery);
        shared.sessions.push(principal, session, delivery);
    }
}

impl Shared {
    fn sweep(&self) {
        for session in self.sessions.sweep() {
            // Another process may have it by now, so what is written down of it ends by itself.
            self.host.session_ended(&session.name);
        }
    }
}

/// One listener's connections, each in a task of its own that this one owns.
async fn accept(listener: Listener, shared: Arc<Shared>, permits: Arc<Semaphore>) {
    let mut open = JoinSet::new();
    loop {
        while open.try_join_next().is_some() {}
        tokio::select! {
            biased;
            () = shared.drain.cancelled() => break,
            (permit, stream, peer) = next(&listener, &permits) => {
                if peer.ip().is_none_or(|ip| shared.settings.hears(ip)) {
                    open.spawn(converse(stream, peer, shared.clone(), permit));
                } else {
                    shared.host.turned_away("peer");
                }
            }
        }
    }
    drop(listener);
    let all_ended = async { while open.join_next().await.is_some() {} };
    if timeout(shared.settings.limits.drain_grace, all_ended).await.is_err() {
        tracing::warn!(connections = open.len(), "connections were cut when the grace time was over");
        open.shutdown().await;
    }
}

async fn converse(stream: Stream, peer: Peer, shared: Arc<Shared>, permit: OwnedSemaphorePermit) {
    connection::run(stream, peer, shared).await;
    drop(permit);
}

/// Waits for room first: connections beyond the limit stay in the kernel's queue.
async fn next(listener: &Listener, permits: &Arc<Semaphore>) -> (OwnedSemaphorePermit, Stream, Peer) {
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else {
            // Never closed; waiting for ever is what a closed one would mean.
            std::future::pending::<()>().await;
            continue;
        };
        match listener.accept().await {
            Ok((stream, peer)) => return (permit, stream, peer),
            Err(error) => {
                // Out of file descriptors, mostly: others have to close before it can work again.
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
