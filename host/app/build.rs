//! Builds the standard plugins to components, so that the binary carries them as `builtin:`, and lists the files of the SDKs, which
//! `sluice plugin new` writes into projects.
//!
//! A cargo inside cargo, with a target folder of its own (they would wait for each other's lock) and without the
//! outer build's flags, which are meant for this machine's code.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

fn main() {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("set by cargo")).join("../..");
    let out = PathBuf::from(env::var("OUT_DIR").expect("set by cargo"));
    for watched in ["plugins", "sdk", "wit", "Cargo.toml", "Cargo.lock"] {
        println!("cargo:rerun-if-changed={}", root.join(watched).display());
    }
    fs::write(out.join("sdk.rs"), sdk(&root)).expect("OUT_DIR can be written");
    // OUT_DIR is <target>/<profile>/build/<package>/out.
    let target = out.ancestors().nth(4).expect("cargo's layout").join("components");
    let plugins = plugins(&root);
    let (alone, together): (Vec<&str>, Vec<&str>) = plugins.iter().map(String::as_str).partition(|plugin| is_built_alone(&root, plugin));
    build(&together, &root, &target);
    alone.iter().for_each(|plugin| build(&[plugin], &root, &target));
    let entry = |plugin: &String| {
        let built = target.join("wasm32-wasip2/plugin").join(format!("sluice_plugin_{}.wasm", plugin.replace('-', "_")));
        let kept = out.join(format!("{plugin}.wasm"));
        fs::copy(&built, &kept).unwrap_or_else(|e| panic!("{}: {e}", built.display()));
        format!("    ({plugin:?}, include_bytes!({kept:?}), {:?}),\n", tree(plugin, &root))
    };
    let entries: String = plugins.iter().map(entry).collect();
    fs::write(out.join("plugins.rs"), format!("&[\n{entries}]\n")).expect("OUT_DIR can be written");
}

/// Each folder of `plugins/` is one that the binary carries.
fn plugins(root: &Path) -> Vec<String> {
    let folders = fs::read_dir(root.join("plugins")).expect("plugins/ is there").map(|entry| entry.expect("a folder of ours"));
    let are_packages = folders.filter(|folder| folder.path().join("Cargo.toml").is_file());
    let mut names: Vec<String> = are_packages.map(|folder| folder.file_name().into_string().expect("a name in ASCII")).collect();
    names.sort();
    names
}

/// What a plugin is made of: the compiler's version, then a line for each crate: `depth|name vVERSION marks|licence|sha256 of its
/// archive|whether it is in the component`, or was only run to build it.
fn tree(plugin: &str, root: &Path) -> String {
    let rustc = output(Command::new(env::var("RUSTC").expect("set by cargo")).arg("-V"));
    let lock = fs::read_to_string(root.join("Cargo.lock")).expect("Cargo.lock");
    let tree = |edges: &str, more: &[&str]| {
        let mut cargo = Command::new(env::var("CARGO").expect("set by cargo"));
        cargo.current_dir(root).args(["tree", "--locked", "--offline", "--target", "wasm32-wasip2", "--charset", "ascii"]);
        output(cargo.args(["-p", &format!("sluice-plugin-{plugin}"), "-e", edges]).args(more))
    };
    let linked = tree("normal,no-proc-macro", &["--prefix", "none", "-f", "{p}"]);
    let linked: Vec<&str> = linked.lines().map(crate_of).collect();
    let line = |line: &str| {
        let mut fields = line.split('|');
        let mut field = || fields.next().unwrap_or_default();
        let (depth, name, licence) = (field(), crate_of(field()), field().trim_end_matches(" (*)"));
        let is_linked = if linked.contains(&name) { "linked" } else { "builds" };
        format!("{depth}|{name}|{licence}|{}|{is_linked}\n", checksum(&lock, name))
    };
    let all = tree("normal,build", &["--prefix", "depth", "-f", "|{p}|{l}"]);
    format!("{}\n{}", rustc.trim(), all.lines().map(line).collect::<String>())
}

/// `name vVERSION`, without marks and without where it lies on the machine that builds.
fn crate_of(package: &str) -> &str {
    package.split(" (").next().unwrap_or_default()
}

/// Of the archive of `name vVERSION`; nothing for a crate of ours.
fn checksum<'l>(lock: &'l str, name: &str) -> &'l str {
    let mut words = name.split(' ');
    let (name, version) = (words.next().unwrap_or_default(), words.next().unwrap_or_default().trim_start_matches('v'));
    let head = format!("name = \"{name}\"\nversion = \"{version}\"\n");
    let package = lock.split("[[package]]\n").find(|package| package.starts_with(&head));
    let line = package.and_then(|package| package.lines().find_map(|line| line.strip_prefix("checksum = \"")));
    line.map_or("", |line| line.trim_end_matches('"'))
}

fn output(command: &mut Command) -> String {
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// What is made beside the sources of an SDK, and what is for us alone.
const NOT_OF_AN_SDK: [&str; 9] =
    ["node_modules", "dist", "contract", "build", "__pycache__", "sluice_sdk.egg-info", "generate", ".mypy_cache", "sdk.test.ts"];

/// `FILES`: each file's path below `sdk/`, and its bytes. `WORKSPACE`: the manifest that ours inherit from.
fn sdk(root: &Path) -> String {
    let sdk = root.join("sdk").canonicalize().expect("sdk/ is there");
    let mut files = Vec::new();
    walk(&sdk, &mut files);
    files.sort();
    let entry = |file: &PathBuf| format!("    ({:?}, include_bytes!({file:?})),\n", file.strip_prefix(&sdk).expect("below it"));
    let entries: String = files.iter().map(entry).collect();
    let workspace = root.join("Cargo.toml").canonicalize().expect("the workspace is there");
    format!("static FILES: &[(&str, &[u8])] = &[\n{entries}];\nconst WORKSPACE: &str = include_str!({workspace:?});\n")
}

/// Links are followed: the SDKs link to the contract.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    let is_python_sdk = folder.ends_with("sdk/python");
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("a folder of ours").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if NOT_OF_AN_SDK.contains(&&*name) || (is_python_sdk && name == "tests") {
            continue;
        }
        if path.is_dir() { walk(&path, files) } else { files.push(path) }
    }
}

/// What is built together shares the features of its dependencies, so one that needs `std` there says that it is built alone.
fn is_built_alone(root: &Path, plugin: &str) -> bool {
    let manifest = root.join("plugins").join(plugin).join("Cargo.toml");
    fs::read_to_string(&manifest).unwrap_or_else(|e| panic!("{}: {e}", manifest.display())).contains("built = \"alone\"")
}

fn build(plugins: &[&str], root: &Path, target: &Path) {
    let mut cargo = Command::new(env::var("CARGO").expect("set by cargo"));
    cargo.current_dir(root).args(["build", "--locked", "--profile", "plugin", "--target", "wasm32-wasip2", "--target-dir"]).arg(target);
    for plugin in plugins {
        cargo.args(["-p", &format!("sluice-plugin-{plugin}")]);
    }
    for outer in
        ["CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS", "CARGO_TARGET_DIR", "CARGO_BUILD_TARGET", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER"]
    {
        cargo.env_remove(outer);
    }
    // What a component says of itself when it panics names no folder of the machine that built it, so all machines build the same.
    let home = env::home_dir().unwrap_or_default();
    let cargo_home = env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from);
    cargo.env("CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS", format!("--remap-path-prefix={}=cargo", cargo_home.display()));
    let status = cargo.status().expect("cargo runs");
    assert!(status.success(), "the standard plugins did not build; is the wasm target there? rustup target add wasm32-wasip2");
}
