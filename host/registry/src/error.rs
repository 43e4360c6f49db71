//! Why a plugin could not be had, or put there.

use std::fmt;

/// One line: the reference, what happened, whose fault it is and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reference} {what}")]
pub struct FetchError {
    /// As the operator wrote it.
    pub reference: String,
    /// What sort of thing happened.
    pub kind: Kind,
    /// The rest of the sentence.
    pub what: String,
}

/// What sort of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nobody answered, or not in time, or not for the moment: a copy that was good yesterday still is.
    Down,
    /// We may not.
    Denied,
    /// It is not there.
    Missing,
    /// What is there is no plugin, or not the one.
    Wrong,
}

impl FetchError {
    pub(crate) fn new(reference: &impl fmt::Display, kind: Kind, what: impl Into<String>) -> Self {
        Self { reference: reference.to_string(), kind, what: one_line(&what.into()) }
    }

    /// It took longer than it may.
    pub(crate) fn late(reference: &impl fmt::Display, limit: std::time::Duration) -> Self {
        let what = format!(
            "did not come within {} ms: its server is slow, or far away (sluice.limits.plugin_fetch_timeout_ms)",
            limit.as_millis()
        );
        Self::new(reference, Kind::Down, what)
    }

    /// An answer of HTTP that is none of what was asked for.
    pub(crate) fn status(reference: &impl fmt::Display, host: &str, status: u16, login: &str) -> Self {
        let (kind, what) = match status {
            401 => (Kind::Denied, unauthorized(host, login)),
            403 => (Kind::Denied, format!("is refused by {host} (403): {login} may not have it; its owner decides")),
            404 | 410 => (Kind::Missing, missing(host)),
            408 | 425 | 429 | 500.. => (Kind::Down, format!("cannot be had now: {host} answers {status}; try again later")),
            _ => (Kind::Wrong, format!("cannot be had: {host} answers {status}, which is not what a server of plugins answers")),
        };
        Self::new(reference, kind, what)
    }
}

/// The registry wants to know who we are.
pub(crate) fn unauthorized(host: &str, login: &str) -> String {
    format!(
        "is refused by {host} (401), which was shown {login}: write a login under sluice.plugins.registries.\"{host}\", or `docker login {host}`"
    )
}

/// The registry has none of it.
pub(crate) fn missing(host: &str) -> String {
    format!("is not at {host} (404): check name and tag; some registries answer so, too, where a login is missing")
}

/// Foreign words in one line of ours.
pub(crate) fn one_line(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.trim().chars().take(600).collect()
}

/// An error with its causes, since the first often says nothing.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut said = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if said.last().is_none_or(|last| !last.contains(&text)) {
            said.push(text);
        }
        next = cause.source();
    }
    said.join(": ")
}
