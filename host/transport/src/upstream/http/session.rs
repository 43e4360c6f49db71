//! Legacy sessions with one server.

use super::{
    asker::Asker,
    endpoint::{PROTOCOL_VERSION, SESSION_ID},
    line::Line,
    reply::{self, Reply, bad, status_error},
    sse::{self, Posted},
    stream::EventStream,
};
use crate::upstream::{
    capabilities::Capabilities,
    eras::{facts_of, refusal},
    flood::Flood,
    inflight::Inflight,
    speaker::Speaker,
    watch::Watch,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Uri};
use sluice_chain::{
    departures::Departures,
    exchange::Client,
    principal::{Principal, PrincipalKey},
    upstream::{ServerFacts, UpstreamError},
};
use sluice_era::{capability::Askable, handshake, probe};
use sluice_wire::{message::Message, revision::Revision};
use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

/// Whose session it is. No two owners share one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Owner {
    /// A legacy client's own session with us, of this principal.
    Session(PrincipalKey, Arc<str>),
    /// A principal whose clients keep no session, with what they declare.
    Principal(PrincipalKey, Bytes),
    /// Everybody, because the operator said so.
    Everybody(Bytes),
}

/// An open session.
pub(super) struct Session {
    pub(super) owner: Owner,
    /// The one that opened it, and for which it speaks between calls.
    client: Arc<Client>,
    pub(super) principal: Arc<Principal>,
    pub(super) revision: Revision,
    pub(super) facts: Arc<ServerFacts>,
    /// For every POST of it.
    pub(super) headers: HeaderMap,
    pub(super) has_id: bool,
    /// Where its messages go, if not where it was opened: then all answers come on its stream (HTTP+SSE).
    pub(super) target: Option<Uri>,
    pub(super) capabilities: Capabilities,
    /// What the server may ask.
    pub(super) askable: Askable,
    /// The calls in flight, for what comes on the session's own stream.
    pub(super) inflight: Arc<Inflight>,
    /// Whether it can be heard outside calls.
    pub(super) ear: watch::Sender<Ear>,
    /// Its own stream broke and was opened anew: nobody knows what it would have said meanwhile.
    pub(super) gap: Notify,
    /// Counts what comes on its own stream.
    pub(super) flood: Flood,
    /// Who hears of changes of resources.
    watch: Mutex<Weak<Watch>>,
    /// The log level the server was told, as a rank.
    pub(super) level: tokio::sync::Mutex<Option<u8>>,
    pub(super) closed: CancellationToken,
    began: Instant,
    last_used: AtomicU64,
    /// Calls under way, parked ones too.
    calls: AtomicUsize,
}

/// Whether a session's own stream is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ear {
    /// It has not been found out yet.
    Unknown,
    Open,
    /// The server has none.
    Deaf,
}

/// A call over a session, which stays open as long.
pub(super) struct Busy<'a>(&'a Session);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Relaxed);
        self.0.touch();
    }
}

/// A session could not be opened.
#[derive(Debug)]
pub(super) enum NotOpen {
    /// The server answered, and said no to `initialize`: it may speak the other era.
    Refused(UpstreamError),
    /// It did not take the POST at all: it may speak the other era, or be of the transport before.
    NoPost(UpstreamError),
    /// It did not get as far.
    Failed(UpstreamError),
}

impl From<UpstreamError> for NotOpen {
    fn from(error: UpstreamError) -> Self {
        Self::Failed(error)
    }
}

impl Session {
    /// `initialize`, `notifications/initialized`.
    pub(super) async fn open(
        line: &Line,
        owner: Owner,
        asker: Asker<'_>,
        speaker: &Speaker,
    ) -> Result<(Self, Option<EventStream>), NotOpen> {
        let limit = line.settings.opening;
        let opening = Self::handshake(line, owner, asker, speaker);
        timeout(limit, opening).await.unwrap_or(Err(NotOpen::Failed(UpstreamError::Deadline { limit })))
    }

    async fn handshake(line: &Line, owner: Owner, asker: Asker<'_>, speaker: &Speaker) -> Result<(Self, Option<EventStream>), NotOpen> {
        let info = speaker.info.as_deref().unwrap_or(crate::upstream::OWN_INFO.as_bytes());
        let id = line.take_id();
        let body = handshake::initialize(id, speaker.offered, &speaker.capabilities, info);
        let (answer, head, target, stream) = if line.speaks_sse() {
            let (answer, target, stream) = initialize_sse(line, asker, id, body).await?;
            (answer, HeaderMap::new(), Some(target), Some(stream))
        } else {
            let (answer, head) = initialize(line, asker, id, body).await?;
            (answer, head, None, None)
        };
        let said = handshake::read_initialize(&answer).ok_or_else(|| NotOpen::Refused(refusal(&answer)))?;
        let mut headers = line.pool.endpoint.headers(asker.client);
        let session_id = head.get(SESSION_ID).filter(|id| is_visible(id)).cloned();
        let has_id = session_id.is_some();
        if let Some(mut id) = session_id {
            // Whoever holds it holds the session.
            id.set_sensitive(true);
            headers.insert(SESSION_ID, id);
        }
        // Older revisions do not know the header, and some of their servers choke on it.
        if said.revision >= Revision::V2025_06_18 {
            headers.insert(PROTOCOL_VERSION, HeaderValue::from_static(said.revision.as_str()));
        }
        let session = Self {
            owner,
            client: asker.client.clone(),
            principal: asker.principal.clone(),
            revision: said.revision,
            capabilities: Capabilities::of(&said.capabilities),
            askable: Askable::of(&speaker.capabilities),
            facts: facts_of(said),
            headers,
            has_id,
            ear: watch::Sender::new(if target.is_some() { Ear::Open } else { Ear::Unknown }),
            gap: Notify::new(),
            flood: Flood::default(),
            watch: Mutex::default(),
            target,
            inflight: Arc::new(Inflight::new(&line.asks)),
            level: tokio::sync::Mutex::default(),
            closed: line.closed.child_token(),
            began: Instant::now(),
            last_used: AtomicU64::new(0),
            calls: AtomicUsize::new(0),
        };
        line.tell(&session, handshake::initialized()).await?;
        line.counters.count(|c| &c.sessions);
        Ok((session, stream))
    }

    /// Whether it needs a stream of its own: for what belongs to no call, and for questions, which some servers put there.
    pub(super) fn speaks_unasked(&self) -> bool {
        self.capabilities.speaks_unasked || self.askable.is_any()
    }

    /// What its requests leave through that belong to no call.
    pub(super) fn departures(&self, line: &Line) -> Option<Arc<Departures>> {
        line.departures(&self.client, &self.principal)
    }

    /// From now on changes of resources are this one's to tell.
    pub(super) fn heard_by(&self, watch: &Arc<Watch>) {
        *self.watch.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(watch);
    }

    /// Whom to tell of changes of resources.
    pub(super) fn watch(&self) -> Option<Arc<Watch>> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }

    /// Notes a call.
    pub(super) fn busy(&self) -> Busy<'_> {
        self.touch();
        self.calls.fetch_add(1, Relaxed);
        Busy(self)
    }

    /// Whether no call is under way: one that waits for a person may take longer than a session may be idle.
    pub(super) fn is_idle(&self) -> bool {
        self.calls.load(Relaxed) == 0
    }

    pub(super) fn touch(&self) {
        let after = self.began.elapsed().as_millis();
        self.last_used.store(u64::try_from(after).unwrap_or(u64::MAX), Relaxed);
    }

    pub(super) fn last_used(&self) -> Instant {
        self.began + Duration::from_millis(self.last_used.load(Relaxed))
    }

    /// Ends it here and there. A server that does not know how is not asked twice.
    pub(super) async fn end(&self, line: &Line) {
        self.closed.cancel();
        if !self.has_id {
            return;
        }
        let departures = self.departures(line);
        let deleting = line.send(departures.as_ref(), Method::DELETE, self.headers.clone(), Bytes::new(), false);
        if let Ok(Ok(exchange)) = timeout(END_MAX, deleting).await {
            let _ = timeout(END_MAX, reply::read(&line.pool, exchange, &line.settings.call)).await;
        }
    }
}

/// How long a server may take to end a session.
const END_MAX: Duration = Duration::from_secs(2);

/// The answer to `initialize`, whichever way it comes, and the head it came under.
async fn initialize(line: &Line, asker: Asker<'_>, id: u64, body: Bytes) -> Result<(Message, HeaderMap), NotOpen> {
    let headers = line.pool.endpoint.headers(asker.client);
    let exchange = line.send(asker.departures, Method::POST, headers, body, true).await?;
    let status_and_head = exchange.response.headers().clone();
    match reply::read(&line.pool, exchange, &line.settings.call).await? {
        Reply::Message(message, head) => Ok((message.deepen(), head)),
        Reply::Stream(exchange) => {
            let mut stream = EventStream::new(exchange, line.settings.call.response.bytes_max);
            let answer = line.first_answer(&mut stream, id).await?;
            stream.finish(&line.pool);
            Ok((answer.deepen(), status_and_head))
        }
        Reply::Refused(status @ (400 | 404 | 405), said) if !said.as_ref().is_some_and(|said| probe::is_modern_error(said)) => {
            Err(NotOpen::NoPost(said.map_or_else(|| status_error(status), |said| refusal(&said))))
        }
        Reply::Refused(status, said) if probe::is_refusal(status) => {
            Err(NotOpen::Refused(said.map_or_else(|| status_error(status), |said| refusal(&said))))
        }
        Reply::Refused(status, _) => Err(NotOpen::Failed(status_error(status))),
        Reply::Accepted => Err(NotOpen::Failed(bad("initialize was accepted without an answer"))),
    }
}

/// The same by HTTP+SSE: where messages go, and the stream that everything comes on.
async fn initialize_sse(line: &Line, asker: Asker<'_>, id: u64, body: Bytes) -> Result<(Message, Uri, EventStream), NotOpen> {
    let headers = line.pool.endpoint.headers(asker.client);
    let (mut stream, target) = sse::open(line, asker.departures, &headers).await?;
    match sse::post(line, asker.departures, &target, headers, body, true).await? {
        Posted::Accepted => Ok((line.first_answer(&mut stream, id).await?.deepen(), target, stream)),
        Posted::Refused(status) => Err(NotOpen::Refused(status_error(status))),
    }
}

/// Visible ASCII only, as the specification demands.
fn is_visible(id: &HeaderValue) -> bool {
    !id.is_empty() && id.as_bytes().iter().all(|byte| (0x21..=0x7E).contains(byte))
}
