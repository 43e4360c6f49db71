//! Hearing of changes: from a modern server on a `subscriptions/listen`, from a legacy one over a session.

use super::{
    Http, Owner,
    asker::Asker,
    attempt::Step,
    endpoint::{METHOD, PROTOCOL_VERSION},
    reply::{self, Reply},
    route::Route,
    session::{Ear, Session},
    sessions,
    stream::{EventStream, Next},
};
use crate::upstream::{
    OWN_INFO, Sharing,
    eras::Spoken,
    flood::Flood,
    watch::{
        Ask, Conversation, Interruption, Kept, Listening, NotOpened, Station, Watch, answered, keep_conversation, keep_listening,
        subscribing,
    },
};
use http::{HeaderValue, Method};
use sluice_chain::{
    departures::Departures,
    exchange::Client,
    principal::{Principal, PrincipalKey},
    upstream::{Outbound, UpstreamError, Watching, Wish},
};
use sluice_era::listen;
use sluice_wire::{
    listen::{Filter, Lists},
    message::{Kind, Message},
    method,
    revision::{Era, Revision},
};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};

/// Whose wishes are told together: what is heard for one owner is told to nobody else.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Listener {
    /// With a modern server, which keeps no sessions: a principal, or everybody where the operator says so.
    Modern(Option<PrincipalKey>),
    /// The owner of a legacy session.
    Legacy(Owner),
}

/// How long what a subscription's successor has taken over is still heard.
const LINGER: Duration = Duration::from_millis(500);
/// How long a session's own stream is waited for. A server that has nothing to say may not even send its head.
const EAR_MAX: Duration = Duration::from_millis(500);

/// The way of one owner's wishes to the server.
struct Way {
    http: Http,
    asking: Era,
    client: Arc<Client>,
    principal: Arc<Principal>,
}

impl Http {
    pub(super) async fn hear_of(&self, wish: Wish) -> Watching {
        let until = Instant::now() + wish.wait;
        let owner = self.listener(&wish, until).await;
        let station =
            |wish: &Wish| Way { http: self.handle(), asking: wish.era, client: wish.client.clone(), principal: wish.principal.clone() };
        self.watches.want(owner, wish, until, &self.line.settings.name, &self.line.listener, station).await
    }

    async fn listener(&self, wish: &Wish, until: Instant) -> Listener {
        let sharing = self.line.settings.sharing;
        let departures = self.line.departures(&wish.client, &wish.principal);
        let asker = Asker { era: wish.era, client: &wish.client, principal: &wish.principal, departures: departures.as_ref() };
        if self.eras.of(asker).known(wish.era).is_none() {
            // Found out first, so that listeners of one principal meet. If it cannot be, the keeper tries again.
            let way = Way { http: self.handle(), asking: wish.era, client: wish.client.clone(), principal: wish.principal.clone() };
            self.watches.find_out(until, async move { _ = way.route().await }).await;
        }
        match self.eras.of(asker).known(wish.era) {
            Some(Spoken::Modern(_)) => {
                let is_own = sharing != Sharing::Shared || asker.departures.is_some();
                Listener::Modern(wish.client.whose(&wish.principal, is_own))
            }
            _ => Listener::Legacy(sessions::owner(sharing, asker)),
        }
    }
}

impl Station for Way {
    async fn keep(&self, watch: &Arc<Watch>) -> Kept {
        match self.route().await {
            Ok(Route::Modern(introduced)) => keep_listening(&Subscriptions { way: self, revision: introduced.revision }, watch).await,
            Ok(Route::Legacy(session)) => {
                // It stays open as long.
                let _busy = session.busy();
                session.heard_by(watch);
                keep_conversation(&Talk { way: self, session: &session }, watch).await
            }
            Err(error) => {
                tracing::debug!(upstream = %self.http.line.settings.name, %error, "cannot be asked to tell of changes");
                Kept::Lost
            }
        }
    }
}

/// A session as something to subscribe over.
struct Talk<'a> {
    way: &'a Way,
    session: &'a Arc<Session>,
}

impl Conversation for Talk<'_> {
    fn promised(&self) -> (Lists, bool) {
        (self.session.capabilities.announces, self.session.capabilities.has_subscribe)
    }

    async fn is_heard(&self) -> bool {
        let mut ear = self.session.ear.subscribe();
        let known = timeout(EAR_MAX, ear.wait_for(|ear| *ear != Ear::Unknown)).await;
        !matches!(known.map(|known| known.map(|ear| *ear)), Ok(Ok(Ear::Deaf)))
    }

    async fn ask(&self, is_wanted: bool, uri: &Arc<str>) -> Ask {
        let outbound = subscribing(is_wanted, uri, &self.way.client, &self.way.principal, self.session.revision);
        let Some(outbound) = outbound else { return Ask::Refused(None) };
        let outbound = Outbound { departures: self.way.departures(), ..outbound };
        // In a box: it is large, and seldom there.
        match Box::pin(self.way.http.attempt_legacy(self.session, &outbound)).await {
            Ok(Step::Done(inbound)) => answered(&inbound.response.message),
            Ok(Step::Contradicted(inbound)) => answered(&inbound.response.message),
            Ok(Step::SessionLost) => {
                self.way.http.line.counters.count(|c| &c.sessions_lost);
                self.way.http.sessions.lost(self.session);
                Ask::Lost
            }
            Err(UpstreamError::Unreachable { .. } | UpstreamError::ClosedEarly { .. }) => Ask::Lost,
            Err(error) => {
                tracing::debug!(upstream = %self.way.http.line.settings.name, %error, "a subscription was not answered");
                Ask::Refused(None)
            }
        }
    }

    async fn interrupted(&self) -> Interruption {
        tokio::select! {
            () = self.session.closed.cancelled() => Interruption::Lost,
            () = self.session.gap.notified() => Interruption::Gap,
        }
    }
}

/// A modern server as something to listen to.
struct Subscriptions<'a> {
    way: &'a Way,
    revision: Revision,
}

/// An open `subscriptions/listen`.
struct Open {
    id: u64,
    stream: EventStream,
    flood: Flood,
}

impl Subscriptions<'_> {
    async fn open_within(&self, wanted: &Filter, watch: &Arc<Watch>) -> Result<(Open, Filter), NotOpened> {
        let line = &self.way.http.line;
        let mut headers = line.pool.endpoint.headers(&self.way.client);
        headers.insert(PROTOCOL_VERSION, HeaderValue::from_static(self.revision.as_str()));
        headers.insert(METHOD, HeaderValue::from_static(method::SUBSCRIPTIONS_LISTEN));
        let id = line.take_id();
        let body = listen::listen(id, self.revision, OWN_INFO, wanted);
        let lost = |error: UpstreamError| {
            tracing::debug!(upstream = %line.settings.name, %error, "a subscription could not be opened");
            // It would say the same the next time.
            if matches!(error, UpstreamError::Loop) { NotOpened::Refused(None) } else { NotOpened::Lost }
        };
        let departures = self.way.departures();
        let exchange = line.send(departures.as_ref(), Method::POST, headers, body, true).await.map_err(lost)?;
        let stream = match reply::read(&line.pool, exchange, &line.settings.call).await.map_err(lost)? {
            Reply::Stream(exchange) => EventStream::new(exchange, line.settings.call.response.bytes_max),
            Reply::Message(answer, _) => return Err(refused(&answer)),
            Reply::Refused(400..=499, said) => return Err(said.map_or(NotOpened::Refused(None), |said| refused(&said))),
            Reply::Refused(..) | Reply::Accepted => return Err(NotOpened::Lost),
        };
        let mut open = Open { id, stream, flood: Flood::default() };
        loop {
            let message = self.next(&mut open).await.ok_or(NotOpened::Lost)?;
            match message.kind() {
                Kind::Notification if message.method() == method::NOTIFY_SUBSCRIPTIONS_ACKNOWLEDGED => {
                    return Ok((open, listen::granted(&message)));
                }
                // Against the rules before the acknowledgement, and a change all the same.
                Kind::Notification => self.hear_one(&open, message, watch),
                Kind::Error => return Err(refused(&message)),
                Kind::Response => return Err(NotOpened::Lost),
                Kind::Request => line.drop_it("a request from a modern server"),
            }
        }
    }

    /// The next message; none when the stream has ended, or has been silent for so long that it may have died without a word.
    async fn next(&self, open: &mut Open) -> Option<Message> {
        let line = &self.way.http.line;
        loop {
            match timeout(line.settings.stream_idle, open.stream.next()).await {
                Ok(Next::Event(event)) if event.data.is_empty() => {}
                Ok(Next::Event(event)) => {
                    if let Some(message) = line.read_event(event.data) {
                        return Some(message);
                    }
                }
                Ok(Next::TooLong) => line.drop_it("an event over the response cap"),
                Ok(Next::End | Next::Broken(_)) => return None,
                // Comments are no events, and show that it lives.
                Err(_) if open.stream.last_heard.elapsed() < line.settings.stream_idle => {}
                Err(_) => return None,
            }
        }
    }

    fn hear_one(&self, open: &Open, message: Message, watch: &Watch) {
        let line = &self.way.http.line;
        open.flood.note(&line.settings.name, message.method());
        // The stream says whose it is; a message that says otherwise is nobody's.
        if listen::subscription(&message).is_some_and(|id| id != open.id) {
            return line.drop_it("a notification of another subscription");
        }
        if !watch.hear(Arc::new(message), self.revision) {
            line.drop_it("a notification nobody asked for");
        }
    }
}

fn refused(answer: &Message) -> NotOpened {
    let words = answer.error_code().map(|code| (code, answer.error_message().unwrap_or_default().into_owned()));
    NotOpened::Refused(words)
}

impl Listening for Subscriptions<'_> {
    type Open = Open;

    async fn open(&self, wanted: &Filter, watch: &Arc<Watch>) -> Result<(Open, Filter), NotOpened> {
        let opening = self.way.http.line.settings.opening;
        timeout(opening, self.open_within(wanted, watch)).await.unwrap_or(Err(NotOpened::Lost))
    }

    async fn hear(&self, open: &mut Open, watch: &Watch) {
        while let Some(message) = self.next(open).await {
            match message.kind() {
                Kind::Notification => self.hear_one(open, message, watch),
                // Its result is a friendly end.
                Kind::Response | Kind::Error => return,
                Kind::Request => self.way.http.line.drop_it("a request from a modern server"),
            }
        }
    }

    /// What was said before the next one was open may still be on its way.
    fn close(&self, mut open: Open, watch: &Arc<Watch>) {
        let (way, watch, revision) = (self.way.clone_for_a_while(), watch.clone(), self.revision);
        tokio::spawn(async move {
            let rest = Subscriptions { way: &way, revision };
            let _ = timeout(LINGER, rest.hear(&mut open, &watch)).await;
        });
    }
}

impl Way {
    /// As things stand: another chain may have come since.
    fn departures(&self) -> Option<Arc<Departures>> {
        self.http.line.departures(&self.client, &self.principal)
    }

    async fn route(&self) -> Result<Route, UpstreamError> {
        let departures = self.departures();
        let asker = Asker { era: self.asking, client: &self.client, principal: &self.principal, departures: departures.as_ref() };
        self.http.route(asker).await
    }

    fn clone_for_a_while(&self) -> Self {
        Self { http: self.http.handle(), asking: self.asking, client: self.client.clone(), principal: self.principal.clone() }
    }
}
