//! How long many plugins take to load that were compiled before.

use std::time::Instant;

use anyhow::Result;

use crate::quick::bars::Bar;
use crate::quick::figures::median;
use crate::quick::fleet::Fleet;
use crate::quick::start::first_call;
use crate::replies::Tool;
use crate::request::ARGUMENTS;
use crate::sluice::{Behind, Chain, Sluice};

/// Different plugins in one chain.
const PLUGINS: usize = 50;
/// From the start of the process to its first answered call.
const LOADED_MS_MAX: f64 = 500.0;
/// Measured starts, after one that fills the cache.
const STARTS: usize = 7;

/// Starts with an empty chain and with many plugins in turn, and judges the latter.
pub async fn judge(sluice: &Sluice, fleet: &Fleet) -> Result<Vec<Bar>> {
    let (mut empty, mut full) = (Vec::new(), Vec::new());
    start(sluice, fleet, Chain::Different(PLUGINS), "fifty", true).await?;
    for _ in 0..STARTS {
        empty.push(start(sluice, fleet, Chain::Empty, "none", false).await?);
        full.push(start(sluice, fleet, Chain::Different(PLUGINS), "fifty", false).await?);
    }
    let figures = |starts: &[(f64, f64)]| (median(starts.iter().map(|start| start.0)), median(starts.iter().map(|start| start.1)));
    let ((empty_ms, empty_cpu), (full_ms, full_cpu)) = (figures(&empty), figures(&full));
    let shown = |figure: Option<f64>| figure.unwrap_or(f64::NAN);
    println!(
        "start to first answered call, {STARTS} tries: {:.0} ms ({:.0} ms CPU) with {PLUGINS} plugins, {:.0} ms ({:.0} ms CPU) with none",
        shown(full_ms),
        shown(full_cpu),
        shown(empty_ms),
        shown(empty_cpu)
    );
    let name = format!("start to first answered call with {PLUGINS} different plugins, warm cache");
    Ok(vec![Bar { name, figure: full_ms, limit: LOADED_MS_MAX, unit: "ms" }])
}

/// Milliseconds to the first answered call, and CPU time until then.
async fn start(sluice: &Sluice, fleet: &Fleet, chain: Chain, name: &str, fills_cache: bool) -> Result<(f64, f64)> {
    let started = Instant::now();
    let running = sluice.start(chain, Behind::Backend(fleet.backend_url()), fleet.scratch(), name).await?;
    first_call(&running.endpoint()?, Tool::Echo200.name(), ARGUMENTS, running.bearers.first()).await?;
    let (took, cpu) = (started.elapsed(), running.process.cpu()?);
    if fills_cache {
        running.process.rest().await?;
    }
    running.process.end().await?;
    Ok((took.as_secs_f64() * 1e3, cpu.as_secs_f64() * 1e3))
}
