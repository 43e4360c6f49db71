//! Work for builds that note where their time goes (profile-guided optimisation). Nothing is measured.
//!
//! The proxies get the same calls, the bare one as many as each Sluice, so that a comparison of what is built from the
//! profile stays one of like with like. No load of the matrix is among them: other connections, other principals, another
//! number of filters.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};

use crate::flags::{Flags, Known};
use crate::load::{Load, Plan, Span};
use crate::quick::fleet::Fleet;
use crate::quick::matrix::Target;
use crate::replies::{Era, Replies, Tool};
use crate::sluice::{Filter, Sluice};

/// The command's flags.
pub const FLAGS: Known = &[
    ("sluice", "the sluice binary that notes its profile (required)"),
    ("guests", "the folder with the facts-only guest (required)"),
    ("calls", "calls of each target in each era, 12000 by default; a tenth of them with 64 KiB results"),
];

const TARGETS: [Target; 6] = [
    Target::Bare,
    Target::Empty,
    Target::Four,
    Target::Filters(Filter::Facts, 3),
    Target::Bridge(Era::Legacy),
    Target::Bridge(Era::Modern),
];
const CONNECTIONS: usize = 6;
const PRINCIPALS: usize = 3;

/// Calls everything that is trained. The profiles are written when the processes end.
pub async fn command(flags: &Flags) -> Result<()> {
    let (binary, guests) = flags.path("sluice").zip(flags.path("guests")).context("--sluice and --guests are missing")?;
    let calls: u64 = flags.or("calls", 12_000)?;
    let fleet = Fleet::start(&BTreeSet::from(TARGETS), Some(&Sluice { binary, guests, limits: serde_json::json!({}) })).await?;
    fleet.rest().await?;
    let replies = Replies::build();
    for target in TARGETS {
        for era in Era::ALL.into_iter().filter(|era| target != Target::Bridge(*era)) {
            for (tool, calls) in [(Tool::Echo200, calls - calls / 10), (Tool::Echo64k, calls / 10)] {
                eprintln!("{target}, {era}, {}: {calls} calls", tool.name());
                load(&fleet, &replies, target, era, tool, calls).await.with_context(|| format!("{target}, {era}"))?;
            }
        }
    }
    fleet.end().await
}

async fn load(fleet: &Fleet, replies: &Replies, target: Target, era: Era, tool: Tool, calls: u64) -> Result<()> {
    let member = fleet.at(target);
    let plan = Plan {
        to: member.to.clone(),
        era,
        server: target.server(era),
        tool,
        name: tool.name().to_owned(),
        connections: CONNECTIONS,
        bearers: member.bearers.iter().take(PRINCIPALS).cloned().collect(),
    };
    let mut load = Load::open(&plan, replies).await?;
    let outcome = load.run(Span::Calls(calls.div_ceil(CONNECTIONS as u64))).await?;
    if let Some(problem) = outcome.first_error {
        bail!("a call failed: {problem}");
    }
    load.close().await?;
    fleet.empty_files(target)
}
