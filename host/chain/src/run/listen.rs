//! `subscriptions/listen`, and what a legacy session has instead: `resources/subscribe`.

use super::{Exchange, Stop, resolve::Route};
use crate::{
    changes::{AGREE_MAX, Change, FOLLOWED_MAX, Following, ResourceChange, Subscription, Who, note_seen},
    exchange::{Answer, Arrival, Delivery, Kind, Outgoing},
    host::Host,
    queue::queue,
    rescue::Error,
    upstream::{UpstreamError, Watching},
};
use bytes::Bytes;
use sluice_wire::{
    json::{Document, IndexDepth, Limits, quote},
    listen::Filter,
    message::{self, Message},
    meta, method,
    patch::Patch,
    revision::Revision,
};
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// A resource of an upstream, under its own name and the client's.
type Wanted = (usize, Arc<str>, Arc<str>);

impl Exchange {
    /// Acknowledges, then tells of changes until the client leaves or the host is about to stop. Nothing of the chain is held
    /// on to meanwhile: each change goes through the chain as it is then.
    pub(super) async fn listen(&mut self) -> Result<Answer, Stop> {
        let host = self.host.clone();
        let whole = self.request.as_ref().clone().deepen();
        let asked = Filter::read(whole.param("notifications")).map_err(|bad| Error::BadParams(bad.to_string()))?;
        drop(whole);
        if asked.uris.len() > FOLLOWED_MAX {
            return Err(Error::BadParams(format!("params.notifications.resourceSubscriptions has more than {FOLLOWED_MAX} URIs")).into());
        }
        let _place = host.listening.take(&self.principal).ok_or(Error::NoRoomToListen)?;
        let who = Who { client: self.client.clone(), principal: self.principal.clone() };
        let subscription = Arc::new(Subscription::new(&host, who, self.revision));
        let honoured = self.agree(&subscription, asked).await?;
        // A client that has left is found out below.
        let _ = self.sender.send(Outgoing::Notification(acknowledgement(&honoured))).await;
        drop(honoured);
        let (first, passed) = (self.generation.number, self.passed.len());
        self.generation = host.generation_of(&self.principal);
        loop {
            let change = tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Err(self.cancelled().into()),
                () = host.winding_down.cancelled() => break,
                change = subscription.next() => change,
            };
            self.generation = host.generation_of(&self.principal);
            self.versions = Vec::new();
            if let Some(delivery) = self.told(change).await? {
                let _ = self.sender.send(Outgoing::Notification(delivery)).await;
            }
            self.passed.truncate(passed);
        }
        let id = self.id();
        let result = format!(r#"{{"resultType":"complete","_meta":{{"{}":{}}}}}"#, meta::SUBSCRIPTION_ID, id.token());
        let answer = Answer::result(result.into());
        if self.generation.number == first {
            return Ok(answer);
        }
        // No filter of this chain saw the request.
        Err(Stop::Turned(0, Box::new(answer)))
    }

    fn cancelled(&self) -> Error {
        let upstream = self.head.upstream.as_deref().unwrap_or_default().to_owned();
        Error::Upstream { upstream, source: UpstreamError::Cancelled }
    }

    /// Asks every upstream for its part; what is granted.
    async fn agree(&mut self, subscription: &Arc<Subscription>, asked: Filter) -> Result<Filter, Error> {
        let host = self.host.clone();
        let resources = self.resolve_all(&asked).await;
        let until = Instant::now() + AGREE_MAX;
        // In a task of its own, which goes on when it takes longer: filters are asked, and none of them is cut off.
        let seeing = (host.clone(), subscription.clone());
        let seeing = tokio::spawn(async move { note_seen(&seeing.0, &seeing.1, asked.lists).await });
        subscription.hear(asked.lists);
        host.announced.register(&host, subscription);
        let lists = |place| (place, Filter { lists: asked.lists, uris: Vec::new() });
        // Those that are there now: whoever comes from here on is told of to all who are registered.
        let mut parts: Vec<(usize, Filter)> = host.generation_of(&self.principal).upstreams.places().map(lists).collect();
        let mut followed = Vec::with_capacity(resources.len());
        for (upstream, original, exposed) in resources {
            if let Following::New(asked) = subscription.follow(upstream, &original, &exposed) {
                parts.iter_mut().filter(|(place, _)| *place == upstream).for_each(|(_, part)| part.uris.push(original.clone()));
                followed.push(((upstream, original, exposed), asked));
            }
        }
        let watching = tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Err(self.cancelled()),
            (_, watching) = async { tokio::join!(timeout_at(until, seeing), host.watch(subscription, parts, until)) } => watching,
        };
        Ok(settle(subscription, followed, watching, asked))
    }

    /// Where the resources are that this principal may see.
    async fn resolve_all(&mut self, asked: &Filter) -> Vec<Wanted> {
        let head = self.head.clone();
        let mut found = Vec::with_capacity(asked.uris.len());
        for uri in &asked.uris {
            if let Ok(Route::Forward { upstream, original, .. }) = self.resolve_uri(uri).await {
                found.push((upstream, original.unwrap_or_else(|| uri.clone()), uri.clone()));
            }
        }
        self.head = head;
        found
    }

    /// `resources/subscribe` of a legacy session. Answered once the server has agreed.
    pub(super) async fn subscribe(&mut self, upstream: usize, original: Option<&Arc<str>>) -> Result<Answer, Stop> {
        let host = self.host.clone();
        let (subscription, exposed) = self.attended()?;
        let original = original.cloned().unwrap_or_else(|| exposed.clone());
        let asked = match subscription.follow(upstream, &original, &exposed) {
            Following::New(asked) => asked,
            Following::Already => return Ok(Answer::result(Bytes::from_static(b"{}"))),
            Following::TooMany => return Err(Error::NoRoomToListen.into()),
        };
        let part = Filter { uris: vec![original.clone()], ..Filter::default() };
        let watching = tokio::select! {
            biased;
            () = self.cancel.cancelled() => {
                subscription.settle(upstream, &original, asked, None);
                return Err(self.cancelled().into());
            }
            watching = host.watch(&subscription, vec![(upstream, part)], Instant::now() + AGREE_MAX) => watching,
        };
        let watching = watching.into_iter().next().map(|(_, watching)| watching).unwrap_or_default();
        let is_granted = watching.granted.uris.contains(&original);
        subscription.settle(upstream, &original, asked, watching.hold.filter(|_| is_granted));
        if is_granted {
            return Ok(Answer::result(Bytes::from_static(b"{}")));
        }
        Err(Error::NotTold { upstream: self.generation.upstreams[upstream].name().to_string(), refused: watching.refused }.into())
    }

    /// `resources/unsubscribe`. What is not followed, or not to be seen any more, is not followed afterwards either.
    pub(super) fn unsubscribe(&mut self) -> Result<Answer, Stop> {
        let (subscription, exposed) = self.attended()?;
        subscription.unfollow(&exposed);
        Ok(Answer::result(Bytes::from_static(b"{}")))
    }

    fn attended(&self) -> Result<(Arc<Subscription>, Arc<str>), Error> {
        let session = self.client.session.as_deref().and_then(|session| self.host.attended(session));
        let subscription = session.ok_or_else(|| Error::NoSuchMethod(self.head.method.to_string()))?;
        Ok((subscription, self.head.name.clone().unwrap_or_default()))
    }

    /// A change as its notification, through the filters; none when it is not for this client.
    async fn told(&mut self, change: Change) -> Result<Option<Delivery>, Error> {
        let delivery = match change {
            Change::Chain => return Ok(None),
            Change::List(list) => bare(list.method(), None),
            Change::Resource(change) => match self.shown_resource(change).await {
                Some(delivery) => delivery,
                None => return Ok(None),
            },
        };
        let method = delivery.message.method().into();
        self.filtered(Kind::Notification, method, delivery).await
    }

    /// Under the client's name for it, and only if the client may see it now.
    async fn shown_resource(&self, change: ResourceChange) -> Option<Delivery> {
        let ResourceChange { exposed, original, uri, said } = change;
        // Below a renamed resource nobody can tell what the client would call it.
        let name = if uri != original && exposed == original { uri.clone() } else { exposed.clone() };
        // A part is hidden with the whole that was asked for.
        if !self.still_shows(&exposed, &original).await || (uri != original && self.hides(&name, &uri).await) {
            return None;
        }
        match said {
            None => Some(bare(method::NOTIFY_RESOURCES_UPDATED, Some(&name))),
            Some(said) if name == uri => Some(said),
            Some(said) => renamed(&said, &name),
        }
    }
}

/// What was granted, and what is kept of it.
fn settle(subscription: &Subscription, followed: Vec<(Wanted, u64)>, watching: Vec<(usize, Watching)>, asked: Filter) -> Filter {
    let mut honoured = Filter::default();
    let mut holds = Vec::new();
    for (at, watching) in watching {
        honoured.lists.add(watching.granted.lists);
        for ((upstream, original, exposed), number) in &followed {
            if *upstream == at && watching.granted.uris.contains(original) {
                // One hold of an upstream keeps all of its part, and what is not settled stays.
                honoured.uris.push(exposed.clone());
            } else if *upstream == at {
                subscription.settle(*upstream, original, *number, None);
            }
        }
        holds.extend(watching.hold.map(|hold| (at, hold)));
    }
    honoured.uris.sort_by_key(|uri| asked.uris.iter().position(|asked| asked == uri));
    subscription.hear(honoured.lists);
    subscription.keep(holds);
    honoured
}

/// The next thing a legacy session is told; none when filters hold it back, or it is not for this client.
pub(crate) async fn tell(host: &Arc<Host>, subscription: &Subscription, change: Change) -> Option<Delivery> {
    let Who { client, principal } = subscription.who();
    let method = match &change {
        Change::List(list) => list.method(),
        Change::Resource(_) => method::NOTIFY_RESOURCES_UPDATED,
        Change::Chain => return None,
    };
    // Nobody asked for it: filters see it as an answer to itself.
    let arrival = Arrival {
        message: bare(method, None).message,
        revision: subscription.revision(),
        client,
        generation: host.generation_of(&principal),
        principal,
        param_headers: None,
        takes_pieces: false,
    };
    let (sender, _) = queue(1);
    let mut exchange = Exchange::new(host.clone(), host.next_exchange_id(), arrival, sender, CancellationToken::new());
    exchange.told(change).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "a notification was held back");
        None
    })
}

/// Comes before every change (2026-07-28 basic/patterns/subscriptions).
fn acknowledgement(honoured: &Filter) -> Delivery {
    let params = format!(r#"{{"notifications":{}}}"#, honoured.to_json());
    ours(message::notification(method::NOTIFY_SUBSCRIPTIONS_ACKNOWLEDGED, Some(params.as_bytes())))
}

/// A notification that says nothing but that something changed.
fn bare(method: &str, uri: Option<&str>) -> Delivery {
    let params = uri.map(|uri| format!(r#"{{"uri":{}}}"#, quote(uri)));
    ours(message::notification(method, params.as_deref().map(str::as_bytes)))
}

fn ours(text: Bytes) -> Delivery {
    let document = Document::parse(text, &Limits::RESPONSE, IndexDepth::Full);
    let message = document.ok().and_then(|document| Message::decode(document).ok());
    let message = message.unwrap_or_else(|| unreachable!("built from quoted parts"));
    Delivery { message: Arc::new(message), spoken: Revision::V2026_07_28 }
}

fn renamed(said: &Delivery, name: &str) -> Option<Delivery> {
    let whole = said.message.as_ref().clone().deepen();
    let mut patch = Patch::new(whole.document());
    patch.replace(whole.param("uri")?, quote(name));
    let document = patch.apply_document(&Limits::RESPONSE, IndexDepth::Full).ok()?;
    Some(Delivery { message: Arc::new(Message::decode(document).ok()?), spoken: said.spoken })
}
