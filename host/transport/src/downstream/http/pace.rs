//! Where one connection, or one stream of HTTP/2, stands in its current request.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

/// What is awaited from the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The rest of a header block.
    Head = 0,
    /// The rest of a body.
    Body = 1,
    /// Nothing: the next move is ours.
    Ours = 2,
    /// The next request.
    Idle = 3,
}

/// Shared by socket and service of one connection, or by a stream and who attends to it: either pair runs in one task, so
/// nothing races. The connection of several streams changes its phase under their lock.
#[derive(Default)]
pub(super) struct Pace {
    /// The phase in the low two bits, above it a count of changes.
    state: AtomicU32,
    is_body_late: AtomicBool,
    is_long_quiet: AtomicBool,
    has_unread_body: AtomicBool,
}

impl Pace {
    /// The present phase.
    pub fn phase(&self) -> Phase {
        match self.state.load(Relaxed) & 3 {
            0 => Phase::Head,
            1 => Phase::Body,
            2 => Phase::Ours,
            _ => Phase::Idle,
        }
    }

    /// Differs whenever the phase was entered anew.
    pub fn turn(&self) -> u32 {
        self.state.load(Relaxed)
    }

    /// Enters a phase.
    pub fn enter(&self, phase: Phase) {
        self.is_long_quiet.store(false, Relaxed);
        let turn = (self.state.load(Relaxed) | 3).wrapping_add(1);
        self.state.store(turn | phase as u32, Relaxed);
    }

    /// We have said nothing for a long while although it is our move.
    pub fn note_long_quiet(&self) {
        self.is_long_quiet.store(true, Relaxed);
    }

    /// Whether that is so in the present phase.
    pub fn is_long_quiet(&self) -> bool {
        self.is_long_quiet.load(Relaxed)
    }

    /// The body took longer than it may.
    pub fn note_late_body(&self) {
        self.is_body_late.store(true, Relaxed);
    }

    /// Whether it did.
    pub fn is_body_late(&self) -> bool {
        self.is_body_late.load(Relaxed)
    }

    /// The answer goes out while the client may still be sending.
    pub fn note_unread_body(&self) {
        self.has_unread_body.store(true, Relaxed);
    }

    /// Whether it may.
    pub fn has_unread_body(&self) -> bool {
        self.has_unread_body.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entering_a_phase_again_is_another_turn() {
        let pace = Pace::default();
        assert_eq!(pace.phase(), Phase::Head);
        let mut turns = vec![pace.turn()];
        for phase in [Phase::Head, Phase::Body, Phase::Ours, Phase::Idle, Phase::Idle, Phase::Head] {
            pace.enter(phase);
            assert_eq!(pace.phase(), phase);
            assert!(!turns.contains(&pace.turn()));
            turns.push(pace.turn());
        }
    }
}
