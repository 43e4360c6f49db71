//! The book for plugin authors is true: the pages of `docs/plugins/hooks` are made of files that are compiled and run (tests/languages), and
//! what stands there about powers is what the binary says.

use std::{fmt::Write as _, fs, path::PathBuf, process::Command};

const LANGUAGES: [(&str, &str, &str); 4] =
    [("Rust", "rust", "plugin.rs"), ("Python", "python", "plugin.py"), ("TypeScript", "ts", "plugin.ts"), ("C", "c", "plugin.c")];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn each_hook_has_a_page_with_a_complete_example_in_each_language() {
    let contract = fs::read_to_string(root().join("wit/v0.1.0/filter.wit")).unwrap();
    let everything = &contract[contract.find("world everything").expect("the contract has it")..];
    let hooks = everything.lines().filter_map(|line| line.trim().strip_prefix("export ")?.strip_suffix(';'));
    let hooks: Vec<&str> = hooks.filter(|hook| !matches!(*hook, "describe" | "lifecycle")).collect();
    assert!(hooks.len() >= 7, "{hooks:?}");
    let index = fs::read_to_string(root().join("docs/plugins/README.md")).unwrap();
    let mut stale = Vec::new();
    for hook in hooks {
        let page = page(hook);
        let path = root().join("docs/plugins/hooks").join(format!("{hook}.md"));
        if std::env::var_os("SLUICE_BLESS").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &page).unwrap();
        }
        if fs::read_to_string(&path).unwrap_or_default() != page {
            stale.push(hook);
        }
        assert!(index.contains(&format!("hooks/{hook}.md")), "docs/plugins/README.md does not lead to {hook}");
    }
    assert!(stale.is_empty(), "run it with SLUICE_BLESS=1: the pages of {stale:?} are not as their files");
}

fn page(hook: &str) -> String {
    let folder = root().join("examples/hooks").join(hook);
    let read = |path: PathBuf| fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut page = format!("# {hook}\n\n{}\n", read(folder.join("page.md")).trim_end());
    let imports = read(folder.join("imports"));
    let imports = imports.split_whitespace().map(|import| format!("`{import}`")).collect::<Vec<_>>().join(", ");
    let imports = if imports.is_empty() { "nothing beside `log`".to_owned() } else { imports };
    let _ = writeln!(
        page,
        "\nThe example imports {imports}. In Python and JavaScript a project names its imports, in Rust and C they are what is called."
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
        let mut same: Vec<&str> = text.lines().filter(|line| !line.starts_with("  digest") && !line.starts_with("  size")).collect();
        // In which order a component has its imports differs from build to build, too.
        let from = same.iter().position(|line| line.starts_with("can (")).unwrap() + 1;
        let powers = same[from..].iter().take_while(|line| line.starts_with("  ") && !line.starts_with("  and, to")).count();
        same[from..from + powers].sort_unstable();
        let _ = write!(page, "\n```text\n{}\n```\n", same.join("\n"));
    }
    let path = root().join("docs/plugins/shipped.md");
    if std::env::var_os("SLUICE_BLESS").is_some() {
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
