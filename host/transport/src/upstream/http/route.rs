//! How a client's call reaches the server: found out once for each asking era, then remembered.

use super::{
    Http,
    asker::Asker,
    endpoint::{METHOD, PROTOCOL_VERSION},
    reply::{self, Reply, bad, status_error},
    session::{NotOpen, Session},
    stream::EventStream,
};
use crate::upstream::{
    EraChoice, OWN_INFO,
    eras::{Introduced, Spoken},
};
use http::{HeaderValue, Method};
use sluice_chain::upstream::UpstreamError;
use sluice_era::{
    handshake,
    probe::{self, Reading},
};
use sluice_wire::{
    method,
    revision::{Era, Revision},
};
use std::sync::Arc;
use tokio::time::timeout;

/// What a call goes over.
pub(super) enum Route {
    Modern(Arc<Introduced>),
    Legacy(Arc<Session>),
}

impl Route {
    pub(super) fn spoken(&self) -> Spoken {
        match self {
            Self::Modern(introduced) => Spoken::Modern(introduced.clone()),
            Self::Legacy(_) => Spoken::Legacy,
        }
    }
}

impl Http {
    /// The way for who asks, if nothing has to be found out or opened.
    pub(super) fn known_route(&self, asker: Asker<'_>) -> Option<Route> {
        match self.eras.of(asker).known(asker.era)? {
            Spoken::Modern(introduced) => Some(Route::Modern(introduced)),
            Spoken::Legacy => self.sessions.find(&self.line, asker).map(Route::Legacy),
        }
    }

    /// The way for who asks.
    pub(super) async fn route(&self, asker: Asker<'_>) -> Result<Route, UpstreamError> {
        let (eras, asking) = (self.eras.of(asker), asker.era);
        if let Some(Spoken::Modern(introduced)) = eras.known(asking) {
            return Ok(Route::Modern(introduced));
        }
        if matches!(eras.known(asking), Some(Spoken::Legacy)) {
            match self.legacy(asker).await {
                Ok(route) => return Ok(route),
                Err(NotOpen::Refused(_) | NotOpen::NoPost(_)) if eras.choice() == EraChoice::Auto => {
                    self.line.note_sse(false);
                    eras.contradicted(asking, &Spoken::Legacy);
                }
                Err(NotOpen::NoPost(error)) => return self.older(asker, error).await,
                Err(NotOpen::Refused(error) | NotOpen::Failed(error)) => return Err(error),
            }
        }
        let _turn = eras.turn().await;
        let route = match eras.known(asking) {
            // Somebody found out while we waited.
            Some(Spoken::Modern(introduced)) => return Ok(Route::Modern(introduced)),
            Some(Spoken::Legacy) => self.legacy(asker).await.map_err(either)?,
            None if asking == Era::Legacy && eras.choice() == EraChoice::Auto => self.legacy_first(asker).await?,
            None => self.modern_first(asker).await?,
        };
        eras.remember(asking, route.spoken());
        Ok(route)
    }

    /// For legacy clients: only a server that says no to `initialize` is asked for the other era.
    async fn legacy_first(&self, asker: Asker<'_>) -> Result<Route, UpstreamError> {
        let refusal = match self.legacy(asker).await {
            Ok(route) => return Ok(route),
            Err(NotOpen::Failed(error)) => return Err(error),
            Err(refusal) => refusal,
        };
        match (self.discover(asker).await, refusal) {
            (Ok(Reading::Modern(said)), _) => Ok(Route::Modern(Introduced::new(said))),
            (_, NotOpen::NoPost(refusal)) => self.older(asker, refusal).await,
            (_, refusal) => Err(either(refusal)),
        }
    }

    /// The transport before, for a server that takes no POST. If it is not that either, the first refusal counts.
    async fn older(&self, asker: Asker<'_>, refusal: UpstreamError) -> Result<Route, UpstreamError> {
        self.line.note_sse(true);
        let error = match self.legacy(asker).await {
            Ok(route) => return Ok(route),
            Err(NotOpen::Failed(error)) => error,
            Err(NotOpen::Refused(_) | NotOpen::NoPost(_)) => refusal,
        };
        self.line.note_sse(false);
        Err(error)
    }

    async fn modern_first(&self, asker: Asker<'_>) -> Result<Route, UpstreamError> {
        match self.discover(asker).await? {
            Reading::Modern(said) => Ok(Route::Modern(Introduced::new(said))),
            Reading::TryLegacy if self.eras.of(asker).choice() == EraChoice::Auto => match self.legacy(asker).await {
                Err(NotOpen::NoPost(refusal)) => self.older(asker, refusal).await,
                route => route.map_err(either),
            },
            Reading::TryLegacy | Reading::Inconclusive => Err(bad("it does not answer server/discover in a modern revision")),
        }
    }

    async fn legacy(&self, asker: Asker<'_>) -> Result<Route, NotOpen> {
        Ok(Route::Legacy(self.sessions.get(&self.line, asker).await?))
    }

    /// Asks the server again what it is; what it said before is kept if it cannot be asked.
    pub(super) async fn refreshed(&self, asker: Asker<'_>, stale: Arc<Introduced>) -> Arc<Introduced> {
        let (eras, asking) = (self.eras.of(asker), asker.era);
        let _turn = eras.turn().await;
        match eras.known(asking) {
            Some(Spoken::Modern(known)) if known.is_fresh() => known,
            _ => match self.discover(asker).await {
                Ok(Reading::Modern(said)) => {
                    let introduced = Introduced::new(said);
                    eras.remember(asking, Spoken::Modern(introduced.clone()));
                    introduced
                }
                _ => stale,
            },
        }
    }

    /// `server/discover`. An error when nothing can be concluded, with the reason.
    async fn discover(&self, asker: Asker<'_>) -> Result<Reading, UpstreamError> {
        let limit = self.line.settings.opening;
        timeout(limit, self.ask_discover(asker)).await.unwrap_or(Err(UpstreamError::Deadline { limit }))
    }

    async fn ask_discover(&self, asker: Asker<'_>) -> Result<Reading, UpstreamError> {
        let (line, revision) = (&self.line, Revision::MODERN[0]);
        let mut headers = line.pool.endpoint.headers(asker.client);
        headers.insert(PROTOCOL_VERSION, HeaderValue::from_static(revision.as_str()));
        headers.insert(METHOD, HeaderValue::from_static(method::DISCOVER));
        let id = line.take_id();
        let body = handshake::discover(id, revision, OWN_INFO.as_bytes());
        let exchange = line.send(asker.departures, Method::POST, headers, body, true).await?;
        let (status, answer) = match reply::read(&line.pool, exchange, &line.settings.call).await {
            Ok(Reply::Message(answer, _)) => (200, Some(answer)),
            Ok(Reply::Stream(exchange)) => {
                let mut stream = EventStream::new(exchange, line.settings.call.response.bytes_max);
                let answer = line.first_answer(&mut stream, id).await?;
                stream.finish(&line.pool);
                (200, Some(answer))
            }
            Ok(Reply::Accepted) => (200, None),
            Ok(Reply::Refused(status, said)) => (status, said.map(|said| *said)),
            // It is there and speaks something else.
            Err(UpstreamError::BadReply { .. }) => (200, None),
            Err(error) => return Err(error),
        };
        let answer = answer.map(|answer| answer.deepen());
        match probe::read(Some(status), answer.as_ref()) {
            Reading::Inconclusive if answer.is_none() => Err(status_error(status)),
            reading => Ok(reading),
        }
    }
}

fn either(error: NotOpen) -> UpstreamError {
    match error {
        NotOpen::Refused(error) | NotOpen::NoPost(error) | NotOpen::Failed(error) => error,
    }
}
