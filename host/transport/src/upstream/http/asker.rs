//! On whose behalf requests leave.

use super::line::Line;
use crate::upstream::eras::Eras;
use sluice_chain::{
    departures::Departures,
    exchange::Client,
    principal::{Principal, PrincipalKey},
    upstream::Outbound,
};
use sluice_wire::revision::Era;
use std::{
    collections::HashMap,
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
};

/// Who wants something of the server.
#[derive(Clone, Copy)]
pub(super) struct Asker<'a> {
    /// Of the client.
    pub(super) era: Era,
    pub(super) client: &'a Arc<Client>,
    pub(super) principal: &'a Arc<Principal>,
    /// What its requests leave through: then the server knows it by credentials of its own, and nothing is shared with others.
    pub(super) departures: Option<&'a Arc<Departures>>,
}

impl<'a> Asker<'a> {
    pub(super) fn of(outbound: &'a Outbound) -> Self {
        Self {
            era: outbound.spoken.era(),
            client: &outbound.client,
            principal: &outbound.principal,
            departures: outbound.departures.as_ref(),
        }
    }
}

impl Line {
    /// What requests leave through that belong to no exchange.
    pub(super) fn departures(&self, client: &Client, principal: &Arc<Principal>) -> Option<Arc<Departures>> {
        self.listener.departures(&self.settings.name, &client.facts, principal)
    }
}

/// What is known of the server's eras: by all, or by one principal to whom it may be another server, or by those who come through other
/// gateways, one of which it may be.
pub(super) struct Known {
    all: Eras,
    own: Mutex<HashMap<PrincipalKey, Arc<Eras>>>,
}

/// Of how many of them it is kept; beyond it everybody finds out anew.
const OWN_MAX: usize = 4_096;

pub(super) enum Of<'a> {
    All(&'a Eras),
    One(Arc<Eras>),
}

impl Deref for Of<'_> {
    type Target = Eras;

    fn deref(&self) -> &Eras {
        match self {
            Self::All(eras) => eras,
            Self::One(eras) => eras,
        }
    }
}

impl Known {
    pub(super) fn new(all: Eras) -> Self {
        Self { all, own: Mutex::default() }
    }

    pub(super) fn of(&self, asker: Asker<'_>) -> Of<'_> {
        let Some(key) = asker.client.whose(asker.principal, asker.departures.is_some()) else {
            return Of::All(&self.all);
        };
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if own.len() >= OWN_MAX && !own.contains_key(&key) {
            own.clear();
        }
        let made = || Arc::new(Eras::new(self.all.choice()));
        Of::One(own.entry(key).or_insert_with(made).clone())
    }
}
