//! `sluice key`: API keys for the plugin `auth-api-key`, in a file that holds none.

use super::Exit;
use crate::{
    config::{Secret, Surroundings},
    keys::{self, Fresh, Key, KeyFile, State},
};
use anyhow::{Context as _, Result, anyhow, bail};
use clap::{Args, Subcommand};
use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

const FILE: &str = "keys.toml";

#[derive(Subcommand)]
pub enum KeyCommand {
    /// Make a key and print it, this once: the file holds what it is known by.
    New(New),
    /// Show the keys of a file: whose they are, until when, and whether they are good.
    Ls(Ls),
    /// Take keys back. A gateway that runs lets them in no more within a few seconds.
    Revoke(Revoke),
}

impl KeyCommand {
    pub fn run(self) -> Result<Exit> {
        match self {
            Self::New(new) => new.run(),
            Self::Ls(ls) => ls.run(),
            Self::Revoke(revoke) => revoke.run(),
        }
    }
}

#[derive(Args)]
pub struct New {
    /// Names the key, in it, in the file and in logs: letters, digits, '-' and '.' [default: a random one].
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// The key file; it is made if it is not there.
    #[arg(long, short, value_name = "FILE", default_value = FILE)]
    file: PathBuf,
    /// Who its holder is [default: the id].
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    /// Whose that one is.
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// A role of its holder; as often as you like.
    #[arg(long = "role", value_name = "NAME")]
    roles: Vec<String>,
    /// What it may be used for; as often as you like.
    #[arg(long = "scope", value_name = "NAME")]
    scopes: Vec<String>,
    /// A further claim; as often as you like.
    #[arg(long = "claim", value_name = "NAME=VALUE")]
    claims: Vec<String>,
    /// When it ends: 90d, 12h, or 2027-01-01T00:00:00Z [default: never].
    #[arg(long, value_name = "WHEN")]
    expires: Option<String>,
    /// When it begins [default: now].
    #[arg(long, value_name = "WHEN")]
    not_before: Option<String>,
    /// What it is for.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// What the key begins with.
    #[arg(long, value_name = "TEXT", default_value = "slk_")]
    prefix: String,
    /// The secret that the plugin's `pepper` names: env:NAME or file:PATH. Without it, who writes the file can add no key.
    #[arg(long, value_name = "SECRET")]
    pepper: Option<String>,
    /// Make another key in the place of the one that has this id; that one stays good for --overlap.
    #[arg(long, requires = "id", conflicts_with_all = ["subject", "tenant", "roles", "scopes", "claims", "not_before", "note"])]
    replace: bool,
    /// With --replace: how long the key before it stays good; 0s ends it at once.
    #[arg(long, value_name = "TIME", default_value = "7d", requires = "replace")]
    overlap: String,
}

#[derive(Args)]
pub struct Ls {
    /// The key file.
    #[arg(long, short, value_name = "FILE", default_value = FILE)]
    file: PathBuf,
}

#[derive(Args)]
pub struct Revoke {
    /// The ids of the keys.
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    /// The key file.
    #[arg(long, short, value_name = "FILE", default_value = FILE)]
    file: PathBuf,
}

impl New {
    fn run(self) -> Result<Exit> {
        let now = SystemTime::now();
        let when =
            |flag: &str, text: &Option<String>| text.as_ref().map(|text| moment(text, now).with_context(|| flag.to_owned())).transpose();
        let (expires, not_before) = (when("--expires", &self.expires)?, when("--not-before", &self.not_before)?);
        if expires.is_some_and(|ends| ends <= not_before.unwrap_or(now)) {
            bail!("--expires is not after its beginning, so the key would never be good");
        }
        let (expires, not_before) = (expires.map(written), not_before.map(written));
        let pepper = self.pepper.as_ref().map(|name| pepper(name)).transpose()?;
        let id = self.id.map_or_else(keys::random_id, Ok)?;
        let fresh = Fresh::make(&self.prefix, &id, pepper.as_ref().map(|pepper| pepper.reveal().as_bytes()))?;
        let mut file = KeyFile::open(&self.file)?;
        let until = if self.replace {
            let overlap = duration(&self.overlap).context("--overlap")?;
            let until =
                (!overlap.is_zero()).then(|| now.checked_add(overlap).filter(|date| is_written(*date)).context("--overlap is too long"));
            let until = until.transpose()?.map(written);
            let key = file.keys.replace(&id, fresh.hash, until.clone(), expires)?;
            if key.state(now) == State::Expired {
                bail!("the key {id} expired at {}: give it another time with --expires", key.expires.as_deref().unwrap_or_default());
            }
            until
        } else {
            let claims = self.claims.iter().map(|claim| {
                let pair = claim.split_once('=').with_context(|| format!("--claim {claim:?} is not NAME=VALUE"))?;
                anyhow::Ok((pair.0.to_owned(), pair.1.to_owned()))
            });
            file.keys.add(Key {
                id: id.clone(),
                hash: fresh.hash,
                subject: self.subject,
                tenant: self.tenant,
                roles: self.roles,
                scopes: self.scopes,
                not_before,
                expires,
                disabled: false,
                created: Some(written(now)),
                note: self.note,
                claims: claims.collect::<Result<_>>()?,
                previous: None,
            })?;
            None
        };
        file.keys.check()?;
        file.save()?;
        say!("{}", *fresh.key);
        eprintln!("this is the key {id}, shown this once: {} holds only what it is known by", self.file.display());
        match until {
            Some(until) => eprintln!("the one before it stays good until {until}"),
            None if self.replace => eprintln!("the one before it is good no more"),
            None => {}
        }
        if file.is_new {
            eprintln!("the gateway reads it with, beside the plugin's config:");
            eprintln!("  config_files.key_file = \"{}\"", self.file.display());
        }
        Ok(Exit::Good)
    }
}

impl Ls {
    fn run(self) -> Result<Exit> {
        let (keys, _) = keys::read(&self.file)?;
        table(&keys.keys, SystemTime::now()).iter().for_each(|line| say!("{line}"));
        Ok(Exit::Good)
    }
}

/// A line each, under a line of headings. Nothing of a digest is in it.
fn table(keys: &[Key], now: SystemTime) -> Vec<String> {
    let heads = ["ID", "SUBJECT", "TENANT", "SCOPES", "ROLES", "EXPIRES", "STATE"].map(str::to_owned);
    let row = |key: &Key| {
        let state = match key.state(now) {
            State::Live => "good".to_owned(),
            State::Replacing(until) => format!("good, and the one before it until {until}"),
            State::Early => format!("not before {}", key.not_before.as_deref().unwrap_or_default()),
            State::Expired => "expired".to_owned(),
            State::Revoked => "revoked".to_owned(),
            State::Unclear => "a date in it is not like 2027-01-01T00:00:00Z".to_owned(),
        };
        let some = |text: &Option<String>| text.clone().filter(|text| !text.is_empty()).unwrap_or_else(|| "-".to_owned());
        let list = |texts: &[String]| if texts.is_empty() { "-".to_owned() } else { texts.join(",") };
        let subject = key.subject.clone().unwrap_or_else(|| key.id.clone());
        // The file may be another's: what is in it is not for a terminal to obey.
        [key.id.clone(), subject, some(&key.tenant), list(&key.scopes), list(&key.roles), some(&key.expires), state].map(|text| {
            text.chars()
                .flat_map(|c| if c.is_ascii() { c.escape_debug().collect::<Vec<_>>() } else { c.escape_unicode().collect() })
                .collect::<String>()
        })
    };
    let rows: Vec<[String; 7]> = [heads].into_iter().chain(keys.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..7).map(width).collect();
    let line = |row: &[String; 7]| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

impl Revoke {
    /// All of them, or none if one is not there.
    fn run(self) -> Result<Exit> {
        let mut file = KeyFile::open(&self.file)?;
        let mut said = Vec::new();
        for id in &self.ids {
            said.push(match file.keys.revoke(id)? {
                true => format!("{id} is revoked"),
                false => format!("{id} was revoked before"),
            });
        }
        file.save()?;
        said.iter().for_each(|line| say!("{line}"));
        eprintln!("a gateway that reads {} says in its log whether it could", self.file.display());
        Ok(Exit::Good)
    }
}

/// A secret by its reference, as `sluice.secrets` has it.
fn pepper(reference: &str) -> Result<Secret> {
    Secret::by_reference(reference, "--pepper", &Surroundings::of_process()).map_err(|report| anyhow!("{}", report.to_string().trim_end()))
}

/// From now, or a date.
fn moment(text: &str, now: SystemTime) -> Result<SystemTime> {
    if let Ok(date) = humantime::parse_rfc3339(text) {
        return Ok(date);
    }
    match humantime::parse_duration(text) {
        Ok(from_now) => now.checked_add(from_now).filter(|date| is_written(*date)).with_context(|| format!("{text} is too long")),
        Err(_) => bail!("{text:?} is neither a time, such as 90d or 12h, nor a date, such as 2027-01-01T00:00:00Z"),
    }
}

fn duration(text: &str) -> Result<Duration> {
    humantime::parse_duration(text).with_context(|| format!("{text:?} is no time, such as 7d or 12h"))
}

/// Dates have four digits for the year.
fn is_written(date: SystemTime) -> bool {
    date.duration_since(SystemTime::UNIX_EPOCH).is_ok_and(|since| since.as_secs() < 253_402_300_800)
}

fn written(date: SystemTime) -> String {
    humantime::format_rfc3339_seconds(date).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        command: KeyCommand,
    }

    fn run(folder: &std::path::Path, words: &str) -> Result<Exit> {
        let file = folder.join("keys.toml").display().to_string();
        let words = ["key"].into_iter().chain(words.split(' ')).chain(["--file", &file]);
        Line::try_parse_from(words)?.command.run()
    }

    #[test]
    fn a_key_is_made_replaced_and_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let read = || keys::read(&folder.path().join("keys.toml")).unwrap().0.keys;
        run(folder.path(), "new ci --subject ada --tenant acme --scope read --scope write --role dev --claim team=infra --expires 90d")
            .unwrap();
        run(folder.path(), "new").unwrap();
        let [ci, random] = &read()[..] else { panic!("{:?}", read()) };
        assert_eq!((ci.subject.as_deref(), ci.tenant.as_deref(), ci.scopes.len(), ci.roles.len()), (Some("ada"), Some("acme"), 2, 1));
        assert!(ci.claims["team"] == "infra" && ci.expires > ci.created && random.expires.is_none() && random.id.len() == 11);
        let before = ci.hash.clone();
        run(folder.path(), "new ci --replace --overlap 2h").unwrap();
        let previous = read()[0].previous.clone().unwrap();
        assert!(previous.hash == before && read()[0].hash != before && read()[0].subject.as_deref() == Some("ada"));
        run(folder.path(), "revoke ci").unwrap();
        assert!(read()[0].disabled && read()[0].previous.is_none());
        run(folder.path(), "ls").unwrap();
    }

    #[test]
    fn what_cannot_be_is_said_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        run(folder.path(), "new ci").unwrap();
        let before = std::fs::read(folder.path().join("keys.toml")).unwrap();
        for (words, says) in [
            ("new ci", "there is a key ci already"),
            ("new x --expires yesterday", "--expires: \"yesterday\" is neither a time"),
            ("new x --expires 2020-01-01T00:00:00Z", "never be good"),
            ("new x --expires 1h --not-before 2h", "never be good"),
            ("new x --expires 9000000000000d", "--expires"),
            ("new x --claim team", "is not NAME=VALUE"),
            ("new x --pepper hunter2", "--pepper"),
            ("new x --pepper file:/nothing/here", "cannot be read"),
            ("new x --replace", "there is no key \"x\""),
            ("new ci --replace --overlap 9000000d", "--overlap is too long"),
            ("new ci --replace --tenant acme", "cannot be used with"),
            ("new --replace", "required"),
            ("revoke ci other", "there is no key \"other\""),
            ("revoke", "required"),
        ] {
            let error = format!("{:#}", run(folder.path(), words).expect_err(words));
            assert!(error.contains(says), "{words}: {error}");
        }
        assert_eq!(std::fs::read(folder.path().join("keys.toml")).unwrap(), before);
    }

    #[test]
    fn what_the_plugin_would_refuse_whole_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let pepper = folder.path().join("pepper.txt");
        std::fs::write(&pepper, "0123456789abcdef0123456789abcdef").unwrap();
        std::fs::set_permissions(&pepper, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        run(folder.path(), "new plain --not-before 30d").unwrap();
        let refused = |words: &str, says: &str| {
            let error = format!("{:#}", run(folder.path(), words).expect_err(words));
            assert!(error.contains(says), "{words}: {error}");
        };
        refused(&format!("new other --pepper file:{}", pepper.display()), "one file has one kind");
        refused(&format!("new plain --replace --pepper file:{}", pepper.display()), "one file has one kind");
        refused("new plain --replace --expires 10d", "would end before it begins");
        // Taking back is never refused, and what was taken back is in nobody's way.
        run(folder.path(), "revoke plain").unwrap();
        run(folder.path(), &format!("new other --pepper file:{}", pepper.display())).unwrap();
    }

    #[test]
    fn the_table_shows_nothing_of_a_digest_and_moves_no_cursor() {
        let hash = keys::hash("key", None);
        let key = |id: &str| Key { id: id.to_owned(), hash: hash.clone(), ..Key::default() };
        let keys = [
            Key { subject: Some("a\u{1b}[2Jda\u{202e}".to_owned()), tenant: Some("acme".to_owned()), ..key("one") },
            Key { disabled: true, scopes: vec!["read".to_owned(), "write".to_owned()], ..key("two") },
            Key { expires: Some("2001-01-01T00:00:00Z".to_owned()), ..key("three") },
        ];
        let lines = table(&keys, SystemTime::now());
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&lines[1]), ["one", "a\\u{1b}[2Jda\\u{202e}", "acme", "-", "-", "-", "good"]);
        assert_eq!(words(&lines[2]), ["two", "two", "-", "read,write", "-", "-", "revoked"]);
        assert_eq!(words(&lines[3]), ["three", "three", "-", "-", "-", "2001-01-01T00:00:00Z", "expired"]);
        assert!(lines.len() == 4 && lines.iter().all(|line| line.is_ascii() && !line.contains(&hash[7..15])), "{lines:?}");
    }
}
