//! What is measured: every target in every shape of load.

use std::fmt;

use anyhow::{Result, bail};
use serde::{Serialize, Serializer};

use crate::replies::{Era, Tool};
use crate::sluice::{Chain, Filter, PRINCIPALS};

/// What calls go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// Nothing: straight to the backend. Its CPU time is the backend's own.
    Direct,
    /// The bare hyper proxy.
    Bare,
    /// nginx.
    Nginx,
    /// Sluice with an empty chain.
    Empty,
    /// Sluice with the four standard plugins.
    Four,
    /// The same, with instances that each run their `init`.
    FourInit,
    /// Sluice with so many of one filter.
    Filters(Filter, u8),
    /// Sluice with an empty chain before a server of this era, called by clients of the other one.
    Bridge(Era),
}

impl Target {
    /// In the order of the table.
    pub const ALL: [Self; 10] = [
        Self::Direct,
        Self::Bare,
        Self::Nginx,
        Self::Empty,
        Self::Four,
        Self::Filters(Filter::Facts, 1),
        Self::Filters(Filter::Facts, 5),
        Self::Filters(Filter::Facts, 10),
        Self::Bridge(Era::Legacy),
        Self::Bridge(Era::Modern),
    ];

    /// Sluice's chain, when the target is Sluice.
    pub fn chain(self) -> Option<Chain> {
        match self {
            Self::Direct | Self::Bare | Self::Nginx => None,
            Self::Empty | Self::Bridge(_) => Some(Chain::Empty),
            Self::Four => Some(Chain::Standard),
            Self::FourInit => Some(Chain::StandardInit),
            Self::Filters(filter, count) => Some(Chain::Filters(filter, count.into())),
        }
    }

    /// The era in which the backend is called for a client of this one.
    pub fn server(self, client: Era) -> Era {
        if let Self::Bridge(server) = self { server } else { client }
    }

    /// Whether a load is one that the target is there for.
    fn takes(self, shape: Shape) -> bool {
        match self {
            // Many principals only where there is a plugin that tells them apart.
            Self::Four => true,
            Self::Bridge(server) => shape.era != server && shape.connections == 16 && shape.principals == 1,
            _ => shape.principals == 1,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct => f.pad("direct"),
            Self::Bare => f.pad("bare"),
            Self::Nginx => f.pad("nginx"),
            Self::Empty => f.pad("empty"),
            Self::Four => f.pad("four"),
            Self::FourInit => f.pad("four-init"),
            Self::Filters(filter, count) => f.pad(&format!("{}{count}", filter.word())),
            Self::Bridge(server) => f.pad(&format!("to-{server}")),
        }
    }
}

/// A load, whatever it goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shape {
    /// Of every call.
    pub era: Era,
    /// What is called, and so the size of the result.
    pub tool: Tool,
    /// Calls in flight.
    pub connections: usize,
    /// Callers with a credential of their own.
    pub principals: usize,
}

impl Shape {
    fn words(self) -> [String; 4] {
        let size = if self.tool == Tool::Echo200 { "200B" } else { "64K" };
        let (connections, principals) = (format!("c{}", self.connections), format!("p{}", self.principals));
        [self.era.to_string(), size.to_owned(), connections, principals]
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.words().join("/"))
    }
}

/// One box of the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// The load.
    pub shape: Shape,
    /// What it goes through.
    pub target: Target,
}

impl Cell {
    /// Whether a bar is read from it: those are measured for longer. The 16 calls in flight and the one principal
    /// are the issue's; which targets a size is judged on is the bars'.
    pub fn is_judged(&self) -> bool {
        let Shape { tool, connections, principals, .. } = self.shape;
        let targets: &[Target] = match tool {
            Tool::Echo200 => &Target::ALL,
            Tool::Echo64k => &[Target::Bare, Target::Empty],
        };
        connections == 16 && principals == 1 && targets.contains(&self.target)
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.target, self.shape))
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The whole matrix.
fn all() -> Vec<Cell> {
    let mut cells = Vec::new();
    for principals in [1, PRINCIPALS] {
        for tool in Tool::ALL {
            for connections in [1, 16, 64] {
                for era in Era::ALL {
                    let shape = Shape { era, tool, connections, principals };
                    let fits = Target::ALL.into_iter().filter(|target| target.takes(shape));
                    cells.extend(fits.map(|target| Cell { shape, target }));
                }
            }
        }
    }
    cells
}

/// How many of one filter stand in a chain: the slope over these and none is what one costs.
pub const FILTERS: [u8; 3] = [1, 5, 10];

/// What `plugins` measures: every filter, and the standard chain with one principal and with many, under one load.
pub fn plugin_cells() -> Vec<Cell> {
    let counted = |filter| FILTERS.map(|count| Target::Filters(filter, count));
    let targets = Filter::ALL.into_iter().flat_map(counted).chain([Target::Empty, Target::Four]);
    let many = [Target::Four, Target::FourInit].map(|target| Cell { target, shape: Shape { principals: PRINCIPALS, ..PLUGINS_SHAPE } });
    targets.map(|target| Cell { target, shape: PLUGINS_SHAPE }).chain(many).collect()
}

/// The load that filters are measured under: a hook costs the same in both eras.
pub const PLUGINS_SHAPE: Shape = Shape { era: Era::Modern, tool: Tool::Echo200, connections: 16, principals: 1 };

/// The cells that `only` leaves. Its words, divided by commas, are those of the labels (`four/modern/200B/c16/p1`):
/// words of one kind widen the choice, words of different kinds narrow it.
pub fn cells(only: &str) -> Result<Vec<Cell>> {
    let mut cells = all();
    let words_of = |cell: &Cell| {
        let [era, size, connections, principals] = cell.shape.words();
        [cell.target.to_string(), era, size, connections, principals]
    };
    let mut wanted: [Vec<String>; 5] = Default::default();
    for word in only.split([',', '/']).map(str::trim).filter(|word| !word.is_empty()) {
        let kind = cells.iter().find_map(|cell| words_of(cell).iter().position(|known| known.eq_ignore_ascii_case(word)));
        let Some(kind) = kind else {
            bail!("--only {word}: not a word of any label, such as {}", cells[0]);
        };
        wanted[kind].push(word.to_lowercase());
    }
    cells.retain(|cell| {
        let fits = |(words, word): (&Vec<String>, String)| words.is_empty() || words.contains(&word.to_lowercase());
        wanted.iter().zip(words_of(cell)).all(fits)
    });
    if cells.is_empty() {
        bail!("--only {only}: no cell has all of that");
    }
    Ok(cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_filter_is_measured_beside_the_empty_chain() {
        let cells = plugin_cells();
        assert_eq!(cells.len(), 6 * 3 + 2 + 2);
        assert_eq!(cells[0].to_string(), "f1/modern/200B/c16/p1");
        assert!(cells.iter().filter(|cell| cell.shape.principals > 1).all(|cell| matches!(cell.target, Target::Four | Target::FourInit)));
    }

    #[test]
    fn the_matrix_is_the_issues() {
        let cells = all();
        assert_eq!(cells.len(), 8 * 12 + 12 + 4);
        assert!(cells.iter().all(|cell| cell.shape.principals == 1 || cell.target == Target::Four));
        assert!(cells.iter().all(|cell| cell.target != Target::Bridge(cell.shape.era)), "a bridge has two ends");
        assert_eq!(cells[0].to_string(), "direct/legacy/200B/c1/p1");
    }

    #[test]
    fn words_narrow_across_kinds_and_widen_within_one() {
        assert_eq!(cells("bare,empty,c16,64k,modern").unwrap().len(), 2);
        assert_eq!(cells("four/modern/200B/c16/p1").unwrap().len(), 1);
        assert!(cells("fourteen").is_err());
        assert!(cells("bare,p1000").is_err());
    }
}
