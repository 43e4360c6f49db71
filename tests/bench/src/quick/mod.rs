//! The whole comparison in one run: every target up at once, rounds interleaved, medians, ratios, bars.
//!
//! In reading order: [`matrix`], [`fleet`], [`sample`], [`start`], [`figures`], [`bars`], [`report`]; [`plugins`], another run with the
//! same parts; and [`train`], which only makes work for all of them.

mod bars;
mod figures;
mod fleet;
mod matrix;
pub mod plugins;
mod report;
mod sample;
mod start;
mod train;

pub use bars::{Bar, Verdict};
pub use figures::median;
pub use fleet::Scratch;
pub use report::machine;
pub use train::{FLAGS as TRAIN_FLAGS, command as train};

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use tokio::signal::unix::{SignalKind, signal};

use crate::flags::{Flags, Known};
use crate::replies::Replies;
use crate::sluice::Sluice;
use figures::Figures;
use fleet::Fleet;
use matrix::{Cell, Shape, Target};

/// The command's flags.
pub const FLAGS: Known = &[
    ("sluice", "the sluice binary, built for release"),
    ("guests", "the folder with the facts-only guest"),
    ("rounds", "times that every cell is measured, 5 by default"),
    ("seconds", "length of one measurement that a bar is read from, 1.5 by default; the others take 0.4 of it"),
    ("only", "words of labels, such as bare,empty,c16,200B: measure nothing else, and let bars without a figure pass"),
    ("seed", "of the order of targets within a round; the clock's by default"),
    ("built", "how host, bench and bare proxy were built: printed, and in the JSON"),
    ("out", "where the JSON goes, target/bench/quick.json by default"),
];

/// What a run was told.
#[derive(Debug)]
pub struct Settings {
    rounds: usize,
    judged: Duration,
    others: Duration,
    seed: u64,
    only: String,
    built: String,
    sluice: Option<PathBuf>,
}

/// After so many failed measurements a target is left alone: one that hangs would take a minute for each cell.
const FAILURES_MAX: usize = 3;

/// Runs it all; `false` when a call failed or a bar was missed.
pub async fn command(flags: &Flags) -> Result<bool> {
    let judged: f64 = flags.or("seconds", 1.5)?;
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let sluice = match (flags.path("sluice"), flags.path("guests")) {
        (Some(binary), Some(guests)) => Some(Sluice { binary, guests, limits: serde_json::json!({}) }),
        (None, None) => None,
        _ => bail!("--sluice and --guests go together"),
    };
    let settings = Settings {
        rounds: flags.or("rounds", 5)?,
        judged: Duration::from_secs_f64(judged),
        others: Duration::from_secs_f64(judged * 0.4),
        seed: flags.or("seed", clock)?,
        only: flags.text("only").unwrap_or_default().to_owned(),
        built: flags.text("built").unwrap_or("not said").to_owned(),
        sluice: flags.path("sluice"),
    };
    ensure!(settings.rounds > 0 && judged > 0.0, "--rounds and --seconds are above zero");
    let out = flags.path("out").unwrap_or_else(|| PathBuf::from("target/bench/quick.json"));
    let figures = tokio::select! {
        figures = measure(&settings, sluice.as_ref()) => figures?,
        () = stopped() => bail!("stopped"),
    };
    let bars = bars::judge(&figures);
    report::print_table(&figures);
    report::write_json(&out, &settings, &figures, &bars)?;
    println!("JSON in {}", out.display());
    println!("rounds {}, seed {}; built: {}", settings.rounds, settings.seed, settings.built);
    bars.iter().for_each(|bar| println!("{bar}"));
    let fails = |bar: &&bars::Bar| match bar.verdict() {
        Verdict::Pass => false,
        Verdict::Miss => true,
        Verdict::Unmeasured => settings.only.is_empty(),
    };
    let failed: Vec<_> = bars.iter().filter(fails).map(|bar| bar.name.as_str()).collect();
    if !failed.is_empty() {
        println!("{} of {} bars not met: {}", failed.len(), bars.len(), failed.join("; "));
    }
    if !figures.failures.is_empty() {
        println!("{} measurements failed; a target is left alone after {FAILURES_MAX}", figures.failures.len());
    }
    Ok(failed.is_empty() && figures.failures.is_empty())
}

/// Returns once this process is to end: stopped half-way, a run still has to end what it started.
async fn stopped() {
    let (Ok(mut stop), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = stop.recv() => {}
        _ = interrupt.recv() => {}
    }
}

async fn measure(settings: &Settings, sluice: Option<&Sluice>) -> Result<Figures> {
    let mut cells = matrix::cells(&settings.only)?;
    if sluice.is_none() {
        eprintln!("no --sluice: only direct, bare and nginx are measured");
        cells.retain(|cell| cell.target.chain().is_none());
    }
    let targets: BTreeSet<_> = cells.iter().map(|cell| cell.target).collect();
    let fleet = Fleet::start(&targets, sluice).await?;
    fleet.rest().await?;
    let mut figures = Figures::default();
    let ours: Vec<_> = targets.iter().copied().filter(|target| target.chain().is_some()).collect();
    figures.idle = start::idle(&fleet, &ours).await?;
    if let Some(sluice) = sluice.filter(|_| targets.contains(&Target::Four)) {
        match start::starts_ms(sluice, fleet.scratch()).await {
            Ok(starts) => figures.starts_ms = starts,
            Err(problem) => figures.fail("start".to_owned(), 0, &problem),
        }
    }
    rounds(settings, &fleet, cells, &mut figures).await;
    for target in &targets {
        let process = fleet.process(*target);
        // A process that did not live to the end has failed calls to show for it.
        if let (Ok(clock), Ok(ticks)) = (process.cpu(), process.cpu_in_ticks()) {
            figures.clock_gaps.insert(target.to_string(), ticks.as_secs_f64() / clock.as_secs_f64() - 1.0);
        }
    }
    fleet.end().await?;
    Ok(figures)
}

/// Load by load, all targets one after another, so that what is compared was measured within seconds; in an order
/// that changes from round to round, so that no target always follows the same neighbour.
async fn rounds(settings: &Settings, fleet: &Fleet, cells: Vec<Cell>, figures: &mut Figures) {
    let mut loads: BTreeMap<Shape, Vec<Cell>> = BTreeMap::new();
    for cell in cells {
        // Many principals are measured next to the one they are compared with.
        loads.entry(Shape { principals: 1, ..cell.shape }).or_default().push(cell);
    }
    let replies = Replies::build();
    let mut random = Random(settings.seed);
    let mut failed: BTreeMap<Target, usize> = BTreeMap::new();
    let started = Instant::now();
    for round in 0..settings.rounds {
        eprintln!("round {} of {}, {:.0} s so far", round + 1, settings.rounds, started.elapsed().as_secs_f64());
        for cells in loads.values_mut() {
            random.shuffle(cells);
            for cell in cells.iter() {
                if failed.get(&cell.target).is_some_and(|failures| *failures >= FAILURES_MAX) {
                    continue;
                }
                let length = if cell.is_judged() { settings.judged } else { settings.others };
                match sample::sample(fleet, &replies, *cell, round, length).await {
                    Ok(sample) => figures.samples.entry(*cell).or_default().push(sample),
                    Err(problem) => {
                        *failed.entry(cell.target).or_insert(0) += 1;
                        figures.fail(cell.to_string(), round, &problem);
                    }
                }
            }
        }
    }
}

/// SplitMix64: an order that the seed brings back.
pub struct Random(pub u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }

    /// Puts the items into another order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_brings_its_order_back() {
        let order = |seed| {
            let mut items: Vec<_> = (0..20).collect();
            Random(seed).shuffle(&mut items);
            items
        };
        assert_eq!(order(7), order(7));
        assert_ne!(order(7), order(8));
        let mut sorted = order(7);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..20).collect::<Vec<_>>());
    }
}
