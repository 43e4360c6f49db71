//! What plugins count themselves, in Prometheus' text form.
//!
//! `metrics` knows counters and timings. Each kind has a prefix of its own (`sluice_plugin_count_`, `sluice_plugin_time_`), so no name that
//! a plugin takes meets the other kind, or what the host counts about plugins.

use sluice_chain::filter::Filter as _;
use sluice_plugin::{
    WasmFilter,
    series::{BUCKETS_MS, Timing},
};
use std::{collections::BTreeMap, fmt::Write as _};

/// Counters by name and labels, timings by name and plugin. One plugin may stand in the chain several times, and is counted once.
#[derive(Default)]
pub(super) struct Counted {
    counters: BTreeMap<String, BTreeMap<String, u64>>,
    timings: BTreeMap<String, BTreeMap<String, Timing>>,
}

impl Counted {
    /// What these have counted so far.
    pub(super) fn of<'f>(filters: impl Iterator<Item = &'f WasmFilter>) -> Self {
        let mut all = Self::default();
        for filter in filters {
            let plugin = &*filter.identity().name;
            for ((name, labels), count) in filter.series().counters() {
                all.add(plugin, &name, &labels, count);
            }
            for (name, timing) in filter.series().timings() {
                all.record(plugin, &name, &timing);
            }
        }
        all
    }

    fn add(&mut self, plugin: &str, name: &str, labels: &[(String, String)], count: u64) {
        let mut text = format!("plugin=\"{plugin}\"");
        for (label, value) in labels {
            let _ = write!(text, ",{label}=\"{}\"", escaped(value));
        }
        let sum = self.counters.entry(name.to_owned()).or_default().entry(text).or_default();
        *sum = sum.saturating_add(count);
    }

    fn record(&mut self, plugin: &str, name: &str, timing: &Timing) {
        let sum = self.timings.entry(name.to_owned()).or_default().entry(format!("plugin=\"{plugin}\"")).or_default();
        sum.counts.iter_mut().zip(timing.counts).for_each(|(sum, count)| *sum += count);
        sum.sum_ms += timing.sum_ms;
    }

    pub(super) fn write(&self, out: &mut String) {
        for (name, series) in &self.counters {
            let _ = writeln!(out, "# HELP sluice_plugin_count_{name} Counted by plugins.\n# TYPE sluice_plugin_count_{name} counter");
            for (labels, count) in series {
                let _ = writeln!(out, "sluice_plugin_count_{name}_total{{{labels}}} {count}");
            }
        }
        for (name, series) in &self.timings {
            let family = format!("sluice_plugin_time_{name}_ms");
            let _ = writeln!(out, "# HELP {family} Measured by plugins, in milliseconds.\n# TYPE {family} histogram");
            for (labels, timing) in series {
                histogram(out, &family, labels, timing);
            }
        }
    }
}

fn histogram(out: &mut String, family: &str, labels: &str, timing: &Timing) {
    let mut below = 0;
    let bounds = BUCKETS_MS.iter().map(|bound| format!("{bound:?}")).chain(["+Inf".to_owned()]);
    for (bound, count) in bounds.zip(timing.counts) {
        below += count;
        let _ = writeln!(out, "{family}_bucket{{{labels},le=\"{bound}\"}} {below}");
    }
    let _ = writeln!(out, "{family}_sum{{{labels}}} {}\n{family}_count{{{labels}}} {below}", timing.sum_ms);
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_stands_once_and_nothing_in_a_label_ends_a_line() {
        let mut counted = Counted::default();
        let label = |value: &str| vec![("kind".to_owned(), value.to_owned())];
        counted.add("a", "calls", &label("x\"} 9\n\\"), 2);
        counted.add("b", "calls", &[], 3);
        counted.add("a", "calls", &label("x\"} 9\n\\"), 1);
        let mut timing = Timing { sum_ms: 30.5, ..Timing::default() };
        (timing.counts[2], timing.counts[12]) = (1, 2);
        counted.record("a", "calls", &timing);
        let mut text = String::new();
        counted.write(&mut text);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[..4].join("\n"),
            "# HELP sluice_plugin_count_calls Counted by plugins.\n# TYPE sluice_plugin_count_calls counter\nsluice_plugin_count_calls_total{plugin=\"a\",kind=\"x\\\"} 9\\n\\\\\"} 3\nsluice_plugin_count_calls_total{plugin=\"b\"} 3"
        );
        assert_eq!(lines[5], "# TYPE sluice_plugin_time_calls_ms histogram");
        assert_eq!(
            lines[6..9],
            ["0.1", "0.5", "1.0"]
                .map(|bound| format!("sluice_plugin_time_calls_ms_bucket{{plugin=\"a\",le=\"{bound}\"}} {}", u8::from(bound == "1.0")))
        );
        assert_eq!(
            lines[18..],
            [
                "sluice_plugin_time_calls_ms_bucket{plugin=\"a\",le=\"+Inf\"} 3",
                "sluice_plugin_time_calls_ms_sum{plugin=\"a\"} 30.5",
                "sluice_plugin_time_calls_ms_count{plugin=\"a\"} 3"
            ]
        );
    }
}
