//! The book for plugin authors is true: the pages of `docs/plugins/hooks` and `docs/plugins/imports` are made of files that are compiled and run
//! (tests/languages), and what stands there about powers and bounds is what the binary says.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const LANGUAGES: [(&str, &str, &str); 4] =
    [("Rust", "rust", "plugin.rs"), ("Python", "python", "plugin.py"), ("TypeScript", "ts", "plugin.ts"), ("C", "c", "plugin.c")];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn blesses() -> bool {
    std::env::var_os("SLUICE_BLESS").is_some()
}

/// Of a world in the contract: what stands behind this word.
fn named_in(world: &str, word: &str) -> Vec<String> {
    let contract = read(root().join("wit/v0.1.0/filter.wit"));
    let begin = contract.find(&format!("world {world} {{")).expect("the contract has it");
    let body = contract[begin..].split('}').next().expect("it ends");
    body.lines().filter_map(|line| Some(line.trim().strip_prefix(word)?.strip_suffix(';')?.trim().to_owned())).collect()
}

/// Each has a page that is as its files are, which the book leads to, and no other page stands beside them.
fn hold(chapter: &str, names: &[String], page: impl Fn(&str) -> String) {
    let folder = root().join("docs/plugins").join(chapter);
    let index = read(root().join("docs/plugins/README.md"));
    let mut stale = Vec::new();
    for name in names {
        let (page, path) = (page(name), folder.join(format!("{name}.md")));
        if blesses() {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, &page).unwrap();
        }
        if fs::read_to_string(&path).unwrap_or_default() != page {
            stale.push(name);
        }
        assert!(index.contains(&format!("{chapter}/{name}.md")), "docs/plugins/README.md does not lead to {name}");
    }
    assert!(stale.is_empty(), "run it with SLUICE_BLESS=1: the pages of {stale:?} are not as their files");
    let pages = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let others: Vec<_> = pages.filter(|path| !names.iter().any(|name| path.ends_with(format!("{name}.md")))).collect();
    assert!(others.is_empty(), "{others:?} are of nothing in the contract");
}

#[test]
fn each_hook_has_a_page_with_a_complete_example_in_each_language() {
    let hooks: Vec<String> =
        named_in("everything", "export ").into_iter().filter(|hook| !matches!(hook.as_str(), "describe" | "lifecycle")).collect();
    assert!(hooks.len() >= 7, "{hooks:?}");
    hold("hooks", &hooks, |hook| {
        let folder = root().join("examples/hooks").join(hook);
        format!("# {hook}\n\n{}\n{}", read(folder.join("page.md")).trim_end(), example(&folder))
    });
}

#[test]
fn each_import_has_a_page_with_a_complete_example_in_each_language() {
    let imports = [named_in("plugin", "import "), named_in("everything", "import ")].concat();
    assert!(imports.len() >= 8, "{imports:?}");
    let config = read(root().join("docs/config.md"));
    hold("imports", &imports, |import| {
        let folder = root().join("examples/imports").join(import);
        let known = sluice_plugin::import::all().find(|known| known.interface == import).expect("the host has it");
        let allows = known.allows.expect("it allows something");
        let said = read(folder.join("page.md"));
        let mut page = format!("# {import}\n\nLets a plugin {allows}.\n\n{}\n", said.trim_end());
        if let Ok(keys) = fs::read_to_string(folder.join("bounds")) {
            page += &bounds(&keys, &config);
        }
        // Some are shown by the example of a hook, or of another import.
        let elsewhere = fs::read_to_string(folder.join("example"));
        let shown = elsewhere.map_or_else(|_| folder.clone(), |elsewhere| folder.join(elsewhere.trim()));
        assert_uses(import, &shown);
        page + &example(&shown)
    });
}

/// What an operator changes in the sidecar, in the words of `docs/config.md`, which is written from the settings themselves.
fn bounds(keys: &str, config: &str) -> String {
    let mut text = "\n## Bounds\n\nUnder `[limits]` in the sidecar ([configuration](../../config.md)).\n\n| key | value | default | |\n|---|---|---|---|\n".to_owned();
    let of_plugins = config.find("### `sluice.plugins.settings.<name>.limits`").expect("docs/config.md has the limits");
    for key in keys.split_whitespace() {
        let row = config[of_plugins..].lines().find(|line| line.starts_with(&format!("| `{key}` |")));
        let _ = writeln!(text, "{}", row.unwrap_or_else(|| panic!("docs/config.md has no limit {key}")));
    }
    text
}

/// The example of an import shows it: it is among those that its projects name. `log` every plugin has.
fn assert_uses(import: &str, folder: &Path) {
    let named = read(folder.join("imports"));
    let calls_log = read(folder.join("plugin.rs")).contains("log::");
    assert!(
        named.split_whitespace().any(|name| name == import) || (import == "log" && calls_log),
        "{} does not use {import}",
        folder.display()
    );
}

/// The files of one example, in each language, with its cases.
fn example(folder: &Path) -> String {
    let imports = read(folder.join("imports"));
    let imports = imports.split_whitespace().map(|import| format!("`{import}`")).collect::<Vec<_>>().join(", ");
    let imports = if imports.is_empty() { "nothing beside `log`".to_owned() } else { imports };
    let mut page = format!(
        "\nThe example imports {imports}. In Python and JavaScript a project names its imports, in Rust and C they are what is called.\n"
    );
    for (language, fence, file) in LANGUAGES {
        let _ = write!(page, "\n## {language}\n\n```{fence}\n{}```\n", read(folder.join(file)));
    }
    let mut cases: Vec<_> = fs::read_dir(folder.join("cases")).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    let _ = write!(page, "\n## Its cases\n\nThe same for all four, run by `sluice plugin test` ([testing](../testing.md)).\n");
    for case in cases {
        let _ = write!(page, "\n```json\n{}```\n", read(case));
    }
    page
}

/// What the shipped plugins may do, as the binary says it.
#[test]
fn the_page_of_the_shipped_plugins_is_true() {
    let mut page = String::from(
        "# What the shipped plugins may do\n\nWhat `sluice plugin inspect builtin:<name>` prints, but for digests and sizes, which differ from \
         build to build. Written by a test, with `SLUICE_BLESS=1`.\n",
    );
    for name in sluice::embedded::PLUGIN_NAMES {
        let said = Command::new(env!("CARGO_BIN_EXE_sluice")).args(["plugin", "inspect", &format!("builtin:{name}")]).output().unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        let text = String::from_utf8(said.stdout).unwrap();
        let of_this_build = ["  digest", "  size", "made of"];
        let mut same: Vec<&str> = text.lines().filter(|line| !of_this_build.iter().any(|start| line.starts_with(start))).collect();
        // In which order a component has its imports differs from build to build, too.
        let from = same.iter().position(|line| line.starts_with("can (")).unwrap() + 1;
        let powers = same[from..].iter().take_while(|line| line.starts_with("  ") && !line.starts_with("  and, to")).count();
        same[from..from + powers].sort_unstable();
        let _ = write!(page, "\n```text\n{}\n```\n", same.join("\n"));
    }
    let path = root().join("docs/plugins/shipped.md");
    if blesses() {
        fs::write(&path, &page).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap_or_default(), page, "run it with SLUICE_BLESS=1");
}

/// The words that operators read are those of the list that components are linked from.
#[test]
fn the_page_of_powers_has_each_import_in_the_words_of_inspect() {
    let page = fs::read_to_string(root().join("docs/plugins/powers.md")).unwrap();
    for import in sluice_plugin::import::all().filter(|import| !import.interface.starts_with("wasi:")) {
        let row = format!("| `{}` | {} |", import.interface, import.allows.unwrap_or("nothing"));
        assert!(page.contains(&row), "docs/plugins/powers.md has no row {row}");
    }
}
