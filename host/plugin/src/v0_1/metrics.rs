//! `metrics`: counters and timings of a guest.

use super::bindings::sluice::filter::metrics::Host;
use crate::{guest::Guest, settings::Power};

impl Host for Guest {
    fn add(&mut self, name: String, by: u64, labels: Vec<(String, String)>) -> wasmtime::Result<()> {
        self.entered(name.len() + labels.iter().map(|(k, v)| k.len() + v.len()).sum::<usize>())?;
        if self.may(Power::Metrics) {
            self.plugin.series.add(name, by, labels);
        }
        Ok(())
    }

    fn record_ms(&mut self, name: String, ms: f64) -> wasmtime::Result<()> {
        self.entered(name.len())?;
        if self.may(Power::Metrics) {
            self.plugin.series.record_ms(name, ms);
        }
        Ok(())
    }
}
