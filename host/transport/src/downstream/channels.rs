//! The open connections of HTTP+SSE (2024-11-05): each is a session, and dies with its stream.
//!
//! As with sessions, the key in a POST is never authority: a channel hears its own principal only, and to everybody else it
//! does not exist.

use sluice_chain::{
    exchange::Delivery,
    principal::{Principal, PrincipalKey},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    front::{Exchanges, Front},
    sessions::{Full, parse_key, random_key},
    settings::Limits,
};

/// One open connection.
pub(super) struct Channel {
    /// What its POSTs name.
    pub key: u128,
    /// What is said over it.
    pub front: Arc<Front>,
    /// What runs for it.
    pub exchanges: Exchanges,
    owner: Arc<Principal>,
}

/// All of an endpoint.
pub(super) struct Channels {
    open: Mutex<Open>,
    max: usize,
    per_principal_max: usize,
}

#[derive(Default)]
struct Open {
    by_key: HashMap<u128, Arc<Channel>>,
    by_owner: HashMap<PrincipalKey, Vec<Arc<Channel>>>,
}

/// Why none can be opened.
pub(super) enum NotOpened {
    /// The machine has no randomness.
    Randomness,
    /// There is no room.
    Full,
}

impl From<Full> for NotOpened {
    fn from(Full: Full) -> NotOpened {
        NotOpened::Full
    }
}

impl Channels {
    /// None yet. The bounds are those of sessions.
    pub fn new(limits: &Limits) -> Channels {
        Channels { open: Mutex::default(), max: limits.sessions_max, per_principal_max: limits.sessions_per_principal_max }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens one for this principal.
    ///
    /// # Errors
    /// [`NotOpened`]. None makes way for it: each has somebody at its other end.
    pub fn open(&self, owner: Arc<Principal>, front: Arc<Front>) -> Result<Arc<Channel>, NotOpened> {
        let key = random_key().map_err(|_| NotOpened::Randomness)?;
        let mut open = self.lock();
        let own = open.by_owner.get(&owner.key).map_or(0, Vec::len);
        if open.by_key.len() >= self.max || own >= self.per_principal_max {
            return Err(NotOpened::Full);
        }
        let channel = Arc::new(Channel { key, front, exchanges: Exchanges::default(), owner });
        open.by_owner.entry(channel.owner.key.clone()).or_default().push(channel.clone());
        open.by_key.insert(key, channel.clone());
        Ok(channel)
    }

    /// The channel of that name, if it is this principal's.
    pub fn find(&self, name: &[u8], principal: &Principal) -> Option<Arc<Channel>> {
        let channel = self.lock().by_key.get(&parse_key(name)?).cloned()?;
        let is_own = channel.owner.key == principal.key || (principal.is_anonymous() && channel.owner.is_anonymous());
        is_own.then_some(channel)
    }

    /// Its stream has ended, and with it everything that was kept for it.
    pub fn remove(&self, channel: &Channel) {
        let mut open = self.lock();
        open.by_key.remove(&channel.key);
        if let Some(own) = open.by_owner.get_mut(&channel.owner.key) {
            own.retain(|other| other.key != channel.key);
            if own.is_empty() {
                open.by_owner.remove(&channel.owner.key);
            }
        }
        drop(open);
        channel.front.end();
    }

    /// A notification that no request asked for.
    pub fn push(&self, principal: &PrincipalKey, session: Option<&str>, delivery: &Delivery) {
        let own = self.lock().by_owner.get(principal).cloned().unwrap_or_default();
        own.iter().for_each(|channel| channel.front.push(principal, session, delivery));
    }
}

impl Channel {
    /// Says who speaks from now on. Somebody unnamed is somebody else each time: the channel stays the first one's.
    pub fn vouch_again(&self, caller: super::client::Caller) {
        if !caller.principal.is_anonymous() {
            self.front.vouch_again(caller);
        }
    }
}
