//! Calls between two rounds: a legacy server asked something, and its modern client has gone to find the answer.
//!
//! The upstream call goes on waiting here, under a [`Ticket`] that only its principal can present, once, and only with the same
//! request. Nobody comes back: it is dropped after a while, and the server hears no consent (mcp-protocol §3.3).

use crate::{
    exchange::{Delivery, Interim},
    principal::{Principal, PrincipalKey},
    queue::Receiver,
    record::{Ended, Observer},
    seal::SealKey,
    ticket::{Bound, Leads, LostRound, ServerRound, Spent, Ticket, Trail},
    upstream::{Inbound, Latest, UpstreamError},
};
use bytes::Bytes;
use sluice_wire::message::Message;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::oneshot,
    task::{AbortHandle, spawn},
};
use tokio_util::sync::CancellationToken;

/// Bounds on calls that wait for their clients' answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parking {
    /// How long an answer may take; a person is asked. States to servers that keep nothing are good for as long.
    pub ttl: Duration,
    /// Of one principal with one upstream. All callers without a name together may have eight times as many.
    pub own_max: usize,
    /// Of all.
    pub all_max: usize,
}

impl Default for Parking {
    fn default() -> Self {
        Self { ttl: Duration::from_secs(600), own_max: 32, all_max: 1_000 }
    }
}

/// For callers without a name, of which there may be many.
const UNNAMED_FACTOR: usize = 8;

/// An upstream call that runs on its own, so that it can outlive the exchange that began it. Dropping it cancels the call.
pub(crate) struct Call {
    pub(crate) arriving: Receiver<Interim>,
    pub(crate) done: oneshot::Receiver<Result<Inbound, UpstreamError>>,
    pub(crate) stop: CancellationToken,
    /// For whose request the call goes on now.
    pub(crate) latest: Arc<Latest>,
}

impl Drop for Call {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A question that has been put to the client.
pub(crate) struct Open {
    /// Under which the client finds it.
    pub(crate) key: String,
    pub(crate) method: Arc<str>,
    /// As it was put, for another time.
    pub(crate) question: Delivery,
    pub(crate) reply: oneshot::Sender<Delivery>,
}

/// Who may go on with a call: its principal. Those without a name are others with each request, so whoever has the state is
/// taken for the one it was given to, as with sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner(Option<PrincipalKey>);

impl Owner {
    pub(crate) fn of(principal: &Principal) -> Self {
        Self(principal.holder())
    }

    pub(crate) fn bound(&self) -> &[u8] {
        self.0.as_ref().map_or(b"", |key| key.as_str().as_bytes())
    }
}

/// What a person said to a filter that suspended the exchange.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    /// The filter's name, and the sha256 of its file: nobody else's answer.
    pub(crate) plugin: Arc<str>,
    pub(crate) digest: Arc<str>,
    /// `accept`, `decline` or `cancel`.
    pub(crate) action: &'static str,
    /// What an accepted form holds, JSON text of an object.
    pub(crate) content: Option<String>,
}

/// An exchange between two of its rounds.
pub(crate) struct Between {
    pub(crate) trail: Trail,
    /// What persons have said to filters so far.
    pub(crate) said: Vec<Said>,
    pub(crate) waits: Waits,
}

/// Who waits for the client's next round.
pub(crate) enum Waits {
    /// A legacy server, in the middle of a call.
    Call(Call, Vec<Open>),
    /// A modern server.
    Server(ServerRound),
    /// A filter that suspended the exchange.
    Filter(Pending),
}

/// A filter's question to a person.
pub(crate) struct Pending {
    /// Under which the client finds it.
    pub(crate) key: String,
    pub(crate) plugin: Arc<str>,
    pub(crate) digest: Arc<str>,
    /// `elicitation/create` in modern form.
    pub(crate) question: Arc<Message>,
    pub(crate) ttl: Option<Duration>,
    /// What the round was about before the filter spoke, if it was not the first.
    pub(crate) then: Option<Box<Resumed>>,
}

/// What a round goes on with, once the filters have let it pass.
pub(crate) struct Resumed {
    /// Never a filter: it has its answer by then.
    pub(crate) waits: Waits,
    /// What the client answered, by key: JSON text.
    pub(crate) inputs: Vec<(String, Bytes)>,
}

impl Resumed {
    /// Another of what is no running call: nothing of it has left yet.
    pub(crate) fn copy(&self) -> Option<Self> {
        let Waits::Server(asks) = &self.waits else { return None };
        Some(Self { waits: Waits::Server(asks.clone()), inputs: self.inputs.clone() })
    }
}

/// An exchange that waits here for its next round.
pub(crate) struct Parked {
    pub(crate) owner: Owner,
    pub(crate) bound: Bound,
    pub(crate) between: Between,
    /// What is written down if nobody comes back.
    pub(crate) abandoned: Box<Ended>,
}

/// All parked calls, and the states that were given out.
pub(crate) struct Parks {
    limits: Parking,
    key: SealKey,
    observer: Arc<dyn Observer>,
    places: Mutex<HashMap<u128, Place>>,
    spent: Mutex<Spent>,
}

struct Place {
    parked: Parked,
    expiry: AbortHandle,
}

impl Parks {
    pub(crate) fn new(limits: Parking, observer: Arc<dyn Observer>) -> Result<Self, getrandom::Error> {
        Ok(Self { limits, key: SealKey::random()?, observer, places: Mutex::default(), spent: Mutex::default() })
    }

    /// Whether another call of this owner may wait.
    pub(crate) fn has_room(&self, owner: &Owner, upstream: usize) -> bool {
        has_room(&self.lock(), &self.limits, owner, upstream)
    }

    /// Keeps an exchange, no longer than `ttl` if that is given. The state for the client; none, and what waits is dropped, when
    /// there is no room.
    pub(crate) fn park(self: &Arc<Self>, parked: Parked, ttl: Option<Duration>) -> Option<String> {
        let ttl = ttl.unwrap_or(self.limits.ttl).min(self.limits.ttl);
        let ticket = Ticket::new(parked.bound, parked.between.trail, ttl, Leads::Parked)?;
        let state = ticket.seal(&self.key, parked.owner.bound())?;
        let mut places = self.lock();
        if !has_room(&places, &self.limits, &parked.owner, parked.bound.upstream) {
            return None;
        }
        let (parks, id) = (Arc::downgrade(self), ticket.id);
        let expiry = spawn(async move {
            tokio::time::sleep(ttl).await;
            let Some(parks) = parks.upgrade() else { return };
            let late = parks.lock().remove(&id);
            late.iter().for_each(|late| parks.observer.abandoned(&late.parked.abandoned));
        });
        places.insert(id, Place { parked, expiry: expiry.abort_handle() });
        Some(state)
    }

    /// A state for the client of a server that keeps nothing itself, around the server's own.
    pub(crate) fn pass(&self, owner: &Owner, bound: Bound, trail: Trail, asks: ServerRound) -> Option<String> {
        Ticket::new(bound, trail, self.limits.ttl, Leads::Server(asks))?.seal(&self.key, owner.bound())
    }

    /// Follows a state: once.
    pub(crate) fn claim(&self, state: &str, owner: &Owner, bound: &Bound) -> Result<Between, LostRound> {
        let ticket = Ticket::open(&self.key, owner.bound(), state, bound)?;
        if let Leads::Server(asks) = &ticket.leads {
            let is_first = self.spent.lock().unwrap_or_else(PoisonError::into_inner).spend(&ticket);
            let waits = Waits::Server(asks.clone());
            return is_first.then_some(Between { trail: ticket.trail, said: Vec::new(), waits }).ok_or(LostRound::Used);
        }
        let place = self.lock().remove(&ticket.id).ok_or(LostRound::Used)?;
        place.expiry.abort();
        Ok(place.parked.between)
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Cancels all of them.
    pub(crate) fn clear(&self) {
        let all: Vec<Place> = self.lock().drain().map(|(_, place)| place).collect();
        all.iter().for_each(|place| place.expiry.abort());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u128, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn has_room(places: &HashMap<u128, Place>, limits: &Parking, owner: &Owner, upstream: usize) -> bool {
    let is_own = |place: &&Place| place.parked.owner == *owner && place.parked.bound.upstream == upstream;
    let own_max = if owner.0.is_some() { limits.own_max } else { limits.own_max.saturating_mul(UNNAMED_FACTOR) };
    places.len() < limits.all_max && places.values().filter(is_own).count() < own_max
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        canary::Worse,
        filter::{Hook, Identity},
        queue::queue,
        record::{RouteCall, nothing_ended},
    };
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Observer for Counting {
        fn ended(&self, _: &Ended) {}
        fn faulted(&self, _: &Identity, _: Hook, _: &'static str, _: &str) {}
        fn taken_back(&self, _: &Identity, _: &Worse) {}
        fn route_called(&self, _: &RouteCall<'_>) {}
        fn turned_away(&self, _: &'static str) {}
        fn abandoned(&self, _: &Ended) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    const LIMITS: Parking = Parking { ttl: Duration::from_secs(5), own_max: 4, all_max: 7 };

    fn parks() -> (Arc<Parks>, Arc<Counting>) {
        let seen: Arc<Counting> = Arc::default();
        (Arc::new(Parks::new(LIMITS, seen.clone()).unwrap()), seen)
    }

    fn parked(subject: &str, digest: u8) -> (Parked, CancellationToken) {
        let stop = CancellationToken::new();
        let call = Call { arriving: queue(1).1, done: oneshot::channel().1, stop: stop.clone(), latest: Arc::default() };
        let bound = Bound { upstream: 0, digest: [digest; 32] };
        let abandoned = Box::new(nothing_ended());
        let between = Between { trail: Trail::default(), said: Vec::new(), waits: Waits::Call(call, Vec::new()) };
        (Parked { owner: owner(subject), bound, between, abandoned }, stop)
    }

    fn owner(subject: &str) -> Owner {
        Owner::of(&Principal::new("auth", subject, None))
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_taken_back_once_by_its_own_principal_with_its_own_request() {
        let (parks, _) = parks();
        let (call, stop) = parked("a", 1);
        let state = parks.park(call, None).unwrap();
        let claim = |state: &str, who, upstream, digest| parks.claim(state, &owner(who), &Bound { upstream, digest: [digest; 32] }).err();
        assert_eq!(claim("theirs", "a", 0, 1), Some(LostRound::Unknown));
        assert_eq!(claim(&state, "b", 0, 1), Some(LostRound::Unknown), "another principal");
        assert_eq!(claim(&state, "a", 1, 1), Some(LostRound::Other), "another upstream");
        assert_eq!(claim(&state, "a", 0, 2), Some(LostRound::Other), "another request");
        assert!(!stop.is_cancelled() && parks.len() == 1, "whoever is mistaken takes nothing away");
        assert_eq!(claim(&state, "a", 0, 1), None);
        assert!(stop.is_cancelled(), "what was taken and dropped is cancelled");
        assert_eq!(claim(&state, "a", 0, 1), Some(LostRound::Used));

        let unnamed = |unique| Owner::of(&Principal::anonymous(unique));
        let state = parks.park(Parked { owner: unnamed("1"), ..parked("a", 1).0 }, None).unwrap();
        assert_eq!(claim(&state, "a", 0, 1), Some(LostRound::Unknown));
        let bound = Bound { upstream: 0, digest: [1; 32] };
        assert!(parks.claim(&state, &unnamed("2"), &bound).is_ok(), "whoever has no name has the state");
    }

    #[tokio::test(start_paused = true)]
    async fn a_servers_own_state_comes_back_once_and_with_its_request() {
        let (parks, _) = parks();
        let bound = Bound { upstream: 0, digest: [1; 32] };
        let own = Bytes::from_static(br#""s\u0041""#);
        let trail = Trail { exchange: 7, round: 3, ..Trail::default() };
        let asks = ServerRound { own: Some(own), inputs: Vec::new() };
        let state = parks.pass(&owner("a"), bound, trail, asks.clone()).unwrap();
        let other = Bound { upstream: 1, ..bound };
        assert_eq!(parks.claim(&state, &owner("a"), &other).err(), Some(LostRound::Other));
        let claimed = parks.claim(&state, &owner("a"), &bound);
        let is_back = |between: Between| matches!(between.waits, Waits::Server(back) if back == asks) && between.trail == trail;
        assert!(claimed.is_ok_and(is_back));
        assert_eq!(parks.claim(&state, &owner("a"), &bound).err(), Some(LostRound::Used));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_never_returns_leaves_nothing_behind_but_a_record() {
        let (parks, seen) = parks();
        let (call, stop) = parked("a", 1);
        let state = parks.park(call, None).unwrap();
        tokio::time::sleep(LIMITS.ttl + Duration::from_secs(1)).await;
        assert!(stop.is_cancelled() && parks.len() == 0 && seen.0.load(Relaxed) == 1);
        assert!(parks.claim(&state, &owner("a"), &Bound { upstream: 0, digest: [1; 32] }).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_parks_without_bound() {
        let (parks, _) = parks();
        for _ in 0..LIMITS.own_max {
            assert!(parks.park(parked("a", 1).0, None).is_some());
        }
        let (refused, stop) = parked("a", 1);
        assert!(parks.park(refused, None).is_none() && stop.is_cancelled());
        for other in ["b", "c", "d"] {
            assert!(parks.park(parked(other, 1).0, None).is_some(), "another principal has room");
        }
        assert!(parks.park(parked("e", 1).0, None).is_none(), "until all places are taken");
        parks.clear();
        assert_eq!(parks.len(), 0);
    }
}
