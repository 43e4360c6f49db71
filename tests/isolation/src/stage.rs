//! What all who take part share: who there is, what was found, and what is worth stealing.

use std::{cell::RefCell, collections::VecDeque};

use crate::{
    canary::Canaries,
    ledger::{Finding, Ledger, Wrong, exchange},
    people::{People, Who},
};

/// What is given to one caller and is of use to nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    /// A session in which calls are made.
    Session,
    /// A session in which nothing is awaited: from here others are attacked, and it may end any time.
    Den,
    Cursor,
    Event,
    ModernTask,
    LegacyTask,
    /// A `requestState`.
    State,
    /// What `redact` wrote in the place of data.
    Token,
}

#[derive(Debug, Clone)]
pub struct Handle {
    pub owner: Who,
    pub value: String,
    /// What else is needed to use it: a session, a tool.
    pub with: String,
    /// What an answer must hold that its owner gets for it.
    pub canary: String,
}

const THINGS: usize = 8;
/// Of each thing, the newest.
const KEPT_MAX: usize = 512;

pub struct Stage {
    pub canaries: Canaries,
    pub people: People,
    pub ledger: Ledger,
    things: RefCell<[VecDeque<Handle>; THINGS]>,
}

impl Stage {
    pub fn new(run: u32) -> Self {
        let canaries = Canaries::new(run);
        Self { people: People::new(&canaries), canaries, ledger: Ledger::default(), things: RefCell::default() }
    }

    pub fn keep(&self, thing: Thing, handle: Handle) {
        let all = &mut self.things.borrow_mut()[thing as usize];
        if all.len() == KEPT_MAX {
            all.pop_front();
        }
        all.push_back(handle);
    }

    /// One of somebody else's.
    pub fn steal(&self, thing: Thing, thief: Who) -> Option<Handle> {
        let all = &self.things.borrow()[thing as usize];
        (0..4).filter_map(|_| all.get(fastrand::usize(..all.len().max(1)))).find(|handle| handle.owner != thief).cloned()
    }

    /// One of one's own.
    pub fn own(&self, thing: Thing, who: Who) -> Option<Handle> {
        let all = &self.things.borrow()[thing as usize];
        let mine: Vec<&Handle> = all.iter().filter(|handle| handle.owner == who).collect();
        (!mine.is_empty()).then(|| mine[fastrand::usize(..mine.len())].clone())
    }

    pub fn own_count(&self, thing: Thing, who: Who) -> usize {
        self.things.borrow()[thing as usize].iter().filter(|handle| handle.owner == who).count()
    }

    /// The oldest of one's own, which is then no more.
    pub fn spend(&self, thing: Thing, who: Who, but: usize) -> Option<Handle> {
        let all = &mut self.things.borrow_mut()[thing as usize];
        if all.iter().filter(|handle| handle.owner == who).count() <= but {
            return None;
        }
        let at = all.iter().position(|handle| handle.owner == who)?;
        all.remove(at)
    }

    /// Holds what somebody was told against what they may know.
    pub fn judge(&self, at: &'static str, who: Who, sent: &[u8], told: &[u8]) {
        if let Some(canary) = self.canaries.foreign(&self.people, who, sent, told) {
            let why = format!("{who} was told {} of {}: {:?}", canary.text, canary.owner, canary.kind);
            self.found(Wrong::Leak, at, why, exchange(&format!("caller {who}"), sent, told));
        }
    }

    pub fn found(&self, wrong: Wrong, at: &'static str, why: String, exchange: String) {
        self.ledger.wrong(Finding { wrong, at, why, exchange });
    }
}
