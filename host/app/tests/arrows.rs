//! The walls between the rooms, and the versions below which nothing of ours is built.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};
use toml::{Table, Value};

/// Which rooms each room may name: ARCHITECTURE.md, "Arrows".
const ARROWS: [(&str, &[&str]); 9] = [
    ("wire", &[]),
    ("state", &[]),
    ("supply", &[]),
    ("registry", &[]),
    ("era", &["wire"]),
    ("chain", &["wire"]),
    ("plugin", &["wire", "chain", "state"]),
    ("transport", &["wire", "era", "chain", "state"]),
    ("app", &["wire", "era", "chain", "state", "supply", "registry", "plugin", "transport"]),
];

/// What only these rooms may use: sockets, processes and the sandbox have one home each.
const HOMES: [(&str, &[&str]); 8] = [
    ("tokio", &["chain", "plugin", "state", "registry", "transport", "app"]),
    ("oci-client", &["registry"]),
    ("reqwest", &["registry"]),
    ("hyper", &["transport", "app"]),
    ("hyper-util", &["transport", "app"]),
    ("wasmtime", &["plugin"]),
    ("wasmtime-wasi", &["plugin"]),
    ("clap", &["app"]),
];

/// Below these versions something is known to be exploitable, and an advisory database may not know it yet.
const FLOORS: [(&str, [u64; 3]); 12] = [
    ("wasmtime", [48, 0, 8]),
    ("wasmtime-wasi", [48, 0, 8]),
    ("h2", [0, 4, 16]),
    ("hyper", [1, 11, 0]),
    ("rustls", [0, 23, 18]),
    ("rustls-webpki", [0, 103, 13]),
    ("bytes", [1, 11, 1]),
    ("idna", [1, 0, 0]),
    ("jsonwebtoken", [10, 3, 0]),
    ("rmcp", [1, 4, 0]),
    ("tokio", [1, 44, 2]),
    ("pingora", [0, 8, 0]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &Path) -> Table {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Names of everything a manifest depends on, in any section, for any platform.
fn dependencies(manifest: &Table) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
        let of_platforms =
            manifest.get("target").and_then(Value::as_table).into_iter().flatten().filter_map(|(_, of_one)| of_one.get(section));
        for table in manifest.get(section).into_iter().chain(of_platforms).filter_map(Value::as_table) {
            for (name, how) in table {
                // A renamed dependency is still what it is.
                found.insert(how.get("package").and_then(Value::as_str).unwrap_or(name).to_owned());
            }
        }
    }
    found
}

/// Every room with what it depends on.
fn rooms() -> BTreeMap<String, BTreeSet<String>> {
    let folders = fs::read_dir(root().join("host")).expect("the rooms").flatten().filter(|entry| entry.path().join("Cargo.toml").is_file());
    folders.map(|entry| (entry.file_name().to_string_lossy().into_owned(), dependencies(&read(&entry.path().join("Cargo.toml"))))).collect()
}

#[test]
fn no_room_names_another_than_it_may() {
    let rooms = rooms();
    let known: BTreeSet<&str> = ARROWS.iter().map(|(room, _)| *room).collect();
    assert_eq!(rooms.keys().map(String::as_str).collect::<BTreeSet<_>>(), known, "a room is new or gone: the arrows are to be drawn anew");
    for (room, allowed) in ARROWS {
        for named in rooms[room].iter().filter_map(|name| name.strip_prefix("sluice-")) {
            assert!(allowed.contains(&named), "{room} may not name {named}; see ARCHITECTURE.md");
        }
    }
}

#[test]
fn sockets_and_the_sandbox_have_one_home_each() {
    for (room, named) in rooms() {
        for (library, homes) in HOMES {
            assert!(!named.contains(library) || homes.contains(&room.as_str()), "{room} uses {library}, whose place is {homes:?}");
        }
    }
}

/// Nobody reaches around: plugins, guests and the SDK are on the far side of the contract.
#[test]
fn the_other_side_of_the_contract_names_no_room() {
    for folder in ["plugins", "tests/guests", "sdk"] {
        for entry in fs::read_dir(root().join(folder)).expect("a folder").flatten() {
            let manifest = entry.path().join("Cargo.toml");
            if !manifest.is_file() {
                continue;
            }
            for name in dependencies(&read(&manifest)) {
                let is_room = name.strip_prefix("sluice-").is_some_and(|name| ARROWS.iter().any(|(room, _)| *room == name));
                assert!(!is_room, "{} depends on {name}", manifest.display());
            }
        }
    }
}

#[test]
fn nothing_is_built_below_its_floor() {
    let lock = read(&root().join("Cargo.lock"));
    let packages = lock["package"].as_array().expect("packages");
    let text = |package: &Value, key: &str| package[key].as_str().expect("text").to_owned();
    let found: Vec<(String, String)> = packages.iter().map(|package| (text(package, "name"), text(package, "version"))).collect();
    assert!(found.iter().any(|(name, _)| name == "wasmtime"), "the lock is read");
    for (name, version) in found {
        let Some((_, floor)) = FLOORS.iter().find(|(known, _)| *known == name) else { continue };
        assert!(triple(&version) >= *floor, "{name} {version} is below {floor:?}");
    }
}

fn triple(version: &str) -> [u64; 3] {
    let plain = version.split(['-', '+']).next().unwrap_or_default();
    let mut numbers = plain.split('.').map(|number| number.parse().expect("a number"));
    std::array::from_fn(|_| numbers.next().unwrap_or(0))
}

/// The controls: both checks see what they are for.
#[test]
fn what_is_wrong_is_seen() {
    let manifest: Table = "[dependencies]\na = \"1\"\n[target.'cfg(unix)'.dependencies]\nb = { package = \"sluice-app\", path = \"x\" }\n"
        .parse()
        .expect("TOML");
    assert_eq!(dependencies(&manifest), BTreeSet::from(["a".to_owned(), "sluice-app".to_owned()]));
    assert!(triple("48.0.7") < [48, 0, 8] && triple("48.0.10-rc.1") > [48, 0, 8] && triple("0.4.9") < [0, 4, 16]);
}
