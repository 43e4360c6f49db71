//! One HTTP/1.1 connection, driven by the call that uses it.
//!
//! There is no task per connection: whoever waits for a response polls the connection too, so an
//! exchange costs no hand-over between tasks. A call that is dropped drops its connection, which
//! is how a modern call is cancelled; an idle connection lies in the pool unpolled, and its
//! health is looked at when it is taken out.

use super::io::Io;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Duration, Instant},
};

/// Read buffer, and with it the longest header block before the setting is looked at.
const BUFFER_MAX: usize = 128 * 1024;

/// One connection. Large, so it is kept in a box and only the box is passed around.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: Driver,
    has_ended: bool,
    /// It has carried an exchange before.
    pub(crate) is_used: bool,
    /// After this the server is likely to have closed it.
    pub(crate) usable_until: Instant,
    /// What is left of a body nobody reads: nothing but its end, it is hoped.
    leftover: Option<Incoming>,
    _place: OwnedSemaphorePermit,
}

/// What an idle connection is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// The next request.
    Ready,
    /// The end of the last response has not come yet.
    NotYet,
    /// Nothing.
    Dead,
}

/// A request got no response.
pub(crate) enum SendError {
    /// Not a byte was written; here it is again.
    NotSent(Box<Request<Full<Bytes>>>),
    /// Some of it may have arrived.
    MaybeSent(hyper::Error),
}

impl Connection {
    pub(crate) async fn over(stream: Io, headers_max: usize, place: OwnedSemaphorePermit) -> hyper::Result<Box<Self>> {
        let (sender, driver) =
            http1::Builder::new().max_headers(headers_max).max_buf_size(BUFFER_MAX).handshake(TokioIo::new(stream)).await?;
        let usable_until = Instant::now();
        Ok(Box::new(Self { sender, driver, has_ended: false, is_used: false, usable_until, leftover: None, _place: place }))
    }

    /// Sends a request and waits for the head of the response.
    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, SendError> {
        let mut response = pin!(self.sender.try_send_request(request));
        let outcome = poll_fn(|cx| {
            drive(&mut self.driver, &mut self.has_ended, cx);
            response.as_mut().poll(cx)
        });
        outcome.await.map_err(|mut error| match error.take_message() {
            Some(request) => SendError::NotSent(Box::new(request)),
            None => SendError::MaybeSent(error.into_error()),
        })
    }

    /// The next piece of a body; none at its end.
    pub(crate) async fn data(&mut self, body: &mut Incoming) -> Option<hyper::Result<Bytes>> {
        poll_fn(|cx| poll_data(&mut self.driver, &mut self.has_ended, body, cx)).await
    }

    /// Whether another request can go over it, as far as can be known without waiting.
    pub(crate) fn readiness(&mut self) -> Readiness {
        // Nobody is to be woken for a connection that lies idle.
        let mut cx = Context::from_waker(Waker::noop());
        while let Some(body) = &mut self.leftover {
            match poll_data(&mut self.driver, &mut self.has_ended, body, &mut cx) {
                Poll::Ready(None) => self.leftover = None,
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(_))) => return Readiness::Dead,
                Poll::Pending => return Readiness::NotYet,
            }
        }
        drive(&mut self.driver, &mut self.has_ended, &mut cx);
        if !self.has_ended && self.sender.is_ready() { Readiness::Ready } else { Readiness::Dead }
    }

    /// Leaves the rest of a body to be read when the connection is next looked at.
    pub(crate) fn leave(&mut self, body: Incoming) {
        self.leftover = Some(body);
    }

    /// Remembers how long the server lets it lie idle.
    pub(crate) fn keep_for(&mut self, idle: Duration) {
        self.is_used = true;
        self.usable_until = Instant::now() + idle;
    }
}

type Driver = http1::Connection<TokioIo<Io>, Full<Bytes>>;

fn poll_data(driver: &mut Driver, has_ended: &mut bool, body: &mut Incoming, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Bytes>>> {
    loop {
        // Asking first tells the connection that more is wanted.
        let mut frame = Pin::new(&mut *body).poll_frame(cx);
        if frame.is_pending() && !*has_ended {
            drive(driver, has_ended, cx);
            frame = Pin::new(&mut *body).poll_frame(cx);
        }
        match frame {
            Poll::Ready(Some(Ok(frame))) => {
                // Trailers say nothing that matters here.
                if let Ok(data) = frame.into_data() {
                    return Poll::Ready(Some(Ok(data)));
                }
            }
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => return Poll::Pending,
        }
    }
}

fn drive(driver: &mut Driver, has_ended: &mut bool, cx: &mut Context<'_>) {
    if !*has_ended && Pin::new(driver).poll(cx).is_ready() {
        // How it ended, the request or body that is under way is told.
        *has_ended = true;
    }
}
