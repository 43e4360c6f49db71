//! A filter cut to a test's measure.

use futures_util::future::BoxFuture;
use sluice_chain::{
    attributes::Attributes,
    catalogue::{Change, Entry, Offer},
    fault::Fault,
    filter::{Authentication, Credential, Filter, Hook, Identity, Interest, NotificationVerdict, Pass, Selector, Verdict},
    generation::{Link, Policy},
    principal::Principal,
    record::Ended,
};
use std::{sync::Arc, time::Duration};

type OnPass = Box<dyn Fn(&Pass<'_>) -> Result<Verdict, Fault> + Send + Sync>;
type OnEntry = Box<dyn Fn(&str, &Entry) -> Change + Send + Sync>;
type OnCredential = Box<dyn Fn(&Credential) -> Authentication + Send + Sync>;

/// Lets everything pass, but for what is set. With `shape` it looks at who asks.
pub struct Tailor {
    pub identity: Arc<Identity>,
    pub interest: Interest,
    pub request: OnPass,
    pub response: OnPass,
    /// By this attribute of the viewer; none is asked for when it is not set.
    pub shape: Option<OnEntry>,
    pub shape_by: &'static str,
    pub credential: OnCredential,
}

impl Default for Tailor {
    fn default() -> Tailor {
        let hooks = [Hook::Authenticate, Hook::OnCatalog, Hook::OnRequest, Hook::OnResponse];
        let interest = Interest { hooks: hooks.map(|hook| (hook, Selector::default())).into(), reads_payload: true, ..Interest::default() };
        Tailor {
            identity: Arc::new(Identity::new("tailor".into(), "1.0.0", "0")),
            interest,
            request: Box::new(|_| Ok(Verdict::Next(None))),
            response: Box::new(|_| Ok(Verdict::Next(None))),
            shape: None,
            shape_by: "principal.subject",
            credential: Box::new(|credential| {
                Authentication::Identified(Principal::new("tailor", &credential.value, None), Duration::from_secs(60))
            }),
        }
    }
}

impl Tailor {
    pub fn chain(self, policy: Policy) -> Vec<Link> {
        vec![Link::new(Arc::new(self), policy)]
    }
}

impl Filter for Tailor {
    fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    fn interest(&self) -> &Interest {
        &self.interest
    }

    fn authenticate<'a>(&'a self, credential: &'a Credential, _: &'a mut Attributes) -> BoxFuture<'a, Result<Authentication, Fault>> {
        Box::pin(async move { Ok((self.credential)(credential)) })
    }

    fn on_request<'a>(&'a self, pass: &'a mut Pass<'_>) -> BoxFuture<'a, Result<Verdict, Fault>> {
        let verdict = (self.request)(pass);
        Box::pin(async { verdict })
    }

    fn on_response<'a>(&'a self, pass: &'a mut Pass<'_>) -> BoxFuture<'a, Result<Verdict, Fault>> {
        let verdict = (self.response)(pass);
        Box::pin(async { verdict })
    }

    fn on_notification<'a>(&'a self, _: &'a mut Pass<'_>) -> BoxFuture<'a, Result<NotificationVerdict, Fault>> {
        Box::pin(async { Ok(NotificationVerdict::Next(None)) })
    }

    fn on_catalog<'a>(&'a self, offer: &'a mut Offer) -> BoxFuture<'a, Result<(), Fault>> {
        if let Some(shape) = &self.shape {
            let who = offer.viewer.attr(self.shape_by).unwrap_or_default();
            offer.changes = offer.entries.iter().map(|entry| shape(&who, entry)).collect();
        }
        Box::pin(async { Ok(()) })
    }

    fn on_done<'a>(&'a self, _: &'a Ended) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async { Ok(()) })
    }
}
