//! Ten mistakes, three syntaxes: exactly those ten, each with its line.

use super::{Report, Room};

const JSON: &str = r#"{
  // pasted from a client
  "mcpServers": {
    "github": { "command": "npx -y @acme/server-github" },
    "GitHub": { "url": "https://example.com/mcp" },
    "old": { "type": "websocket", "url": "https://example.com/sse" },
    "nothing": { "args": ["x"] }
  },
  "sluice": {
    "listen": "0.0.0.0:7411",
    "allowed_hsots": ["mcp.example.com"],
    "admin": { "token": "hunter2hunter2" },
    "limits": { "call_timeout_ms": "30s", "json_depth_max": 1 },
    "chain": ["builtin:redcat"]
  },
}
"#;

const TOML: &str = r#"# pasted from a client
[mcpServers.github]
command = "npx -y @acme/server-github"
[mcpServers.GitHub]
url = "https://example.com/mcp"
[mcpServers.old]
type = "websocket"
url = "https://example.com/sse"
[mcpServers.nothing]
args = ["x"]

[sluice]
listen = "0.0.0.0:7411"
allowed_hsots = ["mcp.example.com"]
admin = { token = "hunter2hunter2" }
chain = ["builtin:redcat"]

[sluice.limits]
call_timeout_ms = "30s"
json_depth_max = 1
"#;

const YAML: &str = r#"# pasted from a client
mcpServers:
  github: { command: npx -y @acme/server-github }
  GitHub:
    url: https://example.com/mcp
  old:
    type: websocket
    url: https://example.com/sse
  nothing:
    args: [x]
sluice:
  listen: 0.0.0.0:7411
  allowed_hsots: [mcp.example.com]
  admin:
    token: hunter2hunter2
  limits:
    call_timeout_ms: 30s
    json_depth_max: 1
  chain:
    - builtin:redcat
"#;

/// Words that name each mistake, in the order of `JSON`.
const MISTAKES: [&str; 10] = [
    "there is no program \"npx -y @acme/server-github\"; write \"command\": \"npx\", \"args\": [\"-y\", \"@acme/server-github\"]",
    "server \"GitHub\" has the name of \"github\"",
    "mcpServers.old.type must be \"stdio\", \"http\" or \"sse\", not \"websocket\"",
    "mcpServers.nothing has no command or url",
    "sluice.listen: 0.0.0.0:7411 is not loopback, and nothing encrypts the way; listen on 127.0.0.1:7411, set tls, or",
    "unknown key \"allowed_hsots\" under sluice; did you mean \"allowed_hosts\"?",
    "sluice.admin.token holds an inline secret; write \"env:SLUICE_ADMIN_TOKEN\"",
    "sluice.limits.call_timeout_ms must be a whole number, not \"30s\"; write 30000",
    "sluice.limits.json_depth_max must be from 8 to 256, not 1",
    "sluice.chain[0] must be a builtin plugin, not \"builtin:redcat\"; did you mean \"builtin:redact\"?",
];

fn check(file: &str, text: &str, lines: [u32; 10]) {
    let Err(Report { problems, .. }) = Room::new().read(file, text, &[]) else { panic!("{file} was taken") };
    let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(shown.len(), 10, "{shown:#?}");
    for (mistake, line) in MISTAKES.iter().zip(lines) {
        let place = format!("{file}:{line}:");
        let hits = shown.iter().filter(|problem| problem.starts_with(&place) && problem.contains(mistake)).count();
        assert_eq!(hits, 1, "{place} … {mistake}\n{shown:#?}");
    }
    assert!(!shown.iter().any(|problem| problem.contains("hunter2")), "a secret is shown: {shown:#?}");
}

#[test]
fn in_json() {
    check("sluice.json", JSON, [4, 5, 6, 7, 10, 11, 12, 13, 13, 14]);
}

#[test]
fn in_toml() {
    check("sluice.toml", TOML, [3, 4, 7, 9, 13, 14, 15, 19, 20, 16]);
}

#[test]
fn in_yaml() {
    check("sluice.yaml", YAML, [3, 4, 7, 9, 12, 13, 15, 17, 18, 20]);
}

#[test]
fn columns_are_those_of_the_text() {
    let Err(report) = Room::new().read("sluice.json", JSON, &[]) else { panic!() };
    let shown = report.to_string();
    assert!(shown.contains("sluice.json:11:5: unknown key"), "{shown}");
    assert!(shown.contains("sluice.json:13:61: sluice.limits.json_depth_max"), "{shown}");
    assert!(shown.ends_with("\n10 problems, no warnings"), "{shown}");
}
