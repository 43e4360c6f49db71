//! From the start of the process to its first answered call, and what it holds and does when left alone.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::answer::Connection;
use crate::quick::figures::Idle;
use crate::quick::fleet::Fleet;
use crate::quick::matrix::Target;
use crate::replies::{Era, Tool};
use crate::request::{ARGUMENTS, Caller, Endpoint, Prepared};
use crate::sluice::{BUILTIN_TOOL, Behind, Chain, Sluice};

/// Measured starts, after one that fills the cache of compiled plugins.
const STARTS: usize = 5;
/// A first call may be refused while something is still starting; this long.
const FIRST_CALL_WITHIN: Duration = Duration::from_secs(60);
/// How long a target is left alone before and while it is watched.
const QUIET: Duration = Duration::from_secs(2);

/// Starts Sluice with four plugins and a built-in upstream, several times over.
pub async fn starts_ms(sluice: &Sluice, scratch: &Path) -> Result<Vec<f64>> {
    let mut all = Vec::new();
    for _ in 0..=STARTS {
        let started = Instant::now();
        let running = sluice.start(Chain::Standard, Behind::Builtin, scratch, "start").await?;
        let (tool, arguments) = BUILTIN_TOOL;
        first_call(&running.endpoint()?, tool, arguments, running.bearers.first()).await?;
        all.push(started.elapsed().as_secs_f64() * 1e3);
        running.process.end().await?;
    }
    Ok(all.split_off(1))
}

/// Calls every Sluice once, leaves them all alone, and watches.
pub async fn idle(fleet: &Fleet, targets: &[Target]) -> Result<Vec<Idle>> {
    for target in targets {
        let member = fleet.at(*target);
        let called = first_call(&member.to, Tool::Echo200.name(), ARGUMENTS, member.bearers.first()).await;
        called.with_context(|| format!("target {target}"))?;
    }
    tokio::time::sleep(QUIET).await;
    let before: Result<Vec<_>> = targets.iter().map(|target| fleet.process(*target).cpu()).collect();
    tokio::time::sleep(QUIET).await;
    let watched = targets.iter().zip(before?).map(|(target, before)| {
        let process = fleet.process(*target);
        Ok(Idle {
            target: target.to_string(),
            rss_mib: process.memory()?.rss_mib(),
            cpu_us_per_second: (process.cpu()? - before).as_secs_f64() * 1e6 / QUIET.as_secs_f64(),
        })
    });
    watched.collect()
}

pub(super) async fn first_call(to: &Endpoint, tool: &str, arguments: &str, bearer: Option<&String>) -> Result<()> {
    let caller = Caller { bearer: bearer.cloned(), session: None };
    let mut call = Prepared::call(to, Era::Modern, tool, arguments, &caller);
    let mut connection = Connection::open(&to.authority).await?;
    let started = Instant::now();
    for id in crate::request::ids(0) {
        let answer = connection.exchange(call.with_id(id)).await?;
        let reply: Value = serde_json::from_slice(answer.body).unwrap_or_default();
        if answer.status == 200 && reply["result"]["content"].is_array() && reply["result"]["isError"] != true {
            return Ok(());
        }
        let body = String::from_utf8_lossy(answer.body);
        ensure!(started.elapsed() < FIRST_CALL_WITHIN, "the first call is answered {}: {body}", answer.status);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    bail!("out of ids")
}
