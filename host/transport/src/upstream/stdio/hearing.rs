//! Hearing of changes: from a modern child under a `subscriptions/listen`, from a legacy one as it says them.

use super::{Owner, Stdio, channel::Channel};
use crate::upstream::{
    OWN_INFO,
    watch::{
        Ask, Conversation, Interruption, Kept, Listening, NotOpened, Station, Watch, answered, keep_conversation, keep_listening,
        subscribing,
    },
};
use sluice_chain::{
    exchange::Client,
    principal::Principal,
    upstream::{Watching, Wish},
};
use sluice_era::listen;
use sluice_wire::{
    listen::{Filter, Lists},
    message::Message,
    method,
    revision::{Era, Revision},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

/// How long a child may take to acknowledge.
const ACKNOWLEDGE_MAX: Duration = Duration::from_secs(10);

/// The way of one owner's wishes to its child.
struct Way {
    stdio: Stdio,
    asking: Era,
    client: Arc<Client>,
    principal: Arc<Principal>,
}

impl Stdio {
    pub(super) async fn hear_of(&self, wish: Wish) -> Watching {
        let until = Instant::now() + wish.wait;
        if self.eras.known(wish.era).is_none() {
            // Found out first, since it decides whose child it is. If it cannot be, the keeper tries again.
            let (stdio, asking, client, principal) = (self.handle(), wish.era, wish.client.clone(), wish.principal.clone());
            self.watches.find_out(until, async move { _ = stdio.child(asking, &client, &principal).await }).await;
        }
        let owner: Owner = self.owner(wish.era, &wish.client, &wish.principal);
        let station =
            |wish: &Wish| Way { stdio: self.handle(), asking: wish.era, client: wish.client.clone(), principal: wish.principal.clone() };
        self.watches.want(owner, wish, until, &self.settings.name, &self.listener, station).await
    }
}

impl Station for Way {
    async fn keep(&self, watch: &Arc<Watch>) -> Kept {
        let channel = match self.stdio.child(self.asking, &self.client, &self.principal).await {
            Ok(open) => open.channel.clone(),
            Err(error) => {
                tracing::debug!(upstream = %self.stdio.settings.name, %error, "cannot be asked to tell of changes");
                return Kept::Lost;
            }
        };
        // It is of use as long as somebody hears anything of it.
        let _held = channel.hold();
        let Some(spoken) = channel.spoken() else { return Kept::Lost };
        match spoken.era() {
            // A child that will not be asked is not started again and again to be asked.
            Era::Modern => match keep_listening(&Subscriptions { channel: &channel, revision: spoken }, watch).await {
                Kept::Refused => Kept::Mute,
                kept => kept,
            },
            Era::Legacy => {
                channel.listens.hear_all(watch);
                keep_conversation(&Talk { way: self, channel: &channel, revision: spoken }, watch).await
            }
        }
    }
}

/// A legacy child as something to subscribe at.
struct Talk<'a> {
    way: &'a Way,
    channel: &'a Arc<Channel>,
    revision: Revision,
}

impl Conversation for Talk<'_> {
    fn promised(&self) -> (Lists, bool) {
        let capabilities = self.channel.capabilities();
        (capabilities.announces, capabilities.has_subscribe)
    }

    async fn is_heard(&self) -> bool {
        true
    }

    async fn ask(&self, is_wanted: bool, uri: &Arc<str>) -> Ask {
        let outbound = subscribing(is_wanted, uri, &self.way.client, &self.way.principal, self.revision);
        let Some(outbound) = outbound else { return Ask::Refused(None) };
        // In a box: it is large, and seldom there.
        match Box::pin(self.channel.call(&outbound)).await {
            Ok(inbound) => answered(&inbound.response.message),
            Err(_) if !self.channel.is_open() => Ask::Lost,
            Err(_) => Ask::Refused(None),
        }
    }

    async fn interrupted(&self) -> Interruption {
        self.channel.ended_or_told_to().await;
        Interruption::Lost
    }
}

/// Who hears what a child says outside calls.
#[derive(Default)]
pub(super) struct Listens {
    open: Mutex<HashMap<u64, Listen>>,
    /// Of a legacy child, which tags nothing.
    all: Mutex<Weak<Watch>>,
}

/// A `subscriptions/listen` in flight.
struct Listen {
    watch: Weak<Watch>,
    acknowledged: Option<oneshot::Sender<Result<Filter, NotOpened>>>,
    ended: CancellationToken,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Listens {
    fn hear_all(&self, watch: &Arc<Watch>) {
        *lock(&self.all) = Arc::downgrade(watch);
    }

    /// A legacy child says that a resource changed. False when nobody asked for it.
    pub(super) fn hear_untagged(&self, message: Message, spoken: Revision) -> bool {
        let watch = lock(&self.all).upgrade();
        watch.is_some_and(|watch| watch.hear(Arc::new(message), spoken))
    }

    /// A modern child's notification that says to which subscription it belongs. False when nobody asked for it.
    pub(super) fn hear(&self, id: u64, message: Message, spoken: Revision) -> bool {
        let mut open = lock(&self.open);
        let Some(listen) = open.get_mut(&id) else { return false };
        if message.method() == method::NOTIFY_SUBSCRIPTIONS_ACKNOWLEDGED {
            let acknowledged = listen.acknowledged.take();
            return acknowledged.is_some_and(|acknowledged| acknowledged.send(Ok(listen::granted(&message))).is_ok());
        }
        let watch = listen.watch.upgrade();
        drop(open);
        watch.is_some_and(|watch| watch.hear(Arc::new(message), spoken))
    }

    /// The answer to one of them: its end. False when it is none's.
    pub(super) fn end(&self, answer: &Message) -> bool {
        let id = answer.id().and_then(|id| id.as_u64());
        let Some(mut listen) = id.and_then(|id| lock(&self.open).remove(&id)) else { return false };
        if let Some(acknowledged) = listen.acknowledged.take() {
            let words = answer.error_code().map(|code| (code, answer.error_message().unwrap_or_default().into_owned()));
            let _ = acknowledged.send(Err(NotOpened::Refused(words)));
        }
        listen.ended.cancel();
        true
    }
}

/// A modern child as something to listen to.
struct Subscriptions<'a> {
    channel: &'a Arc<Channel>,
    revision: Revision,
}

/// An open `subscriptions/listen`. The child is told when it is dropped.
struct Open {
    id: u64,
    ended: CancellationToken,
    channel: Arc<Channel>,
}

impl Drop for Open {
    fn drop(&mut self) {
        if lock(&self.channel.listens.open).remove(&self.id).is_some() {
            self.channel.take_back(self.id);
        }
    }
}

impl Listening for Subscriptions<'_> {
    type Open = Open;

    async fn open(&self, wanted: &Filter, watch: &Arc<Watch>) -> Result<(Open, Filter), NotOpened> {
        let id = self.channel.take_id();
        let (acknowledged, acknowledgement) = oneshot::channel();
        let ended = CancellationToken::new();
        let listen = Listen { watch: Arc::downgrade(watch), acknowledged: Some(acknowledged), ended: ended.clone() };
        lock(&self.channel.listens.open).insert(id, listen);
        let open = Open { id, ended, channel: self.channel.clone() };
        let body = listen::listen(id, self.revision, OWN_INFO, wanted);
        self.channel.tell(body).await.map_err(|_| NotOpened::Lost)?;
        let acknowledgement = tokio::select! {
            acknowledgement = timeout(ACKNOWLEDGE_MAX, acknowledgement) => acknowledgement,
            () = self.channel.ended_or_told_to() => return Err(NotOpened::Lost),
        };
        match acknowledgement {
            Ok(Ok(granted)) => Ok((open, granted?)),
            _ => Err(NotOpened::Lost),
        }
    }

    async fn hear(&self, open: &mut Open, _: &Watch) {
        tokio::select! {
            () = open.ended.cancelled() => {}
            () = self.channel.ended_or_told_to() => {}
        }
    }

    /// All comes on one channel in order: what was said before the next one was open has been heard.
    fn close(&self, open: Open, _: &Arc<Watch>) {
        drop(open);
    }
}
