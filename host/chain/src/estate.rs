//! The servers behind one generation.
//!
//! A place is one server's for good: lists, subscriptions and links are kept by it, and what was kept of a server that is gone must
//! not be taken for another's. So a server that stays keeps its place, a new one gets a new place, and at the place of one that is gone
//! there is from then on somebody who says so.

use crate::{
    exchange::Client,
    principal::Principal,
    upstream::{Health, Inbound, Outbound, ServerFacts, Upstream, UpstreamError},
};
use futures_util::future::BoxFuture;
use sluice_wire::revision::Era;
use std::{future::ready, ops::Index, sync::Arc};

/// Immutable. An exchange keeps the one of its generation to the end.
#[derive(Default)]
pub struct Estate {
    /// By place, those included that are gone. Shared by all views: whether anybody still needs a server is told by who holds it.
    places: Arc<Vec<Arc<dyn Upstream>>>,
    /// Places of those that are here, in config order.
    order: Vec<usize>,
    /// `(upstream, tool)` pairs that the operator marked as safe to repeat; names are the upstream's own.
    idempotent: Vec<(String, String)>,
}

impl Estate {
    pub(crate) fn new(upstreams: Vec<Arc<dyn Upstream>>, idempotent: Vec<(String, String)>) -> Self {
        Self { order: (0..upstreams.len()).collect(), places: Arc::new(upstreams), idempotent }
    }

    /// The one after this. Whoever is in both is told by its pointer.
    pub(crate) fn next(&self, upstreams: Vec<Arc<dyn Upstream>>, idempotent: Vec<(String, String)>) -> Self {
        let mut places = self.places.to_vec();
        let mut order = Vec::with_capacity(upstreams.len());
        for upstream in upstreams {
            let kept = self.iter().find(|(_, old)| Arc::ptr_eq(old, &upstream)).map(|(place, _)| place);
            order.push(kept.unwrap_or(places.len()));
            if kept.is_none() {
                places.push(upstream);
            }
        }
        let is_gone = |place: &usize| !order.contains(place);
        self.places().filter(is_gone).for_each(|place| places[place] = Arc::new(Gone(self[place].name().clone())));
        Self { places: Arc::new(places), order, idempotent }
    }

    /// The same places, and of those who are here these alone.
    pub(crate) fn only(&self, names: &[String]) -> Self {
        let order = self.iter().filter(|(_, upstream)| names.iter().any(|name| **name == **upstream.name())).map(|(place, _)| place);
        Self { places: self.places.clone(), order: order.collect(), idempotent: self.idempotent.clone() }
    }

    /// Places of those that are here and not there.
    pub(crate) fn without<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = usize> + 'a {
        self.places().filter(|place| !other.has(*place))
    }

    /// Those that are here, in config order, each with its place.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Arc<dyn Upstream>)> {
        self.order.iter().map(|place| (*place, &self.places[*place]))
    }

    /// Their places.
    pub(crate) fn places(&self) -> impl Iterator<Item = usize> {
        self.order.iter().copied()
    }

    /// How many are here.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Where the one of this name is.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.iter().find(|(_, upstream)| **upstream.name() == *name).map(|(place, _)| place)
    }

    /// Is somebody there? A place that was given since is not known here.
    pub(crate) fn has(&self, place: usize) -> bool {
        self.order.contains(&place)
    }

    pub(crate) fn is_idempotent(&self, upstream: &str, tool: &str) -> bool {
        self.idempotent.iter().any(|(u, t)| **u == *upstream && *t == *tool)
    }
}

impl Index<usize> for Estate {
    type Output = Arc<dyn Upstream>;

    fn index(&self, place: usize) -> &Self::Output {
        &self.places[place]
    }
}

/// At the place of a server that was taken out of the configuration.
struct Gone(Arc<str>);

impl Gone {
    fn error() -> UpstreamError {
        UpstreamError::Unreachable { reason: "it is no longer in the configuration".into() }
    }
}

impl Upstream for Gone {
    fn name(&self) -> &Arc<str> {
        &self.0
    }

    fn transport(&self) -> &'static str {
        "gone"
    }

    fn health(&self) -> Health {
        Health::Down(Self::error().to_string())
    }

    fn facts<'a>(&'a self, _: Era, _: &'a Arc<Client>, _: &'a Arc<Principal>) -> BoxFuture<'a, Result<Arc<ServerFacts>, UpstreamError>> {
        Box::pin(ready(Err(Self::error())))
    }

    fn send<'a>(&'a self, _: Outbound) -> BoxFuture<'a, Result<Inbound, UpstreamError>> {
        Box::pin(ready(Err(Self::error())))
    }

    fn forget_session<'a>(&'a self, _: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(ready(()))
    }

    fn close<'a>(&'a self) -> BoxFuture<'a, ()> {
        Box::pin(ready(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Arc<dyn Upstream> {
        Arc::new(Gone(name.into()))
    }

    #[test]
    fn whoever_stays_keeps_its_place_and_nobody_gets_anothers() {
        let [a, b, c, d] = ["a", "b", "c", "d"].map(named);
        let first = Estate::new(vec![a.clone(), b.clone(), c.clone()], Vec::new());
        let second = first.next(vec![d.clone(), c.clone(), a.clone()], Vec::new());
        assert_eq!(first.without(&second).collect::<Vec<_>>(), [1]);
        assert_eq!(second.places().collect::<Vec<_>>(), [3, 2, 0], "in the order of the new configuration");
        assert!(Arc::ptr_eq(&second[2], &c) && Arc::ptr_eq(&second[3], &d));
        assert_eq!((&**second[1].name(), second[1].transport()), ("b", "gone"));
        assert_eq!((second.position("b"), second.position("c")), (None, Some(2)));
        // The same name in other hands, and b again: both are others than before.
        let third = second.next(vec![named("a"), b], Vec::new());
        assert_eq!((second.without(&third).collect::<Vec<_>>(), third.places().collect::<Vec<_>>()), (vec![3, 2, 0], vec![4, 5]));
        assert_eq!(first.len() + second.len() + third.len(), 8, "the earlier ones are as they were");
    }
}
