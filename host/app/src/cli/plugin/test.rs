//! `sluice plugin test`

use super::{super::Exit, Subject};
use crate::author::fixture::{Difference, Fixture};
use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::Value;
use std::path::PathBuf;

#[derive(Args)]
pub struct Test {
    /// A project that was built, or a component.
    #[arg(default_value = ".", value_name = "DIR|FILE")]
    path: PathBuf,
    /// The folder with the cases [default: `tests` of the project].
    #[arg(long, value_name = "DIR")]
    fixtures: Option<PathBuf>,
    /// Write what comes into the cases, as what is expected from now on.
    #[arg(long)]
    bless: bool,
}

impl Test {
    pub async fn run(self) -> Result<Exit> {
        let subject = Subject::find(&self.path)?;
        let folder = self.fixtures.or(subject.fixtures).context("a component alone has no cases: name their folder with --fixtures")?;
        let (mut good, mut bad) = (0, 0);
        for fixture in Fixture::all(&folder)? {
            let name = fixture.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let outcomes = match fixture.run(&subject.file, subject.bytes.clone(), &subject.sidecar).await {
                Ok(outcomes) => outcomes,
                Err(error) => {
                    say!("FAILED  {name}: {error:#}");
                    bad += 1;
                    continue;
                }
            };
            let differences = fixture.differences(&outcomes);
            let steps = outcomes.len();
            if differences.is_empty() {
                good += steps;
                say!("ok      {name} ({steps})");
            } else if self.bless {
                good += steps;
                say!("blessed {name}: {} of {steps} changed", differences.len());
                fixture.bless(outcomes)?;
            } else {
                good += steps - differences.len();
                bad += differences.len();
                differences.iter().for_each(|difference| print(&name, difference));
            }
        }
        say!("{good} passed, {bad} failed");
        Ok(if bad == 0 { Exit::Good } else { Exit::Broken })
    }
}

fn print(fixture: &str, difference: &Difference) {
    let Difference { step, about, expected, got } = difference;
    say!("FAILED  {fixture}, step {step} ({about})");
    match expected {
        None => say!("        it says nothing about what to expect; --bless takes what comes"),
        Some(expected) => say!("        expected {}", line(expected)),
    }
    say!("        got      {}", line(got));
}

fn line(value: &Value) -> String {
    value.to_string()
}
