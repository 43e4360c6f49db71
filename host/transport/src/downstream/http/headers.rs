//! Request headers by name: each at most once, or the request is refused.

use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};
use sluice_chain::{exchange::VIA, filter::Credential};
use sluice_wire::header;
use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use super::listener::Peer;
use crate::{
    downstream::{client::Facts, refusal::Refusal, settings::Settings},
    hop::Lost,
};

pub(super) static SESSION_ID: HeaderName = HeaderName::from_static(header::SESSION_ID);
pub(super) static PROTOCOL_VERSION: HeaderName = HeaderName::from_static(header::PROTOCOL_VERSION);
pub(super) static METHOD: HeaderName = HeaderName::from_static(header::METHOD);
pub(super) static NAME: HeaderName = HeaderName::from_static(header::NAME);
pub(super) static LAST_EVENT_ID: HeaderName = HeaderName::from_static(header::LAST_EVENT_ID);
static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The header is there more than once, so two readers could see two values.
pub(super) struct Repeated;

/// The only value of a header.
pub(super) fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Repeated> {
    let mut values = headers.get_all(name).iter();
    let value = values.next();
    if values.next().is_some() { Err(Repeated) } else { Ok(value) }
}

/// Longest header value that filters see.
const FACT_BYTES_MAX: usize = 4096;

/// The caller's credential: `Authorization`, else the first configured header that is there.
pub(super) fn credential(headers: &HeaderMap, settings: &Settings) -> Result<Option<Credential>, Refusal> {
    let malformed = || Refusal::http(400, "credential", "the credential header is malformed or there more than once");
    if let Some(value) = only(headers, &AUTHORIZATION).map_err(|_| malformed())? {
        let (scheme, value) = value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or_else(malformed)?;
        return Ok(Some(Credential { scheme: scheme.to_ascii_lowercase(), value: value.trim().to_owned() }));
    }
    for name in &settings.credential_headers {
        if let Some(value) = only(headers, name).map_err(|_| malformed())? {
            let value = value.to_str().map_err(|_| malformed())?.trim().to_owned();
            return Ok(Some(Credential { scheme: format!("header:{name}"), value }));
        }
    }
    Ok(None)
}

/// The gateways that a request has passed through, unless it is to go no further.
pub(super) fn via(headers: &HeaderMap, settings: &Settings) -> Result<Option<String>, Refusal> {
    settings.hop.passed(headers, settings.limits.gateways_max).map_err(|lost| {
        let reason = match lost {
            Lost::Loop => "loop",
            Lost::TooFar { .. } => "too_many_gateways",
        };
        // RFC 5842, section 7.2.
        Refusal::http(508, reason, lost.to_string())
    })
}

/// The facts of the way and of the headers that filters may see. The last ones made are kept:
/// requests of one connection mostly differ in nothing.
#[derive(Default)]
pub(super) struct HeaderFacts(Mutex<Option<Facts>>);

impl HeaderFacts {
    /// `base` holds what is known of the connection itself.
    pub fn of(&self, headers: &HeaderMap, settings: &Settings, peer: Peer, via: Option<String>, base: &Facts) -> Facts {
        let is_behind_proxy = peer.ip().is_some_and(|ip| settings.trusts(ip));
        if !is_behind_proxy && settings.fact_headers.is_empty() && via.is_none() {
            return base.clone();
        }
        let mut facts = base.as_ref().clone();
        if is_behind_proxy {
            push_forwarded(&mut facts, headers, settings);
        }
        if let Some(via) = via {
            facts.push((VIA.into(), via.into()));
        }
        for name in &settings.fact_headers {
            push_header(&mut facts, headers, name);
        }
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match last.as_ref().filter(|last| ***last == facts) {
            Some(same) => same.clone(),
            None => last.insert(Arc::new(facts)).clone(),
        }
    }
}

/// What a trusted proxy says of the client: the nearest address that is not a proxy's own.
fn push_forwarded(facts: &mut Vec<(Box<str>, Box<str>)>, headers: &HeaderMap, settings: &Settings) {
    let hops = headers.get_all(&FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let hops: Vec<IpAddr> = hops.filter_map(|hop| hop.trim().parse().ok()).collect();
    if let Some(client) = hops.iter().rev().find(|hop| !settings.trusts(**hop)) {
        facts.retain(|(key, _)| **key != *"transport.peer");
        facts.push(("transport.peer".into(), client.to_canonical().to_string().into()));
    }
    facts.retain(|(key, _)| **key != *"transport.proto");
    let proto = only(headers, &FORWARDED_PROTO).ok().flatten().and_then(|proto| proto.to_str().ok());
    if let Some(proto) = proto.filter(|proto| matches!(*proto, "http" | "https")) {
        facts.push(("transport.proto".into(), proto.into()));
    }
}

fn push_header(facts: &mut Vec<(Box<str>, Box<str>)>, headers: &HeaderMap, name: &HeaderName) {
    let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    let joined = values.join(", ");
    if !values.is_empty() && joined.len() <= FACT_BYTES_MAX {
        facts.push((format!("http.header.{name}").into(), joined.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hop::Hop;
    use http::header::VIA as VIA_HEADER;

    fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn credentials_come_from_authorization_first() {
        let settings = Settings::new("s", "1");
        let found = |list: &[_]| credential(&headers(list), &settings).map(|c| c.map(|c| (c.scheme, c.value))).map_err(|r| r.status);
        let some = |scheme: &str, value: &str| Ok(Some((scheme.to_owned(), value.to_owned())));
        assert_eq!(found(&[]), Ok(None));
        assert_eq!(found(&[("authorization", "Bearer abc")]), some("bearer", "abc"));
        assert_eq!(found(&[("authorization", "BASIC eA==")]), some("basic", "eA=="));
        assert_eq!(found(&[("x-api-key", "k")]), some("header:x-api-key", "k"));
        assert_eq!(found(&[("x-api-key", "k"), ("authorization", "Bearer abc")]), some("bearer", "abc"));
        for bad in [
            &[("authorization", "Bearer a"), ("authorization", "Bearer b")][..],
            &[("x-api-key", "a"), ("x-api-key", "a")],
            &[("authorization", "abc")],
        ] {
            assert_eq!(found(bad), Err(400), "{bad:?}");
        }
    }

    #[test]
    fn forwarded_headers_count_from_trusted_peers_only() {
        let mut settings = Settings::new("s", "1");
        settings.trusted_proxies = vec!["10.0.0.0/8".parse().expect("a network")];
        let base: Facts = Arc::new(vec![("transport.peer".into(), "x".into())]);
        let sent = headers(&[("x-forwarded-for", "6.6.6.6, 1.2.3.4"), ("x-forwarded-for", "10.0.0.9"), ("x-forwarded-proto", "https")]);
        let facts = HeaderFacts::default();
        let of = |peer: &str| facts.of(&sent, &settings, Peer::Ip(peer.parse().expect("an address")), None, &base);
        assert!(Arc::ptr_eq(&of("127.0.0.1"), &base));
        let told = of("10.0.0.1");
        assert_eq!(*told, [("transport.peer".into(), "1.2.3.4".into()), ("transport.proto".into(), "https".into())]);
        assert!(Arc::ptr_eq(&told, &of("10.0.0.1")), "the same facts are made once");
    }

    #[test]
    fn the_way_of_a_request_is_a_fact_unless_it_was_here() {
        let (settings, other, mut sent) = (Settings::new("s", "1"), Hop::default(), HeaderMap::new());
        sent.insert(VIA_HEADER, other.first());
        let way = via(&sent, &settings).expect("another gateway").expect("is on the way");
        let facts = HeaderFacts::default().of(&sent, &settings, Peer::User(0), Some(way), &Facts::default());
        assert_eq!(*facts, [("transport.via".into(), other.above_children().into())]);
        settings.hop.follow(&other.above_children(), &mut sent);
        let refusal = via(&sent, &settings).expect_err("it was here");
        assert_eq!((refusal.status, refusal.code, refusal.reason), (508, 5080, "loop"));
    }

    #[test]
    fn only_listed_headers_become_facts() {
        let mut settings = Settings::new("s", "1");
        settings.fact_headers = vec![HeaderName::from_static("x-team")];
        let sent = headers(&[("x-team", "a"), ("cookie", "c")]);
        let facts = HeaderFacts::default().of(&sent, &settings, Peer::User(0), None, &Facts::default());
        assert_eq!(*facts, [("http.header.x-team".into(), "a".into())]);
    }
}
