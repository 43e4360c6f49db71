//! Says what changed in the contract since it was released: `sluice-contract <root>`, or `sluice-contract <released> <edited>` of any two
//! folders.

#![forbid(unsafe_code)]

use anyhow::{Result, bail};
use sluice_contract::{Change, Contract, compare, comparisons};
use std::{path::Path, process::ExitCode};

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether nothing is refused.
fn run() -> Result<bool> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [root] => {
            let mut fits = true;
            for one in comparisons(Path::new(root))? {
                fits &= print(&one.released, &format!("wit/{}", one.edited), &one.changes);
            }
            Ok(fits)
        }
        [released, edited] => {
            let changes = compare(&Contract::read(Path::new(released))?, &Contract::read(Path::new(edited))?);
            Ok(print(released, edited, &changes))
        }
        _ => bail!("say which project, or which two folders"),
    }
}

fn print(released: &str, edited: &str, changes: &[Change]) -> bool {
    let refused = changes.iter().filter(|change| change.breaks.is_some()).count();
    println!("{edited} against {released}: {} differences, {refused} refused", changes.len());
    for change in changes {
        println!("  {change}");
    }
    refused == 0
}
