//! A plugin's project: a folder with `plugin.toml`.

use super::{language::Language, sdk};
use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// In every project.
pub const FILE: &str = "plugin.toml";
/// What templates are called.
const PLACEHOLDER: &str = "my-plugin";
const NAME_BYTES_MAX: usize = 64;

/// One project.
#[derive(Debug)]
pub struct Project {
    /// Where it is.
    pub folder: PathBuf,
    /// The plugin's name, and that of its files.
    pub name: String,
    /// What it is written in.
    pub language: Language,
}

/// `plugin.toml`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    language: Language,
}

impl Project {
    /// A new one, from the template of its language. Nothing that exists is written over.
    ///
    /// # Errors
    /// A name that no plugin may have, a folder that is there, a disk that is full.
    pub fn create(folder: &Path, name: &str, language: Language) -> Result<Self> {
        check(name)?;
        if folder.exists() {
            bail!("{} exists: take another name, or delete it first", folder.display());
        }
        for (path, bytes) in sdk::template(language) {
            let path = match path.as_str() {
                "gitignore" => folder.join(".gitignore"),
                path => folder.join(path.replace(PLACEHOLDER, name)),
            };
            let text = std::str::from_utf8(bytes).context("a template is text")?.replace(PLACEHOLDER, name);
            write(&path, text.as_bytes())?;
        }
        let project = Self { folder: folder.to_owned(), name: name.to_owned(), language };
        project.with_sdk()?;
        Ok(project)
    }

    /// The one in this folder.
    ///
    /// # Errors
    /// There is none, or it says something else than a project does.
    pub fn open(folder: &Path) -> Result<Self> {
        let file = folder.join(FILE);
        let text = fs::read_to_string(&file).with_context(|| {
            format!("{} cannot be read: go to a plugin's project, name one, or make one with `sluice plugin new`", file.display())
        })?;
        let Written { name, language } = toml::from_str(&text).with_context(|| format!("{} is not as it should be", file.display()))?;
        check(&name)?;
        let folder = fs::canonicalize(folder)?;
        Ok(Self { folder, name, language })
    }

    /// Where the component goes.
    pub fn component(&self) -> PathBuf {
        self.folder.join("dist").join(format!("{}.wasm", self.name))
    }

    /// The settings that go with it into the plugin directory.
    pub fn sidecar(&self) -> PathBuf {
        self.folder.join(format!("{}.toml", self.name))
    }

    /// Its cases.
    pub fn fixtures(&self) -> PathBuf {
        self.folder.join("tests")
    }

    /// Writes the SDK of this binary into the project, unless there is one. A link to another is as good.
    ///
    /// # Errors
    /// A disk that is full.
    pub fn with_sdk(&self) -> Result<PathBuf> {
        let folder = self.folder.join("sdk");
        if !folder.exists() {
            for (path, bytes) in sdk::files(self.language)? {
                write(&folder.join(path), &bytes)?;
            }
        }
        Ok(folder)
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).and_then(|()| fs::write(path, bytes)).with_context(|| format!("{} cannot be written", path.display()))
}

/// A name that is one of a plugin and of a package in every language. The host refuses further ones when it loads the plugin.
fn check(name: &str) -> Result<()> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let fits = name.as_bytes().first().is_some_and(u8::is_ascii_lowercase) && !name.ends_with('-') && name.bytes().all(plain);
    if !fits || name.len() > NAME_BYTES_MAX {
        bail!("{name:?} is no name for a plugin: take lower-case letters, digits and '-', a letter first, {NAME_BYTES_MAX} at most");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_made_once_and_found_again() {
        for language in Language::ALL {
            let parent = tempfile::tempdir().unwrap();
            let folder = parent.path().join("guard");
            let made = Project::create(&folder, "guard", language).unwrap();
            let found = Project::open(&folder).unwrap();
            assert_eq!((found.name.as_str(), found.language), ("guard", language));
            for file in [made.sidecar(), made.fixtures().join("words.json"), folder.join(".gitignore"), folder.join("sdk")] {
                assert!(file.exists(), "{}", file.display());
            }
            let all = files_below(&folder);
            assert!(all.iter().all(|file| !file.file_name().unwrap().to_string_lossy().contains(PLACEHOLDER)));
            let own = all.iter().filter(|file| !file.starts_with(folder.join("sdk")));
            let texts: String = own.map(|file| fs::read_to_string(file).unwrap()).collect();
            assert!(texts.contains("guard") && !texts.contains(PLACEHOLDER));
            let error = Project::create(&folder, "guard", language).unwrap_err();
            assert!(error.to_string().contains("exists"), "{error}");
        }
    }

    fn files_below(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
    }

    #[test]
    fn names_are_those_of_plugins() {
        for good in ["a", "guard-2", "x9"] {
            check(good).unwrap();
        }
        for bad in ["", "Guard", "9x", "-x", "x-", "a b", "a/b", "..", "a.b", "é", &"x".repeat(65)] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
