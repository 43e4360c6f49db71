//! The run as a table for a person and as JSON for whatever reads it next.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::quick::Settings;
use crate::quick::bars::{Bar, Verdict};
use crate::quick::figures::Figures;
use crate::quick::matrix::{Cell, Target};
use crate::quick::sample::Sample;
use crate::{nginx, proxy};

/// Prints one block for each load, one line for each target.
pub fn print_table(figures: &Figures) {
    println!(
        "{:<9} {:>9} {:>9} {:>9} {:>9} {:>17} {:>7} {:>7} {:>8} {:>8} {:>7}",
        "target", "calls/s", "p50 µs", "p99 µs", "CPU µs", "lowest – highest", "× bare", "× empty", "RSS MiB", "peak", "misses"
    );
    let mut shape = None;
    for cell in figures.samples.keys() {
        if shape.replace(cell.shape) != Some(cell.shape) {
            println!("— {}", cell.shape);
        }
        println!("{}", line(figures, *cell));
    }
    for idle in &figures.idle {
        println!("idle {}: RSS {:.1} MiB, {:.0} µs CPU a second", idle.target, idle.rss_mib, idle.cpu_us_per_second);
    }
    for failure in &figures.failures {
        println!("FAILED {} in round {}: {}", failure.cell, failure.round + 1, failure.problem);
    }
}

fn line(figures: &Figures, cell: Cell) -> String {
    let median = |figure: fn(&Sample) -> f64| figures.median(cell, figure).unwrap_or(f64::NAN);
    let (low, high) = figures.cpu_range(cell).unwrap_or((f64::NAN, f64::NAN));
    let or_dash = |figure: Option<f64>, digits| figure.map_or("–".to_owned(), |figure| format!("{figure:.digits$}"));
    let ratio = |base| figures.ratio(cell, base);
    let misses = figures.samples[&cell].iter().find_map(|sample| sample.misses).map(|_| median(|sample| sample.misses.unwrap_or(0.0)));
    let changed = figures.samples[&cell].iter().any(|sample| !sample.verbatim);
    format!(
        "{:<9} {:>9.0} {:>9.1} {:>9.1} {:>9.2} {:>17} {:>7} {:>7} {:>8.1} {:>8.1} {:>7}{}",
        cell.target,
        median(|sample| sample.per_second),
        median(|sample| sample.p50_us),
        median(|sample| sample.p99_us),
        median(|sample| sample.cpu_us),
        format!("{low:.2} – {high:.2}"),
        or_dash(ratio(Target::Bare), 2),
        or_dash(ratio(Target::Empty), 2),
        median(|sample| sample.rss_mib),
        median(|sample| sample.peak_mib),
        or_dash(misses, 4),
        if changed { "  (result not verbatim)" } else { "" }
    )
}

/// Writes everything that is needed to judge the run again.
pub fn write_json(file: &Path, settings: &Settings, figures: &Figures, bars: &[Bar]) -> Result<()> {
    let cells: Vec<_> = figures
        .samples
        .iter()
        .map(|(cell, samples)| {
            let median = |figure: fn(&Sample) -> f64| figures.median(*cell, figure);
            json!({
                "cell": cell,
                "median": {
                    "per_second": median(|sample| sample.per_second),
                    "p50_us": median(|sample| sample.p50_us),
                    "p99_us": median(|sample| sample.p99_us),
                    "cpu_us": median(|sample| sample.cpu_us),
                    "rss_mib": median(|sample| sample.rss_mib),
                    "peak_mib": median(|sample| sample.peak_mib),
                },
                "ratio_to_bare": figures.ratio(*cell, Target::Bare),
                "ratio_to_empty": figures.ratio(*cell, Target::Empty),
                "rounds": samples,
            })
        })
        .collect();
    let bars: Vec<_> = bars.iter().map(|bar| json!({"bar": bar, "passed": bar.verdict() == Verdict::Pass})).collect();
    let report = json!({
        "date": said("date", &["-u", "+%FT%TZ"]),
        "commit": said("git", &["rev-parse", "HEAD"]),
        "uncommitted_changes": said("git", &["status", "--porcelain"]).map(|changes| !changes.is_empty()),
        "machine": machine(),
        "sluice": settings.sluice.as_deref().and_then(|binary| said(binary, &["--version"])),
        "built": settings.built,
        "rounds": settings.rounds,
        "seconds": {"judged": settings.judged.as_secs_f64(), "others": settings.others.as_secs_f64()},
        "seed": settings.seed,
        "only": settings.only,
        "threads": {"bare": proxy::WORKERS, "nginx": nginx::WORKERS},
        "cells": cells,
        "idle": figures.idle,
        "starts_ms": figures.starts_ms,
        "cpu_clock_against_ticks": figures.clock_gaps,
        "failures": figures.failures,
        "bars": bars,
    });
    if let Some(dir) = file.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let text = serde_json::to_string_pretty(&report)?;
    std::fs::write(file, text).with_context(|| format!("write {}", file.display()))
}

/// What the figures were measured on.
pub fn machine() -> Value {
    let read = |file| std::fs::read_to_string(file).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1).map(str::to_owned));
    json!({
        "cpu": model,
        "cores": std::thread::available_parallelism().map(usize::from).ok(),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "nginx": nginx::installed().and_then(|binary| version(&binary)),
    })
}

/// nginx prints its version on stderr.
fn version(nginx: &Path) -> Option<String> {
    let output = Command::new(nginx).arg("-v").output().ok()?;
    String::from_utf8(output.stderr).ok().map(|text| text.trim().to_owned())
}

fn said(program: impl AsRef<OsStr>, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok().map(|text| text.trim().to_owned())
}
