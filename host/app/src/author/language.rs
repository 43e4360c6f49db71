//! The languages with an SDK.

use serde::Deserialize;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// cargo, for wasm32-wasip2.
    Rust,
    /// componentize-py.
    Python,
    /// componentize-js; TypeScript, or JavaScript without types.
    Js,
    /// clang, as zig brings it.
    C,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Rust, Self::Python, Self::Js, Self::C];

    /// Its folder below `sdk/` in the sources of Sluice.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Python => "python",
            Self::Js => "javascript",
            Self::C => "c",
        }
    }
}
