//! What the rounds say together: medians, ratios of what was measured in the same round, and the slope per filter.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::quick::matrix::{Cell, FILTERS, Shape, Target};
use crate::quick::sample::Sample;
use crate::sluice::Filter;

/// Hooks of one facts-only filter that a call enters (`on-request`), for where `/metrics` does not count them.
const HOOKS_PER_FILTER: f64 = 1.0;

/// Everything that was measured in one run.
#[derive(Debug, Default)]
pub struct Figures {
    /// One sample for each round that succeeded.
    pub samples: BTreeMap<Cell, Vec<Sample>>,
    /// Cells that failed, and why.
    pub failures: Vec<Failure>,
    /// Every Sluice after its first call, before any load.
    pub idle: Vec<Idle>,
    /// Start to first answered call, each try in milliseconds.
    pub starts_ms: Vec<f64>,
    /// Per target: how far the CPU clock and the kernel's tick count lie apart over the whole run, as a share.
    pub clock_gaps: BTreeMap<String, f64>,
}

/// A measurement that came to nothing.
#[derive(Debug, Serialize)]
pub struct Failure {
    /// Where.
    pub cell: String,
    /// When.
    pub round: usize,
    /// Why.
    pub problem: String,
}

/// What a target holds and does while nobody calls it.
#[derive(Debug, Serialize)]
pub struct Idle {
    /// Which.
    pub target: String,
    /// Resident.
    pub rss_mib: f64,
    /// CPU time in each second.
    pub cpu_us_per_second: f64,
}

/// The middle value; between the two middle ones of an even number.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

/// The slope of the line that fits best, by least squares.
fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let count = points.len() as f64;
    let (x_mean, y_mean) = (points.iter().map(|(x, _)| x).sum::<f64>() / count, points.iter().map(|(_, y)| y).sum::<f64>() / count);
    let over: f64 = points.iter().map(|(x, y)| (x - x_mean) * (y - y_mean)).sum();
    let under: f64 = points.iter().map(|(x, _)| (x - x_mean).powi(2)).sum();
    (under > 0.0).then(|| over / under)
}

impl Figures {
    /// Notes a measurement that came to nothing, and says so at once: a run takes minutes.
    pub fn fail(&mut self, cell: String, round: usize, problem: &anyhow::Error) {
        let problem = format!("{problem:#}");
        eprintln!("{cell} failed: {problem}");
        self.failures.push(Failure { cell, round, problem });
    }

    /// The median of one figure of a cell over the rounds.
    pub fn median(&self, cell: Cell, figure: impl Fn(&Sample) -> f64) -> Option<f64> {
        median(self.samples.get(&cell)?.iter().map(figure))
    }

    /// The lowest and the highest CPU time of a cell.
    pub fn cpu_range(&self, cell: Cell) -> Option<(f64, f64)> {
        let all = self.samples.get(&cell)?.iter().map(|sample| sample.cpu_us);
        Some((all.clone().reduce(f64::min)?, all.reduce(f64::max)?))
    }

    /// Two targets' CPU time under the same load, combined round by round, then the median: what disturbs a round
    /// disturbs both. Against many principals stands the base with one.
    pub fn against(&self, cell: Cell, base: Target, combine: impl Fn(f64, f64) -> f64) -> Option<f64> {
        let base = Cell { target: base, shape: Shape { principals: 1, ..cell.shape } };
        let base = self.samples.get(&base)?;
        let pairs = self.samples.get(&cell)?.iter().filter_map(|sample| {
            let other = base.iter().find(|other| other.round == sample.round)?;
            Some(combine(sample.cpu_us, other.cpu_us))
        });
        median(pairs)
    }

    /// How many times another target's CPU time a cell takes. Called directly there is no proxy: the CPU time is the
    /// backend's, and set against nothing.
    pub fn ratio(&self, cell: Cell, base: Target) -> Option<f64> {
        if cell.target == Target::Direct {
            return None;
        }
        self.against(cell, base, |one, other| one / other)
    }

    /// CPU time for each hook entered: the slope over 0, 1, 5 and 10 filters, in the median round.
    pub fn slope_per_hook(&self, filter: Filter, shape: Shape) -> Option<f64> {
        median(self.slopes(filter, shape).into_values())
    }

    /// How many times what a hook of `base` costs one of `filter` does, round by round, then the median.
    pub fn slope_ratio(&self, filter: Filter, base: Filter, shape: Shape) -> Option<f64> {
        let base = self.slopes(base, shape);
        median(self.slopes(filter, shape).into_iter().filter_map(|(round, slope)| Some(slope / base.get(&round)?)))
    }

    /// CPU time for each hook entered, by round.
    pub fn slopes(&self, filter: Filter, shape: Shape) -> BTreeMap<usize, f64> {
        let filters: Vec<_> = FILTERS.into_iter().map(|count| (Target::Filters(filter, count), f64::from(count))).collect();
        let filters = [(Target::Empty, 0.0)].into_iter().chain(filters);
        let samples_of = |target| self.samples.get(&Cell { target, shape });
        let rounds = samples_of(Target::Empty).into_iter().flatten().map(|sample| sample.round);
        let slopes = rounds.filter_map(|round| {
            let points = filters.clone().map(|(target, filters)| {
                let sample = samples_of(target)?.iter().find(|sample| sample.round == round)?;
                Some((sample.hooks.unwrap_or(filters * HOOKS_PER_FILTER), sample.cpu_us))
            });
            Some((round, slope(&points.collect::<Option<Vec<_>>>()?)?))
        });
        slopes.collect()
    }

    /// The most memory that a target held under any load.
    pub fn peak_mib(&self, target: Target) -> Option<f64> {
        let samples = self.samples.iter().filter(|(cell, _)| cell.target == target).flat_map(|(_, samples)| samples);
        samples.map(|sample| sample.peak_mib).reduce(f64::max)
    }

    /// What a target holds while nobody calls it.
    pub fn idle_mib(&self, target: Target) -> Option<f64> {
        self.idle.iter().find(|idle| idle.target == target.to_string()).map(|idle| idle.rss_mib)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quick::matrix;

    #[test]
    fn medians_of_odd_even_and_none() {
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median([]), None);
    }

    #[test]
    fn a_straight_line_has_its_slope() {
        assert_eq!(slope(&[(0.0, 5.0), (2.0, 9.0), (10.0, 25.0)]), Some(2.0));
        assert_eq!(slope(&[(1.0, 5.0), (1.0, 9.0)]), None);
    }

    fn sample(round: usize, cpu_us: f64, hooks: Option<f64>) -> Sample {
        Sample {
            round,
            exchanges: 1,
            per_second: 1.0,
            p50_us: 1.0,
            p99_us: 1.0,
            cpu_us,
            backend_cpu_us: 1.0,
            load_cpu_us: 1.0,
            rss_mib: 1.0,
            peak_mib: cpu_us,
            misses: None,
            hooks,
            verbatim: true,
        }
    }

    #[test]
    fn ratios_pair_the_rounds_and_slopes_count_hooks() {
        let mut figures = Figures::default();
        let shape = matrix::cells("bare/modern/200B/c16/p1").unwrap()[0].shape;
        let cell = |target| Cell { target, shape };
        let facts = |count| Target::Filters(Filter::Facts, count);
        // A second round in which everything was twice as slow, as when a neighbour is busy.
        figures.samples.insert(cell(Target::Bare), vec![sample(0, 10.0, None), sample(1, 20.0, None)]);
        for (target, filters) in [(Target::Empty, 0.0), (facts(1), 1.0), (facts(5), 5.0), (facts(10), 10.0)] {
            let hooks = Some(filters * 2.0);
            let samples = vec![sample(0, 12.0 + 3.0 * filters, hooks), sample(1, 24.0 + 3.0 * filters, hooks)];
            figures.samples.insert(cell(target), samples);
        }
        assert_eq!(figures.ratio(cell(Target::Empty), Target::Bare), Some(1.2));
        assert_eq!(figures.slope_per_hook(Filter::Facts, shape), Some(1.5));
        assert_eq!(figures.slope_ratio(Filter::Facts, Filter::Facts, shape), Some(1.0));
        assert_eq!(figures.slope_ratio(Filter::Python, Filter::Facts, shape), None);
        assert_eq!(figures.peak_mib(facts(10)), Some(54.0));
        assert_eq!(figures.ratio(cell(Target::Four), Target::Bare), None);
    }
}
