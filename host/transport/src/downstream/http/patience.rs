//! How long a peer is waited for, by what it has to do next.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

use super::pace::{Pace, Phase};

/// How long each phase may take.
#[derive(Clone, Copy)]
pub(super) struct Waits {
    pub head: Duration,
    pub body: Duration,
    pub ours: Duration,
    pub idle: Duration,
}

impl Waits {
    fn of(&self, phase: Phase) -> Duration {
        match phase {
            Phase::Head => self.head,
            Phase::Body => self.body,
            Phase::Ours => self.ours,
            Phase::Idle => self.idle,
        }
    }
}

/// Follows a [`Pace`]: ready with a phase once, when it has lasted too long.
#[derive(Default)]
pub(super) struct Patience {
    pub deadline: Deadline,
    /// The turn that the deadline was set for.
    turn: Option<u32>,
}

impl Patience {
    /// Call whenever there is nothing else to do.
    pub fn poll(&mut self, context: &mut Context<'_>, pace: &Pace, waits: &Waits) -> Poll<Phase> {
        let (turn, phase) = (pace.turn(), pace.phase());
        if self.turn != Some(turn) {
            self.turn = Some(turn);
            self.deadline.set(waits.of(phase));
        }
        ready!(self.deadline.poll(context));
        self.deadline.clear();
        Poll::Ready(phase)
    }
}

/// A point in time that may move without the timer being told: a timer that fires early is set anew,
/// so a busy connection hardly ever touches the clock wheel.
#[derive(Default)]
pub(super) struct Deadline {
    at: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    pub fn set(&mut self, wait: Duration) {
        self.at = Some(Instant::now() + wait);
    }

    fn clear(&mut self) {
        self.at = None;
    }

    /// Ready once the time set last has come.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else {
            return Poll::Pending;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if timer.deadline() > at {
            timer.as_mut().reset(at);
        }
        loop {
            ready!(timer.as_mut().poll(context));
            if Instant::now() >= at {
                return Poll::Ready(());
            }
            timer.as_mut().reset(at);
        }
    }
}
