//! What was released, against what stands in `wit`.

use sluice_contract::{Contract, comparisons, releases, uses};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Of each release: functions that none of its frozen plugins imports. Nobody notices here when they change, and the comparison must.
const CALLED_BY_NONE: [(&str, &[&str]); 1] =
    [("v0.1.0", &["catalog.viewer.attrs", "catalog.viewer.upstreams", "chunks.batch.chunks", "chunks.batch.ends", "metrics.record-ms"])];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn no_released_contract_has_changed() {
    let compared = comparisons(&root()).unwrap_or_else(|error| panic!("{error:#}"));
    let refused = compared.iter().flat_map(|one| {
        let changes = one.changes.iter().filter(|change| change.breaks.is_some());
        changes.map(move |change| format!("wit/{} against {}: {change}", one.edited, one.released))
    });
    let refused: Vec<_> = refused.collect();
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    assert!(compared.len() >= releases(&root()).unwrap().len(), "each release is compared");
}

/// A project with this contract released, and these in `wit`.
fn project(contracts: &[(&str, &str)]) -> tempfile::TempDir {
    let project = tempfile::tempdir().unwrap();
    let write = |folder: PathBuf, text: &str| {
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("filter.wit"), text).unwrap();
    };
    write(project.path().join("tests/contract/released/v0.1.0"), RELEASED);
    contracts.iter().for_each(|(folder, text)| write(project.path().join("wit").join(folder), text));
    project
}

const RELEASED: &str = "package sluice:filter@0.1.0;\ninterface kv { get: func(); }\n";

#[test]
fn a_released_folder_changes_in_comments_alone_and_the_next_version_may_grow() {
    let grown = RELEASED.replace("get: func();", "get: func(); set: func();");
    let next = |text: &str| text.replace("@0.1.0", "@0.1.1");
    let refused = |contracts: &[(&str, &str)]| {
        let compared = comparisons(project(contracts).path()).unwrap();
        compared.iter().flat_map(|one| &one.changes).filter(|change| change.breaks.is_some()).map(ToString::to_string).collect::<Vec<_>>()
    };
    assert!(refused(&[("v0.1.0", &format!("/// Said better.\n{RELEASED}"))]).is_empty());
    assert!(refused(&[("v0.1.0", RELEASED), ("v0.1.1", &next(&grown))]).is_empty());
    // Another line owes this one nothing.
    assert!(refused(&[("v0.1.0", RELEASED), ("v0.2.0", "package sluice:filter@0.2.0;\n")]).is_empty());
    let [said] = &refused(&[("v0.1.0", &grown)])[..] else { panic!("it grew") };
    assert!(said.starts_with("refused: the function kv.set is new: ") && said.contains("a folder for the next version"), "{said}");
    let lost = next("package sluice:filter@0.1.0;\n");
    let [said] = &refused(&[("v0.1.0", RELEASED), ("v0.1.1", &lost)])[..] else { panic!("it lost one") };
    assert_eq!(said, "refused: the interface kv is gone: a built plugin that imports it does not load");
}

#[test]
fn a_folder_that_is_missing_or_misnamed_is_said() {
    let said = |contracts: &[(&str, &str)]| format!("{:#}", comparisons(project(contracts).path()).unwrap_err());
    let gone = said(&[("v0.1.1", &RELEASED.replace("@0.1.0", "@0.1.1"))]);
    assert!(gone.contains("wit/v0.1.0 is gone"), "{gone}");
    let misnamed = said(&[("v0.1.0", &RELEASED.replace("@0.1.0", "@0.1.1"))]);
    assert!(misnamed.contains("holds sluice:filter@0.1.1; a folder is named after its version"), "{misnamed}");
    let nothing = format!("{:#}", releases(tempfile::tempdir().unwrap().path()).unwrap_err());
    assert!(nothing.contains("tests/contract/released"), "{nothing}");
}

/// What no frozen plugin uses could break unseen.
#[test]
fn frozen_plugins_have_every_hook_and_nearly_every_import() {
    for release in releases(&root()).unwrap() {
        let version = release.file_name().unwrap().to_string_lossy().into_owned();
        let (_, by_none) = CALLED_BY_NONE.iter().find(|(of, _)| *of == version).unwrap_or_else(|| panic!("{version} has no line here"));
        let expected: BTreeSet<String> = by_none.iter().map(|function| (*function).to_owned()).collect();
        let plugins = fs::read_dir(&release).unwrap().map(|entry| entry.unwrap().path());
        let plugins = plugins.filter(|path| path.extension().is_some_and(|extension| extension == "wasm"));
        let used = plugins.flat_map(|path| uses(&fs::read(path).unwrap()).unwrap());
        let all = Contract::read(&release).unwrap().functions();
        let unused = &all - &used.collect();
        assert_eq!(unused, expected, "{version}");
        let interfaces = |functions: &BTreeSet<String>| -> BTreeSet<String> {
            functions.iter().filter_map(|name| name.split('.').next()).map(str::to_owned).collect()
        };
        assert_eq!(interfaces(&(&all - &expected)), interfaces(&all), "{version}: an interface of which nothing is used");
    }
}
