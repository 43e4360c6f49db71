//! One cell, measured once.

use std::time::Duration;

use anyhow::{Result, bail};
use serde::Serialize;

use crate::load::{Load, Plan, Span};
use crate::quick::fleet::{Fleet, own_cpu};
use crate::quick::matrix::Cell;
use crate::replies::Replies;

/// Calls made before anything is counted, so that connections, caches and instances are warm.
const WARM_UP: Duration = Duration::from_millis(150);

/// What one measurement of one cell gave.
#[derive(Debug, Clone, Serialize)]
pub struct Sample {
    /// Which round it belongs to.
    pub round: usize,
    /// Right replies.
    pub exchanges: u64,
    /// Right replies a second.
    pub per_second: f64,
    /// Median latency.
    pub p50_us: f64,
    /// Latency that one call in a hundred exceeds.
    pub p99_us: f64,
    /// CPU time of the target's process for one exchange: the figure that is judged.
    pub cpu_us: f64,
    /// CPU time of the backend for one exchange.
    pub backend_cpu_us: f64,
    /// CPU time of the load generator for one exchange.
    pub load_cpu_us: f64,
    /// Resident at the end.
    pub rss_mib: f64,
    /// The most that was resident, warm-up included.
    pub peak_mib: f64,
    /// Pool misses for one exchange.
    pub misses: Option<f64>,
    /// Hooks entered for one exchange.
    pub hooks: Option<f64>,
    /// Every result was the backend's, byte for byte.
    pub verbatim: bool,
}

/// Loads one cell for so long. A single wrong reply fails it.
pub async fn sample(fleet: &Fleet, replies: &Replies, cell: Cell, round: usize, length: Duration) -> Result<Sample> {
    let (member, process) = (fleet.at(cell.target), fleet.process(cell.target));
    let shape = cell.shape;
    let plan = Plan {
        to: member.to.clone(),
        era: shape.era,
        server: cell.target.server(shape.era),
        tool: shape.tool,
        name: shape.tool.name().to_owned(),
        connections: shape.connections,
        bearers: member.bearers.iter().take(shape.principals).cloned().collect(),
    };
    fleet.empty_files(cell.target)?;
    process.forget_peak()?;
    let mut load = Load::open(&plan, replies).await?;
    load.run(Span::For(WARM_UP)).await?;

    let counted = fleet.counters(cell.target).await?;
    let (cpu, backend, own) = (process.cpu()?, fleet.backend_cpu()?, own_cpu()?);
    let outcome = load.run(Span::For(length)).await?;
    let (cpu, backend, own) = (process.cpu()? - cpu, fleet.backend_cpu()? - backend, own_cpu()? - own);
    let memory = process.memory()?;
    let counts = fleet.counters(cell.target).await?;

    if let Some(problem) = outcome.first_error {
        bail!("{} of {} connections failed: {problem}", outcome.errors, shape.connections);
    }
    load.close().await?;
    let exchanges = outcome.exchanges as f64;
    let each = |spent: Duration| spent.as_secs_f64() * 1e6 / exchanges;
    let grown = |after: Option<f64>, before: Option<f64>| Some((after? - before.unwrap_or(0.0)) / exchanges);
    Ok(Sample {
        round,
        exchanges: outcome.exchanges,
        per_second: outcome.per_second(),
        p50_us: outcome.p50_us,
        p99_us: outcome.p99_us,
        cpu_us: each(cpu),
        backend_cpu_us: each(backend),
        load_cpu_us: each(own),
        rss_mib: memory.rss_mib(),
        peak_mib: memory.peak_mib(),
        misses: grown(counts.pool_misses, counted.pool_misses),
        hooks: grown(counts.hooks_entered, counted.hooks_entered),
        verbatim: outcome.verbatim,
    })
}
