//! Tries to reach with one caller what belongs to another: sessions, streams, cursors, tasks, rounds, tokens, remembered answers,
//! limits, notifications, and what is written into logs, audit files and metrics.
//!
//! Sluice runs as an operator starts it, with the standard plugins that keep something, before servers that say more than they
//! should. Callers of many tenants follow one another on the same connections. Everything that one of them sends holds a canary, a
//! text that says whose it is, and everything that anybody is told is searched for those of others.
//!
//! In reading order: [`canary`], [`people`], [`stage`] and [`ledger`] (what is looked for), [`server`] and [`gateway`] (what is
//! called), [`request`], [`wire`], [`tries`] and [`streams`] (what is tried), [`run`] (all of it), [`control`] (that it would be seen).
#![forbid(unsafe_code)]

mod canary;
mod control;
mod gateway;
mod ledger;
mod people;
mod request;
mod run;
mod server;
mod stage;
mod streams;
mod tries;
mod wire;

use anyhow::{Context as _, Result, bail};
use std::{path::PathBuf, process::ExitCode};

use crate::run::{Outcome, Plan};

const USAGE: &str = "\
usage: sluice-isolation --bin SLUICE [--tries N] [--seed S] [--cache DIR] [--control]

  --bin      the Sluice binary
  --tries    how many, 1,000,000 by default; with --control as many in each of its runs, 6,000 by default
  --seed     of all dice; a new one by default
  --cache    where compiled plugins are kept; by default for this run alone
  --control  with each way of taking isolation away that an operator has: all of them have to be found

exit codes: 0 all good, 1 something was found, or not found that should have been, 64 a bad command line";

fn main() -> ExitCode {
    let flags = match Flags::read(std::env::args().skip(1)) {
        Ok(flags) => flags,
        Err(error) => {
            eprintln!("{error:#}\n{USAGE}");
            return ExitCode::from(64);
        }
    };
    match carry_out(flags) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("sluice-isolation: {error:#}");
            ExitCode::FAILURE
        }
    }
}

struct Flags {
    sluice: PathBuf,
    tries: Option<u64>,
    seed: u64,
    cache: Option<PathBuf>,
    is_control: bool,
}

impl Flags {
    fn read(mut given: impl Iterator<Item = String>) -> Result<Self> {
        let (mut sluice, mut tries, mut seed, mut cache, mut is_control) = (None, None, None, None, false);
        while let Some(flag) = given.next() {
            if flag == "--control" {
                is_control = true;
                continue;
            }
            let value = given.next().with_context(|| format!("{flag} needs a value"))?;
            let number = || value.replace('_', "").parse::<u64>().with_context(|| format!("{flag} {value} is no number"));
            match flag.as_str() {
                "--bin" => sluice = Some(PathBuf::from(value)),
                "--tries" => tries = Some(number()?),
                "--seed" => seed = Some(number()?),
                "--cache" => cache = Some(PathBuf::from(value)),
                _ => bail!("unknown argument {flag}"),
            }
        }
        let sluice = std::fs::canonicalize(sluice.context("--bin is needed")?).context("--bin")?;
        Ok(Self { sluice, tries, seed: seed.unwrap_or_else(|| fastrand::u64(..)), cache, is_control })
    }
}

/// `false`: it ran, and isolation does not hold, or the control was not found.
fn carry_out(flags: Flags) -> Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let own_cache = tempfile::tempdir()?;
    let cache = match flags.cache {
        Some(cache) => {
            std::fs::create_dir_all(&cache)?;
            std::fs::canonicalize(cache)?
        }
        None => own_cache.path().to_owned(),
    };
    control::the_oracle_sees(flags.seed)?;
    let default = if flags.is_control { 6_000 } else { 1_000_000 };
    let plan = Plan { sluice: flags.sluice, cache, tries: flags.tries.unwrap_or(default), seed: flags.seed, broken: None };
    println!("seed {}, {} tries, {} callers of {} tenants, {}", plan.seed, plan.tries, people::CALLERS, people::TENANTS, machine());
    let local = tokio::task::LocalSet::new();
    if flags.is_control {
        return local.block_on(&runtime, until_told(control::all_are_found(plan)));
    }
    let outcome = local.block_on(&runtime, until_told(run::run(&plan)))?;
    report(&plan, &outcome);
    Ok(outcome.stage.ledger.total() == 0)
}

/// Told to stop, it leaves no gateway behind.
async fn until_told<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        ended = work => ended,
        _ = terminated.recv() => bail!("told to stop"),
        _ = tokio::signal::ctrl_c() => bail!("told to stop"),
    }
}

fn report(plan: &Plan, outcome: &Outcome) {
    let Outcome { stage, took, log_lines, audit_lines, metric_looks } = outcome;
    let seconds = took.as_secs_f64();
    print!("{}", stage.ledger.table());
    print!("{}", stage.ledger.exchanges());
    println!("{log_lines} lines of the log and {audit_lines} of the audit file were searched, and the metrics {metric_looks} times");
    println!(
        "N={} tries in {seconds:.0} s ({:.0}/s), seed {}: {} leaks",
        plan.tries,
        plan.tries as f64 / seconds,
        plan.seed,
        stage.ledger.total()
    );
}

fn machine() -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(std::env::consts::ARCH);
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{count} x {}", model.trim_start_matches([' ', '\t', ':']))
}
