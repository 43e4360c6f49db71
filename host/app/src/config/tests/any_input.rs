//! No text makes the reader panic, and every finding is one line that names a place inside the text.

use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config as Runs, FileFailurePersistence};

use super::BUILTIN;
use crate::config::{Config, Place, Report, Sidecar, Source, Surroundings};

fn check(file: &str, text: &str) {
    let surroundings = Surroundings::new("/nowhere", [("A", "one"), ("PATH", "/nowhere/bin"), ("HOME", "/nowhere/home")]);
    let source = Source { surroundings, builtin: BUILTIN, ..Source::default() };
    let findings = match Config::read(text, Path::new(file), &source) {
        Ok(loaded) => Report { problems: Vec::new(), warnings: loaded.warnings },
        Err(report) => {
            assert!(!report.problems.is_empty());
            report
        }
    };
    let lines = text.split('\n').count() as u32;
    for finding in findings.problems.iter().chain(&findings.warnings) {
        assert!(!finding.to_string().contains(['\n', '\r', '\u{1b}']), "{finding}");
        if let Place::Text { line, column, .. } = finding.place {
            assert!((1..=lines.max(1) + 1).contains(&line) && column >= 1, "{finding}");
        }
    }
    let _ = Sidecar::read(text, Path::new("10-x.toml"), &source.surroundings);
}

/// Trees of keys that mean something, with values that mostly do not fit them.
fn tree() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::{Value, json};
    let word = prop::sample::select(vec![
        "mcpServers",
        "servers",
        "inputs",
        "sluice",
        "listen",
        "admin",
        "token",
        "limits",
        "chain",
        "plugins",
        "settings",
        "upstreams",
        "on_fault",
        "command",
        "args",
        "env",
        "url",
        "headers",
        "type",
        "disabled",
        "auth",
        "id",
        "x/y",
        "",
        "trusted_proxy",
        "addresses",
        "public_url",
        "allowed_hosts",
        "allowed_origins",
        "config",
        "grants",
        "cwd",
    ]);
    let text = prop::sample::select(vec![
        "",
        "x",
        "${A",
        "${A}",
        "${A:-b}",
        "${input:a}",
        "$${",
        "env:A",
        "env:",
        "file:x",
        "builtin:notes",
        "builtin:",
        "http://a/sse",
        "https://[::1",
        "0.0.0.0:1",
        ":",
        "~",
        "~/x",
        "a b",
        "*",
        "null",
        "true",
        "sse",
        "10.0.0.0/0",
        "a\u{0}b",
        "\u{1b}[2J",
        "é",
        "ghp_0123456789abcdef0123",
        "kv:a",
        "10s",
        "99999999999999999999",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(|flag| json!(flag)),
        any::<i64>().prop_map(|number| json!(number)),
        any::<f64>().prop_map(|number| json!(number)),
        text.prop_map(|text| json!(text)),
        any::<String>().prop_map(|text| json!(text)),
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((word.clone(), inner), 0..6)
                .prop_map(|pairs| pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

fn runs() -> Runs {
    Runs { cases: 600, failure_persistence: Some(Box::new(FileFailurePersistence::Off)), ..Runs::default() }
}

proptest! {
    #![proptest_config(runs())]

    #[test]
    fn any_text(text in any::<String>()) {
        for file in ["f.json", "f.toml", "f.yaml", "f"] {
            check(file, &text);
        }
    }

    #[test]
    fn any_punctuation(text in "[ \\n\\t{}\\[\\],:\"'#/*&!|>%@`=.$\\\\~a0-]{0,60}") {
        for file in ["f.json", "f.toml", "f.yaml"] {
            check(file, &text);
        }
    }

    #[test]
    fn any_tree(tree in tree(), under in any::<bool>()) {
        let tree = if under { serde_json::json!({"sluice": tree}) } else { tree };
        // JSON is YAML too.
        let text = serde_json::to_string_pretty(&tree).unwrap();
        check("f.json", &text);
        check("f.yaml", &text);
        if let Ok(text) = toml::to_string(&tree) {
            check("f.toml", &text);
        }
    }

    #[test]
    fn any_cut(cut in 0usize..1200, whole in prop::sample::select(vec![
        ("f.json", include_str!("../samples/vscode.json")),
        ("f.toml", include_str!("../samples/everything.toml")),
        ("f.yaml", include_str!("../samples/everything.yaml")),
    ])) {
        let (file, text) = whole;
        let cut = text.char_indices().map(|(at, _)| at).nth(cut).unwrap_or(text.len());
        check(file, &text[..cut]);
        check(file, &text[cut..]);
    }
}

#[test]
fn depth_is_bounded_in_every_syntax() {
    for depth in [63, 64, 65, 200, 20_000] {
        check("f.json", &format!("{{\"sluice\": {}", "[".repeat(depth)));
        check("f.json", &format!("{{\"sluice\": {}{}}}", "[".repeat(depth), "]".repeat(depth)));
        check("f.json", &"{\"a\":".repeat(depth));
        check("f.yaml", &"[".repeat(depth));
        check("f.yaml", &"- ".repeat(depth));
        check("f.yaml", &"? ".repeat(depth));
        check("f.toml", &format!("a = {}", "[".repeat(depth)));
        check("f.toml", &format!("{} = 1", vec!["a"; depth].join(".")));
        check("f.toml", &format!("[{}]", vec!["a"; depth].join(".")));
    }
}

/// A file as long as one may be is read in a moment, also when it is one line.
#[test]
fn a_long_line_costs_no_more_than_a_long_file() {
    let pairs: Vec<_> = (0..40_000).map(|n| format!("\"k{n}\": [{n},1]")).collect();
    let yaml: Vec<_> = (0..40_000).map(|n| format!("k{n}: [{n},1]")).collect();
    let toml: Vec<_> = (0..40_000).map(|n| format!("k{n} = [{n},1]")).collect();
    for (file, text) in [
        ("f.json", format!("{{{}}}", pairs.join(","))),
        ("f.yaml", format!("{{{}}}", pairs.join(", "))),
        ("f.yaml", yaml.join("\n")),
        ("f.toml", toml.join("\n")),
    ] {
        let start = std::time::Instant::now();
        check(file, &text);
        assert!(start.elapsed().as_secs() < 30, "{file}: {:?}", start.elapsed());
    }
}
