//! `--name value` pairs, and nothing more: five commands do not need an argument parser's compile time.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result, bail};

/// A flag's name without dashes, and what it is for.
pub type Known = &'static [(&'static str, &'static str)];

/// The flags of one command line.
#[derive(Debug, Default)]
pub struct Flags {
    given: BTreeMap<String, String>,
}

impl Flags {
    /// Reads the pairs; `None` is a call for help.
    pub fn parse(mut args: impl Iterator<Item = String>, known: Known) -> Result<Option<Self>> {
        let mut given = BTreeMap::new();
        while let Some(arg) = args.next() {
            if arg == "--help" || arg == "-h" {
                return Ok(None);
            }
            let Some(name) = arg.strip_prefix("--").filter(|name| known.iter().any(|(flag, _)| flag == name)) else {
                bail!("unknown argument {arg}\n{}", describe(known));
            };
            let value = args.next().with_context(|| format!("--{name} needs a value"))?;
            given.insert(name.to_owned(), value);
        }
        Ok(Some(Self { given }))
    }

    /// The value as written.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.given.get(name).map(String::as_str)
    }

    /// The value as a path.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.text(name).map(PathBuf::from)
    }

    /// The value, read as what the default is.
    pub fn or<T: FromStr<Err: Display>>(&self, name: &str, default: T) -> Result<T> {
        let Some(text) = self.text(name) else {
            return Ok(default);
        };
        text.parse().map_err(|problem| anyhow::anyhow!("--{name} {text}: {problem}"))
    }
}

/// One line for each flag.
pub fn describe(known: Known) -> String {
    known.iter().map(|(name, what)| format!("  --{name:<12} {what}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Known = &[("listen", "where"), ("workers", "how many")];

    fn parse(line: &str) -> Result<Option<Flags>> {
        Flags::parse(line.split_whitespace().map(str::to_owned), KNOWN)
    }

    #[test]
    fn pairs_are_read_and_defaults_fill_in() {
        let flags = parse("--workers 3").unwrap().unwrap();
        assert_eq!(flags.or("workers", 2).unwrap(), 3);
        assert_eq!(flags.or("listen", "a".to_owned()).unwrap(), "a");
    }

    #[test]
    fn what_is_unknown_or_unfinished_is_an_error() {
        assert!(parse("--wrong 1").is_err());
        assert!(parse("--workers").is_err());
        assert!(parse("--workers x").unwrap().unwrap().or("workers", 2).is_err());
        assert!(parse("--help").unwrap().is_none());
    }
}
