//! What clients wait to hear of. A change is a state and not a message: what there is to tell a client is a set of facts
//! (this list changed, that resource changed), each in it once however often a server says so. So a flood of notifications
//! costs no memory, and a client that reads slowly loses nothing: it hears the same facts later.
//!
//! Reading order: [`Subscription`] (one client's facts), `announced` (changes of lists, and whose view they change),
//! `places` (how many may listen).

mod announced;
mod places;
mod subscription;

pub(crate) use announced::Announced;
pub use places::Listening;
pub(crate) use places::Places;
pub use subscription::Subscription;
pub(crate) use subscription::{Change, FOLLOWED_MAX, Follower, Following, ResourceChange, Who};

use crate::{
    exchange::Client,
    host::Host,
    principal::{Principal, PrincipalKey},
    upstream::{Watching, Wish},
};
use futures_util::future::join_all;
use sluice_wire::{
    json::{Document, IndexDepth, Limits},
    listen::{Filter, List, Lists},
    revision::{Era, Revision},
};
use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How long what comes before an acknowledgement may take; to what a server agrees later its clients are not told.
pub(crate) const AGREE_MAX: Duration = Duration::from_secs(5);

impl Host {
    /// What a legacy session hears of, from now until [`session_ended`](Host::session_ended). Nothing is asked of an upstream
    /// before [`Subscription::begin`] or `resources/subscribe`.
    pub fn attend(self: &Arc<Self>, client: &Arc<Client>, principal: &Arc<Principal>, revision: Revision) -> Arc<Subscription> {
        let who = Who { client: client.clone(), principal: principal.clone() };
        let subscription = Arc::new(Subscription::new(self, who, revision));
        if let Some(session) = &client.session {
            let mut attended = self.attended.lock().unwrap_or_else(PoisonError::into_inner);
            attended.insert(session.clone(), subscription.clone());
        }
        self.announced.register(self, &subscription);
        subscription
    }

    /// What the legacy session of that name hears of.
    pub(crate) fn attended(&self, session: &str) -> Option<Arc<Subscription>> {
        self.attended.lock().unwrap_or_else(PoisonError::into_inner).get(session).cloned()
    }

    /// The legacy sessions of a principal.
    pub(crate) fn attended_by(&self, principal: &PrincipalKey) -> Vec<Arc<str>> {
        let attended = self.attended.lock().unwrap_or_else(PoisonError::into_inner);
        attended.iter().filter(|(_, subscription)| subscription.who().principal.key == *principal).map(|(name, _)| name.clone()).collect()
    }

    pub(crate) fn forget_attended(&self, session: &str) {
        let gone = self.attended.lock().unwrap_or_else(PoisonError::into_inner).remove(session);
        if let Some(gone) = gone {
            gone.end();
        }
    }

    /// Ends every `subscriptions/listen` with its result: the host is about to stop.
    pub fn end_subscriptions(&self) {
        self.winding_down.cancel();
    }

    /// Asks upstreams for their parts, and waits until then for their agreement, in the order of `wanted`: the place of each, and the lists
    /// and the URIs under its own names.
    pub(crate) async fn watch(
        &self,
        subscription: &Arc<Subscription>,
        wanted: Vec<(usize, Filter)>,
        until: Instant,
    ) -> Vec<(usize, Watching)> {
        let who = subscription.who();
        let upstreams = self.upstreams();
        let watching = wanted.into_iter().map(|(at, what)| {
            let upstream = &upstreams[at];
            let wish = Wish {
                era: subscription.revision().era(),
                client: who.client.clone(),
                principal: who.principal.clone(),
                what,
                sink: Arc::new(Follower::new(subscription, at)),
                wait: until.saturating_duration_since(Instant::now()),
            };
            async move { (at, if wish.what.is_empty() { Watching::default() } else { upstream.watch(wish).await }) }
        });
        join_all(watching).await
    }
}

/// The lists whose changes these capabilities promise to announce.
pub(crate) fn promised(capabilities: &bytes::Bytes) -> Lists {
    let Ok(document) = Document::parse_value(capabilities.clone(), &Limits::RESPONSE, IndexDepth::Levels(2)) else {
        return Lists::default();
    };
    let root = document.root();
    let promises = |list: &List| root.get(list.capability()).and_then(|kind| kind.get("listChanged")?.as_bool()).unwrap_or(false);
    List::ALL.into_iter().filter(promises).collect()
}

/// What a legacy session asks of every upstream once somebody can hear it: the changes of the lists it was promised.
pub(crate) async fn follow_lists(host: &Arc<Host>, subscription: &Arc<Subscription>) {
    let who = subscription.who();
    let facts = host.facts(Era::Legacy, &who.client, &who.principal).await;
    let lists = promised(&facts.capabilities);
    if lists.is_empty() {
        return;
    }
    announced::note_seen(host, subscription, lists).await;
    subscription.hear(lists);
    let servers = host.generation_of(&who.principal).upstreams.clone();
    let wanted = servers.places().map(|place| (place, Filter { lists, uris: Vec::new() })).collect();
    follow(host, subscription, wanted).await;
}

async fn follow(host: &Arc<Host>, subscription: &Arc<Subscription>, wanted: Vec<(usize, Filter)>) {
    let watching = host.watch(subscription, wanted, Instant::now() + AGREE_MAX).await;
    subscription.keep(watching.into_iter().filter_map(|(place, watching)| Some((place, watching.hold?))).collect());
}

/// Of the servers that came a client hears what it hears of all.
async fn follow_new(host: Arc<Host>, subscription: Arc<Subscription>, came: Vec<usize>) {
    let lists = subscription.hears();
    if !lists.is_empty() {
        let servers = host.generation_of(&subscription.who().principal).upstreams.clone();
        let seen = came.into_iter().filter(|place| servers.has(*place));
        follow(&host, &subscription, seen.map(|place| (place, Filter { lists, uris: Vec::new() })).collect()).await;
    }
}

pub(crate) use announced::note_seen;
