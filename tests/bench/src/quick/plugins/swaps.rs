//! A plugin replaced again and again while calls run: none may fail, and nothing may stay behind.

use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::load::{Load, Plan, Span};
use crate::quick::bars::Bar;
use crate::quick::fleet::Fleet;
use crate::replies::{Era, Replies, Tool};
use crate::sluice::{self, Behind, Chain, Filter, Running, Sluice};

/// Versions that take turns, each compiled once.
const VERSIONS: usize = 8;
/// Calls in flight.
const CONNECTIONS: usize = 4;
/// Calls go on in stretches of this length.
const STRETCH: Duration = Duration::from_secs(1);
/// A swap that has not come by then will not.
const SWAPPED_WITHIN: Duration = Duration::from_secs(60);
/// Instances that nobody uses go after 30 s.
const SETTLED_AFTER: Duration = Duration::from_secs(40);
/// Resident after all swaps, in what was resident before them.
const RSS_RATIO_MAX: f64 = 1.05;

/// Swaps so often under load.
pub async fn judge(sluice: &Sluice, fleet: &Fleet, swaps: usize) -> Result<Vec<Bar>> {
    let versions: Vec<_> = {
        let facts_only = sluice.component(Filter::Facts)?;
        (0..VERSIONS).map(|version| sluice::marked(&facts_only, version)).collect()
    };
    let running = sluice.start(Chain::Filters(Filter::Facts, 1), Behind::Backend(fleet.backend_url()), fleet.scratch(), "swapped").await?;
    // Every version twice, for the cache; then as long a rest as at the end, so that like is compared with like.
    under_load(&running, &versions, 2 * VERSIONS).await?;
    let before = settled_mib(&running).await?;
    let (began, ran) = (Instant::now(), under_load(&running, &versions, swaps).await?);
    let took = began.elapsed().as_secs_f64();
    let peak = running.process.memory()?.rss_mib();
    let after = settled_mib(&running).await?;
    let Ran { calls, failed, first_error } = ran;
    println!(
        "{swaps} swaps in {took:.0} s, {calls} calls meanwhile, {failed} failed; RSS MiB: {before:.1} before, {peak:.1} right after, {after:.1} settled"
    );
    if let Some(error) = first_error {
        println!("the first failure: {error}");
    }
    running.process.end().await?;
    Ok(vec![
        Bar { name: format!("calls that failed during {swaps} swaps"), figure: Some(failed as f64), limit: 0.0, unit: "calls" },
        Bar { name: "RSS after the swaps against before".to_owned(), figure: Some(after / before), limit: RSS_RATIO_MAX, unit: "×" },
    ])
}

async fn open(running: &Running) -> Result<Load> {
    let plan = Plan {
        to: running.endpoint()?,
        era: Era::Modern,
        server: Era::Modern,
        tool: Tool::Echo200,
        name: Tool::Echo200.name().to_owned(),
        connections: CONNECTIONS,
        bearers: running.bearers.clone(),
    };
    Load::open(&plan, &Replies::build()).await
}

/// What became of the calls.
#[derive(Default)]
struct Ran {
    calls: u64,
    failed: usize,
    first_error: Option<String>,
}

/// Calls without a pause while the plugin is replaced so often.
async fn under_load(running: &Running, versions: &[Vec<u8>], swaps: usize) -> Result<Ran> {
    let done = Cell::new(false);
    let swapping = async {
        for swap in 0..swaps {
            replace(running, &versions[swap % versions.len()]).await.with_context(|| format!("swap {swap}"))?;
        }
        done.set(true);
        anyhow::Ok(())
    };
    let calling = async {
        let (mut ran, mut load) = (Ran::default(), open(running).await?);
        while !done.get() {
            let outcome = load.run(Span::For(STRETCH)).await?;
            ran.calls += outcome.exchanges;
            running.empty_files()?;
            if outcome.errors > 0 {
                ran.failed += outcome.errors;
                ran.first_error = ran.first_error.or(outcome.first_error);
                // A connection makes no call after its first failure.
                load = open(running).await?;
            }
        }
        load.close().await?;
        anyhow::Ok(ran)
    };
    let ((), ran) = tokio::try_join!(swapping, calling)?;
    Ok(ran)
}

/// Replaces the plugin and waits until it is in force.
async fn replace(running: &Running, version: &[u8]) -> Result<()> {
    let (generation, began) = (running.generation().await?, Instant::now());
    running.replace_plugin(Filter::Facts, version)?;
    loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if running.generation().await? > generation {
            return Ok(());
        }
        ensure!(began.elapsed() < SWAPPED_WITHIN, "the new version is not in force after {SWAPPED_WITHIN:?}");
    }
}

/// Resident once what was in use is gone, and a second of calls has brought back what any traffic needs.
async fn settled_mib(running: &Running) -> Result<f64> {
    tokio::time::sleep(SETTLED_AFTER).await;
    let mut load = open(running).await?;
    let outcome = load.run(Span::For(STRETCH)).await?;
    ensure!(outcome.first_error.is_none(), "a call failed: {:?}", outcome.first_error);
    load.close().await?;
    Ok(running.process.memory()?.rss_mib())
}
