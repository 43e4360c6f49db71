//! Servers that are child processes.
//!
//! Each principal has its own child, and each era its own, so nothing of one caller can reach
//! another through a server's memory. Children start when they are needed and stop when they were
//! idle for long; one that dies fails the calls in flight on it, which are never repeated.
//!
//! In reading order: [`StdioSettings`], [`confine`], [`Process`](process), [`Channel`](channel), [`reader`], [`passing`],
//! [`supervise`], [`open`], [`restart`], [`budget`], [`hearing`].

mod budget;
mod channel;
pub mod confine;
mod hearing;
mod open;
mod passing;
mod process;
mod reader;
mod restart;
mod settings;
mod stderr;
mod supervise;

pub use budget::ChildBudget;
pub use settings::StdioSettings;

use super::{
    Carrier, Counters, Sharing, Watched,
    eras::{Eras, Spoken},
    watch::Watches,
};
use budget::Room;
use bytes::Bytes;
use channel::{CallError, Channel};
use open::{Fresh, Open};
use restart::Restart;
use sluice_chain::{
    exchange::Client,
    principal::{Principal, PrincipalKey},
    upstream::{Inbound, Listener, Outbound, ServerFacts, UpstreamError, Watching, Wish},
};
use sluice_era::capability::Askable;
use sluice_wire::{code, revision::Era};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
    time::Duration,
};

/// A stdio server as an upstream.
pub type StdioUpstream = Watched<Stdio>;

/// A server that is a child process, or several.
pub struct Stdio {
    settings: Arc<StdioSettings>,
    counters: Arc<Counters>,
    listener: Arc<dyn Listener>,
    eras: Arc<Eras>,
    room: Arc<Room>,
    all: Arc<ChildBudget>,
    /// Whom children are started for when they are shared.
    shared: Arc<Principal>,
    places: Arc<Mutex<HashMap<Owner, Arc<Place>>>>,
    watches: Arc<Watches<Owner>>,
    /// The server has asked without saying for which call.
    asks: Arc<AtomicBool>,
    /// The one that ends with the upstream; the others are its keepers'.
    is_first: bool,
}

/// Whose child it is: a principal's, for clients of one era that declare the same. A modern server is told with each call what
/// its client declares, so there it does not tell children apart.
type Owner = (PrincipalKey, Era, Bytes);

/// Where one child lives, and its successors.
#[derive(Default)]
struct Place {
    open: Mutex<Option<Arc<Open>>>,
    /// Held while a child is started.
    restart: tokio::sync::Mutex<Restart>,
}

/// A call waits this long for a restart; if the back-off is longer it is told so instead.
const RESTART_WAIT_MAX: Duration = Duration::from_secs(2);

/// How often a call is offered to another child before it gives up: only while none has seen it.
const OFFERS_MAX: usize = 4;

impl Stdio {
    /// A server; nothing is started before it is needed.
    pub fn new(settings: StdioSettings, all: Arc<ChildBudget>, listener: Arc<dyn Listener>) -> Self {
        Self {
            eras: Arc::new(Eras::new(settings.era)),
            room: Arc::new(Room::of_one(settings.children_max)),
            settings: Arc::new(settings),
            counters: Arc::default(),
            listener,
            all,
            shared: Arc::new(Principal::local()),
            places: Arc::default(),
            watches: Arc::default(),
            asks: Arc::default(),
            is_first: true,
        }
    }

    /// The same for a task that does not keep its children alive.
    fn handle(&self) -> Self {
        Self {
            settings: self.settings.clone(),
            counters: self.counters.clone(),
            listener: self.listener.clone(),
            eras: self.eras.clone(),
            room: self.room.clone(),
            all: self.all.clone(),
            shared: self.shared.clone(),
            places: self.places.clone(),
            watches: self.watches.clone(),
            asks: self.asks.clone(),
            is_first: false,
        }
    }

    fn owner(&self, asking: Era, client: &Client, principal: &Arc<Principal>) -> Owner {
        let principal = if self.settings.sharing == Sharing::Shared { &self.shared } else { principal };
        let declared = match self.eras.known(asking) {
            Some(Spoken::Modern(_)) => Bytes::from_static(b"{}"),
            _ => Askable::of(&client.capabilities).to_json(),
        };
        (principal.key.clone(), asking, declared)
    }

    /// The same, watched.
    pub fn upstream(settings: StdioSettings, all: Arc<ChildBudget>, listener: Arc<dyn Listener>) -> StdioUpstream {
        Watched::new(Self::new(settings, all, listener))
    }

    /// The child for this principal and era, started if need be.
    async fn child(&self, asking: Era, client: &Client, principal: &Arc<Principal>) -> Result<Arc<Open>, UpstreamError> {
        let principal = if self.settings.sharing == Sharing::Shared { &self.shared } else { principal };
        let owner = self.owner(asking, client, principal);
        let declared = owner.2.clone();
        let place = self.place(owner);
        if let Some(open) = place.living() {
            return Ok(open);
        }
        let mut restart = place.restart.lock().await;
        if let Some(open) = place.living() {
            return Ok(open);
        }
        if let Some(open) = place.held() {
            open.channel.ending().await;
        }
        if let Some(was_useful) = place.take().and_then(|open| open.channel.death()) {
            restart.died(was_useful);
        }
        let delay = restart.delay();
        if delay > RESTART_WAIT_MAX {
            return Err(UpstreamError::Resting { retry_after: delay });
        }
        tokio::time::sleep(delay).await;
        match self.open(asking, principal, &declared).await {
            Ok(open) => {
                let open = Arc::new(open);
                place.put(open.clone());
                Ok(open)
            }
            Err(error) => {
                if matches!(error, UpstreamError::Unreachable { .. } | UpstreamError::BadReply { .. }) {
                    self.counters.count(|c| &c.connect_failures);
                    restart.died(false);
                }
                Err(error)
            }
        }
    }

    /// Starts a child within the bounds.
    async fn start(&self, principal: &Arc<Principal>) -> Result<Fresh, UpstreamError> {
        let permits = budget::take(&self.room, &self.all, self.settings.child_wait).await?;
        let channel = Channel::start(&self.settings, &self.counters, principal, &self.listener, &self.asks, permits)?;
        budget::enter(&self.room, &self.all, &channel);
        Ok(Fresh::new(channel))
    }

    fn place(&self, owner: Owner) -> Arc<Place> {
        let mut places = self.lock();
        if places.len() >= PLACES_SWEEP {
            // A place that nobody holds and whose child is gone remembers nothing worth keeping.
            places.retain(|_, place| Arc::strong_count(place) > 1 || place.living().is_some());
        }
        places.entry(owner).or_default().clone()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Owner, Arc<Place>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// With a child of the call's own.
    async fn converse_alone(&self, outbound: &Outbound) -> Result<Inbound, UpstreamError> {
        let declared = Askable::of(&outbound.client.capabilities).to_json();
        let open = tokio::select! {
            biased;
            () = outbound.cancel.cancelled() => return Err(UpstreamError::Cancelled),
            open = self.open(outbound.spoken.era(), &outbound.principal, &declared) => open?,
        };
        let answered = open.channel.call(outbound).await;
        let channel = open.channel;
        // An answer that comes in pieces still comes, and a task still runs.
        tokio::spawn(async move {
            while channel.is_open() && !channel.stop_if_idle("its call is over") {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        });
        answered.map_err(|error| match error {
            CallError::Ended(error) => error,
            CallError::NotSent => UpstreamError::Unreachable { reason: "the child ended before it could be asked".to_owned() },
        })
    }

    async fn converse(&self, outbound: &Outbound) -> Result<Inbound, UpstreamError> {
        if self.settings.sharing == Sharing::Call && !outbound.message.method().ends_with("/list") {
            return self.converse_alone(outbound).await;
        }
        let asking = outbound.spoken.era();
        for _ in 0..OFFERS_MAX {
            let open = tokio::select! {
                biased;
                () = outbound.cancel.cancelled() => return Err(UpstreamError::Cancelled),
                open = self.child(asking, &outbound.client, &outbound.principal) => open?,
            };
            match open.channel.call(outbound).await {
                Ok(inbound) if is_contradiction(&inbound) => self.contradicted(asking, &open),
                Ok(inbound) => return Ok(inbound),
                Err(CallError::Ended(error)) => return Err(error),
                Err(CallError::NotSent) => {}
            }
        }
        Err(UpstreamError::Unreachable { reason: "every child ended before it could be asked".to_owned() })
    }

    /// Tells all children to leave; those that were told.
    fn stop_all(&self) -> Vec<Arc<Open>> {
        let open: Vec<_> = self.lock().drain().filter_map(|(_, place)| place.take()).collect();
        for open in &open {
            open.channel.stop("the host shuts down");
        }
        open
    }

    /// The server no longer speaks what it was remembered for: the child goes, and the next one
    /// is probed. The call was refused for its version, so it did not run.
    fn contradicted(&self, asking: Era, open: &Open) {
        if let Some(spoken) = self.eras.known(asking) {
            self.eras.contradicted(asking, &spoken);
        }
        open.channel.stop_if_idle("the server changed its protocol version");
    }
}

/// Between two looks whether a child of one call has anything left to do.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// From here on places are looked through before another is made.
const PLACES_SWEEP: usize = 256;

fn is_contradiction(inbound: &Inbound) -> bool {
    inbound.response.spoken.era() == Era::Modern && inbound.response.message.error_code() == Some(code::UNSUPPORTED_VERSION)
}

impl Place {
    fn living(&self) -> Option<Arc<Open>> {
        self.lock().as_ref().filter(|open| open.channel.is_open()).cloned()
    }

    fn held(&self) -> Option<Arc<Open>> {
        self.lock().clone()
    }

    fn take(&self) -> Option<Arc<Open>> {
        self.lock().take()
    }

    fn put(&self, open: Arc<Open>) {
        *self.lock() = Some(open);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Open>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Stdio {
    fn drop(&mut self) {
        if self.is_first {
            self.watches.close();
            self.stop_all();
        }
    }
}

impl Carrier for Stdio {
    const TRANSPORT: &'static str = "stdio";

    fn name(&self) -> &Arc<str> {
        &self.settings.name
    }

    fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    async fn facts(&self, era: Era, client: &Arc<Client>, principal: &Arc<Principal>) -> Result<Arc<ServerFacts>, UpstreamError> {
        Ok(self.child(era, client, principal).await?.facts.clone())
    }

    async fn send(&self, outbound: &Outbound) -> Result<Inbound, UpstreamError> {
        self.converse(outbound).await
    }

    async fn watch(&self, wish: Wish) -> Watching {
        self.hear_of(wish).await
    }

    /// Children belong to principals, not to sessions.
    async fn forget_session(&self, _: &str) {}

    async fn close(&self) {
        self.watches.close();
        let open = self.stop_all();
        futures_util::future::join_all(open.iter().map(|open| open.channel.gone())).await;
    }
}
