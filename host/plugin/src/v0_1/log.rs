//! `log`: a guest's words in the operator's log. Capped in rate and size, escaped, tagged.

use super::bindings::sluice::filter::log::{Host, Level};
use crate::{guest::Guest, plugin::Plugin, settings::Power, share::Place};
use std::{
    fmt::Write,
    sync::{Mutex, PoisonError, atomic::Ordering::Relaxed},
};
use tokio::time::Instant;

/// A token bucket of log lines, shared by all guests of a plugin, or of a plugin and a tenant.
pub(crate) struct LogTap {
    per_second: f64,
    state: Mutex<Flow>,
}

struct Flow {
    left: f64,
    at: Instant,
    /// Dropped since the last line that passed.
    dropped: u64,
}

impl LogTap {
    pub(crate) fn new(lines_per_second: u32) -> Self {
        let per_second = f64::from(lines_per_second);
        Self { per_second, state: Mutex::new(Flow { left: per_second, at: Instant::now(), dropped: 0 }) }
    }

    /// May a line pass? If so, how many were dropped before it.
    fn take(&self) -> Option<u64> {
        let mut flow = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let refill = now.saturating_duration_since(flow.at).as_secs_f64() * self.per_second;
        flow.left = (flow.left + refill).min(self.per_second);
        flow.at = now;
        if flow.left < 1.0 {
            flow.dropped += 1;
            return None;
        }
        flow.left -= 1.0;
        Some(std::mem::take(&mut flow.dropped))
    }
}

/// One line of a guest, which may be a tenant's.
pub(crate) fn line(plugin: &Plugin, share: Option<&Place>, level: Level, message: &str, fields: &[(String, String)]) {
    if !plugin.powers.has(Power::Log) {
        return;
    }
    // A tenant's own first: what it drops there costs nobody else a line.
    let own = share.map_or(Some(0), |share| share.log.take());
    let Some(dropped) = own.and_then(|own| Some(own + plugin.log.take()?)) else {
        plugin.figures.log_dropped.fetch_add(1, Relaxed);
        return;
    };
    let mut room = plugin.limits.log_line_bytes_max;
    let message = plain(message, &mut room);
    let mut text = String::new();
    for (key, value) in fields.iter().take(32) {
        let (key, value) = (plain(key, &mut room), plain(value, &mut room));
        let _ = write!(text, "{}{key}={value:?}", if text.is_empty() { "" } else { " " });
    }
    let name = &*plugin.name;
    match level {
        Level::Debug => tracing::debug!(target: "plugin", plugin = name, fields = text, dropped, "{message}"),
        Level::Info => tracing::info!(target: "plugin", plugin = name, fields = text, dropped, "{message}"),
        Level::Warn => tracing::warn!(target: "plugin", plugin = name, fields = text, dropped, "{message}"),
        Level::Error => tracing::error!(target: "plugin", plugin = name, fields = text, dropped, "{message}"),
    }
}

/// `text` with everything escaped that moves a cursor, hides or reorders, and cut to what `room` is left.
fn plain(text: &str, room: &mut usize) -> String {
    let mut out = String::with_capacity(text.len().min(*room));
    for c in text.chars() {
        if out.len() + 8 > *room {
            out.push('…');
            break;
        }
        if c.is_control() || is_hidden(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    *room = room.saturating_sub(out.len());
    out
}

/// Line separators, bidirectional controls, zero-width characters and tags.
fn is_hidden(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
}

impl Host for Guest {
    fn log(&mut self, level: Level, message: String, fields: Vec<(String, String)>) -> wasmtime::Result<()> {
        self.entered_alike(message.len() + fields.iter().map(|(k, v)| k.len() + v.len()).sum::<usize>())?;
        line(&self.plugin, self.share.as_ref(), level, &message, &fields);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_moves_the_cursor_or_hides() {
        let mut room = 4096;
        assert_eq!(plain("a\u{1b}[2J\r\nb\u{202e}c\u{e0041}é", &mut room), "a\\u{1b}[2J\\r\\nb\\u{202e}c\\u{e0041}é");
        let mut room = 16;
        assert_eq!(plain(&"x".repeat(100), &mut room), format!("{}…", "x".repeat(9)));
    }

    #[test]
    fn the_tap_closes() {
        let tap = LogTap::new(5);
        assert_eq!((0..1000).filter(|_| tap.take().is_some()).count(), 5);
    }
}
