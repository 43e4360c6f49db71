//! Calls of modern clients that wait before a legacy server which has asked something: what each costs in memory.
//!
//! A principal may leave few calls waiting, so each call is another principal's. Each makes ordinary calls first: what is
//! counted is what a waiting call adds, and not the principal's session with the server.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::answer::Connection;
use crate::flags::{Flags, Known};
use crate::process::Process;
use crate::quick::{Bar, Scratch, Verdict, machine};
use crate::replies::{ASKING, Era, Tool};
use crate::request::{Caller, Endpoint, asking_call};
use crate::sluice::{Behind, Chain, PRINCIPALS, Running, Sluice};

/// The command's flags.
pub const FLAGS: Known = &[
    ("sluice", "the sluice binary, built for release (required)"),
    ("guests", "the folder with the facts-only guest (required)"),
    ("calls", "calls left waiting, 1000 by default and at most"),
    ("built", "how host and bench were built: printed"),
];

/// Resident, for each waiting call.
const KIB_MAX: f64 = 64.0;
/// Ordinary calls of each principal before: sessions are open and pools are full.
const WARM_UPS: usize = 3;

/// Runs it; `false` when the bar was missed.
pub async fn command(flags: &Flags) -> Result<bool> {
    let (binary, guests) = flags.path("sluice").zip(flags.path("guests")).context("--sluice and --guests are missing")?;
    let calls: usize = flags.or("calls", PRINCIPALS)?;
    ensure!((1..=PRINCIPALS).contains(&calls), "--calls: 1 to {PRINCIPALS}");
    let sluice = Sluice { binary, guests, limits: json!({}) };
    let scratch = Scratch::new()?;
    let mut backend = Command::new(std::env::current_exe()?);
    backend.arg("backend");
    let (backend, url) = Process::start_ready(backend).await.context("backend")?;
    let running = sluice.start(Chain::Keys, Behind::BackendIn(&url, Era::Legacy), scratch.path(), "parked").await?;
    for _ in 0..WARM_UPS {
        call_all(&running, calls, Tool::Echo200.name(), "complete").await?;
    }
    let before = running.process.memory()?.rss_mib();
    call_all(&running, calls, ASKING, "input_required").await?;
    let after = running.process.memory()?.rss_mib();
    println!("{calls} calls left waiting, each by another principal, in this order; no seed");
    println!("machine: {}; built: {}", machine(), flags.text("built").unwrap_or("not said"));
    println!("RSS MiB: {before:.1} before, {after:.1} with the waiting calls");
    let figure = Some((after - before) * 1024.0 / calls as f64);
    let bar = Bar { name: "RSS for each waiting call".to_owned(), figure, limit: KIB_MAX, unit: "KiB" };
    println!("{bar}");
    running.process.end().await?;
    backend.end().await?;
    Ok(bar.verdict() == Verdict::Pass)
}

/// One call of each principal. Each must be answered in this way.
async fn call_all(running: &Running, calls: usize, name: &str, result_type: &str) -> Result<()> {
    let to: Endpoint = running.endpoint()?;
    let mut connection = Connection::open(&to.authority).await?;
    for bearer in running.bearers.iter().take(calls) {
        let caller = Caller { bearer: Some(bearer.clone()), session: None };
        let answer = connection.exchange(&asking_call(&to, &caller, name)).await?;
        let reply: Value = serde_json::from_slice(answer.body).unwrap_or_default();
        let is_right = answer.status == 200 && reply["result"]["resultType"] == result_type;
        ensure!(is_right, "{name} was answered {}: {}", answer.status, String::from_utf8_lossy(answer.body));
    }
    Ok(())
}
