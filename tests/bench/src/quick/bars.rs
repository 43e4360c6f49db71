//! The bars, and what a run says about each.

use std::fmt;

use serde::Serialize;

use crate::quick::figures::{Figures, median};
use crate::quick::matrix::{Cell, Shape, Target};
use crate::replies::{Era, Tool};
use crate::sluice::Filter;

/// Sluice with an empty chain, in bare proxies.
const EMPTY_RATIO_MAX: f64 = 1.5;
/// The four plugins with one principal, in empty chains.
const FOUR_RATIO_MAX: f64 = 1.5;
/// CPU time for each hook entered.
pub(super) const HOOK_US_MAX: f64 = 2.0;
/// A client of one era before a server of the other, in empty chains between peers of the client's.
const BRIDGE_RATIO_MAX: f64 = 1.3;
/// Large results: what a byte may cost above the bare proxy, as a rate in bytes a microsecond (400 MB/s)…
const LARGE_BYTES_PER_US: f64 = 400.0;
/// … and what an exchange may cost besides.
const LARGE_FIXED_US: f64 = 15.0;
/// Resident with four plugins and no calls.
const IDLE_MIB_MAX: f64 = 80.0;
/// Resident with four plugins under any load of the matrix.
const LOADED_MIB_MAX: f64 = 160.0;
/// From the start of the process to its first answered call.
const START_MS_MAX: f64 = 300.0;

/// One demand and the figure that answers it.
#[derive(Debug, Serialize)]
pub struct Bar {
    /// What is demanded.
    pub name: String,
    /// What was measured; nothing when the run left it out or it failed.
    pub figure: Option<f64>,
    /// The most that is allowed.
    pub limit: f64,
    /// Of both.
    pub unit: &'static str,
}

/// How a bar came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Within its limit.
    Pass,
    /// Above it.
    Miss,
    /// Without a figure.
    Unmeasured,
}

impl Bar {
    /// How it came out.
    pub fn verdict(&self) -> Verdict {
        match self.figure {
            Some(figure) if figure <= self.limit => Verdict::Pass,
            Some(_) => Verdict::Miss,
            None => Verdict::Unmeasured,
        }
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.verdict() {
            Verdict::Pass => "PASS",
            Verdict::Miss => "MISS",
            Verdict::Unmeasured => "----",
        };
        let Self { name, limit, unit, .. } = self;
        match self.figure {
            Some(figure) => write!(f, "{word}  {name}: {figure:.2} {unit} (at most {limit:.2})"),
            None => write!(f, "{word}  {name}: not measured (at most {limit:.2} {unit})"),
        }
    }
}

/// Every bar; those on CPU time once for each era.
pub fn judge(figures: &Figures) -> Vec<Bar> {
    let mut bars = Vec::new();
    let mut bar = |name: String, figure, limit, unit| bars.push(Bar { name, figure, limit, unit });
    for era in Era::ALL {
        let small = Shape { era, tool: Tool::Echo200, connections: 16, principals: 1 };
        let large = Shape { tool: Tool::Echo64k, ..small };
        let at = |target, shape| Cell { target, shape };
        let empty = figures.ratio(at(Target::Empty, small), Target::Bare);
        bar(format!("CPU, empty chain against the bare proxy, {era}"), empty, EMPTY_RATIO_MAX, "×");
        let four = figures.ratio(at(Target::Four, small), Target::Empty);
        bar(format!("CPU, four plugins against the empty chain, {era}"), four, FOUR_RATIO_MAX, "×");
        bar(format!("CPU for each hook entered, {era}"), figures.slope_per_hook(Filter::Facts, small), HOOK_US_MAX, "µs");
        let server = if era == Era::Legacy { Era::Modern } else { Era::Legacy };
        let bridge = figures.ratio(at(Target::Bridge(server), small), Target::Empty);
        bar(format!("CPU, {era} client before a {server} server, against the empty chain"), bridge, BRIDGE_RATIO_MAX, "×");
        let added = figures.against(at(Target::Empty, large), Target::Bare, |empty, bare| empty - bare);
        let limit = large.tool.result_bytes() as f64 / LARGE_BYTES_PER_US + LARGE_FIXED_US;
        bar(format!("CPU added to a 64 KiB result by the empty chain, {era}"), added, limit, "µs");
    }
    bar("RSS idle, four plugins".to_owned(), figures.idle_mib(Target::Four), IDLE_MIB_MAX, "MiB");
    bar("RSS peak under load, four plugins".to_owned(), figures.peak_mib(Target::Four), LOADED_MIB_MAX, "MiB");
    let start = median(figures.starts_ms.iter().copied());
    bar("start to first answered call, warm cache".to_owned(), start, START_MS_MAX, "ms");
    bars
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_without_a_figure_does_not_pass() {
        let bars = judge(&Figures::default());
        assert_eq!(bars.len(), 2 * 5 + 3);
        assert!(bars.iter().all(|bar| bar.verdict() == Verdict::Unmeasured));
    }

    #[test]
    fn a_figure_is_held_against_its_limit() {
        let bar = |figure| Bar { name: "start".to_owned(), figure: Some(figure), limit: 300.0, unit: "ms" };
        assert_eq!(bar(300.0).verdict(), Verdict::Pass);
        assert_eq!(bar(300.1).verdict(), Verdict::Miss);
        assert_eq!(bar(312.0).to_string(), "MISS  start: 312.00 ms (at most 300.00)");
    }
}
