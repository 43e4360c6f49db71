//! A closed-loop load: a fixed number of keep-alive connections, each with one call in flight.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::{join_all, try_join_all};
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::flags::{Flags, Known};
use crate::lane::Lane;
use crate::process::Pid;
use crate::replies::{Era, Replies, Tool};
use crate::request::{Caller, Endpoint};

/// The command's flags.
pub const FLAGS: Known = &[
    ("url", "http://HOST:PORT/PATH of the endpoint (required)"),
    ("era", "legacy or modern (default)"),
    ("tool", "echo200 (default) or echo64k: what the reply is checked against"),
    ("name", "the tool's name as the endpoint shows it, the same by default"),
    ("connections", "keep-alive connections, 16 by default"),
    ("principals", "how many API keys take turns, 1 by default"),
    ("keys", "their common start; the key is START-0000 and so on; `none` sends no credential"),
    ("bearer", "one credential for every call instead of generated keys"),
    ("warm-up", "seconds before measuring, 0.3 by default"),
    ("seconds", "seconds to measure, 2 by default"),
    ("requests", "measure this many calls instead"),
    ("pid", "a process whose CPU time and memory to report"),
];

/// What generated keys begin with.
pub const KEYS: &str = "bench-key";
/// A run that takes this much longer than planned has hung.
const PATIENCE: Duration = Duration::from_secs(60);

/// One load.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The endpoint.
    pub to: Endpoint,
    /// Of every call.
    pub era: Era,
    /// Which the backend is called in, and so what its results look like.
    pub server: Era,
    /// What is called, as the backend knows it.
    pub tool: Tool,
    /// What is called, as the endpoint names it.
    pub name: String,
    /// Connections, each with one call in flight.
    pub connections: usize,
    /// The principals' credentials, taken in turn. Empty: no `Authorization` header.
    pub bearers: Vec<String>,
}

/// How long calls go on.
#[derive(Debug, Clone, Copy)]
pub enum Span {
    /// For a time; calls in flight at its end are awaited and counted.
    For(Duration),
    /// For a number of calls on each connection.
    Calls(u64),
}

impl Span {
    /// Whether there is another call to make.
    pub fn goes_on(self, started: Instant, exchanges: u64) -> bool {
        match self {
            Self::For(time) => started.elapsed() < time,
            Self::Calls(calls) => exchanges < calls,
        }
    }
}

/// What a span gave.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// Right replies.
    pub exchanges: u64,
    /// From the first call to the last reply.
    pub seconds: f64,
    /// Median latency.
    pub p50_us: f64,
    /// Latency that one call in a hundred exceeds.
    pub p99_us: f64,
    /// Connections that stopped at an error.
    pub errors: usize,
    /// What one of them met.
    pub first_error: Option<String>,
    /// Every result was the backend's, byte for byte.
    pub verbatim: bool,
}

impl Outcome {
    /// Right replies a second.
    pub fn per_second(&self) -> f64 {
        self.exchanges as f64 / self.seconds
    }
}

/// Open connections, ready to call.
#[derive(Debug)]
pub struct Load {
    lanes: Vec<Lane>,
}

impl Load {
    /// Connects them all, and opens a legacy session for each caller: each principal, and each connection, has one
    /// at least, so that no session has two calls in flight.
    pub async fn open(plan: &Plan, replies: &Replies) -> Result<Self> {
        let callers = plan.connections.max(plan.bearers.len());
        let open = (0..plan.connections).map(|lane| {
            let mine = (lane..callers).step_by(plan.connections).map(|caller| {
                let bearer = plan.bearers.get(caller % plan.bearers.len().max(1)).cloned();
                Caller { bearer, session: None }
            });
            Lane::open(plan, replies, lane, mine.collect())
        });
        let lanes = tokio::time::timeout(PATIENCE, try_join_all(open)).await.context("opening took too long")??;
        Ok(Self { lanes })
    }

    /// Calls on every connection until the span is over. Nothing is in flight before or after.
    pub async fn run(&mut self, span: Span) -> Result<Outcome> {
        let latency = RefCell::new(Histogram::<u64>::new_with_bounds(100, 60_000_000_000, 3)?);
        let started = Instant::now();
        let all = join_all(self.lanes.iter_mut().map(|lane| lane.run(span, &latency)));
        let limit = PATIENCE + if let Span::For(time) = span { time } else { PATIENCE * 4 };
        let exchanges = tokio::time::timeout(limit, all).await.context("replies stopped coming")?;
        let (seconds, latency) = (started.elapsed().as_secs_f64(), latency.into_inner());
        let failures: Vec<_> = self.lanes.iter().filter_map(|lane| lane.failure.as_ref()).collect();
        Ok(Outcome {
            exchanges: exchanges.iter().sum(),
            seconds,
            p50_us: latency.value_at_quantile(0.5) as f64 / 1e3,
            p99_us: latency.value_at_quantile(0.99) as f64 / 1e3,
            errors: failures.len(),
            first_error: failures.first().map(|failure| (*failure).clone()),
            verbatim: self.lanes.iter().all(Lane::verbatim),
        })
    }

    /// Ends what it opened.
    pub async fn close(self) -> Result<()> {
        let close = try_join_all(self.lanes.into_iter().map(Lane::close));
        tokio::time::timeout(PATIENCE, close).await.context("closing took too long")??;
        Ok(())
    }
}

/// The credentials of so many principals.
pub fn keys(start: &str, principals: usize) -> Vec<String> {
    (0..principals).map(|principal| format!("{start}-{principal:04}")).collect()
}

/// Runs one load from the command line; `false` when a call failed.
pub async fn command(flags: &Flags) -> Result<bool> {
    let tool = flags.text("tool").unwrap_or("echo200");
    let connections = flags.or("connections", 16)?;
    ensure!((1..=512).contains(&connections), "--connections: 1 to 512");
    let bearers = match (flags.text("bearer"), flags.text("keys").unwrap_or(KEYS)) {
        (Some(bearer), _) => vec![bearer.to_owned()],
        (None, "none") => Vec::new(),
        (None, start) => keys(start, flags.or("principals", 1)?),
    };
    let era = Era::named(flags.text("era").unwrap_or("modern"))?;
    let plan = Plan {
        to: Endpoint::parse(flags.text("url").context("--url is missing")?)?,
        era,
        server: era,
        tool: Tool::named(tool).with_context(|| format!("--tool {tool}: echo200 or echo64k"))?,
        name: flags.text("name").unwrap_or(tool).to_owned(),
        connections,
        bearers,
    };
    let span = match flags.or("requests", 0)? {
        0 => Span::For(Duration::from_secs_f64(flags.or("seconds", 2.0)?)),
        calls => Span::Calls(u64::div_ceil(calls, connections as u64)),
    };
    let watched = flags.text("pid").map(|pid| pid.parse().map(Pid::new)).transpose()?;
    let mut load = Load::open(&plan, &Replies::build()).await?;
    load.run(Span::For(Duration::from_secs_f64(flags.or("warm-up", 0.3)?))).await?;
    let before = watched.map(Pid::cpu).transpose()?;
    let outcome = load.run(span).await?;
    println!(
        "{} calls in {:.2} s: {:.0}/s, p50 {:.1} µs, p99 {:.1} µs, verbatim {}, {} errors",
        outcome.exchanges,
        outcome.seconds,
        outcome.per_second(),
        outcome.p50_us,
        outcome.p99_us,
        outcome.verbatim,
        outcome.errors
    );
    if let (Some(pid), Some(before)) = (watched, before) {
        let spent = pid.cpu()?.saturating_sub(before);
        let memory = pid.memory()?;
        println!(
            "process: {:.2} µs CPU a call, RSS {:.1} MiB, peak {:.1} MiB",
            spent.as_secs_f64() * 1e6 / outcome.exchanges as f64,
            memory.rss_mib(),
            memory.peak_mib()
        );
    }
    if let Some(problem) = &outcome.first_error {
        eprintln!("first error: {problem}");
        return Ok(false);
    }
    load.close().await?;
    Ok(true)
}
