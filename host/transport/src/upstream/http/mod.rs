//! Servers behind a URL: by Streamable HTTP in both eras, and by HTTP+SSE, the transport before.
//!
//! A modern call is a POST of its own: leaving it is cancelling it. A legacy call goes over a
//! session that belongs to one client or one principal; sessions that the server forgets are opened
//! anew and the refused call is sent once more, since it did not run.
//!
//! In reading order: [`HttpSettings`], [`connection`], [`pool`], [`departing`], [`asker`], [`reply`], [`stream`], [`line`](mod@line),
//! [`session`], [`sessions`], [`listen`], [`sse`], [`route`], [`attempt`], [`passing`], [`hearing`].

mod asker;
mod attempt;
pub(crate) mod connection;
mod departing;
mod endpoint;
mod hearing;
pub(crate) mod io;
mod line;
mod listen;
mod passing;
mod pool;
mod reply;
mod route;
mod session;
mod sessions;
mod settings;
mod sse;
mod stream;

pub use settings::{HttpSettings, UrlError};

use super::{
    Carrier, Counters, EraChoice, Watched,
    call::{Call, level_to_ask, severity, wanted_level},
    eras::Eras,
    speaker::client_info,
    unsendable,
    watch::Watches,
};
use asker::{Asker, Known};
use attempt::{Attempt, Step, modern_headers};
use bytes::Bytes;
use endpoint::Endpoint;
use http::HeaderMap;
use line::Line;
use pool::Pool;
use reply::bad;
use route::Route;
use session::{Owner, Session};
use sessions::Sessions;
use sluice_chain::{
    exchange::Client,
    principal::Principal,
    upstream::{Inbound, Listener, Outbound, ServerFacts, UpstreamError, Watching, Wish},
};
use sluice_era::{handshake, request};
use sluice_wire::{
    method,
    revision::{Era, Revision},
};
use std::{
    sync::{Arc, Once, PoisonError},
    time::Duration,
};

/// A Streamable HTTP server as an upstream.
pub type HttpUpstream = Watched<Http>;

/// A server behind a URL.
pub struct Http {
    line: Arc<Line>,
    sessions: Arc<Sessions>,
    eras: Arc<Known>,
    watches: Arc<Watches<hearing::Listener>>,
    sweeping: Arc<Once>,
    /// The one that ends with the upstream; the others are its keepers'.
    is_first: bool,
}

/// How often idle connections and sessions are looked through.
const SWEEP: Duration = Duration::from_secs(30);

impl Http {
    /// A server; nothing is connected to before it is needed.
    ///
    /// # Errors
    /// [`UrlError`] when the URL cannot be an upstream.
    pub fn new(settings: HttpSettings, listener: Arc<dyn Listener>) -> Result<Self, UrlError> {
        let endpoint = Endpoint::new(&settings)?;
        let counters: Arc<Counters> = Arc::default();
        let pool = Pool::new(&settings, endpoint, counters.clone());
        let eras = Eras::new(if settings.sse { EraChoice::Legacy } else { settings.era });
        let line = Arc::new(Line::new(settings, pool, counters, listener));
        Ok(Self {
            line,
            sessions: Arc::default(),
            eras: Arc::new(Known::new(eras)),
            watches: Arc::default(),
            sweeping: Arc::new(Once::new()),
            is_first: true,
        })
    }

    /// The same for a task that does not keep it alive.
    fn handle(&self) -> Self {
        Self {
            line: self.line.clone(),
            sessions: self.sessions.clone(),
            eras: self.eras.clone(),
            watches: self.watches.clone(),
            sweeping: self.sweeping.clone(),
            is_first: false,
        }
    }

    /// The same, watched.
    ///
    /// # Errors
    /// [`UrlError`] when the URL cannot be an upstream.
    pub fn upstream(settings: HttpSettings, listener: Arc<dyn Listener>) -> Result<HttpUpstream, UrlError> {
        Self::new(settings, listener).map(Watched::new)
    }

    /// Two tries at most, and the second only if the first did not run.
    async fn converse(&self, outbound: &Outbound) -> Result<Inbound, UpstreamError> {
        let asker = Asker::of(outbound);
        let mut is_last = false;
        loop {
            let route = match self.known_route(asker) {
                Some(route) => route,
                // In a box, so that calls whose way is known do not carry its room along.
                None => Box::pin(self.find_route(outbound)).await?,
            };
            match (self.attempt(&route, outbound).await?, &route) {
                (Step::Done(inbound), _) => return Ok(inbound),
                (Step::SessionLost, Route::Legacy(session)) if !is_last => {
                    self.line.counters.count(|c| &c.sessions_lost);
                    self.sessions.lost(session);
                }
                (Step::SessionLost, _) => return Err(bad("it forgets sessions as soon as they are opened")),
                (Step::Contradicted(_), _) if !is_last => self.contradicted(asker, &route),
                (Step::Contradicted(_), Route::Modern(_)) => return Err(bad("it refuses the revision it offers")),
                (Step::Contradicted(inbound), Route::Legacy(_)) => return Ok(*inbound),
            }
            is_last = true;
        }
    }

    async fn find_route(&self, outbound: &Outbound) -> Result<Route, UpstreamError> {
        tokio::select! {
            biased;
            () = outbound.cancel.cancelled() => Err(UpstreamError::Cancelled),
            route = self.route(Asker::of(outbound)) => route,
        }
    }

    fn contradicted(&self, asker: Asker<'_>, route: &Route) {
        self.eras.of(asker).contradicted(asker.era, &route.spoken());
        if let Route::Legacy(session) = route {
            self.sessions.lost(session);
        }
    }

    async fn attempt(&self, route: &Route, outbound: &Outbound) -> Result<Step, UpstreamError> {
        match route {
            Route::Modern(introduced) => self.attempt_modern(introduced.revision, outbound).await,
            Route::Legacy(session) => self.attempt_legacy(session, outbound).await,
        }
    }

    /// Dropping the exchange closes its stream, and that is how a modern call is cancelled.
    async fn attempt_modern(&self, revision: Revision, outbound: &Outbound) -> Result<Step, UpstreamError> {
        let call = Arc::new(Call::new(self.line.take_id(), outbound, revision, false));
        let body = body(outbound, &call, false)?;
        let headers = modern_headers(&self.line, outbound, revision)?;
        let attempt = Attempt { line: &self.line, outbound, call: &call, session: None };
        self.bounded(&attempt, headers, body).await
    }

    async fn attempt_legacy(&self, session: &Arc<Session>, outbound: &Outbound) -> Result<Step, UpstreamError> {
        let _busy = session.busy();
        let may_log = session.capabilities.has_logging && outbound.message.method() != method::LOGGING_SET_LEVEL;
        if let Some(wanted) = may_log.then(|| wanted_level(outbound)).flatten() {
            self.tell_level(session, wanted).await?;
        }
        let (outcome, id) = match &session.target {
            Some(target) => match Box::pin(self.attempt_sse(session, target, outbound)).await {
                Ok((step, id)) => (Ok(step), id),
                Err((error, id)) => (Err(error), id),
            },
            None => self.attempt_post(session, outbound).await?,
        };
        match &outcome {
            // A legacy server takes a closed stream for an accident, and goes on with what has broken off here.
            Err(error) if may_go_on(error) => self.line.say(session, handshake::cancelled(id)),
            Ok(Step::Done(inbound)) => note_level(session, outbound, inbound).await,
            _ => {}
        }
        outcome
    }

    /// One call whose answer comes back the way it went. How it ended, and its id.
    async fn attempt_post(&self, session: &Arc<Session>, outbound: &Outbound) -> Result<(Result<Step, UpstreamError>, u64), UpstreamError> {
        let call = Arc::new(Call::new(self.line.take_id(), outbound, session.revision, true));
        let body = body(outbound, &call, true)?;
        let turn = session.inflight.turn(outbound, session.askable).await?;
        let guest = session.speaks_unasked().then(|| session.inflight.guest(&call, outbound));
        drop(turn);
        let attempt = Attempt { line: &self.line, outbound, call: &call, session: Some(session) };
        let outcome = self.bounded(&attempt, session.headers.clone(), body).await;
        if let (Some(guest), Ok(_)) = (&guest, &outcome) {
            guest.note_answer();
        }
        Ok((outcome, call.id))
    }

    async fn bounded(&self, attempt: &Attempt<'_>, headers: HeaderMap, body: Bytes) -> Result<Step, UpstreamError> {
        tokio::select! {
            biased;
            () = attempt.outbound.cancel.cancelled() => Err(UpstreamError::Cancelled),
            step = attempt.run(headers, body) => step,
            limit = attempt.call.overdue(&self.line.settings.call) => Err(UpstreamError::Deadline { limit }),
        }
    }

    /// Sees to it that a session logs as much as the call's client wants: for modern clients, and
    /// for legacy ones whose session with the server is younger than their wish.
    async fn tell_level(&self, session: &Session, wanted: u8) -> Result<(), UpstreamError> {
        let mut told = session.level.lock().await;
        if let Some(level) = level_to_ask(*told, wanted) {
            Box::pin(self.line.tell(session, handshake::set_level(self.line.take_id(), level))).await?;
            *told = Some(wanted);
        }
        Ok(())
    }

    fn sweep_now_and_then(&self) {
        self.sweeping.call_once(|| {
            let (line, sessions) = (self.line.clone(), self.sessions.clone());
            tokio::spawn(async move {
                while line.closed.run_until_cancelled(tokio::time::sleep(SWEEP)).await.is_some() {
                    line.pool.sweep();
                    sessions.sweep(&line);
                }
            });
        });
    }
}

/// Whether a server may still be at work on a call that ended so.
fn may_go_on(error: &UpstreamError) -> bool {
    use UpstreamError::{BadReply, Cancelled, ClosedEarly, Deadline, TooLarge};
    matches!(error, Cancelled | Deadline { .. } | ClosedEarly { .. } | BadReply { .. } | TooLarge { .. })
}

/// Remembers the level a legacy client has set itself.
async fn note_level(session: &Session, outbound: &Outbound, inbound: &Inbound) {
    let is_set = outbound.message.method() == method::LOGGING_SET_LEVEL && inbound.response.message.error().is_none();
    if is_set && let Some(level) = outbound.message.param("level").and_then(|level| severity(&level.as_str()?)) {
        *session.level.lock().await = Some(level);
    }
}

fn body(outbound: &Outbound, call: &Call, owns_progress: bool) -> Result<Bytes, UpstreamError> {
    let crosses_to_modern = outbound.spoken.era() == Era::Legacy && call.spoken.era() == Era::Modern;
    let info = crosses_to_modern.then(|| client_info(&outbound.client)).flatten();
    let level = crosses_to_modern.then(|| outbound.client.log_level.lock().unwrap_or_else(PoisonError::into_inner).clone()).flatten();
    let hop = request::Hop {
        id: call.id,
        owns_progress,
        span: outbound.exchange.max(1),
        original_name: outbound.original_name.as_deref(),
        client_info: info.as_deref(),
        capabilities: &outbound.client.capabilities,
        log_level: level.as_deref(),
        as_task: outbound.as_task,
    };
    request::rewrite(&outbound.message, outbound.spoken, call.spoken, &hop)
        .map_err(|error| unsendable(error, &outbound.message, call.spoken))
}

impl Carrier for Http {
    const TRANSPORT: &'static str = "http";
    const TAKES_HEADERS: bool = true;

    fn name(&self) -> &Arc<str> {
        &self.line.settings.name
    }

    fn counters(&self) -> &Arc<Counters> {
        &self.line.counters
    }

    async fn facts(&self, era: Era, client: &Arc<Client>, principal: &Arc<Principal>) -> Result<Arc<ServerFacts>, UpstreamError> {
        self.sweep_now_and_then();
        let departures = self.line.departures(client, principal);
        let asker = Asker { era, client, principal, departures: departures.as_ref() };
        match self.route(asker).await? {
            Route::Modern(introduced) if introduced.is_fresh() => Ok(introduced.facts.clone()),
            Route::Modern(stale) => Ok(self.refreshed(asker, stale).await.facts.clone()),
            Route::Legacy(session) => Ok(session.facts.clone()),
        }
    }

    async fn send(&self, outbound: &Outbound) -> Result<Inbound, UpstreamError> {
        self.sweep_now_and_then();
        let ended = self.converse(outbound).await;
        match &outbound.departures {
            Some(departures) => departures.ended(ended),
            None => ended,
        }
    }

    fn is_personal(&self, client: &Client, principal: &Arc<Principal>) -> bool {
        self.line.departures(client, principal).is_some()
    }

    async fn watch(&self, wish: Wish) -> Watching {
        self.sweep_now_and_then();
        self.hear_of(wish).await
    }

    async fn forget_session(&self, session: &str) {
        let ends = self.sessions.take_of(session);
        futures_util::future::join_all(ends.iter().map(|session| session.end(&self.line))).await;
    }

    async fn close(&self) {
        self.watches.close();
        let ends = self.sessions.take_all();
        futures_util::future::join_all(ends.iter().map(|session| session.end(&self.line))).await;
        self.line.closed.cancel();
        self.line.pool.clear();
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        if self.is_first {
            self.watches.close();
            self.line.closed.cancel();
        }
    }
}
