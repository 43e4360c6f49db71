//! Calls between two rounds: a legacy server asked something, and its modern client has gone to find the answer.
//!
//! The upstream call goes on waiting here, under an id that only its principal can present again, and only with the same
//! request. Nobody comes back: it is dropped after a while, and the server hears no consent (mcp-protocol §3.3).

use crate::{
    exchange::{Delivery, Interim},
    principal::{Principal, PrincipalKey},
    queue::Receiver,
    seal::SealKey,
    upstream::{Inbound, UpstreamError},
};
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

/// How long an answer may take; a person is asked.
const TTL: Duration = Duration::from_secs(600);
/// Of one principal with one upstream, and of all.
const OWN_MAX: usize = 32;
/// Of all callers without a name together.
const UNNAMED_MAX: usize = 256;
const ALL_MAX: usize = 1_000;
/// Tells our states from servers' own.
const PREFIX: &str = "sluice1.";

/// An upstream call that runs on its own, so that it can outlive the exchange that began it. Dropping it cancels the call.
pub(crate) struct Call {
    pub(crate) arriving: Receiver<Interim>,
    pub(crate) done: oneshot::Receiver<Result<Inbound, UpstreamError>>,
    pub(crate) stop: CancellationToken,
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
        Self((!principal.is_anonymous()).then(|| principal.key.clone()))
    }

    fn bound(&self) -> &[u8] {
        self.0.as_ref().map_or(b"", |key| key.as_str().as_bytes())
    }
}

/// A call that waits for its next round.
pub(crate) struct Parked {
    pub(crate) owner: Owner,
    pub(crate) upstream: usize,
    /// Of the request, as its client sent it.
    pub(crate) digest: [u8; 32],
    pub(crate) round: u32,
    pub(crate) call: Call,
    pub(crate) questions: Vec<Open>,
}

/// Why a state leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotHere {
    /// No state of ours, or one that was altered or is another's: they look alike.
    Foreign,
    /// One of ours that is for another request, was used, or is too old.
    Lost,
}

/// All parked calls.
pub(crate) struct Parks {
    key: SealKey,
    places: Mutex<HashMap<u128, Place>>,
}

struct Place {
    parked: Parked,
    expiry: AbortHandle,
}

impl Parks {
    pub(crate) fn new() -> Result<Self, getrandom::Error> {
        Ok(Self { key: SealKey::random()?, places: Mutex::default() })
    }

    /// Whether another call of this owner may wait.
    pub(crate) fn has_room(&self, owner: &Owner, upstream: usize) -> bool {
        has_room(&self.lock(), owner, upstream)
    }

    /// Keeps a call. The state for the client; none, and the call is cancelled, when there is no room.
    pub(crate) fn park(self: &Arc<Self>, parked: Parked) -> Option<String> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).ok()?;
        let state = self.key.seal(parked.owner.bound(), &id)?;
        let id = u128::from_le_bytes(id);
        let mut places = self.lock();
        if !has_room(&places, &parked.owner, parked.upstream) {
            return None;
        }
        let parks = Arc::downgrade(self);
        let expiry = spawn(async move {
            tokio::time::sleep(TTL).await;
            let late = parks.upgrade().and_then(|parks| parks.lock().remove(&id));
            drop(late);
        });
        places.insert(id, Place { parked, expiry: expiry.abort_handle() });
        Some(format!("{PREFIX}{state}"))
    }

    /// Takes a call back out: once.
    pub(crate) fn claim(&self, state: &str, owner: &Owner, upstream: usize, digest: &[u8; 32]) -> Result<Parked, NotHere> {
        let state = state.strip_prefix(PREFIX).ok_or(NotHere::Foreign)?;
        let id = self.key.open(owner.bound(), state).and_then(|id| id.try_into().ok()).map(u128::from_le_bytes);
        let id = id.ok_or(NotHere::Foreign)?;
        let mut places = self.lock();
        let fits = |place: &Place| place.parked.upstream == upstream && place.parked.digest == *digest;
        if !places.get(&id).is_some_and(fits) {
            return Err(NotHere::Lost);
        }
        let place = places.remove(&id).ok_or(NotHere::Lost)?;
        place.expiry.abort();
        Ok(place.parked)
    }

    /// How many wait.
    #[cfg(test)]
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

fn has_room(places: &HashMap<u128, Place>, owner: &Owner, upstream: usize) -> bool {
    let is_own = |place: &&Place| place.parked.owner == *owner && place.parked.upstream == upstream;
    let own_max = if owner.0.is_some() { OWN_MAX } else { UNNAMED_MAX };
    places.len() < ALL_MAX && places.values().filter(is_own).count() < own_max
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::queue;

    fn parked(subject: &str, digest: u8) -> (Parked, CancellationToken) {
        let stop = CancellationToken::new();
        let call = Call { arriving: queue(1).1, done: oneshot::channel().1, stop: stop.clone() };
        let owner = Owner::of(&Principal::new("auth", subject, None));
        (Parked { owner, upstream: 0, digest: [digest; 32], round: 0, call, questions: Vec::new() }, stop)
    }

    fn owner(subject: &str) -> Owner {
        Owner::of(&Principal::new("auth", subject, None))
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_taken_back_once_by_its_own_principal_with_its_own_request() {
        let parks = Arc::new(Parks::new().unwrap());
        let (call, stop) = parked("a", 1);
        let state = parks.park(call).unwrap();
        let claim = |state: &str, who, upstream, digest| parks.claim(state, &owner(who), upstream, &[digest; 32]).err();
        assert_eq!(claim("theirs", "a", 0, 1), Some(NotHere::Foreign));
        assert_eq!(claim(&state, "b", 0, 1), Some(NotHere::Foreign), "another principal");
        assert_eq!(claim(&state, "a", 1, 1), Some(NotHere::Lost), "another upstream");
        assert_eq!(claim(&state, "a", 0, 2), Some(NotHere::Lost), "another request");
        assert_eq!(claim(&format!("{state}A"), "a", 0, 1), Some(NotHere::Foreign), "altered");
        let taken = parks.claim(&state, &owner("a"), 0, &[1; 32]).ok().unwrap();
        assert!(!stop.is_cancelled());
        assert_eq!(claim(&state, "a", 0, 1), Some(NotHere::Lost), "used");
        drop(taken);
        assert!(stop.is_cancelled());

        let unnamed = |unique| Owner::of(&Principal::anonymous(unique));
        let state = parks.park(Parked { owner: unnamed("1"), ..parked("a", 1).0 }).unwrap();
        assert_eq!(claim(&state, "a", 0, 1), Some(NotHere::Foreign));
        assert!(parks.claim(&state, &unnamed("2"), 0, &[1; 32]).is_ok(), "whoever has no name has the state");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_never_returns_leaves_nothing_behind() {
        let parks = Arc::new(Parks::new().unwrap());
        let (call, stop) = parked("a", 1);
        let state = parks.park(call).unwrap();
        tokio::time::sleep(TTL + Duration::from_secs(1)).await;
        assert!(stop.is_cancelled() && parks.len() == 0);
        assert_eq!(parks.claim(&state, &owner("a"), 0, &[1; 32]).err(), Some(NotHere::Lost));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_parks_without_bound() {
        let parks = Arc::new(Parks::new().unwrap());
        for _ in 0..OWN_MAX {
            assert!(parks.park(parked("a", 1).0).is_some());
        }
        let (refused, stop) = parked("a", 1);
        assert!(parks.park(refused).is_none() && stop.is_cancelled());
        assert!(parks.park(parked("b", 1).0).is_some(), "another principal has room");
        parks.clear();
        assert_eq!(parks.len(), 0);
    }
}
