//! The operator's listener: health for everybody on loopback, figures for who holds the token.

use crate::{
    record::{Gauges, Recorder},
    reloading::{Outcome, Reloader},
};
use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode, Uri, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use sluice_chain::{host::Host, upstream::Health};
use sluice_transport::downstream::Names;
use std::{convert::Infallible, sync::Arc, time::Duration};
use subtle::ConstantTimeEq;
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;

/// Most connections at once: a scraper, a probe and a person, with room.
const CONNECTIONS_MAX: usize = 64;
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// What the listener shows.
pub struct Admin {
    /// The host.
    pub host: Arc<Host>,
    /// The counters.
    pub recorder: Arc<Recorder>,
    /// For everything but health.
    pub token: Arc<str>,
    /// Set once traffic is served, cleared when the drain begins.
    pub ready: Arc<std::sync::atomic::AtomicBool>,
    /// Names of upstreams that may be down without making us unready.
    pub optional: Box<dyn Fn() -> Vec<String> + Send + Sync>,
    /// Where the configuration can be read again.
    pub reloader: Option<Arc<Reloader>>,
    /// What the first chain waits for, in words; nothing once it is in place.
    pub waits_for: Box<dyn Fn() -> Option<String> + Send + Sync>,
    /// Figures of the plugin host in text form.
    pub more: Box<dyn Fn() -> String + Send + Sync>,
}

/// Serve until `stop`.
pub async fn serve(listener: TcpListener, admin: Arc<Admin>, stop: CancellationToken) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (Ok((stream, _)), Ok(permit)) = (accepted, permits.clone().try_acquire_owned()) else { continue };
        let (admin, stop) = (admin.clone(), stop.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let admin = admin.clone();
                async move { Ok::<_, Infallible>(admin.answer(&request).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .max_buf_size(32 * 1024)
                .serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                _ = connection => {}
                () = stop.cancelled() => {}
            }
            drop(permit);
        });
    }
}

impl Admin {
    async fn answer(&self, request: &http::Request<Incoming>) -> Response<Full<Bytes>> {
        // Before anything else: a page in a browser must not reach any route here by DNS rebinding.
        if Names::loopback().check(request.uri(), request.headers()).is_err() {
            return text(StatusCode::FORBIDDEN, "this Host or Origin is not served here\n");
        }
        if request.uri().path() == "/reload" {
            return self.reload(request).await;
        }
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return text(StatusCode::METHOD_NOT_ALLOWED, "read-only, but for POST /reload\n");
        }
        self.route(request.uri(), request.headers())
    }

    fn route(&self, uri: &Uri, headers: &HeaderMap) -> Response<Full<Bytes>> {
        match uri.path() {
            "/livez" => text(StatusCode::OK, "ok\n"),
            "/readyz" => match self.unready() {
                None => text(StatusCode::OK, "ready\n"),
                Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, &format!("{why}\n")),
            },
            "/metrics" if self.knows(headers) => self.metrics(),
            "/metrics" => unknown(),
            _ => text(StatusCode::NOT_FOUND, "there are /livez, /readyz, /metrics and, with POST, /reload\n"),
        }
    }

    /// Reads the configuration again. 200: a line for each change; 409: a line for each problem, and nothing has changed.
    async fn reload(&self, request: &http::Request<Incoming>) -> Response<Full<Bytes>> {
        if !self.knows(request.headers()) {
            return unknown();
        }
        if request.method() != Method::POST {
            return text(StatusCode::METHOD_NOT_ALLOWED, "use POST\n");
        }
        let Some(reloader) = &self.reloader else {
            return text(StatusCode::NOT_FOUND, "this gateway's configuration is a program's\n");
        };
        let lines = |lines: Vec<String>| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        match reloader.reload(true).await {
            Outcome::Taken(changes) if changes.is_empty() => text(StatusCode::OK, "nothing is otherwise\n"),
            Outcome::Taken(changes) => text(StatusCode::OK, &lines(changes.iter().map(ToString::to_string).collect())),
            Outcome::Refused(problems) => text(StatusCode::CONFLICT, &lines(problems)),
        }
    }

    fn knows(&self, headers: &HeaderMap) -> bool {
        let presented = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).and_then(|v| v.strip_prefix("Bearer "));
        presented.is_some_and(|p| p.as_bytes().ct_eq(self.token.as_bytes()).into())
    }

    /// Ready means: traffic is served, and not every required upstream is down.
    fn unready(&self) -> Option<String> {
        if let Some(what) = (self.waits_for)() {
            return Some(format!("starting: {what}"));
        }
        if !self.ready.load(std::sync::atomic::Ordering::Relaxed) {
            return Some("starting or draining".into());
        }
        let (upstreams, optional) = (self.host.upstreams(), (self.optional)());
        let required: Vec<_> = upstreams.iter().map(|(_, u)| u).filter(|u| !optional.iter().any(|o| **o == **u.name())).collect();
        let down: Vec<String> = required
            .iter()
            .filter_map(|u| match u.health() {
                Health::Down(why) => Some(format!("upstream {} {why}", u.name())),
                Health::Up | Health::Unknown => None,
            })
            .collect();
        (!required.is_empty() && down.len() == required.len()).then(|| down.join("; "))
    }

    fn metrics(&self) -> Response<Full<Bytes>> {
        let gauges = Gauges {
            upstreams: self.host.upstreams().iter().map(|(_, u)| (u.name().clone(), !matches!(u.health(), Health::Down(_)))).collect(),
            running: self.host.running(),
            parked: self.host.parked(),
            generation: self.host.generation().number,
            more: (self.more)(),
        };
        match self.recorder.metrics.text(&gauges) {
            Ok(body) => {
                let mut response = Response::new(Full::from(body));
                response.headers_mut().insert(
                    header::CONTENT_TYPE,
                    header::HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8"),
                );
                response
            }
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
        }
    }
}

fn unknown() -> Response<Full<Bytes>> {
    let mut response = text(StatusCode::UNAUTHORIZED, "the admin token is missing or wrong\n");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer realm=\"sluice-admin\""));
    response
}

fn text(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body.to_owned()));
    *response.status_mut() = status;
    response
}
