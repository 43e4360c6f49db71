//! The thread that turns epochs, which is how running guests are interrupted.

use std::{
    sync::{
        Arc,
        atomic::{
            AtomicBool,
            Ordering::{Relaxed, SeqCst},
        },
    },
    thread::{self, JoinHandle, Thread},
    time::{Duration, Instant},
};

/// One epoch.
pub(crate) const TICK: Duration = Duration::from_millis(1);
/// How often the owner's chores run.
const CHORES: Duration = Duration::from_secs(1);
/// Ticking goes on this long after the last entry, which is longer than any call may take.
const QUIET: Duration = Duration::from_secs(15);

#[derive(Default)]
struct State {
    stop: AtomicBool,
    entered: AtomicBool,
    parked: AtomicBool,
}

/// Ticks while guests run and rests while none do. Joined when dropped.
pub(crate) struct Ticker {
    state: Arc<State>,
    thread: Thread,
    handle: Option<JoinHandle<()>>,
}

impl Ticker {
    /// Start ticking. `chores` runs about once a second, on this thread; it must be quick.
    pub(crate) fn start(tick: impl Fn() + Send + 'static, chores: impl Fn() + Send + 'static) -> std::io::Result<Self> {
        let state = Arc::new(State::default());
        let shared = state.clone();
        let handle = thread::Builder::new().name("epochs".into()).spawn(move || run(&shared, tick, chores))?;
        Ok(Self { state, thread: handle.thread().clone(), handle: Some(handle) })
    }

    /// A guest is about to run. Almost always one load of a line that is seldom written.
    pub(crate) fn entering(&self) {
        if !self.state.entered.load(Relaxed) {
            self.state.entered.store(true, SeqCst);
            // Sequentially consistent with the ticker's own pair: one of the two sees the other.
            if self.state.parked.load(SeqCst) {
                self.thread.unpark();
            }
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.state.stop.store(true, SeqCst);
        self.thread.unpark();
        if let Some(handle) = self.handle.take() {
            // The thread itself may drop the last engine, while it does its chores.
            if handle.thread().id() != thread::current().id() {
                let _ = handle.join();
            }
        }
    }
}

fn run(state: &State, tick: impl Fn(), chores: impl Fn()) {
    rest(state, &chores);
    let (mut last_entry, mut last_chores) = (Instant::now(), Instant::now());
    while !state.stop.load(Relaxed) {
        thread::sleep(TICK);
        tick();
        let now = Instant::now();
        if state.entered.swap(false, Relaxed) {
            last_entry = now;
        }
        if now.duration_since(last_chores) >= CHORES {
            chores();
            last_chores = now;
        }
        if now.duration_since(last_entry) >= QUIET {
            rest(state, &chores);
            last_entry = Instant::now();
        }
    }
}

/// Nobody has entered for a while: wait for the next one without waking a thousand times a second.
fn rest(state: &State, chores: &impl Fn()) {
    chores();
    state.parked.store(true, SeqCst);
    while !state.entered.load(SeqCst) && !state.stop.load(SeqCst) {
        thread::park_timeout(CHORES * 10);
        chores();
    }
    state.parked.store(false, SeqCst);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn it_ticks_and_is_joined() {
        let ticks = Arc::new(AtomicUsize::new(0));
        let seen = ticks.clone();
        let ticker = Ticker::start(
            move || {
                seen.fetch_add(1, Relaxed);
            },
            || (),
        )
        .unwrap();
        ticker.entering();
        thread::sleep(Duration::from_millis(100));
        drop(ticker);
        assert!(ticks.load(Relaxed) >= 10);
        assert_eq!(Arc::strong_count(&ticks), 1, "the thread has gone");
    }
}
