//! Which session a call goes over.

use super::{
    asker::Asker,
    line::Line,
    listen,
    session::{NotOpen, Owner, Session},
    sse,
};
use crate::upstream::{Sharing, speaker::Speaker};
use sluice_era::capability::{Peer, declarable};
use sluice_wire::revision::Era;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The sessions with one server, by owner.
#[derive(Default)]
pub(super) struct Sessions {
    slots: Mutex<HashMap<Owner, Arc<Slot>>>,
}

#[derive(Default)]
struct Slot {
    open: Mutex<Option<Arc<Session>>>,
    /// Held while a session is opened.
    opening: tokio::sync::Mutex<()>,
}

/// Whose session a client of this principal uses.
pub(super) fn owner(sharing: Sharing, asker: Asker<'_>) -> Owner {
    let Asker { era, client, principal, departures } = asker;
    let peer = if era == Era::Legacy { Peer::SameEra } else { Peer::OtherEra };
    // Whoever comes with credentials of its own shares with nobody, whatever the operator says.
    let is_own = sharing != Sharing::Shared || departures.is_some();
    match (client.whose(principal, is_own), &client.session) {
        (None, _) => Owner::Everybody(declarable(&client.capabilities, peer)),
        (Some(key), Some(session)) if is_own && era == Era::Legacy => Owner::Session(key, session.clone()),
        (Some(key), _) => Owner::Principal(key, declarable(&client.capabilities, peer)),
    }
}

impl Sessions {
    /// The open session of a client.
    pub(super) fn find(&self, line: &Line, asker: Asker<'_>) -> Option<Arc<Session>> {
        let owner = owner(line.settings.sharing, asker);
        self.lock().get(&owner)?.open()
    }

    /// The open session of a client, opened if need be.
    pub(super) async fn get(&self, line: &Arc<Line>, asker: Asker<'_>) -> Result<Arc<Session>, NotOpen> {
        let owner = owner(line.settings.sharing, asker);
        let slot = self.slot(&owner);
        if let Some(session) = slot.open() {
            return Ok(session);
        }
        let _turn = slot.opening.lock().await;
        if let Some(session) = slot.open() {
            return Ok(session);
        }
        self.make_room(line);
        let mut speaker = Speaker::of(asker.client, asker.era);
        if !matches!(owner, Owner::Session(..)) {
            // Several clients speak over it, so it is nobody's in particular.
            speaker.info = None;
        }
        let (session, stream) = Session::open(line, owner, asker, &speaker).await?;
        let session = Arc::new(session);
        match stream {
            Some(stream) => sse::start(line, &session, stream),
            None if session.speaks_unasked() => listen::start(line, &session).await,
            None => {}
        }
        *slot.lock() = Some(session.clone());
        Ok(session)
    }

    /// The server forgot a session; the next call opens another.
    pub(super) fn lost(&self, lost: &Arc<Session>) {
        lost.closed.cancel();
        let slot = self.slot(&lost.owner);
        let mut open = slot.lock();
        if open.as_ref().is_some_and(|open| Arc::ptr_eq(open, lost)) {
            *open = None;
        }
    }

    /// Takes out what belongs to a downstream session.
    pub(super) fn take_of(&self, downstream: &str) -> Vec<Arc<Session>> {
        self.take(|owner, _| matches!(owner, Owner::Session(_, session) if **session == *downstream))
    }

    /// Takes out everything.
    pub(super) fn take_all(&self) -> Vec<Arc<Session>> {
        self.take(|_, _| true)
    }

    /// Ends what nobody has used for long.
    pub(super) fn sweep(&self, line: &Arc<Line>) {
        let idle_max = line.settings.session_idle;
        for session in self.take(|_, session| session.is_none_or(|session| session.is_idle() && session.last_used().elapsed() > idle_max)) {
            end(line, session);
        }
    }

    /// At the bound, the session idle longest goes; one with calls under way only when all have some.
    fn make_room(&self, line: &Arc<Line>) {
        let oldest = {
            let slots = self.lock();
            if slots.len() <= line.settings.sessions_max {
                return;
            }
            slots.values().filter_map(|slot| slot.open()).min_by_key(|session| (!session.is_idle(), session.last_used()))
        };
        if let Some(oldest) = oldest {
            self.take(|_, session| session.is_some_and(|session| Arc::ptr_eq(session, &oldest)));
            end(line, oldest);
        }
    }

    fn take(&self, is_wanted: impl Fn(&Owner, Option<&Arc<Session>>) -> bool) -> Vec<Arc<Session>> {
        let mut taken = Vec::new();
        self.lock().retain(|owner, slot| {
            // Somebody is about to open it or has just looked it up.
            let is_busy = Arc::strong_count(slot) > 1 && slot.lock().is_none();
            let stays = is_busy || !is_wanted(owner, slot.lock().as_ref());
            if !stays {
                taken.extend(slot.lock().take());
            }
            stays
        });
        taken
    }

    fn slot(&self, owner: &Owner) -> Arc<Slot> {
        let mut slots = self.lock();
        match slots.get(owner) {
            Some(slot) => slot.clone(),
            None => slots.entry(owner.clone()).or_default().clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Owner, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    fn open(&self) -> Option<Arc<Session>> {
        self.lock().clone().filter(|session| !session.closed.is_cancelled())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Session>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a session on a task of its own.
fn end(line: &Arc<Line>, session: Arc<Session>) {
    let line = line.clone();
    tokio::spawn(async move { session.end(&line).await });
}
