//! One client's facts.

use crate::{
    exchange::{Client, Delivery},
    host::Host,
    principal::Principal,
    run,
    upstream::{Sink, Update},
};
use sluice_wire::{
    listen::{List, Lists},
    revision::Revision,
};
use std::{
    collections::{HashMap, VecDeque},
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Waker},
};

/// Most resources that one client may follow.
pub(crate) const FOLLOWED_MAX: usize = 1_000;
/// Most resources below a followed one that are told apart; when more of them change, the followed one is said to have.
const BELOW_MAX: usize = 16;
/// A server's words over this are not kept; its client hears the bare fact.
const SAID_BYTES_MAX: usize = 1024;

/// Keeps an upstream listening.
type Hold = Box<dyn Send + Sync>;

/// What one client hears of, and what there is to tell it.
pub struct Subscription {
    host: Weak<Host>,
    revision: Revision,
    who: Mutex<Who>,
    state: Mutex<State>,
}

/// Who listens.
#[derive(Clone)]
pub(crate) struct Who {
    pub(crate) client: Arc<Client>,
    pub(crate) principal: Arc<Principal>,
}

#[derive(Default)]
struct State {
    hears: Lists,
    changed: Lists,
    /// Of each list as the client may have seen it, the beginning of the view's digest; in the order of `ListKind`.
    seen: [Option<u64>; 4],
    /// By upstream and its own URI.
    followed: HashMap<Key, Followed>,
    last_asked: u64,
    /// Those of them with something to tell, each once.
    due: VecDeque<Key>,
    has_new_chain: bool,
    /// For the lists, by upstream.
    holds: Vec<(usize, Hold)>,
    waker: Option<Waker>,
    /// A fact on its way through the filters, and what came of it.
    is_told: bool,
    told: Option<Delivery>,
    has_begun: bool,
    is_over: bool,
}

type Key = (usize, Arc<str>);

struct Followed {
    /// As the client calls it.
    exposed: Arc<str>,
    hold: Option<Hold>,
    /// Requests for it that its server has not answered, by number.
    asked: Vec<u64>,
    /// What changed: itself or others below it, each with the last the server said.
    changed: Vec<(Arc<str>, Option<Delivery>)>,
}

/// One fact.
#[derive(Debug)]
pub(crate) enum Change {
    List(List),
    Resource(ResourceChange),
    /// The chain was swapped: nothing to tell, but nobody shall hold on to the old one.
    Chain,
}

/// A resource changed.
#[derive(Debug)]
pub(crate) struct ResourceChange {
    /// The followed one, as the client calls it.
    pub(crate) exposed: Arc<str>,
    /// As its server calls it.
    pub(crate) original: Arc<str>,
    /// The one that changed, as its server calls it.
    pub(crate) uri: Arc<str>,
    pub(crate) said: Option<Delivery>,
}

impl Subscription {
    pub(crate) fn new(host: &Arc<Host>, who: Who, revision: Revision) -> Self {
        Self { host: Arc::downgrade(host), revision, who: Mutex::new(who), state: Mutex::default() }
    }

    /// The revision its client speaks.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    pub(crate) fn who(&self) -> Who {
        self.who.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The same session, vouched for anew: what it may see and hear may be another.
    pub fn vouch_again(&self, client: Arc<Client>, principal: Arc<Principal>) {
        *self.who.lock().unwrap_or_else(PoisonError::into_inner) = Who { client, principal };
        if let Some(host) = self.host.upgrade() {
            host.announced.doubt();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody can hear now what a legacy session was promised. Asks the upstreams for it, once.
    pub fn begin(self: &Arc<Self>) {
        if std::mem::replace(&mut self.lock().has_begun, true) {
            return;
        }
        let (Some(host), subscription) = (self.host.upgrade(), self.clone()) else { return };
        tokio::spawn(async move { super::follow_lists(&host, &subscription).await });
    }

    /// From now on the client hears of these lists.
    pub(crate) fn hear(&self, lists: Lists) {
        self.lock().hears = lists;
    }

    pub(crate) fn hears(&self) -> Lists {
        self.lock().hears
    }

    /// Keeps upstreams listening until the end.
    pub(crate) fn keep(&self, mut holds: Vec<(usize, Hold)>) {
        // Some may have gone while they were asked.
        let upstreams = self.host.upgrade().map(|host| host.upstreams());
        holds.retain(|(place, _)| upstreams.as_ref().is_some_and(|all| all.has(*place)));
        let mut state = self.lock();
        if !state.is_over {
            return state.holds.extend(holds);
        }
        drop(state);
        drop(holds);
    }

    /// Others than these upstreams are gone: they need not listen for it.
    pub(crate) fn stay_with(&self, places: &[usize]) {
        let mut state = self.lock();
        let gone: Vec<_> = state.holds.extract_if(.., |(place, _)| !places.contains(place)).collect();
        let followed: Vec<_> = state.followed.extract_if(|(place, _), _| !places.contains(place)).collect();
        drop(state);
        drop((gone, followed));
    }

    /// Notes what is to be followed, until [`settle`](Self::settle). Several may ask for the same at once.
    pub(crate) fn follow(&self, upstream: usize, original: &Arc<str>, exposed: &Arc<str>) -> Following {
        let mut state = self.lock();
        let state = &mut *state;
        let key = (upstream, original.clone());
        let is_known = match state.followed.get(&key) {
            Some(followed) if followed.hold.is_some() => return Following::Already,
            known => known.is_some(),
        };
        if !is_known && state.followed.len() >= FOLLOWED_MAX {
            return Following::TooMany;
        }
        state.last_asked += 1;
        let new = || Followed { exposed: exposed.clone(), hold: None, asked: Vec::new(), changed: Vec::new() };
        let followed = state.followed.entry(key).or_insert_with(new);
        followed.exposed.clone_from(exposed);
        followed.asked.push(state.last_asked);
        Following::New(state.last_asked)
    }

    /// What came of one request to follow: its server agreed, or did not.
    pub(crate) fn settle(&self, upstream: usize, original: &Arc<str>, asked: u64, hold: Option<Hold>) {
        let mut state = self.lock();
        let key = (upstream, original.clone());
        let is_over = state.is_over;
        let gone = match state.followed.get_mut(&key) {
            // It may have been unfollowed meanwhile, and followed again.
            Some(followed) if followed.asked.contains(&asked) => {
                followed.asked.retain(|one| *one != asked);
                let gone = if hold.is_some() && !is_over { std::mem::replace(&mut followed.hold, hold) } else { hold };
                if followed.hold.is_none() && followed.asked.is_empty() {
                    state.followed.remove(&key);
                }
                gone
            }
            _ => hold,
        };
        drop(state);
        drop(gone);
    }

    /// The client no longer wants to hear of it.
    pub(crate) fn unfollow(&self, exposed: &str) {
        let mut state = self.lock();
        let key = state.followed.iter().find(|(_, followed)| *followed.exposed == *exposed).map(|(key, _)| key.clone());
        let gone = key.and_then(|key| state.followed.remove(&key));
        drop(state);
        drop(gone);
    }

    /// What the client may have seen of one list. Gives back what it may have seen before.
    pub(crate) fn see(&self, kind: usize, digest: u64) -> Option<u64> {
        self.lock().seen[kind].replace(digest)
    }

    /// One of its lists changed.
    pub(crate) fn note_list(&self, list: List) {
        let mut state = self.lock();
        state.changed.add(list);
        state.wake();
    }

    /// There is another chain.
    pub(crate) fn note_chain(&self) {
        let mut state = self.lock();
        state.has_new_chain = true;
        state.wake();
    }

    fn note_resource(&self, upstream: usize, update: &Update<'_>) {
        let key = (upstream, Arc::<str>::from(update.asked));
        let said = update.said.filter(|said| said.message.bytes().len() <= SAID_BYTES_MAX).cloned();
        // A name too long to keep counts as the whole.
        let uri = if update.uri.len() > SAID_BYTES_MAX { update.asked } else { update.uri };
        let mut state = self.lock();
        let Some(followed) = state.followed.get_mut(&key) else { return };
        let was_due = !followed.changed.is_empty();
        match followed.changed.iter().position(|(part, _)| **part == *uri) {
            Some(at) => followed.changed[at].1 = said,
            None if followed.changed.len() < BELOW_MAX => followed.changed.push((uri.into(), said)),
            None => followed.changed = vec![(key.1.clone(), None)],
        }
        if !was_due {
            state.due.push_back(key);
        }
        state.wake();
    }

    fn take(&self) -> Option<Change> {
        let mut state = self.lock();
        if std::mem::take(&mut state.has_new_chain) {
            return Some(Change::Chain);
        }
        if let Some(list) = state.changed.both(state.hears).iter().next() {
            state.changed.remove(list);
            return Some(Change::List(list));
        }
        while let Some(key) = state.due.pop_front() {
            let Some(followed) = state.followed.get_mut(&key).filter(|followed| !followed.changed.is_empty()) else { continue };
            let (uri, said) = followed.changed.remove(0);
            let change = ResourceChange { exposed: followed.exposed.clone(), original: key.1.clone(), uri, said };
            if !followed.changed.is_empty() {
                state.due.push_back(key);
            }
            return Some(Change::Resource(change));
        }
        None
    }

    /// The next fact. Nothing is lost when the future is dropped.
    pub(crate) async fn next(&self) -> Change {
        poll_fn(|context| {
            self.lock().waker = Some(context.waker().clone());
            self.take().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Of a legacy session: the next fact as a notification that has been through the filters; none when the session has
    /// ended. Facts go through them one at a time and only when they are asked for.
    pub fn poll_next(self: &Arc<Self>, context: &Context<'_>) -> Poll<Option<Delivery>> {
        let mut state = self.lock();
        if state.is_over {
            return Poll::Ready(None);
        }
        if let Some(told) = state.told.take() {
            return Poll::Ready(Some(told));
        }
        state.waker = Some(context.waker().clone());
        if state.is_told {
            return Poll::Pending;
        }
        drop(state);
        loop {
            match self.take() {
                None => return Poll::Pending,
                Some(Change::Chain) => {}
                Some(change) => {
                    self.lock().is_told = true;
                    let telling = Telling(self.clone());
                    // A task of its own: a filter that has it is not cut off when the reader leaves.
                    tokio::spawn(async move { telling.tell(change).await });
                    return Poll::Pending;
                }
            }
        }
    }

    /// As [`poll_next`](Self::poll_next).
    pub async fn told(self: &Arc<Self>) -> Option<Delivery> {
        poll_fn(|context| self.poll_next(context)).await
    }

    pub(crate) fn is_over(&self) -> bool {
        self.lock().is_over
    }

    /// Nothing is told any more, and upstreams need not listen for it.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.is_over = true;
        state.wake();
        let gone = (std::mem::take(&mut state.holds), std::mem::take(&mut state.followed));
        drop(state);
        drop(gone);
    }
}

/// What became of the wish to follow a resource.
pub(crate) enum Following {
    /// To be settled under this number.
    New(u64),
    Already,
    TooMany,
}

impl State {
    fn wake(&mut self) {
        self.waker.take().into_iter().for_each(Waker::wake);
    }
}

/// One fact on its way through the filters.
struct Telling(Arc<Subscription>);

impl Telling {
    async fn tell(self, change: Change) {
        let Some(host) = self.0.host.upgrade() else { return };
        let told = run::tell(&host, &self.0, change).await;
        self.0.lock().told = told;
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_told = false;
        state.wake();
    }
}

/// Hears of one upstream's resources for a client.
pub(crate) struct Follower {
    of: Weak<Subscription>,
    upstream: usize,
}

impl Follower {
    pub(crate) fn new(of: &Arc<Subscription>, upstream: usize) -> Self {
        Self { of: Arc::downgrade(of), upstream }
    }
}

impl Sink for Follower {
    fn updated(&self, update: &Update<'_>) {
        if let Some(subscription) = self.of.upgrade() {
            subscription.note_resource(self.upstream, update);
        }
    }
}
