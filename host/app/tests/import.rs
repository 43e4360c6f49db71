//! Configurations of other systems, as `sluice import` reads them: the examples, each held against what it becomes. `SLUICE_BLESS=1` rewrites that.

use std::{
    fs,
    path::{Path, PathBuf},
};

use sluice::{
    config::{Builtin, Config, Report, Source, Surroundings},
    embedded,
    import::{Imported, Origin, Request, Syntax},
};

const BUILTIN: Builtin = Builtin { servers: embedded::SERVERS, plugins: embedded::PLUGIN_NAMES };

/// Each text of an example that nobody but its server may see has this in it.
const CANARY: &str = "-of-the-";

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/migrate").canonicalize().unwrap()
}

fn surroundings(folder: &Path) -> Surroundings {
    Surroundings::new(folder, [("HOME", "/home/ada"), ("PATH", "/usr/bin")])
}

fn import(origin: Origin, folder: &Path, files: &[&str], command: &[&str]) -> Result<Imported, Report> {
    let files = files.iter().map(PathBuf::from).collect();
    let command = command.iter().map(|word| (*word).to_owned()).collect();
    Request { origin, files, command, surroundings: surroundings(folder), builtin: BUILTIN }.run(Syntax::Toml)
}

/// What an example becomes, held against what lies beside it.
fn example(name: &str, files: &[&str], command: &[&str]) {
    let root = examples();
    let folder = root.join(name).parent().unwrap().to_owned();
    let imported = import(Origin::Auto, &folder, files, command).unwrap_or_else(|report| panic!("{name}:\n{report}"));
    let notes: String = imported.notes.iter().map(|note| format!("{note}\n")).collect();
    for (text, ending) in [(imported.text, "sluice.toml"), (notes, "notes.txt")] {
        assert!(!text.contains(CANARY), "{name} has a secret in it:\n{text}");
        let (path, text) = (root.join(format!("{name}.{ending}")), text.replace(root.to_str().unwrap(), "/srv/app"));
        if std::env::var_os("SLUICE_BLESS").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let known = fs::read_to_string(&path).unwrap_or_default();
        assert!(known == text, "{} is not in step: run the tests once with SLUICE_BLESS=1\n{text}", path.display());
    }
}

/// The command line of a script, in which nothing is quoted but with '.
fn script(name: &str) -> Vec<String> {
    let text = fs::read_to_string(examples().join(name)).unwrap();
    let line = text.strip_prefix("#!/bin/sh\n").unwrap().replace("\\\n", "");
    let parts = line.split('\'').enumerate();
    parts
        .flat_map(|(at, part)| match at % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect(),
            _ => vec![part.to_owned()],
        })
        .collect()
}

fn command(name: &str) {
    let words = script(&format!("{name}.sh"));
    example(name, &[], &words.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn f118_mcp_proxy() {
    example("mcp-proxy/servers", &["servers.json"], &[]);
    example("mcp-proxy/client", &["client.json"], &[]);
    example("mcp-proxy/compose", &["compose.yaml"], &[]);
    command("mcp-proxy/serve");
    command("mcp-proxy/named");
    command("mcp-proxy/relay");
}

#[test]
fn f118_fastmcp() {
    example("fastmcp/simple", &["simple.json"], &[]);
    example("fastmcp/proxy", &["proxy.json"], &[]);
    example("fastmcp/fastmcp", &["fastmcp.json"], &[]);
}

#[test]
fn f118_docker() {
    example("docker/files", &["catalog.yaml", "config.yaml", "registry.yaml", "tools.yaml", "secrets.env"], &[]);
    example("docker/compose", &["compose.yaml"], &[]);
    command("docker/run");
}

/// What mcp-proxy and FastMCP have is read as it is, and nothing has to be imported for that.
#[test]
fn f118_what_both_have_runs_unchanged() {
    let root = examples();
    for (name, servers) in [("mcp-proxy/servers.json", 2), ("fastmcp/simple.json", 2), ("fastmcp/proxy.json", 3)] {
        let text = fs::read_to_string(root.join(name)).unwrap();
        let source = Source { surroundings: surroundings(&root), builtin: BUILTIN, ..Source::default() };
        let loaded = Config::read(&text, Path::new(name), &source).unwrap_or_else(|report| panic!("{name}:\n{report}"));
        assert_eq!(loaded.config.upstreams.len(), servers, "{name}");
    }
}

/// What is read of a text, and what is said where it is refused.
fn of_text(origin: Origin, name: &str, text: &str) -> Result<String, String> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(name), text).unwrap();
    let said = |report: Report| report.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    import(origin, folder.path(), &[name], &[]).map(|imported| imported.text).map_err(said)
}

#[test]
fn what_cannot_be_read_is_said() {
    let refused = |name, text| of_text(Origin::Auto, name, text).unwrap_err();
    assert!(refused("x.json", "{").starts_with("x.json:1:1: this { is never closed"));
    assert!(refused("x.yaml", "a: 1").contains("of no system that is known here; say whose it is: --from"));
    assert!(refused("x.json", r#"{"mcpServers": {"a": {"enabled": true}}}"#).contains("nothing in it became a server"));
    let wrong = import(Origin::Auto, Path::new("/"), &[], &["mcp-proxy", "--prot", "80", "uvx"]).unwrap_err();
    assert_eq!(
        wrong.problems[0].to_string(),
        "the command line: mcp-proxy has no option \"--prot\"; did you mean --port?; what belongs to the server's command stands behind --"
    );
}

/// A catalog cannot put an option of docker before its image, nor read our environment.
#[test]
fn a_catalog_says_no_more_than_the_gateway_lets_it() {
    let catalog = "registry:\n  a: { image: '--privileged', type: server }\n  b: { image: x, user: '-v/:/h', volumes: ['-v'], \
                   command: ['$HOME ${HOME}'], env: [{ name: E, value: '${HOME}' }, { name: F, value: env:HOME }] }\n  \
                   c: { remote: { url: 'https://x.example/${HOME}', headers: { X: 'env:HOME' } } }\n";
    let made = of_text(Origin::Docker, "catalog.yaml", catalog).unwrap();
    for never in ["privileged", "\"-v", "env:HOME", " ${HOME", "\"${HOME", "/${HOME"] {
        assert!(!made.contains(never), "{never} in {made}");
    }
}

/// Whatever bytes an example has lost or gained, it is read or refused.
#[test]
fn no_file_makes_it_panic() {
    const PIECES: [&str; 14] = ["{", "}", "[", "]", ":", "\"", "- ", "\n", "{{", "}}", "|", "${", "null", "\u{20ac}"];
    const NAMES: [&str; 7] = [
        "mcp-proxy/servers.json",
        "mcp-proxy/compose.yaml",
        "fastmcp/proxy.json",
        "fastmcp/fastmcp.json",
        "docker/catalog.yaml",
        "docker/compose.yaml",
        "docker/secrets.env",
    ];
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x5eed_u64);
    println!("SEED={seed}");
    let mut state = seed | 1;
    let mut next = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below.max(1) as u64).unwrap()
    };
    let (root, mut read, mut refused) = (examples(), 0, 0);
    for round in 0..700 {
        let path = Path::new(NAMES[round % NAMES.len()]);
        let mut text = fs::read_to_string(root.join(path)).unwrap();
        for _ in 0..=next(3) {
            let from = (0..=next(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            let to = from + next(6);
            let to = (to..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(from);
            let piece = if next(2) == 0 { "" } else { PIECES[next(PIECES.len())] };
            text.replace_range(from..to, piece);
        }
        for origin in [Origin::McpProxy, Origin::Fastmcp, Origin::Docker] {
            match of_text(origin, path.file_name().unwrap().to_str().unwrap(), &text) {
                Ok(_) => read += 1,
                Err(_) => refused += 1,
            }
        }
    }
    println!("{read} read, {refused} refused");
    assert!(read > 200 && refused > 200, "{read} read, {refused} refused");
}
