//! What the log is told of entries.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use core::cell::RefCell;

use sluice_sdk::log::{self, Level};
use sluice_sdk::prelude::*;

/// Lines of one look at a list. Each is a host call, of which all servers together have one budget: what a server says a thousand times
/// must not cost the others their look.
const LINES_MAX: usize = 50;
/// Lines that an instance remembers to have written.
const TOLD_MAX: usize = 10_000;
/// Bytes of a name in a line.
const NAME_BYTES_MAX: usize = 256;

/// Lists are computed anew for each kind of viewer; what is said of an entry is the same each time.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    told: RefCell<BTreeSet<String>>,
}

impl Lines {
    /// A line for each entry that has none yet, and one for all that there are too many of: those are told another time.
    pub(crate) fn tell<'e>(&self, kind: ListKind, said: impl Iterator<Item = (&'e Entry, String, &'static str)>) {
        let list = match kind {
            ListKind::Tools => "tools",
            ListKind::Prompts => "prompts",
            ListKind::Resources => "resources",
            ListKind::ResourceTemplates => "resource-templates",
        };
        let mut told = self.told.borrow_mut();
        let (mut lines, mut more) = (0, 0_usize);
        for (entry, found, what) in said {
            let name = &entry.name[..entry.name.floor_char_boundary(NAME_BYTES_MAX)];
            let key = format!("{}\n{list}\n{name}\n{}", entry.upstream, entry.digest);
            if told.contains(&key) {
                continue;
            }
            if lines == LINES_MAX {
                more += 1;
                continue;
            }
            if told.len() >= TOLD_MAX {
                told.clear();
            }
            told.insert(key);
            lines += 1;
            let upstream = entry.upstream.as_str();
            let fields =
                [("upstream", upstream), ("list", list), ("entry", name), ("found", &found), ("digest", &entry.digest), ("is", what)];
            log::write(Level::Warn, "a definition is suspicious", &fields);
        }
        if more > 0 {
            log::write(
                Level::Warn,
                "more definitions are suspicious than are told at once",
                &[("list", list), ("more", &more.to_string())],
            );
        }
    }
}
