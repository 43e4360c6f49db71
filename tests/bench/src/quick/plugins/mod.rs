//! What filters cost: each hook entered, in three languages; a fresh instance; a thousand principals; fifty plugins to load; a thousand swaps.
//!
//! In reading order: [`lanes`] (the bars on CPU time), [`loading`], [`swaps`].

mod lanes;
mod loading;
mod swaps;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use super::bars::{Bar, Verdict};
use super::figures::Figures;
use super::fleet::Fleet;
use super::{Settings, matrix, report, rounds};
use crate::flags::{Flags, Known};
use crate::sluice::Sluice;

/// The command's flags.
pub const FLAGS: Known = &[
    ("sluice", "the sluice binary, built for release (required)"),
    ("guests", "the folder with the filters: two guests in Rust, one in Python, one in TypeScript (required)"),
    ("rounds", "times that every cell is measured, 9 by default"),
    ("seconds", "length of one measurement, 1 by default"),
    ("swaps", "how often the chain is swapped under load, 1000 by default"),
    ("seed", "of the order of targets within a round; the clock's by default"),
    ("built", "how host and bench were built: printed, and in the JSON"),
    ("out", "where the JSON goes, target/bench/plugins.json by default"),
];

/// Runs it all; `false` when a call failed or a bar was missed.
pub async fn command(flags: &Flags) -> Result<bool> {
    let (binary, guests) = flags.path("sluice").zip(flags.path("guests")).context("--sluice and --guests are missing")?;
    let sluice = Sluice { binary, guests, limits: json!({}) };
    let length = Duration::from_secs_f64(flags.or("seconds", 1.0)?);
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let settings = Settings {
        rounds: flags.or("rounds", 9)?,
        judged: length,
        others: length,
        seed: flags.or("seed", clock)?,
        only: String::new(),
        built: flags.text("built").unwrap_or("not said").to_owned(),
        sluice: Some(sluice.binary.clone()),
    };
    ensure!(settings.rounds > 0 && !length.is_zero(), "--rounds and --seconds are above zero");
    let swaps: usize = flags.or("swaps", 1_000)?;
    let out = flags.path("out").unwrap_or_else(|| PathBuf::from("target/bench/plugins.json"));
    let (figures, bars) = tokio::select! {
        measured = measure(&settings, &sluice, swaps) => measured?,
        () = super::stopped() => bail!("stopped"),
    };
    report::print_table(&figures);
    report::write_json(&out, &settings, &figures, &bars)?;
    println!("JSON in {}; machine: {}", out.display(), report::machine());
    println!("rounds {} of {} s, swaps {swaps}, seed {}; built: {}", settings.rounds, length.as_secs_f64(), settings.seed, settings.built);
    bars.iter().for_each(|bar| println!("{bar}"));
    Ok(bars.iter().all(|bar| bar.verdict() == Verdict::Pass) && figures.failures.is_empty())
}

async fn measure(settings: &Settings, sluice: &Sluice, swaps: usize) -> Result<(Figures, Vec<Bar>)> {
    let cells = matrix::plugin_cells();
    let targets: BTreeSet<_> = cells.iter().map(|cell| cell.target).collect();
    // Their first start compiles them all, interpreters too.
    let fleet = Fleet::start(&targets, Some(sluice)).await?;
    fleet.rest().await?;
    let mut figures = Figures::default();
    rounds(settings, &fleet, cells, &mut figures).await;
    let mut bars = lanes::judge(&figures);
    bars.extend(loading::judge(sluice, &fleet).await.context("loading many plugins")?);
    bars.extend(swaps::judge(sluice, &fleet, swaps).await.context("swaps")?);
    fleet.end().await?;
    Ok((figures, bars))
}
