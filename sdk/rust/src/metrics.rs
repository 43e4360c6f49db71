//! Counters and timings under `sluice_plugin_*`, labelled with the plugin. Imports `sluice:filter/metrics`.

use alloc::string::ToString;
use alloc::vec::Vec;

/// Adds to a counter.
pub fn add(name: &str, by: u64, labels: &[(&str, &str)]) {
    let labels: Vec<_> = labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    #[cfg(target_family = "wasm")]
    crate::bindings::base::sluice::filter::metrics::add(name, by, &labels);
    #[cfg(not(target_family = "wasm"))]
    crate::testing::note_count(name, by, labels);
}

/// Records a duration.
pub fn record_ms(name: &str, ms: f64) {
    #[cfg(target_family = "wasm")]
    crate::bindings::base::sluice::filter::metrics::record_ms(name, ms);
    #[cfg(not(target_family = "wasm"))]
    crate::testing::note_timing(name, ms);
}
