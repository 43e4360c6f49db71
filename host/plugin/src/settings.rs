//! What the operator says about one plugin.

use crate::limits::Limits;
use std::sync::Arc;

/// A power the operator can take away. What is taken answers `denied`, or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Power {
    /// Log lines.
    Log,
    /// Counters and timings.
    Metrics,
    /// Reading and editing messages.
    Payload,
    /// Native search over messages.
    Patterns,
    /// Keys and counters.
    Kv,
    /// Keeping secrets, and using them unseen.
    Secrets,
}

impl Power {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Log, Self::Metrics, Self::Payload, Self::Patterns, Self::Kv, Self::Secrets];

    /// The name of the interface in the contract.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Metrics => "metrics",
            Self::Payload => "payload",
            Self::Patterns => "patterns",
            Self::Kv => "kv",
            Self::Secrets => "secrets",
        }
    }

    /// The power of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|power| power.as_str() == name)
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of powers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Powers(u8);

impl Powers {
    /// None at all, as `describe` runs.
    pub const NONE: Self = Self(0);

    /// Everything but these.
    pub fn without(denied: &[Power]) -> Self {
        let all = Power::ALL.into_iter().fold(0, |bits, power| bits | power.bit());
        Self(denied.iter().fold(all, |bits, power| bits & !power.bit()))
    }

    /// Is it in the set?
    pub fn has(self, power: Power) -> bool {
        self.0 & power.bit() != 0
    }
}

/// Who may meet the same instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Scope {
    /// Nobody: a fresh instance for every hook call.
    Call,
    /// The hooks of one exchange.
    Exchange,
    /// All exchanges of one principal.
    #[default]
    Principal,
    /// All principals of one tenant; without a tenant, one principal.
    Tenant,
    /// Everybody. Needs `stateless` in the manifest and the operator's word, which this is.
    All,
}

/// One plugin as configured.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Settings {
    /// The file as messages name it, such as `10-auth.wasm`.
    pub file: Arc<str>,
    /// Where the operator would write a grant, such as `10-auth.toml`.
    pub sidecar: Arc<str>,
    /// The plugin's own settings: a JSON object.
    pub config: serde_json::Value,
    /// Capabilities given, each as [`Grant`](crate::Grant) writes it: `kv:shared-bucket`.
    pub grants: Vec<String>,
    /// Powers taken away.
    pub denied: Vec<Power>,
    /// Who may meet the same instance.
    pub scope: Scope,
    /// Bounds.
    pub limits: Limits,
}

impl Settings {
    /// Defaults for a file of this name, with no settings of its own.
    pub fn new(file: impl Into<Arc<str>>) -> Self {
        let file = file.into();
        let sidecar = format!("{}.toml", file.strip_suffix(".wasm").unwrap_or(&file)).into();
        Self {
            file,
            sidecar,
            config: serde_json::Value::Object(serde_json::Map::new()),
            grants: Vec::new(),
            denied: Vec::new(),
            scope: Scope::default(),
            limits: Limits::default(),
        }
    }
}
