//! What a child says on stderr goes to the log: escaped, capped, and not more than so much.

use crate::upstream::{Counters, shown::shown};
use sluice_wire::line::LineDecoder;
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::{io::AsyncReadExt, process::ChildStderr, time::Instant};

const LINE_MAX: usize = 4096;
/// Lines a second that reach the log, and how many at once.
const LINES_PER_SECOND: f64 = 20.0;
const BURST: f64 = 100.0;

/// Reads to the end, so that a chatty child never blocks on a full pipe.
pub(super) async fn log(mut stderr: ChildStderr, name: Arc<str>, counters: Arc<Counters>) {
    let mut decoder = LineDecoder::new(LINE_MAX);
    let mut buffer = vec![0; 8192];
    let mut allowance = Allowance { lines: BURST, at: Instant::now() };
    while let Ok(read @ 1..) = stderr.read(&mut buffer).await {
        decoder.push(&buffer[..read]);
        while let Some(line) = decoder.next() {
            let line = line.as_deref().unwrap_or(b"(a line too long to show)");
            if allowance.take() {
                tracing::info!(upstream = %name, line = %shown(line), "stderr");
            } else {
                counters.stderr_muted.fetch_add(line.len() as u64, Relaxed);
            }
        }
    }
}

struct Allowance {
    lines: f64,
    at: Instant,
}

impl Allowance {
    fn take(&mut self) -> bool {
        let since: Duration = self.at.elapsed();
        self.at = Instant::now();
        self.lines = (self.lines + since.as_secs_f64() * LINES_PER_SECOND).min(BURST);
        let is_allowed = self.lines >= 1.0;
        if is_allowed {
            self.lines -= 1.0;
        }
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_cut_to_a_burst_and_then_a_trickle() {
        let mut allowance = Allowance { lines: BURST, at: Instant::now() };
        assert_eq!((0..1000).filter(|_| allowance.take()).count(), 100);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!((0..1000).filter(|_| allowance.take()).count(), 20);
    }
}
