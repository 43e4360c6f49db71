//! A request on its way out: past the filters that act for this server, and once more when it wants other credentials.

use super::{
    line::Line,
    pool::Exchange,
    reply::{Echo, bad},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header::WWW_AUTHENTICATE};
use sluice_chain::{
    departures::{Challenge, Departure, Departures, Header},
    upstream::UpstreamError,
};
use std::sync::Arc;

/// One request may be refused for want of credentials, and then for want of scope.
const SENDS_MAX: usize = 3;
/// Of what a server says about the credentials it wants.
const CHALLENGES_MAX: usize = 8;
const CHALLENGE_BYTES_MAX: usize = 4 << 10;

/// What is about to leave.
pub(super) struct Leaves<'a> {
    pub(super) method: Method,
    /// Path and query.
    pub(super) target: &'a Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) may_repeat: bool,
}

impl Line {
    /// Sends a request through the filters that act for this server, if there are any.
    pub(super) async fn send(
        &self,
        departures: Option<&Arc<Departures>>,
        method: Method,
        headers: HeaderMap,
        body: Bytes,
        may_repeat: bool,
    ) -> Result<Exchange, UpstreamError> {
        match departures {
            None => self.pool.send(method, headers, body, may_repeat).await,
            Some(departures) => {
                let target = &self.pool.endpoint.target;
                self.depart(departures, Leaves { method, target, headers, body, may_repeat }).await
            }
        }
    }

    /// The same to another path of the server.
    pub(super) async fn send_to(&self, departures: Option<&Arc<Departures>>, leaves: Leaves<'_>) -> Result<Exchange, UpstreamError> {
        match departures {
            None => {
                let Leaves { method, target, headers, body, may_repeat } = leaves;
                self.pool.send_to(target, method, headers, body, may_repeat).await
            }
            Some(departures) => self.depart(departures, leaves).await,
        }
    }

    /// In a box, so that requests nobody acts for do not carry its room along.
    async fn depart(&self, departures: &Arc<Departures>, leaves: Leaves<'_>) -> Result<Exchange, UpstreamError> {
        Box::pin(self.depart_within(departures, leaves)).await
    }

    async fn depart_within(&self, departures: &Arc<Departures>, leaves: Leaves<'_>) -> Result<Exchange, UpstreamError> {
        let mut given = departures.leave(self.departure(&leaves, None, &[])).await?;
        for sent in 1.. {
            let headers = with(&leaves.headers, &given)?;
            let exchange = self.pool.send_to(leaves.target, leaves.method.clone(), headers, leaves.body.clone(), leaves.may_repeat).await?;
            let echo = Echo::of(&given);
            let wants = if sent < SENDS_MAX { challenge(&exchange, &echo) } else { None };
            let exchange = Exchange { echo, ..exchange };
            let Some(challenge) = wants else { return Ok(exchange) };
            let next = departures.leave(self.departure(&leaves, Some(challenge), &given)).await?;
            if next == given {
                return Ok(exchange);
            }
            // What it says besides is nobody's, so its connection goes with it.
            given = next;
        }
        unreachable!("the loop returns")
    }

    fn departure(&self, leaves: &Leaves<'_>, challenge: Option<Challenge>, refused: &[Header]) -> Departure {
        let fixed: Vec<String> = self.settings.headers.iter().map(|(name, _)| name.as_str().to_owned()).collect();
        let shown = |(name, value): (&HeaderName, &HeaderValue)| {
            let is_hidden = value.is_sensitive() || self.settings.headers.iter().any(|(fixed, _)| fixed == name);
            let value = value.to_str().ok().filter(|_| !is_hidden).map(str::to_owned);
            (name.as_str().to_owned(), value)
        };
        Departure {
            upstream: self.settings.name.clone(),
            url: self.url_of(leaves.target),
            method: method_name(&leaves.method),
            headers: leaves.headers.iter().map(shown).collect(),
            fixed,
            body: leaves.body.clone(),
            challenge,
            refused: refused.to_vec(),
        }
    }

    /// Without a query, where the operator may have a key, and a server of HTTP+SSE the session.
    fn url_of(&self, target: &Uri) -> String {
        let (url, target) = (&self.settings.url, target.path());
        format!("{}://{}{target}", url.scheme_str().unwrap_or("http"), url.authority().map_or("", |authority| authority.as_str()))
    }
}

fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::DELETE => "DELETE",
        _ => "POST",
    }
}

/// The headers of a request with those that filters set.
fn with(headers: &HeaderMap, given: &[Header]) -> Result<HeaderMap, UpstreamError> {
    let mut headers = headers.clone();
    for header in given {
        let name = HeaderName::from_bytes(header.name.as_bytes());
        let value = HeaderValue::from_maybe_shared(header.value.clone());
        let (Ok(name), Ok(mut value)) = (name, value) else {
            return Err(bad("a filter gave its request a header that HTTP does not allow"));
        };
        value.set_sensitive(header.secret_at.is_some());
        headers.insert(name, value);
    }
    Ok(headers)
}

/// Whether a server refused a request for the credentials that it came with. It did not run then (RFC 9110, section 15.5.2).
fn challenge(exchange: &Exchange, echo: &Echo) -> Option<Challenge> {
    let response = &exchange.response;
    let said = response.headers().get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    // A filter is shown no secret, by whatever way it comes.
    let said = said.filter(|said| said.len() <= CHALLENGE_BYTES_MAX && !echo.is_in(said.as_bytes()));
    let www_authenticate: Vec<String> = said.take(CHALLENGES_MAX).map(str::to_owned).collect();
    let is_for_scope = || www_authenticate.iter().any(|said| said.contains("insufficient_scope"));
    let is_challenge = match response.status() {
        StatusCode::UNAUTHORIZED => true,
        // RFC 6750, section 3.1
        StatusCode::FORBIDDEN => is_for_scope(),
        _ => false,
    };
    is_challenge.then(|| Challenge { status: response.status().as_u16(), www_authenticate })
}
