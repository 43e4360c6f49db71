//! What is left of a call's time, host calls and data.
//!
//! CPU time is read from the thread's own clock each time the epoch callback runs, so a guest is not
//! charged for the time in which its thread, or its task, did not run.
//!
//! A guest whose first slice was not enough goes on in turns: fewer guests than there are workers run at a time, so
//! that a worker is always left for everybody else. Waiting for a turn is on nobody's clock.

use crate::limits::Limits;
use rustix::time::{ClockId, clock_gettime};
use sluice_chain::{fault::Fault, parted::thread_number};
use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout, timeout_at},
};

/// Epochs between two looks at the clocks, and at most this long a guest holds its worker.
pub(crate) const SLICE_TICKS: u64 = 2;
/// Charged for a slice whose beginning was not on the thread's clock.
const SLICE: Duration = Duration::from_millis(2);

/// With this many slow guests before it, a call had better be refused.
const TURN_WAIT_MAX: Duration = Duration::from_secs(1);

/// The turns of all slow guests of an engine, handed out in the order in which they are asked for.
pub(crate) type Turns = Arc<Semaphore>;

/// What the running call knows of its slices. Shared with the pauses between them, which outlive no call.
#[derive(Default)]
struct Slice {
    /// Where the present one began, on the CPU clock of its thread.
    cpu_ns: AtomicU64,
    /// 0: not known.
    thread: AtomicU64,
    /// Spent waiting for turns in the running call.
    waited_ns: AtomicU64,
    turn: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Slice {
    fn begin(&self) {
        self.cpu_ns.store(thread_cpu().as_nanos() as u64, Relaxed);
        self.thread.store(thread_token(), Relaxed);
    }

    /// Waits until few enough slow guests run.
    async fn take_turn(&self, turns: Turns) {
        let asked = Instant::now();
        if let Ok(Ok(turn)) = timeout(TURN_WAIT_MAX, turns.acquire_owned()).await {
            self.set_turn(Some(turn));
        }
        self.waited_ns.fetch_add(asked.elapsed().as_nanos() as u64, Relaxed);
    }

    fn waited(&self) -> Duration {
        Duration::from_nanos(self.waited_ns.load(Relaxed))
    }

    fn set_turn(&self, turn: Option<OwnedSemaphorePermit>) {
        *self.turn.lock().unwrap_or_else(PoisonError::into_inner) = turn;
    }

    /// CPU time since `begin` on this same thread.
    fn spent(&self) -> Option<Duration> {
        let same = self.thread.load(Relaxed) == thread_token();
        same.then(|| thread_cpu().saturating_sub(Duration::from_nanos(self.cpu_ns.load(Relaxed))))
    }
}

fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// This thread, and never 0.
fn thread_token() -> u64 {
    thread_number() as u64 + 1
}

/// One call's budget. Made with the instance and filled again for each call.
pub(crate) struct Budget {
    cpu_used: Duration,
    cpu_max: Duration,
    wall_max: Duration,
    started: Instant,
    slice: Arc<Slice>,
    turns: Turns,
    /// The first slice was not enough.
    is_slow: bool,
    host_calls_left: u32,
    host_bytes_left: usize,
}

impl Budget {
    /// An empty budget.
    pub(crate) fn new(turns: Turns) -> Self {
        Self {
            cpu_used: Duration::ZERO,
            cpu_max: Duration::ZERO,
            wall_max: Duration::ZERO,
            started: Instant::now(),
            slice: Arc::default(),
            turns,
            is_slow: false,
            host_calls_left: 0,
            host_bytes_left: 0,
        }
    }

    /// A call begins.
    pub(crate) fn refill(&mut self, limits: &Limits, cpu: Duration, wall: Duration, now: Instant) {
        self.cpu_used = Duration::ZERO;
        self.cpu_max = cpu;
        self.wall_max = wall;
        self.started = now;
        // Reading the CPU clock costs a system call; most calls end before it would be needed.
        self.slice.thread.store(0, Relaxed);
        self.slice.waited_ns.store(0, Relaxed);
        self.host_calls_left = limits.host_calls_max;
        self.host_bytes_left = limits.host_bytes_max;
    }

    /// The call works on something large.
    pub(crate) fn widen(&mut self, cpu: Duration, wall: Duration) {
        (self.cpu_max, self.wall_max) = (cpu, wall);
    }

    /// When the running call began, or the last one did.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// One host call that moved `bytes`.
    pub(crate) fn charge(&mut self, limits: &Limits, bytes: usize) -> Result<(), Fault> {
        self.host_calls_left = self
            .host_calls_left
            .checked_sub(1)
            .ok_or_else(|| Fault::Limit(format!("more than {} host calls in one call", limits.host_calls_max)))?;
        self.charge_bytes(limits, bytes)
    }

    /// Bytes that a host call moves on top.
    pub(crate) fn charge_bytes(&mut self, limits: &Limits, bytes: usize) -> Result<(), Fault> {
        self.host_bytes_left = self
            .host_bytes_left
            .checked_sub(bytes)
            .ok_or_else(|| Fault::Limit(format!("more than {} bytes through host calls in one call", limits.host_bytes_max)))?;
        Ok(())
    }

    /// The guest does not run any more, for now or for good: somebody else may have its turn.
    pub(crate) fn rest(&mut self) {
        if std::mem::take(&mut self.is_slow) {
            self.slice.set_turn(None);
        }
    }

    /// The epoch callback: charge the slice that has ended, or stop the guest.
    pub(crate) fn tick(&mut self) -> Result<impl Future<Output = ()> + Send + 'static, Fault> {
        self.settle(SLICE);
        self.check()?;
        self.rest();
        self.is_slow = true;
        let (slice, turns) = (self.slice.clone(), self.turns.clone());
        Ok(async move {
            tokio::task::yield_now().await;
            slice.take_turn(turns).await;
            slice.begin();
        })
    }

    /// A look at the clocks in the middle of long native work that cannot pause.
    pub(crate) fn look(&mut self) -> Result<(), Fault> {
        self.settle(Duration::ZERO);
        self.slice.begin();
        self.check()
    }

    /// CPU time of the call that ends. One within its first slice is charged what the wall clock says.
    pub(crate) fn spent(&mut self) -> Duration {
        self.settle(self.started.elapsed().min(SLICE));
        self.cpu_used
    }

    /// Of the running call's wall time.
    pub(crate) fn wall_left(&self) -> Duration {
        (self.wall_max + self.slice.waited()).saturating_sub(self.started.elapsed())
    }

    /// Bytes that host calls may still move.
    pub(crate) fn bytes_left(&self) -> usize {
        self.host_bytes_left
    }

    /// Stop if a clock has run out.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        if self.cpu_used >= self.cpu_max {
            return Err(Fault::Deadline { clock: "CPU time", limit: self.cpu_max });
        }
        let waited = self.slice.waited();
        if waited >= TURN_WAIT_MAX {
            return Err(Fault::Saturated);
        }
        if self.started.elapsed() >= self.wall_max + waited {
            return Err(self.out_of_wall());
        }
        Ok(())
    }

    fn out_of_wall(&self) -> Fault {
        Fault::Deadline { clock: "wall time", limit: self.wall_max }
    }

    fn settle(&mut self, unknown: Duration) {
        self.cpu_used += self.slice.spent().unwrap_or(unknown);
    }

    /// Wait for `what` within what is left of the wall time. The wait ends, the guest's call does not get dropped:
    /// an error from here traps it.
    pub(crate) async fn wait<T>(&mut self, what: impl Future<Output = T>) -> Result<T, Fault> {
        let mut what = pin!(what);
        // Most waits are over at once, and then the clocks need not be read.
        let at_once = std::future::poll_fn(|cx| Poll::Ready(what.as_mut().poll(cx))).await;
        if let Poll::Ready(done) = at_once {
            return Ok(done);
        }
        self.settle(self.started.elapsed().min(SLICE));
        self.rest();
        let until = self.started + self.wall_max + self.slice.waited();
        let done = timeout_at(until, what).await.map_err(|_| self.out_of_wall());
        self.slice.begin();
        done
    }

    /// Let other tasks of this worker run, in the middle of long native work, and stop if time is up.
    pub(crate) async fn breathe(&mut self) -> Result<(), Fault> {
        self.check()?;
        self.wait(tokio::task::yield_now()).await
    }
}
