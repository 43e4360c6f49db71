//! Hearing of a server's changes: what is wanted of it, kept apart from what it was told.
//!
//! Clients say what they want to hear of, and a task of each [`Watch`] sees to it that the server is told (`keeper`): by one
//! `subscriptions/listen` of a modern server, by `resources/subscribe` and the session's own stream of a legacy one. However
//! often a connection, session or child is lost, the wish stays and is told again. There is a watch for each owner of
//! sessions, so nobody hears of what changes in another principal's.

mod keeper;

pub(crate) use keeper::{Ask, Conversation, Interruption, Kept, Listening, NotOpened, Station, keep_conversation, keep_listening};

use sluice_chain::{
    exchange::{Client, Delivery},
    principal::Principal,
    queue::queue,
    upstream::{Listener, Outbound, Sink, Unsolicited, Update, Watching, Wish},
};
use sluice_era::listen;
use sluice_wire::{
    json::{Document, IndexDepth, Limits},
    listen::{Filter, List, Lists},
    message::{self, Message},
    method,
    revision::Revision,
};
use std::{
    collections::{HashMap, HashSet},
    future::Future,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

/// What is wanted of one server by the clients of one owner.
pub(crate) struct Watch {
    upstream: Arc<str>,
    principal: Arc<Principal>,
    listener: Arc<dyn Listener>,
    state: Mutex<State>,
    /// For the keeper: something else is wanted.
    changed: Notify,
    /// For those who wait for an agreement.
    settled: Notify,
}

#[derive(Default)]
struct State {
    wanted: HashMap<Topic, Wanted>,
    version: u64,
    last_holder: u64,
    is_kept: bool,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Topic {
    List(List),
    Resource(Arc<str>),
}

struct Wanted {
    holders: HashMap<u64, Arc<dyn Sink>>,
    status: Status,
    /// The server had agreed to it and then did not: what changed meanwhile is told as one change once it does again.
    is_owed: bool,
}

enum Status {
    /// The server has not said yet.
    Asked,
    Granted,
    /// With its words, if it had any.
    Refused(Option<(i64, String)>),
}

/// What is wanted at one moment.
pub(crate) struct Now {
    pub(crate) version: u64,
    pub(crate) filter: Filter,
    /// Of that, what the server has not said anything about.
    pub(crate) asked: Filter,
}

/// One client's wish. Dropped, it is taken back.
struct Hold {
    watch: Arc<Watch>,
    holder: u64,
    what: Filter,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut state = self.watch.lock();
        for topic in topics(&self.what) {
            if let Some(wanted) = state.wanted.get_mut(&topic) {
                wanted.holders.remove(&self.holder);
                if wanted.holders.is_empty() {
                    state.wanted.remove(&topic);
                    state.version += 1;
                }
            }
        }
        drop(state);
        self.watch.changed.notify_one();
    }
}

fn topics(filter: &Filter) -> impl Iterator<Item = Topic> {
    filter.lists.iter().map(Topic::List).chain(filter.uris.iter().cloned().map(Topic::Resource))
}

fn filter_of<'a>(topics: impl Iterator<Item = &'a Topic>) -> Filter {
    let mut filter = Filter::default();
    for topic in topics {
        match topic {
            Topic::List(list) => filter.lists.add(*list),
            Topic::Resource(uri) => filter.uris.push(uri.clone()),
        }
    }
    filter
}

impl Watch {
    fn new(upstream: Arc<str>, principal: Arc<Principal>, listener: Arc<dyn Listener>) -> Self {
        Self { upstream, principal, listener, state: Mutex::default(), changed: Notify::new(), settled: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a wish. Whether a keeper has to be started.
    fn add(self: &Arc<Self>, what: Filter, sink: &Arc<dyn Sink>) -> (Hold, bool) {
        let mut state = self.lock();
        state.last_holder += 1;
        let holder = state.last_holder;
        for topic in topics(&what) {
            let refused = || Wanted { holders: HashMap::new(), status: Status::Refused(None), is_owed: false };
            let wanted = state.wanted.entry(topic).or_insert_with(refused);
            wanted.holders.insert(holder, sink.clone());
            // What was refused to another once is asked again.
            if matches!(wanted.status, Status::Refused(_)) {
                wanted.status = Status::Asked;
                state.version += 1;
            }
        }
        let must_start = !std::mem::replace(&mut state.is_kept, true);
        drop(state);
        self.changed.notify_one();
        (Hold { watch: self.clone(), holder, what }, must_start)
    }

    /// What is wanted now.
    pub(crate) fn now(&self) -> Now {
        let state = self.lock();
        let asked = state.wanted.iter().filter(|(_, wanted)| matches!(wanted.status, Status::Asked)).map(|(topic, _)| topic);
        Now { version: state.version, filter: filter_of(state.wanted.keys()), asked: filter_of(asked) }
    }

    /// Resolves when something else may be wanted. For the keeper alone.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The server agreed to `granted` of what it was asked. What it had agreed to before and was told anew, or had refused in
    /// between, counts as changed: nobody knows what happened.
    pub(crate) fn settle(&self, asked: &Filter, granted: &Filter, refused: Option<&(i64, String)>, is_anew: bool) {
        let is_granted: HashSet<Topic> = topics(granted).collect();
        let mut missed = Filter::default();
        let mut state = self.lock();
        for topic in topics(asked) {
            let Some(wanted) = state.wanted.get_mut(&topic) else { continue };
            let was_granted = matches!(wanted.status, Status::Granted);
            if !is_granted.contains(&topic) {
                wanted.status = Status::Refused(refused.cloned());
                wanted.is_owed |= was_granted;
                continue;
            }
            wanted.status = Status::Granted;
            if std::mem::take(&mut wanted.is_owed) || was_granted && is_anew {
                match topic {
                    Topic::List(list) => missed.lists.add(list),
                    Topic::Resource(uri) => missed.uris.push(uri),
                }
            }
        }
        drop(state);
        self.settled.notify_waiters();
        self.may_have_changed(&missed);
    }

    /// The server cannot be asked now: nobody waits for it any longer.
    fn give_up(&self) {
        let mut state = self.lock();
        for wanted in state.wanted.values_mut().filter(|wanted| matches!(wanted.status, Status::Asked)) {
            wanted.status = Status::Refused(None);
        }
        drop(state);
        self.settled.notify_waiters();
    }

    /// Whether the server agreed to anything of what is wanted.
    pub(crate) fn hears_anything(&self) -> bool {
        self.lock().wanted.values().any(|wanted| matches!(wanted.status, Status::Granted))
    }

    async fn agreed(&self, what: &Filter) {
        loop {
            let settled = self.settled.notified();
            tokio::pin!(settled);
            settled.as_mut().enable();
            let is_asked =
                |topic: &Topic, state: &State| state.wanted.get(topic).is_some_and(|wanted| matches!(wanted.status, Status::Asked));
            if !topics(what).any(|topic| is_asked(&topic, &self.lock())) {
                return;
            }
            settled.await;
        }
    }

    fn outcome(&self, what: &Filter) -> (Filter, Option<(i64, String)>) {
        let state = self.lock();
        let mut refused = None;
        let mut granted = Filter::default();
        for topic in topics(what) {
            match (state.wanted.get(&topic).map(|wanted| &wanted.status), topic) {
                (Some(Status::Granted), Topic::List(list)) => granted.lists.add(list),
                (Some(Status::Granted), Topic::Resource(uri)) => granted.uris.push(uri),
                (Some(Status::Refused(Some(words))), _) => refused = Some(words.clone()),
                _ => {}
            }
        }
        (granted, refused)
    }

    /// Takes in a notification about a list or a resource. False when nobody asked for it.
    pub(crate) fn hear(&self, message: Arc<Message>, spoken: Revision) -> bool {
        if let Some(list) = List::of_method(message.method()) {
            let is_wanted = self.lock().wanted.contains_key(&Topic::List(list));
            if is_wanted {
                self.announce(Delivery { message, spoken });
            }
            return is_wanted;
        }
        let uri = message.param("uri").and_then(|uri| Some(uri.as_str()?.into_owned()));
        let Some(uri) = uri.filter(|_| message.method() == method::NOTIFY_RESOURCES_UPDATED) else { return false };
        self.tell(&uri, Some(&Delivery { message, spoken }))
    }

    /// Tells those who asked for this resource, or for one that it is part of.
    fn tell(&self, uri: &str, said: Option<&Delivery>) -> bool {
        let mut hear: Vec<(Arc<str>, Arc<dyn Sink>)> = Vec::new();
        let state = self.lock();
        for asked in whole_and_parts(uri).take(PARTS_MAX) {
            let key = Topic::Resource(asked.into());
            if let Some((Topic::Resource(asked), wanted)) = state.wanted.get_key_value(&key) {
                hear.extend(wanted.holders.values().map(|sink| (asked.clone(), sink.clone())));
            }
        }
        drop(state);
        hear.iter().for_each(|(asked, sink)| sink.updated(&Update { asked, uri, said }));
        !hear.is_empty()
    }

    fn may_have_changed(&self, missed: &Filter) {
        missed.uris.iter().for_each(|uri| _ = self.tell(uri, None));
        for list in missed.lists.iter() {
            let document = Document::parse(message::notification(list.method(), None), &Limits::RESPONSE, IndexDepth::Full);
            if let Some(message) = document.ok().and_then(|document| Message::decode(document).ok()) {
                self.announce(Delivery { message: Arc::new(message), spoken: Revision::MODERN[0] });
            }
        }
    }

    fn announce(&self, delivery: Delivery) {
        let (upstream, principal) = (self.upstream.clone(), self.principal.clone());
        self.listener.unsolicited(Unsolicited { upstream, principal, session: None, delivery });
    }
}

/// So many of those are looked for, the nearest first.
const PARTS_MAX: usize = 64;

/// A URI, and those that it may be a part of: a change of a part is one of the whole (2025-11-25 server/resources,
/// Subscriptions). Longest first.
fn whole_and_parts(uri: &str) -> impl Iterator<Item = &str> {
    let ends = uri.char_indices().rev().filter(|(_, c)| matches!(c, '/' | '?' | '#'));
    std::iter::once(uri).chain(ends.flat_map(move |(at, _)| [&uri[..=at], &uri[..at]]).filter(move |part| part.len() < uri.len()))
}

/// The watches of one upstream, by owner.
pub(crate) struct Watches<K> {
    all: Mutex<HashMap<K, Arc<Watch>>>,
    closed: CancellationToken,
}

impl<K> Default for Watches<K> {
    fn default() -> Self {
        Self { all: Mutex::default(), closed: CancellationToken::new() }
    }
}

impl<K: Eq + Hash + Clone + Send + 'static> Watches<K> {
    /// Waits for something that goes on when it takes longer.
    pub(crate) async fn find_out(&self, until: Instant, what: impl Future<Output = ()> + Send + 'static) {
        let closed = self.closed.clone();
        let finding = tokio::spawn(async move { closed.run_until_cancelled_owned(what).await });
        // Whatever became of it, it is looked at again.
        let _ = timeout_at(until, finding).await;
    }

    /// Adds a wish to those of the same owner, and waits until then for what the server says to it.
    pub(crate) async fn want<S: Station>(
        self: &Arc<Self>,
        owner: K,
        wish: Wish,
        until: Instant,
        upstream: &Arc<str>,
        listener: &Arc<dyn Listener>,
        station: impl FnOnce(&Wish) -> S,
    ) -> Watching {
        let (watch, hold) = {
            let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
            let new = || Arc::new(Watch::new(upstream.clone(), wish.principal.clone(), listener.clone()));
            let watch = all.entry(owner.clone()).or_insert_with(new).clone();
            let (hold, must_start) = watch.add(wish.what.clone(), &wish.sink);
            if must_start {
                let keeping = keeper::keep(self.clone(), owner, watch.clone(), station(&wish));
                let closed = self.closed.clone();
                tokio::spawn(async move { closed.run_until_cancelled_owned(keeping).await });
            }
            (watch, hold)
        };
        // What is not agreed by then is not waited for, but the wish stays.
        let _ = timeout_at(until, watch.agreed(&wish.what)).await;
        let (granted, refused) = watch.outcome(&wish.what);
        Watching { granted, refused, hold: Some(Box::new(hold)) }
    }

    /// Takes a watch out that nobody wants anything of. False if somebody does.
    fn is_done(&self, owner: &K, watch: &Arc<Watch>) -> bool {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let is_done = watch.lock().wanted.is_empty();
        if is_done {
            all.remove(owner);
        }
        is_done
    }

    /// Nothing is told to servers any more.
    pub(crate) fn close(&self) {
        self.closed.cancel();
    }
}

/// A legacy server is asked to tell of a resource, or no longer.
pub(crate) fn subscribing(
    is_wanted: bool,
    uri: &str,
    client: &Arc<Client>,
    principal: &Arc<Principal>,
    spoken: Revision,
) -> Option<Outbound> {
    let document = Document::parse(listen::subscribe(0, is_wanted, uri), &Limits::REQUEST, IndexDepth::Full).ok()?;
    let (interim, _) = queue(1);
    Some(Outbound {
        exchange: 0,
        message: Arc::new(Message::decode(document).ok()?),
        spoken,
        original_name: None,
        mirrored: Arc::default(),
        unknown_params: Vec::new(),
        client: client.clone(),
        principal: principal.clone(),
        idempotent: true,
        as_task: false,
        task: None,
        interim,
        latest: None,
        pieces_bytes_max: 0,
        departures: None,
        cancel: CancellationToken::new(),
    })
}

/// What an answer to a subscription says.
pub(crate) fn answered(answer: &Message) -> Ask {
    match (answer.error_code(), answer.error_message()) {
        (Some(code), text) => Ask::Refused(Some((code, text.unwrap_or_default().into_owned()))),
        (None, _) => Ask::Granted,
    }
}

/// Lists of which a legacy server says that it announces changes.
pub(crate) fn granted_lists(wanted: Lists, promised: Lists) -> Filter {
    Filter { lists: wanted.both(promised), uris: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_part_of_those_above_it() {
        let parts: Vec<_> = whole_and_parts("file:///a/b?c#d").collect();
        assert_eq!(
            parts,
            [
                "file:///a/b?c#d",
                "file:///a/b?c#",
                "file:///a/b?c",
                "file:///a/b?",
                "file:///a/b",
                "file:///a/",
                "file:///a",
                "file:///",
                "file://",
                "file://",
                "file:/",
                "file:/",
                "file:"
            ]
        );
        assert_eq!(whole_and_parts("a").collect::<Vec<_>>(), ["a"]);
        assert!(!whole_and_parts("file:///ab").any(|part| part == "file:///a"), "a common beginning is not a part");
    }
}
