//! What an operator is told about one thing of the old configuration.

use std::fmt;

use crate::config::{Place, Problem, Whose};

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Became {
    /// It is in the new configuration.
    Carried,
    /// It is not.
    Lost,
    /// Somebody has to do something before it works.
    Wanted,
}

/// One line.
#[derive(Clone, Debug)]
pub struct Note {
    /// What became of it.
    pub became: Became,
    /// Where it stands, what was done, and what there is to do.
    pub about: Problem,
}

impl Note {
    pub(super) fn new(became: Became, place: Place, what: impl Into<String>, suggestion: Option<String>) -> Note {
        Note { became, about: Problem { place, whose: Whose::Server, what: what.into(), suggestion } }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let became = match self.became {
            Became::Carried => "carried",
            Became::Lost => "not carried",
            Became::Wanted => "to do",
        };
        write!(f, "{became}: {}", self.about)
    }
}
