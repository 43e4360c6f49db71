//! Telling a server what is wanted, again and again.

use super::{Watch, Watches, granted_lists};
use crate::upstream::jitter::jitter;
use sluice_wire::listen::{Filter, Lists};
use std::{collections::HashSet, future::Future, hash::Hash, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

const BACKOFF: std::ops::Range<Duration> = Duration::from_millis(100)..Duration::from_secs(60);
/// What held for so long was not a failure.
const HELD: Duration = Duration::from_secs(10);
/// A server that refused everything is asked again after this.
const REFUSED: Duration = Duration::from_secs(60);
/// A server that was just lost is not looked for again before this.
const PATIENCE: Duration = Duration::from_secs(1);
/// Wishes that come together are told together.
const GATHER: Duration = Duration::from_millis(5);

/// One way to a server.
pub(crate) trait Station: Send + Sync + 'static {
    /// Finds the server and tells it what is wanted, until it is lost or nothing is wanted any more.
    fn keep(&self, watch: &Arc<Watch>) -> impl Future<Output = Kept> + Send;
}

/// How that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Nothing is wanted.
    Idle,
    /// The server was not reached, or was lost.
    Lost,
    /// The server would not be asked.
    Refused,
    /// The server announces nothing of what is wanted, and is not needed for it.
    Mute,
}

/// Keeps a server told for as long as somebody wants something.
pub(super) async fn keep<K, S>(watches: Arc<Watches<K>>, owner: K, watch: Arc<Watch>, station: S)
where
    K: Eq + Hash + Clone + Send + 'static,
    S: Station,
{
    let mut backoff = BACKOFF.start;
    sleep(GATHER).await;
    while !watches.is_done(&owner, &watch) {
        let began = Instant::now();
        let kept = station.keep(&watch).await;
        let wait = match kept {
            Kept::Idle => continue,
            // Nothing but another wish is a reason to ask again.
            Kept::Mute => None,
            Kept::Refused => Some(REFUSED),
            Kept::Lost if began.elapsed() >= HELD => Some(BACKOFF.start),
            Kept::Lost => Some(backoff),
        };
        if kept == Kept::Lost {
            watch.give_up();
        }
        backoff = if began.elapsed() >= HELD { BACKOFF.start } else { (backoff * 2).min(BACKOFF.end) };
        let waiting = async {
            match wait {
                Some(wait) => sleep(wait.mul_f64(jitter())).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(waiting);
        loop {
            let now = watch.now();
            // A server that was just lost is not looked for at once, whoever wants something.
            let may_ask = kept != Kept::Lost || began.elapsed() >= PATIENCE;
            if now.filter.is_empty() || may_ask && !now.asked.is_empty() {
                break;
            }
            watch.give_up();
            tokio::select! {
                () = &mut waiting => break,
                () = watch.changed() => {}
            }
        }
    }
}

/// A conversation with a legacy server.
pub(crate) trait Conversation: Sync {
    /// Lists whose changes it announces, and whether resources can be subscribed to.
    fn promised(&self) -> (Lists, bool);
    /// Whether it can be heard outside calls.
    fn is_heard(&self) -> impl Future<Output = bool> + Send;
    /// `resources/subscribe`, or `resources/unsubscribe`.
    fn ask(&self, is_wanted: bool, uri: &Arc<str>) -> impl Future<Output = Ask> + Send;
    /// Resolves when it was lost, or may have missed something. Cancel safe.
    fn interrupted(&self) -> impl Future<Output = Interruption> + Send;
}

/// What a server said to one request of ours.
pub(crate) enum Ask {
    Granted,
    Refused(Option<(i64, String)>),
    /// It is gone, or has forgotten us.
    Lost,
}

/// What interrupted a conversation.
pub(crate) enum Interruption {
    Lost,
    /// It goes on, and nobody knows what was said meanwhile.
    Gap,
}

/// Subscribes to what is wanted and unsubscribes from what is not, once each however many want it.
pub(crate) async fn keep_conversation(with: &impl Conversation, watch: &Watch) -> Kept {
    let is_heard = with.is_heard().await;
    let (lists, has_subscribe) = with.promised();
    let (lists, has_subscribe) = if is_heard { (lists, has_subscribe) } else { (Lists::default(), false) };
    let mut told: HashSet<Arc<str>> = HashSet::new();
    let mut is_anew = true;
    loop {
        let now = watch.now();
        let asked = if is_anew { &now.filter } else { &now.asked };
        let of_lists = Filter { lists: asked.lists, uris: Vec::new() };
        watch.settle(&of_lists, &granted_lists(asked.lists, lists), None, is_anew);
        for uri in &asked.uris {
            let said = if has_subscribe { with.ask(true, uri).await } else { Ask::Refused(None) };
            let of_uri = Filter { uris: vec![uri.clone()], ..Filter::default() };
            match said {
                Ask::Lost => return Kept::Lost,
                Ask::Granted => {
                    told.insert(uri.clone());
                    watch.settle(&of_uri, &of_uri, None, is_anew);
                }
                Ask::Refused(words) => watch.settle(&of_uri, &Filter::default(), words.as_ref(), is_anew),
            }
        }
        is_anew = false;
        let unwanted: Vec<_> = told.iter().filter(|uri| !now.filter.uris.contains(uri)).cloned().collect();
        for uri in unwanted {
            told.remove(&uri);
            if matches!(with.ask(false, &uri).await, Ask::Lost) && !now.filter.is_empty() {
                return Kept::Lost;
            }
        }
        if now.filter.is_empty() {
            return Kept::Idle;
        }
        if !watch.hears_anything() {
            return Kept::Mute;
        }
        tokio::select! {
            biased;
            interruption = with.interrupted() => match interruption {
                Interruption::Lost => return Kept::Lost,
                Interruption::Gap => is_anew = true,
            },
            () = watch.changed() => sleep(GATHER).await,
        }
    }
}

/// `subscriptions/listen` with a modern server.
pub(crate) trait Listening: Sync {
    /// An open one.
    type Open: Send;
    /// Opens one; to what the server agreed.
    fn open(&self, wanted: &Filter, watch: &Arc<Watch>) -> impl Future<Output = Result<(Self::Open, Filter), NotOpened>> + Send;
    /// Hears it until it is lost. Cancel safe.
    fn hear(&self, open: &mut Self::Open, watch: &Watch) -> impl Future<Output = ()> + Send;
    /// Another has taken its place, or none is needed.
    fn close(&self, open: Self::Open, watch: &Arc<Watch>);
}

/// Why none was opened.
pub(crate) enum NotOpened {
    Refused(Option<(i64, String)>),
    Lost,
}

/// Keeps one open for all that is wanted. What it asks for cannot be changed, so another takes its place when something else
/// is wanted, and both are heard until it has.
pub(crate) async fn keep_listening(with: &impl Listening, watch: &Arc<Watch>) -> Kept {
    let first = watch.now();
    if first.filter.is_empty() {
        return Kept::Idle;
    }
    let (mut open, granted) = match with.open(&first.filter, watch).await {
        Ok(opened) => opened,
        Err(NotOpened::Lost) => return Kept::Lost,
        Err(NotOpened::Refused(words)) => {
            watch.settle(&first.filter, &Filter::default(), words.as_ref(), false);
            return Kept::Refused;
        }
    };
    watch.settle(&first.filter, &granted, None, true);
    let mut version = first.version;
    loop {
        let now = watch.now();
        if now.filter.is_empty() {
            with.close(open, watch);
            return Kept::Idle;
        }
        if now.version == version && !watch.hears_anything() {
            with.close(open, watch);
            return Kept::Mute;
        }
        if now.version == version {
            tokio::select! {
                biased;
                () = with.hear(&mut open, watch) => return Kept::Lost,
                () = watch.changed() => sleep(GATHER).await,
            }
            continue;
        }
        version = now.version;
        let opened = {
            let opening = with.open(&now.filter, watch);
            tokio::pin!(opening);
            tokio::select! {
                opened = &mut opening => opened,
                () = with.hear(&mut open, watch) => return Kept::Lost,
            }
        };
        match opened {
            Ok((next, granted)) => {
                with.close(std::mem::replace(&mut open, next), watch);
                watch.settle(&now.filter, &granted, None, false);
            }
            Err(NotOpened::Refused(words)) => watch.settle(&now.asked, &Filter::default(), words.as_ref(), false),
            // To be opened anew, with everything that is wanted.
            Err(NotOpened::Lost) => return Kept::Lost,
        }
    }
}
