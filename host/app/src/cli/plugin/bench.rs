//! `sluice plugin bench`

use super::{super::Exit, Subject};
use crate::author::{engine, fixture::Fixture, step::Step};
use anyhow::Result;
use clap::Args;
use sluice_chain::filter::{Filter as _, Hook};
use sluice_plugin::{Engine, Scope, Settings, Setup, WasmFilter};
use sluice_state::memory::MemoryStore;
use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

#[derive(Args)]
pub struct Bench {
    /// A project that was built, or a component.
    #[arg(default_value = ".", value_name = "DIR|FILE")]
    path: PathBuf,
}

const ROUNDS: u32 = 10;
const ROUND: Duration = Duration::from_millis(100);

impl Bench {
    pub async fn run(self) -> Result<Exit> {
        let subject = Subject::find(&self.path)?;
        let steps = match &subject.fixtures {
            Some(folder) => Fixture::all(folder)?.iter().flat_map(|fixture| fixture.steps().to_vec()).collect(),
            None => Vec::new(),
        };
        let text = engine::sidecar(&subject.sidecar)?;
        let settings = engine::settings(&subject.file, &subject.sidecar, &text)?;
        let began = Instant::now();
        let engine = engine::start(Setup::new(Arc::new(MemoryStore::new())))?;
        let filter = engine.load(subject.bytes.clone(), settings.clone()).await?;
        say!("{} {}, loaded in {} ms", filter.identity().name, filter.identity().version, began.elapsed().as_millis());
        say!("{}\n", machine());
        say!("{:<16} {:>12} {:>14} {:>10}  {}", "hook", "warm us", "fresh us", "N", "on");
        let fresh = fresh(&engine, &subject, settings).await?;
        let mut hooks: Vec<Hook> = filter.interest().hooks.iter().map(|(hook, _)| *hook).collect();
        hooks.dedup();
        for hook in hooks {
            let own = steps.iter().find(|step: &&Step| step.hook.0 == hook);
            let Some(step) = own.cloned().or_else(|| Step::plain(hook)) else {
                say!("{:<16} a case of this hook is needed to measure it", hook.as_str());
                continue;
            };
            let (warm, calls) = cost(&filter, &step).await?;
            let (cold, _) = cost(&fresh, &step).await?;
            let on = if own.is_some() { "the first case of this hook" } else { "a plain message" };
            say!("{:<16} {warm:>12.1} {cold:>14.1} {calls:>10}  {on}", hook.as_str());
        }
        let peak = filter.figures().memory_peak.load(Relaxed);
        say!(
            "\nmemory of an instance at most {:.1} MiB of the {} MiB it may have",
            mib(peak),
            filter.settings().limits.memory_bytes_max >> 20
        );
        say!(
            "warm: the least mean of {ROUNDS} rounds of {} ms, the step made and judged each time; fresh: with a new instance and its init",
            ROUND.as_millis()
        );
        Ok(Exit::Good)
    }
}

fn mib(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

async fn fresh(engine: &Engine, subject: &Subject, settings: Settings) -> Result<Arc<WasmFilter>> {
    Ok(engine.load(subject.bytes.clone(), Settings { scope: Scope::Call, ..settings }).await?)
}

/// The least mean time of a call, in microseconds, and how many were made.
async fn cost(filter: &WasmFilter, step: &Step) -> Result<(f64, u32)> {
    let (mut least, mut all) = (f64::MAX, 0);
    for _ in 0..ROUNDS {
        let (began, mut calls) = (Instant::now(), 0_u32);
        while began.elapsed() < ROUND {
            step.run(filter, 1).await?;
            calls += 1;
        }
        least = least.min(began.elapsed().as_nanos() as f64 / 1e3 / f64::from(calls));
        all += calls;
    }
    Ok((least, all))
}

/// Figures mean nothing without it.
fn machine() -> String {
    let model = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(": ")?.1.to_owned())
    });
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let build = if cfg!(debug_assertions) { ", a debug build: the host's part is slower than in a release" } else { "" };
    format!("{cores} cores, {}, {}{build}", model.unwrap_or_else(|| std::env::consts::ARCH.into()), std::env::consts::OS)
}
