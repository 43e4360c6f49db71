//! Secrets come in by reference and are shown nowhere.

use std::os::unix::fs::PermissionsExt;

use super::{Room, problems, warnings};
use crate::config::{Config, Sidecar};

#[test]
fn a_secret_is_taken_by_reference() {
    let room = Room::new();
    let file = room.put("conf/token", "from-a-file\n");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let token = |reference: &str| {
        let text = format!(r#"{{"sluice": {{"admin": {{"token": "{reference}"}}}}}}"#);
        let loaded = room.read("conf/f.json", &text, &[("T", "from-the-environment"), ("NAME", "token")]);
        loaded.map(|l| l.config.settings.admin.token.unwrap()).map_err(|report| report.problems[0].to_string())
    };
    assert_eq!(token("env:T").unwrap().reveal(), "from-the-environment");
    assert_eq!(token("${T}").unwrap().reveal(), "from-the-environment");
    assert_eq!(token("file:token").unwrap().reveal(), "from-a-file");
    assert_eq!(token("file:${NAME}").unwrap().reveal(), "from-a-file");
    assert_eq!(token("env:T").unwrap().origin(), "env:T");
    for (reference, problem) in [
        ("env:NOT_SET", "sluice.admin.token: the environment variable NOT_SET is not set; set it before the start"),
        ("file:nothing", "nothing cannot be read: "),
        ("file:.", "is not a file of at most 64 KiB"),
        ("correct horse", "sluice.admin.token holds an inline secret; write \"env:SLUICE_ADMIN_TOKEN\""),
        ("x${T}", "holds an inline secret"),
        ("${T:-fallback}${T}", "holds an inline secret"),
        ("env:a b", "must be \"env:NAME\" with the name of a variable"),
    ] {
        let found = token(reference).unwrap_err();
        assert!(found.contains(problem), "{found}");
    }
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let open = token("file:token").unwrap_err();
    assert!(open.contains("can be read by others; chmod 600 "), "{open}");
}

#[test]
fn what_looks_like_a_secret_is_refused_under_sluice_and_warned_about_elsewhere() {
    let token = "ghp_0123456789abcdefghij0123456789abcdef";
    let text = format!(r#"{{"sluice": {{"plugins": {{"settings": {{"x": {{"config": {{"a": ["{token}"]}}}}}}}}}}}}"#);
    assert_eq!(
        problems(&text),
        ["f.json:1:61: sluice.plugins.settings.x.config.a[0] holds what looks like a secret; keep it in the environment and \
         write ${NAME}",]
    );
    let text = format!(r#"{{"mcpServers": {{"x": {{"command": "npx", "args": ["--token={token}"]}}}}}}"#);
    let found = warnings(&text);
    assert!(found.len() == 1 && found[0].contains("args[0] is written out in the file"), "{found:#?}");
}

#[test]
fn no_debug_print_and_no_finding_shows_a_value() {
    const CANARY: &str = "canary-7f3a9b";
    let text = format!(
        r#"{{
            "mcpServers": {{
                "a": {{"command": "npx", "args": ["--key", "${{K}}"], "env": {{"E": "{CANARY}", "F": "env:K"}}}},
                "b": {{"url": "https://h.example.com/${{K}}/mcp?key={CANARY}", "headers": {{"X-Key": "{CANARY}"}}}},
                "c": {{"command": "${{K}}"}}
            }},
            "sluice": {{"admin": {{"token": "env:K"}}}}
        }}"#
    );
    let room = Room::new();
    let source = room.source(&[("K", CANARY)]);
    let loaded = Config::read(&text, "f.json".as_ref(), &source).unwrap_or_else(|report| panic!("{report}"));
    let shown = format!("{loaded:?} {source:?}");
    assert!(!shown.contains(CANARY), "{shown}");

    let wrong = format!(
        r#"{{
            "mcpServers": {{
                "b": {{"url": "${{K}}"}}, "c": {{"command": "${{K}} x"}}, "d": {{"url": "ftp://u:{CANARY}@h"}},
                "e": {{"url": "https://u:${{K}}@h/mcp"}}, "f": {{"url": "http://x", "headers": {{"A": "{CANARY}\n"}}}}
            }},
            "sluice": {{
                "listen": "${{K}}", "allowed_hosts": ["*${{K}}", "http://${{K}}"],
                "allowed_origins": ["${{K}}", "http://${{K}}/x"], "cache_dir": "~${{K}}", "chain": ["a b${{K}}", "builtin:${{K}}"], "admin": {{"token": "{CANARY}"}},
                "trusted_proxy": {{"addresses": ["${{K}}"], "public_url": "${{K}}"}}, "audit": {{"mode": "${{K}}"}}
            }}
        }}"#
    );
    let Err(report) = Config::read(&wrong, "f.json".as_ref(), &source) else { panic!() };
    assert!(report.problems.len() >= 16 && !report.to_string().contains(CANARY), "{report}");
}

#[test]
fn a_sidecar_is_ours_from_top_to_bottom() {
    let room = Room::new();
    let surroundings = room.source(&[("WHO", "ada")]).surroundings;
    let text = "mode = \"audit\"\n[config]\nuser = \"${WHO}\"\n";
    let sidecar = Sidecar::read(text, "plugins/10-auth.toml".as_ref(), &surroundings).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(sidecar.settings.config["user"], "ada");

    let text = "mod = \"audit\"\nscope = \"prinzipal\"\n[limits]\nmemory_mib = \"64 MiB\"\n[config]\nkey = \"sk-0123456789abcdefghijkl\"\n";
    let Err(report) = Sidecar::read(text, "10-auth.toml".as_ref(), &surroundings) else { panic!() };
    let problems: Vec<_> = report.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        [
            "10-auth.toml:1:1: unknown key \"mod\"; did you mean \"mode\"?",
            "10-auth.toml:2:9: scope must be \"call\" or \"exchange\" or \"principal\" or \"tenant\" or \"all\", not \
         \"prinzipal\"; did you mean \"principal\"?",
            "10-auth.toml:4:14: limits.memory_mib must be a whole number, not \"64 MiB\"; write 64",
            "10-auth.toml:6:7: config.key holds what looks like a secret; keep it in the environment and write ${NAME}",
        ]
    );
}
