//! The bars on CPU time.

use crate::quick::bars::{Bar, HOOK_US_MAX};
use crate::quick::figures::Figures;
use crate::quick::matrix::{Cell, PLUGINS_SHAPE, Shape, Target};
use crate::quick::sample::Sample;
use crate::sluice::{Filter, PRINCIPALS};

/// A hook in Rust that reads two places.
const READS_US_MAX: f64 = 3.5;
/// A hook in Rust whose instance is made for it.
const FRESH_US_MAX: f64 = 25.0;
/// A hook in Python, in hooks in Rust.
const PYTHON_RATIO_MAX: f64 = 10.0;
/// A hook in TypeScript, in hooks in Rust.
const TYPESCRIPT_RATIO_MAX: f64 = 30.0;
/// The four standard plugins with many principals, in themselves with one.
const PRINCIPALS_RATIO_MAX: f64 = 1.5;

/// What each filter costs, printed, and held against the bars.
pub fn judge(figures: &Figures) -> Vec<Bar> {
    let slope = |filter| figures.slope_per_hook(filter, PLUGINS_SHAPE);
    let ratio = |filter| figures.slope_ratio(filter, Filter::Facts, PLUGINS_SHAPE);
    for filter in Filter::ALL {
        let slopes: Vec<_> = figures.slopes(filter, PLUGINS_SHAPE).into_values().map(|us| format!("{us:.2}")).collect();
        let median = slope(filter).unwrap_or(f64::NAN);
        println!(
            "{:<5} {median:>7.2} µs a hook, × {:.1} of f; each round: {}",
            filter.word(),
            ratio(filter).unwrap_or(f64::NAN),
            slopes.join(" ")
        );
    }
    let one = Cell { target: Target::Four, shape: PLUGINS_SHAPE };
    let many = Cell { shape: Shape { principals: PRINCIPALS, ..PLUGINS_SHAPE }, ..one };
    for cell in [one, many, Cell { target: Target::FourInit, ..many }] {
        let median = |figure: fn(&Sample) -> f64| figures.median(cell, figure).unwrap_or(f64::NAN);
        let (cpu, misses) = (median(|sample| sample.cpu_us), median(|sample| sample.misses.unwrap_or(f64::NAN)));
        let ratio = figures.ratio(cell, Target::Four).unwrap_or(f64::NAN);
        println!("{cell}: {cpu:.2} µs CPU ({ratio:.2} × one principal) and {misses:.3} pool misses a call");
    }
    let bar = |name: &str, figure, limit, unit| Bar { name: name.to_owned(), figure, limit, unit };
    vec![
        bar("CPU for each hook entered, Rust, facts only", slope(Filter::Facts), HOOK_US_MAX, "µs"),
        bar("CPU for each hook entered, Rust, two pointer reads", slope(Filter::Reads), READS_US_MAX, "µs"),
        bar("CPU for each hook entered, Rust, a fresh instance for each call", slope(Filter::Fresh), FRESH_US_MAX, "µs"),
        bar("CPU for each hook entered, Python against Rust", ratio(Filter::Python), PYTHON_RATIO_MAX, "×"),
        bar("CPU for each hook entered, TypeScript against Rust", ratio(Filter::TypeScript), TYPESCRIPT_RATIO_MAX, "×"),
        bar("CPU, four plugins, 1,000 principals against one", figures.ratio(many, Target::Four), PRINCIPALS_RATIO_MAX, "×"),
    ]
}
