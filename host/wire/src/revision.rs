//! The five protocol revisions and the two eras they fall into.

use std::fmt;
use std::str::FromStr;

/// A published revision of MCP, in order of publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Revision {
    /// 2024-11-05
    V2024_11_05,
    /// 2025-03-26
    V2025_03_26,
    /// 2025-06-18
    V2025_06_18,
    /// 2025-11-25
    V2025_11_25,
    /// 2026-07-28
    V2026_07_28,
}

/// How peers agree on a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Era {
    /// Once, by an `initialize` handshake: 2024-11-05 to 2025-11-25.
    Legacy,
    /// On every request, in `_meta`: 2026-07-28.
    Modern,
}

impl Revision {
    /// Every revision, oldest first.
    pub const ALL: [Revision; 5] =
        [Revision::V2024_11_05, Revision::V2025_03_26, Revision::V2025_06_18, Revision::V2025_11_25, Revision::V2026_07_28];
    /// The revisions of the legacy era, newest first.
    pub const LEGACY: [Revision; 4] = [Revision::V2025_11_25, Revision::V2025_06_18, Revision::V2025_03_26, Revision::V2024_11_05];
    /// The revisions of the modern era, newest first.
    pub const MODERN: [Revision; 1] = [Revision::V2026_07_28];

    /// The date that names it on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Revision::V2024_11_05 => "2024-11-05",
            Revision::V2025_03_26 => "2025-03-26",
            Revision::V2025_06_18 => "2025-06-18",
            Revision::V2025_11_25 => "2025-11-25",
            Revision::V2026_07_28 => "2026-07-28",
        }
    }

    /// The era it belongs to.
    pub fn era(self) -> Era {
        if self < Revision::V2026_07_28 { Era::Legacy } else { Era::Modern }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no revision this host knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown protocol revision")]
pub struct UnknownRevision;

impl FromStr for Revision {
    type Err = UnknownRevision;

    fn from_str(s: &str) -> Result<Self, UnknownRevision> {
        Revision::ALL.into_iter().find(|revision| revision.as_str() == s).ok_or(UnknownRevision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_order_by_date() {
        for revision in Revision::ALL {
            assert_eq!(revision.as_str().parse(), Ok(revision));
        }
        assert!(Revision::ALL.is_sorted_by_key(|revision| revision.as_str()));
        assert!(Revision::LEGACY.is_sorted_by(|a, b| a > b));
        assert_eq!("2026-07-28 ".parse::<Revision>(), Err(UnknownRevision));
        assert_eq!("draft".parse::<Revision>(), Err(UnknownRevision));
    }

    #[test]
    fn the_eras_split_all_revisions() {
        assert!(Revision::LEGACY.iter().all(|r| r.era() == Era::Legacy));
        assert!(Revision::MODERN.iter().all(|r| r.era() == Era::Modern));
        assert_eq!(Revision::LEGACY.len() + Revision::MODERN.len(), Revision::ALL.len());
    }
}
