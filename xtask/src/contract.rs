//! `cargo xtask contract`: whether what stands in `wit` still fits the plugins that were built against what was released, and how a version
//! is released.

use crate::{
    setup,
    step::{cargo, root, step},
};
use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

const RELEASED: &str = "tests/contract/released";
/// As `sha256sum --check` reads it. A release is whole once this is there.
const LIST: &str = "SHA256SUMS";

/// Plugins that a release keeps, by what they are called there: small, and together they have every hook and nearly every import. Of which
/// functions that is not so, `tests/contract` says.
const PLUGINS: [(&str, &str); 14] = [
    ("authenticate", "examples/authenticate.wasm"),
    ("calls-tools", "guest_calls_tools.wasm"),
    ("fetch", "examples/fetch.wasm"),
    ("kv-batch", "guest_kv_batch.wasm"),
    ("kv-counter", "guest_kv_counter.wasm"),
    ("label", "guest_label.wasm"),
    ("on-catalog", "examples/on_catalog.wasm"),
    ("on-chunk", "examples/on_chunk.wasm"),
    ("on-done", "examples/on_done.wasm"),
    ("on-http", "examples/on_http.wasm"),
    ("patterns", "examples/patterns.wasm"),
    ("reads-arguments", "guest_reads_arguments.wasm"),
    ("sets-headers", "guest_sets_headers.wasm"),
    ("uses-secrets", "guest_uses_secrets.wasm"),
];

/// A release: its files by name.
type Files = BTreeMap<String, Vec<u8>>;

/// Says what changed since each release; with `--freeze 0.1.0`, makes a release of that version.
pub fn run(arguments: &[String]) -> Result<()> {
    match arguments {
        [] => compare(),
        [flag, version] if flag == "--freeze" => {
            freeze(version)?;
            compare()
        }
        _ => bail!("cargo xtask contract [--freeze VERSION]"),
    }
}

fn compare() -> Result<()> {
    let mut command = cargo();
    command.args(["run", "--quiet", "--locked", "--package", "sluice-contract", "--"]).arg(root());
    step("the contract against what was released", &mut command)
}

fn freeze(version: &str) -> Result<()> {
    let wit = root().join("wit").join(format!("v{version}"));
    ensure!(wit.is_dir(), "there is no {}; a version is released from its folder in wit", wit.display());
    let files = gather(&wit, &setup::components()?)?;
    let folder = root().join(RELEASED).join(format!("v{version}"));
    keep(&folder, &files)?;
    println!("{}: {} files, {} bytes", folder.display(), files.len(), files.values().map(Vec::len).sum::<usize>());
    Ok(())
}

/// The text of the contract, the plugins, and the list of both.
fn gather(wit: &Path, components: &Path) -> Result<Files> {
    let mut files = Files::new();
    let mut add = |name: String, path: PathBuf| -> Result<()> {
        files.insert(name, fs::read(&path).with_context(|| path.display().to_string())?);
        Ok(())
    };
    for entry in fs::read_dir(wit)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "wit") {
            add(path.file_name().unwrap_or_default().to_string_lossy().into_owned(), path)?;
        }
    }
    for (name, file) in PLUGINS {
        add(format!("{name}.wasm"), components.join(file))?;
    }
    let list = files.iter().fold(String::new(), |mut list, (name, bytes)| {
        let hex = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let _ = writeln!(list, "{hex}  {name}");
        list
    });
    files.insert(LIST.into(), list.into_bytes());
    Ok(files)
}

/// Writes a release, the list last. One that is whole already is left as it is, and has to be the same.
fn keep(folder: &Path, files: &Files) -> Result<()> {
    if folder.join(LIST).exists() {
        let others = others(folder, files)?;
        ensure!(
            others.is_empty(),
            "{} is released, and {} would not be what they are there; what is released stays, so release the next version",
            folder.display(),
            others.join(", ")
        );
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    for (name, bytes) in files.iter().filter(|(name, _)| *name != LIST) {
        fs::write(folder.join(name), bytes)?;
    }
    fs::write(folder.join(LIST), &files[LIST])?;
    Ok(())
}

/// Files of a release that are not these, or that these lack.
fn others(folder: &Path, files: &Files) -> Result<Vec<String>> {
    let mut there = Files::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        there.insert(entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?);
    }
    let mut names: Vec<_> = there.keys().chain(files.keys()).filter(|name| there.get(*name) != files.get(*name)).cloned().collect();
    names.sort();
    names.dedup();
    Ok(names)
}

#[cfg(test)]
mod unit {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("sluice-contract-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    fn files(text: &str) -> Files {
        let file = |(name, text): (&str, &str)| (name.to_owned(), text.as_bytes().to_vec());
        [("filter.wit", text), (LIST, "sums")].map(file).into()
    }

    #[test]
    fn a_release_is_kept_once() {
        let folder = scratch("once");
        keep(&folder, &files("a")).unwrap();
        keep(&folder, &files("a")).unwrap();
        let error = keep(&folder, &files("b")).unwrap_err().to_string();
        assert!(error.contains("filter.wit would not be"), "{error}");
        fs::write(folder.join("more.wasm"), "x").unwrap();
        let error = keep(&folder, &files("a")).unwrap_err().to_string();
        assert!(error.contains("more.wasm would not be"), "{error}");
        assert_eq!(fs::read(folder.join("filter.wit")).unwrap(), b"a");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_is_not_whole_yet_is_written_over() {
        let folder = scratch("whole");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("filter.wit"), "a").unwrap();
        keep(&folder, &files("b")).unwrap();
        assert_eq!(fs::read(folder.join("filter.wit")).unwrap(), b"b");
        fs::remove_dir_all(&folder).unwrap();
    }
}
