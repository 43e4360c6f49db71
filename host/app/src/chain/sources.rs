//! Which plugins, in which order: the configuration's `chain`, or the directory and what comes after it.

use super::{Fetched, Found, Placed, folder};
use crate::{
    config::{self, Config, Link, PluginSettings, Report, Sidecar, Surroundings},
    embedded,
};
use bytes::Bytes;
use sluice_chain::filter::Filter;
use sluice_registry::{Reference, registries::Pulled};
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

/// The builtin that closes the default chain, unless the directory brings a plugin of that name.
const CLOSING: &str = "namespace";

/// What was found, and how it is to be ordered.
#[derive(Default)]
pub struct Sources {
    /// Keys in chain order. One without an entry in `plugins` could not be read.
    pub order: Vec<String>,
    /// By key.
    pub plugins: HashMap<String, Found>,
    /// A line each.
    pub problems: Vec<String>,
    /// What settings name as files of their own (`config_files`), there or not.
    pub files: Vec<PathBuf>,
    /// The directory could not be looked at, so what is missing here says nothing.
    pub is_partial: bool,
}

/// Look at the directory and the configuration.
pub fn find(config: &Config, fetched: &Fetched) -> Sources {
    let mut sources = Sources::default();
    match &config.settings.chain {
        Some(links) => links.iter().for_each(|link| sources.link(link, config, fetched)),
        None => {
            for path in sources.listed(config) {
                let key = file_name(&path);
                sources.file(key, &path, config, false);
            }
            sources.builtin(CLOSING, config, false);
        }
    }
    sources
}

/// In the default chain the directory's own `namespace` takes the builtin's place.
pub(super) fn settle(config: &Config, chain: &mut Vec<Placed>) {
    let closing = format!("builtin:{CLOSING}");
    let replaced = chain.iter().any(|p| p.key != closing && *p.filter.identity().name == *CLOSING);
    if config.settings.chain.is_none() && replaced {
        chain.retain(|p| p.key != closing);
    }
}

impl Sources {
    fn link(&mut self, link: &Link, config: &Config, fetched: &Fetched) {
        match link {
            Link::Builtin(name) => self.builtin(name, config, true),
            Link::File(path) => self.file(path.display().to_string(), path, config, true),
            Link::Fetched(reference) => self.fetched(reference, config, fetched),
            Link::Named(name) => {
                let mut listed = self.listed(config);
                listed.retain(|path| stem(path) == *name || plain(&stem(path)) == *name);
                match &listed[..] {
                    [path] => self.file(file_name(path), path, config, true),
                    [first, second, ..] => self.problems.push(format!(
                        "the chain names {name}, which is {} as well as {}: write one of the file names there",
                        first.display(),
                        second.display()
                    )),
                    [] => {
                        // The key of the file it was, if it was there before: what is named cannot vanish.
                        self.problems.push(format!(
                            "the chain names {name}, and {} has no {name}.wasm: put it there, or take it out of \"chain\"",
                            config.places.plugins_dir.display()
                        ));
                    }
                }
            }
        }
    }

    fn listed(&mut self, config: &Config) -> Vec<std::path::PathBuf> {
        folder::list(&config.places.plugins_dir).unwrap_or_else(|problem| {
            if !self.problems.contains(&problem) {
                self.problems.push(problem);
            }
            self.is_partial = true;
            Vec::new()
        })
    }

    fn builtin(&mut self, name: &str, config: &Config, named: bool) {
        let key = format!("builtin:{name}");
        let written = config.settings.plugins.settings.get(name).cloned().unwrap_or_default();
        let Some(bytes) = embedded::plugin(name) else {
            self.problems.push(format!("{key} is not in this binary"));
            return;
        };
        let sidecar = format!("sluice.plugins.settings.{name}");
        self.add(Found {
            key,
            sidecar,
            bytes: Bytes::from_static(bytes),
            signature: None,
            stays: named || written.required,
            written,
            next: None,
        });
    }

    /// Its settings have one place, the configuration: what stands beside it there is its publisher's.
    fn fetched(&mut self, reference: &Reference, config: &Config, fetched: &Fetched) {
        let (key, name) = (reference.to_string(), plain(&reference.name()));
        let written = config.settings.plugins.settings.get(&name).cloned().unwrap_or_default();
        match fetched.get(&key) {
            Ok(Pulled { bytes, signature, .. }) => {
                let sidecar = format!("sluice.plugins.settings.{name}");
                let (bytes, signature) = (bytes.clone(), signature.clone());
                self.add(Found { key, sidecar, bytes, signature, stays: true, written, next: None });
            }
            Err(problem) => {
                self.order.push(key);
                self.problems.push(problem);
            }
        }
    }

    fn file(&mut self, key: String, path: &Path, config: &Config, named: bool) {
        let read = folder::read(path).and_then(|bytes| Ok((bytes, folder::text(&beside(path))?, self.settings(path, config)?)));
        match read {
            Ok((bytes, signature, (sidecar, written))) => {
                let stays = named || written.required;
                let next = next(path, &key, &sidecar, &written);
                self.add(Found { key, sidecar, bytes, signature, stays, written, next });
            }
            Err(problem) => {
                self.order.push(key);
                self.problems.push(problem);
            }
        }
    }

    /// From the sidecar or from one place of the configuration, never from two.
    fn settings(&self, path: &Path, config: &Config) -> Result<(String, PluginSettings), String> {
        let sidecar = path.with_extension("toml");
        let (stem, name) = (stem(path), plain(&stem(path)));
        let under = &config.settings.plugins.settings;
        let central = under.get(&stem).or_else(|| under.get(&name));
        if stem != name && under.contains_key(&stem) && under.contains_key(&name) {
            return Err(format!(
                "{} has settings under {stem} and under {name} in sluice.plugins.settings: keep one of them",
                path.display()
            ));
        }
        match (folder::text(&sidecar)?, central) {
            (Some(_), Some(_)) => {
                Err(format!("{} has settings in {} and under sluice.plugins.settings: keep one of them", path.display(), sidecar.display()))
            }
            (Some(text), None) => {
                let read = Sidecar::read(&text, &sidecar, &Surroundings::of_process()).map_err(line)?;
                Ok((sidecar.display().to_string(), read.settings))
            }
            (None, Some(settings)) => Ok((format!("sluice.plugins.settings.{name}"), settings.clone())),
            (None, None) => Ok((sidecar.display().to_string(), PluginSettings::default())),
        }
    }

    fn add(&mut self, mut found: Found) {
        self.order.push(found.key.clone());
        self.files.extend(found.written.config_files.values().cloned());
        match complete(&mut found.written) {
            Ok(()) => drop(self.plugins.insert(found.key.clone(), found)),
            Err(problem) => self.problems.push(format!("{}: {problem}", found.sidecar)),
        }
    }
}

/// Puts what stands in files of its own where it belongs. Whoever writes such a file says what the plugin does, so it is trusted no more
/// easily than a sidecar; only that it may be a link, as mounted files are.
pub fn complete(written: &mut PluginSettings) -> Result<(), String> {
    for (name, path) in &written.config_files {
        let said = |what: String| format!("config_files.{name}: {what}");
        if written.config.contains_key(name) {
            return Err(said(format!("config has {name} too: keep one of them")));
        }
        let file = fs::canonicalize(path).map_err(|error| said(format!("{} cannot be read: {error}", path.display())))?;
        let text = folder::text(&file).map_err(said)?.ok_or_else(|| said(format!("{} is gone", path.display())))?;
        let member = config::member(&text, path, &Surroundings::of_process()).map_err(|report| said(line(report)))?;
        written.config.insert(name.clone(), member.into());
    }
    Ok(())
}

fn line(report: Report) -> String {
    report.to_string().trim_end().replace('\n', "; ")
}

/// Where a plugin's signature is: `redact.wasm.sig`.
pub fn beside(path: &Path) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(".sig");
    path.into()
}

/// The new version beside a plugin, with a signature of its own and the same settings.
fn next(path: &Path, key: &str, sidecar: &str, written: &PluginSettings) -> Option<Result<Box<Found>, String>> {
    let path = path.with_extension("wasm.next");
    let bytes = folder::next(&path)?;
    let found = bytes.and_then(|bytes| Ok((bytes, folder::text(&beside(&path))?)));
    Some(found.map(|(bytes, signature)| {
        let (key, sidecar, written) = (format!("{key}.next"), sidecar.to_owned(), written.clone());
        Box::new(Found { key, sidecar, bytes, signature, stays: false, written, next: None })
    }))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// `10-auth` is ordered by its number and known as `auth`.
fn plain(stem: &str) -> String {
    let rest = stem.trim_start_matches(|c: char| c.is_ascii_digit());
    match rest.strip_prefix(['-', '_']) {
        Some(name) if rest.len() < stem.len() && !name.is_empty() => name.to_owned(),
        _ => stem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::fs::PermissionsExt as _, path::Path};

    fn written(folder: &Path, file: &str) -> PluginSettings {
        let text = format!("config_files.key_file = \"{file}\"\n[config]\nprefix = \"slk_\"\n");
        Sidecar::read(&text, &folder.join("10-auth.toml"), &Surroundings::of_process()).unwrap_or_else(|report| panic!("{report}")).settings
    }

    #[test]
    fn a_member_of_the_settings_may_stand_in_a_file_beside_them() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("keys.toml"), "[[keys]]\nid = \"a\"\n").unwrap();
        fs::set_permissions(folder.path().join("keys.toml"), fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink("keys.toml", folder.path().join("mounted.toml")).unwrap();
        for file in ["keys.toml", "mounted.toml"] {
            let mut settings = written(folder.path(), file);
            complete(&mut settings).unwrap();
            let config = serde_json::Value::Object(settings.config);
            assert_eq!(config, serde_json::json!({"prefix": "slk_", "key_file": {"keys": [{"id": "a"}]}}), "{file}");
        }
    }

    #[test]
    fn a_file_that_is_not_as_it_should_be_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.toml");
        let problem = |settings: &mut PluginSettings| complete(settings).unwrap_err();
        assert!(problem(&mut written(folder.path(), "keys.toml")).contains("config_files.key_file: "));
        for (text, mode, says) in
            [("keys = 7 7\n", 0o600, "keys.toml:1"), ("\"a\"", 0o600, "keys.toml"), ("keys = []\n", 0o666, "can be written by others")]
        {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let problem = problem(&mut written(folder.path(), "keys.toml"));
            assert!(problem.contains(says) && !problem.contains('\n'), "{problem}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let mut both = written(folder.path(), "keys.toml");
        both.config.insert("key_file".into(), serde_json::json!({}));
        assert!(problem(&mut both).contains("keep one of them"));
    }
}
