//! Connections to one server, kept for the next call.

use super::{
    connection::{Connection, Readiness, SendError},
    endpoint::Endpoint,
    reply::Echo,
    settings::HttpSettings,
};
use crate::upstream::Counters;
use bytes::Bytes;
use http::{
    HeaderMap, Method, Request, Response, Uri, Version,
    header::{CONNECTION, HeaderName},
};
use http_body_util::Full;
use hyper::body::Incoming;
use sluice_chain::{parted::Parted, upstream::UpstreamError};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

/// Idle connections kept, in each part of the pool.
const IDLE_MAX: usize = 256;
/// How long one is kept when the server does not say.
const IDLE: Duration = Duration::from_secs(60);

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

pub(super) struct Pool {
    pub(super) endpoint: Endpoint,
    connect: Duration,
    headers_max: usize,
    header_bytes_max: usize,
    places: Arc<Semaphore>,
    /// The one used last is at the back.
    idle: Parted<VecDeque<Box<Connection>>>,
    counters: Arc<Counters>,
}

/// A response whose body is still to come.
pub(super) struct Exchange {
    pub(super) connection: Box<Connection>,
    pub(super) response: Response<Incoming>,
    /// What it may not hold.
    pub(super) echo: Echo,
}

impl Pool {
    pub(super) fn new(settings: &HttpSettings, endpoint: Endpoint, counters: Arc<Counters>) -> Self {
        Self {
            endpoint,
            connect: settings.connect,
            headers_max: settings.headers_max,
            header_bytes_max: settings.header_bytes_max,
            places: Arc::new(Semaphore::new(settings.connections_max)),
            idle: Parted::default(),
            counters,
        }
    }

    /// Sends a request. It is sent again only if no byte of it left, or, when it `may_repeat`,
    /// if an idle connection turned out to be dead before any byte of a response.
    pub(super) async fn send(&self, method: Method, headers: HeaderMap, body: Bytes, may_repeat: bool) -> Result<Exchange, UpstreamError> {
        self.send_to(&self.endpoint.target, method, headers, body, may_repeat).await
    }

    /// The same to another path of the server.
    pub(super) async fn send_to(
        &self,
        target: &Uri,
        method: Method,
        headers: HeaderMap,
        body: Bytes,
        may_repeat: bool,
    ) -> Result<Exchange, UpstreamError> {
        let keep = may_repeat.then(|| (method.clone(), headers.clone(), body.clone()));
        let mut request = request_to(target, method, headers, body);
        loop {
            let mut connection = match self.take() {
                Some(connection) => connection,
                // Rare, and large when it happens: the futures on the way of each call stay small.
                None => Box::pin(self.connect()).await?,
            };
            let error = match connection.send(request).await {
                Ok(response) => return self.checked(connection, response),
                Err(SendError::NotSent(back)) if connection.is_used => {
                    request = *back;
                    continue;
                }
                Err(SendError::NotSent(_)) => "it closes new connections at once".to_owned(),
                Err(SendError::MaybeSent(error)) => match &keep {
                    Some((method, headers, body)) if connection.is_used => {
                        request = request_to(target, method.clone(), headers.clone(), body.clone());
                        continue;
                    }
                    _ => error.to_string(),
                },
            };
            return Err(UpstreamError::ClosedEarly { reason: error });
        }
    }

    fn checked(&self, mut connection: Box<Connection>, response: Response<Incoming>) -> Result<Exchange, UpstreamError> {
        let size: usize = response.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        if size > self.header_bytes_max {
            return Err(UpstreamError::TooLarge { limit_bytes: self.header_bytes_max });
        }
        connection.keep_for(idle_of(&response));
        Ok(Exchange { connection, response, echo: Echo::default() })
    }

    /// An idle connection that seems to be alive.
    fn take(&self) -> Option<Box<Connection>> {
        let mut not_yet = Vec::new();
        let found = std::iter::from_fn(|| self.idle.all().find_map(|mut idle| idle.pop_back())).find_map(|mut connection| {
            if Instant::now() >= connection.usable_until {
                return None;
            }
            match connection.readiness() {
                Readiness::Ready => return Some(connection),
                Readiness::NotYet => not_yet.push(connection),
                Readiness::Dead => {}
            }
            None
        });
        if !not_yet.is_empty() {
            self.idle.own().extend(not_yet);
        }
        found
    }

    /// Gives a connection back once its response has been read, or all but its end. Whether it is
    /// still alive is looked at when it is taken out again.
    pub(super) fn give(&self, connection: Box<Connection>) {
        let now = Instant::now();
        if connection.usable_until <= now {
            return;
        }
        let mut idle = self.idle.own();
        // The oldest are at the front; a look at one per call keeps the dead few.
        if idle.front().is_some_and(|oldest| oldest.usable_until <= now) || idle.len() >= IDLE_MAX {
            idle.pop_front();
        }
        idle.push_back(connection);
    }

    /// Closes what nobody will use again.
    pub(super) fn sweep(&self) {
        let now = Instant::now();
        self.idle.all().for_each(|mut idle| idle.retain(|connection| connection.usable_until > now));
    }

    /// Closes all idle connections.
    pub(super) fn clear(&self) {
        self.idle.all().for_each(|mut idle| idle.clear());
    }

    async fn connect(&self) -> Result<Box<Connection>, UpstreamError> {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            return Err(UpstreamError::Busy { setting: "limits.connections_max".to_owned() });
        };
        let unreachable = |reason: String| UpstreamError::Unreachable { reason };
        let connected = match timeout(self.connect, self.endpoint.way.open()).await {
            Ok(Ok(io)) => Connection::over(io, self.headers_max, place).await.map_err(|error| unreachable(error.to_string())),
            Ok(Err(error)) => Err(unreachable(error.to_string())),
            Err(_) => Err(unreachable(format!("no connection within {:?}", self.connect))),
        };
        match &connected {
            Ok(_) => self.counters.count(|c| &c.connects),
            Err(_) => self.counters.count(|c| &c.connect_failures),
        }
        connected
    }
}

fn request_to(target: &Uri, method: Method, headers: HeaderMap, body: Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = target.clone();
    *request.headers_mut() = headers;
    request
}

/// How long the server keeps an idle connection, less a second so as not to meet its closing.
fn idle_of<B>(response: &Response<B>) -> Duration {
    let headers = response.headers();
    let closes = || headers.get(CONNECTION).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"));
    if response.version() != Version::HTTP_11 || closes() {
        return Duration::ZERO;
    }
    let said = || {
        let value = headers.get(KEEP_ALIVE)?.to_str().ok()?;
        let seconds = value.split(',').find_map(|part| part.trim().strip_prefix("timeout="))?;
        seconds.parse::<u64>().ok()
    };
    said().map_or(IDLE, |seconds| Duration::from_secs(seconds.saturating_sub(1)).min(IDLE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn the_servers_word_on_idle_connections_counts() {
        let idle = |name: HeaderName, said: &'static str| {
            let mut response = Response::new(());
            response.headers_mut().insert(name, HeaderValue::from_static(said));
            idle_of(&response).as_secs()
        };
        for (said, seconds) in [("timeout=5", 4), ("timeout=5, max=100", 4), ("max=3,timeout=0", 0), ("nonsense", 60), ("timeout=9999", 60)]
        {
            assert_eq!(idle(KEEP_ALIVE, said), seconds, "{said}");
        }
        assert_eq!((idle(CONNECTION, "Close"), idle(CONNECTION, "keep-alive")), (0, 60));
    }
}
