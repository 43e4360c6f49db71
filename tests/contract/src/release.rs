//! The releases in the tree, and what stands in `wit` against them.

use crate::{Change, Contract, compare};
use anyhow::{Context as _, Result, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
};

const RELEASED: &str = "tests/contract/released";
const NEXT: &str =
    "what is released does not grow either: a host of that version would lack it; it goes into a folder for the next version";

/// One released version, and one that stands in `wit`.
#[derive(Debug)]
pub struct Comparison {
    /// Folder of the release, `v0.1.0`.
    pub released: String,
    /// Folder in `wit`.
    pub edited: String,
    /// All differences.
    pub changes: Vec<Change>,
}

/// The folders of releases, oldest name first, in the project whose root this is.
///
/// # Errors
/// There is none.
pub fn releases(root: &Path) -> Result<Vec<PathBuf>> {
    let found = folders(&root.join(RELEASED))?;
    ensure!(!found.is_empty(), "{RELEASED} is empty; `cargo xtask contract --freeze VERSION` puts a release there");
    Ok(found)
}

/// Each release against its folder in `wit`, which may differ in comments alone, and against later ones of its line, which may grow.
///
/// # Errors
/// A folder is missing, or holds another version than it says.
pub fn comparisons(root: &Path) -> Result<Vec<Comparison>> {
    let mut found = Vec::new();
    for release in releases(root)? {
        let (name, released) = read(&release)?;
        let same = root.join("wit").join(&name);
        ensure!(same.is_dir(), "wit/{name} is gone, and {name} is released: plugins are built against it, so put it back");
        for folder in folders(&root.join("wit"))? {
            let (other, edited) = read(&folder)?;
            if other == name {
                let changes =
                    compare(&released, &edited).into_iter().map(|change| Change { breaks: change.breaks.or(Some(NEXT)), ..change });
                found.push(Comparison { released: name.clone(), edited: other, changes: changes.collect() });
            } else if edited.continues(&released) {
                found.push(Comparison { released: name.clone(), edited: other, changes: compare(&released, &edited) });
            }
        }
    }
    Ok(found)
}

/// The contract in a folder whose name is its version.
fn read(folder: &Path) -> Result<(String, Contract)> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let contract = Contract::read(folder)?;
    let version = contract.name().rsplit_once('@').map(|(_, version)| format!("v{version}")).unwrap_or_default();
    ensure!(version == name, "{} holds {}; a folder is named after its version", folder.display(), contract.name());
    Ok((name, contract))
}

fn folders(parent: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(parent).with_context(|| parent.display().to_string())?;
    let mut found: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    found.sort();
    Ok(found)
}
