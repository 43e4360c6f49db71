//! A filter that knows its callers by name and turns some requests away.

use futures_util::future::BoxFuture;
use sluice_chain::{
    attributes::Attributes,
    catalogue::Offer,
    fault::Fault,
    filter::{Authentication, Credential, Filter, Hook, Identity, Interest, NotificationVerdict, Pass, Selector, Verdict},
    generation::{Link, Policy},
    principal::Principal,
    record::Ended,
    verdict::Rejection,
};
use std::{sync::Arc, time::Duration};

/// `Bearer NAME` makes the caller NAME, unless NAME is `evil` or `unsure`. Calls of `held` by somebody whose role
/// is not `admin` are refused with 429.
pub struct Guard {
    identity: Arc<Identity>,
    interest: Interest,
}

/// The filter as the only link of a chain.
pub fn guard() -> Vec<Link> {
    let hooks = vec![(Hook::Authenticate, Selector::default()), (Hook::OnRequest, Selector::default())];
    let identity = Arc::new(Identity::new("guard".into(), "1.0.0", "0"));
    let guard = Guard { identity, interest: Interest { hooks, ..Interest::default() } };
    vec![Link::new(Arc::new(guard), Policy::default())]
}

impl Filter for Guard {
    fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    fn interest(&self) -> &Interest {
        &self.interest
    }

    fn authenticate<'a>(&'a self, credential: &'a Credential, _: &'a mut Attributes) -> BoxFuture<'a, Result<Authentication, Fault>> {
        Box::pin(async move {
            if credential.scheme != "bearer" {
                return Ok(Authentication::Abstain);
            }
            if credential.value == "evil" {
                let http_headers = vec![("www-authenticate".into(), "Bearer error=\"insufficient_scope\"".into())];
                return Ok(Authentication::Challenge(Rejection {
                    code: 7,
                    message: "not you".into(),
                    http_status: Some(403),
                    http_headers,
                    ..Rejection::default()
                }));
            }
            if credential.value == "unsure" {
                let http_headers = vec![("retry-after".into(), "2".into())];
                let no =
                    Rejection { code: 8, message: "nobody knows".into(), http_status: Some(503), http_headers, ..Rejection::default() };
                return Ok(Authentication::Challenge(no));
            }
            let (name, role) = credential.value.split_once('+').unwrap_or((&credential.value, "user"));
            let mut principal = Principal::new("guard", name, None);
            principal.claims.push(("role".into(), role.into()));
            Ok(Authentication::Identified(principal, Duration::from_secs(60)))
        })
    }

    fn on_request<'a>(&'a self, pass: &'a mut Pass<'_>) -> BoxFuture<'a, Result<Verdict, Fault>> {
        let is_refused = pass.head.name.as_deref() == Some("held") && pass.attributes.find("principal.claim.role") != Some("admin");
        Box::pin(async move {
            if !is_refused {
                return Ok(Verdict::Next(None));
            }
            let http_headers =
                [("retry-after", "7"), ("content-length", "0"), ("mcp-session-id", "x"), ("connection", "close"), ("x-own", "1")];
            Ok(Verdict::Reject(Rejection {
                code: 1429,
                message: "too fast".into(),
                http_status: Some(429),
                http_headers: http_headers.map(|(name, value)| (name.into(), value.into())).into(),
                ..Rejection::default()
            }))
        })
    }

    fn on_response<'a>(&'a self, _: &'a mut Pass<'_>) -> BoxFuture<'a, Result<Verdict, Fault>> {
        Box::pin(async { Ok(Verdict::Next(None)) })
    }

    fn on_notification<'a>(&'a self, _: &'a mut Pass<'_>) -> BoxFuture<'a, Result<NotificationVerdict, Fault>> {
        Box::pin(async { Ok(NotificationVerdict::Next(None)) })
    }

    fn on_catalog<'a>(&'a self, _: &'a mut Offer) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async { Ok(()) })
    }

    fn on_done<'a>(&'a self, _: &'a Ended) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async { Ok(()) })
    }
}
