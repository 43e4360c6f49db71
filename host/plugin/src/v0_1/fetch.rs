//! `fetch`: requests of a guest, with secrets that it does not see.

use super::{
    bindings::sluice::filter::fetch::{Capture, Error, Host, Place, Request, Response},
    exchange::Exchange,
    secrets::OpenSecret,
};
use crate::{
    grant,
    guest::{Guest, Phase},
    limits::Limits,
    secrets::Secret,
};
use base64::Engine as _;
use bytes::Bytes;
use sluice_chain::{
    fetch::{self, FetchError, Header, Url},
    filter::Hook,
    withheld,
};
use sluice_wire::{
    json::{Document, IndexDepth, Value},
    patch::Patch,
};
use std::time::Duration;
use wasmtime::component::Resource;
use zeroize::Zeroizing;

/// Secrets in one request, and captures of one answer.
const PARTS_MAX: usize = 16;

impl Host for Guest {
    async fn send(
        &mut self,
        _: Resource<Exchange>,
        said: Request,
        secrets: Vec<(Place, Resource<OpenSecret>)>,
        captures: Vec<Capture>,
    ) -> wasmtime::Result<Result<Response, Error>> {
        let headers: usize = said.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.entered(said.url.len() + headers + said.body.len())?;
        let mut used = Vec::with_capacity(secrets.len());
        for (place, handle) in secrets {
            let open = self.secret(&handle)?;
            if said.url.parse().is_ok_and(|url: Url| !open.may_go(&grant::Place::Fetch(url.origin))) {
                return Ok(Err(Error::Denied("a secret's grant does not name this place".into())));
            }
            used.push((place, open.secret.clone()));
        }
        let request = match self.request(said, &used, &captures) {
            Ok(request) => request,
            Err(error) => return Ok(Err(error)),
        };
        let plugin = self.plugin.clone();
        let Some(client) = &plugin.fetch else {
            return Ok(Err(Error::Unreachable("this host has no way to the network".into())));
        };
        let Ok(_place) = plugin.fetching.try_acquire() else {
            return Ok(Err(Error::Unreachable("too many requests of this plugin are under way".into())));
        };
        let answer = match self.budget.wait(client.fetch(request)).await? {
            Ok(answer) => answer,
            Err(error) => return Ok(Err(into_error(error))),
        };
        let (body, found) = self.withheld(answer.body, &captures);
        // What is captured is not shown: a token endpoint may well answer with the refresh token that it was sent.
        if repeats(&answer.headers, &body, &used) {
            return Ok(Err(Error::Denied("the answer repeats a secret that was sent".into())));
        }
        let captured = captures.into_iter().zip(found).map(|(capture, secret)| self.capture(&capture, secret)).collect::<Vec<bool>>();
        let headers: usize = answer.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.hand_over(body.len() + headers + captured.len())?;
        Ok(Ok(Response { status: answer.status, headers: answer.headers, body: body.into(), captured }))
    }
}

impl Guest {
    /// What leaves, if it may.
    fn request(&self, said: Request, used: &[(Place, Secret)], captures: &[Capture]) -> Result<fetch::Request, Error> {
        let denied = |why: String| Error::Denied(why);
        if self.phase == Phase::Hook(Hook::OnCatalog) {
            return Err(denied("lists are shaped from what the viewer shows alone".into()));
        }
        if used.len().max(captures.len()) > PARTS_MAX {
            return Err(denied(format!("at most {PARTS_MAX} secrets in one request, and captures of one answer")));
        }
        let url: Url = said.url.parse().map_err(|error| denied(format!("the URL cannot be fetched: {error}")))?;
        let Some(is_private) = self.plugin.grants.allows(&url, &said.method) else {
            let method: String = said.method.chars().filter(char::is_ascii_alphabetic).take(16).collect();
            return Err(denied(format!("\"fetch:{} {method}\" is not granted", url.origin)));
        };
        let mut headers: Vec<_> = said.headers.into_iter().map(|(name, value)| Header { name, value: value.into_bytes() }).collect();
        let mut body = said.body;
        for (place, secret) in used {
            put(place, secret, &mut headers, &mut body);
        }
        let left = self.budget.wall_left() * 9 / 10;
        let asked = said.timeout_ms.map_or(Duration::MAX, |ms| Duration::from_millis(ms.into()));
        Ok(fetch::Request {
            plugin: self.plugin.name.clone(),
            exchange: self.lent.exchange,
            method: said.method,
            url,
            is_private,
            headers,
            body: body.into(),
            timeout: asked.min(left),
            bytes_max: self.limits().fetch_bytes_max,
        })
    }

    /// The body without what is to be captured, and what of that was there.
    fn withheld(&self, body: Bytes, captures: &[Capture]) -> (Bytes, Vec<Option<Secret>>) {
        if captures.is_empty() {
            return (body, Vec::new());
        }
        let nothing = || (Bytes::new(), captures.iter().map(|_| None).collect());
        // What is not JSON may hold a secret anywhere.
        let Ok(document) = Document::parse_value(body, &json_limits(self.limits()), IndexDepth::Full) else { return nothing() };
        let found: Vec<Option<Value<'_>>> = captures.iter().map(|capture| document.pointer(&capture.pointer)).collect();
        let mut patch = Patch::new(&document);
        let mut gone: Vec<Value<'_>> = Vec::new();
        for value in found.iter().copied().flatten() {
            // What lies within another goes with it, and no two edits may overlap.
            let holds =
                |outer: &Value<'_>, inner: &Value<'_>| outer.span().start <= inner.span().start && inner.span().end <= outer.span().end;
            if !gone.iter().any(|other| holds(other, &value)) {
                gone.retain(|other| !holds(&value, other));
                gone.push(value);
            }
        }
        gone.into_iter().for_each(|value| patch.replace(value, &b"null"[..]));
        let secrets = found.into_iter().map(|value| value.map(secret)).collect();
        match patch.apply() {
            Ok(body) => (body, secrets),
            Err(_) => nothing(),
        }
    }

    fn capture(&self, capture: &Capture, found: Option<Secret>) -> bool {
        found.is_some_and(|secret| self.keep_secret(capture.owner, &capture.name, secret, capture.ttl_ms).is_ok())
    }
}

fn secret(value: Value<'_>) -> Secret {
    Secret::new(value.as_str().map_or_else(|| value.raw().to_owned(), std::borrow::Cow::into_owned).into_bytes())
}

fn json_limits(limits: &Limits) -> sluice_wire::json::Limits {
    sluice_wire::json::Limits { bytes_max: limits.fetch_bytes_max, ..limits.json() }
}

/// Puts a secret at its place.
fn put(place: &Place, secret: &Secret, headers: &mut Vec<Header>, body: &mut Vec<u8>) {
    match place {
        Place::Header((name, prefix)) => {
            headers.push(Header { name: name.clone(), value: [prefix.as_bytes(), secret.expose()].concat() });
        }
        Place::Basic(user) => {
            let pair = Zeroizing::new([user.as_bytes(), b":", secret.expose()].concat());
            let value = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(&*pair));
            headers.push(Header { name: "authorization".into(), value: value.into_bytes() });
        }
        Place::Form(name) => {
            if !body.is_empty() {
                body.push(b'&');
            }
            body.extend(form_urlencoded::byte_serialize(name.as_bytes()).flat_map(str::bytes));
            body.push(b'=');
            body.extend(form_urlencoded::byte_serialize(secret.expose()).flat_map(str::bytes));
        }
    }
}

/// Does an answer hold a secret that was sent, as it is? A server that echoes would show what no guest may see.
fn repeats(headers: &[(String, String)], body: &[u8], used: &[(Place, Secret)]) -> bool {
    let mut texts = headers.iter().map(|(_, value)| value.as_bytes()).chain([body]);
    texts.any(|text| used.iter().any(|(_, secret)| withheld::repeats(secret.expose(), text)))
}

fn into_error(error: FetchError) -> Error {
    match error {
        FetchError::Refused(why) => Error::Denied(why),
        FetchError::Unreachable(why) => Error::Unreachable(why),
        FetchError::Timeout => Error::Timeout,
        FetchError::TooLarge => Error::TooLarge,
    }
}
