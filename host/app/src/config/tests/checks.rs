//! One rule at a time.

use std::path::PathBuf;

use super::{Room, problems, settings, warnings};
use crate::config::{Config, Link, Place, Reach, Source};

#[track_caller]
fn one_problem(text: &str, expected: &str) {
    let found = problems(text);
    assert!(found.len() == 1 && found[0].contains(expected), "{text}\n{found:#?}");
}

#[track_caller]
fn one_sluice_problem(sluice: &str, expected: &str) {
    one_problem(&format!("{{\"sluice\": {sluice}}}"), expected);
}

#[track_caller]
fn one_server_problem(server: &str, expected: &str) {
    one_problem(&format!("{{\"mcpServers\": {{\"s\": {server}}}}}"), expected);
}

#[test]
fn a_listener_off_loopback_needs_a_trusted_proxy() {
    one_sluice_problem(r#"{"listen": "[::]:80"}"#, "[::]:80 is not loopback");
    let proxy = r#""trusted_proxy": {"addresses": ["10.0.0.1"], "public_url": "https://mcp.example.com"}"#;
    let listen = settings(&format!(r#"{{"listen": "0.0.0.0:80", {proxy}}}"#)).listen;
    assert_eq!(listen.to_string(), "0.0.0.0:80");
    one_sluice_problem(
        r#"{"trusted_proxy": {"addresses": ["10.0.0.1"]}}"#,
        "sluice.trusted_proxy needs public_url; add \"public_url\": \"https://mcp.example.com\"",
    );
    one_sluice_problem(&format!("{{\"listen\": 7411, {proxy}}}"), "not 7411; write \"127.0.0.1:7411\"");
    let wrong = r#"{"listen": "0.0.0.0:80", "trusted_proxy": {"addresses": ["0.0.0.0/0"], "public_url": "https://h"}}"#;
    one_sluice_problem(wrong, "everybody would be believed");
    one_sluice_problem(r#"{"trusted_proxy": {"addresses": ["10.0.0.1/8"], "public_url": "https://h"}}"#, "write \"10.0.0.0/8\"");
    let nobody = r#"{"listen": "0.0.0.0:80", "trusted_proxy": {"addresses": [], "public_url": "https://h"}}"#;
    one_sluice_problem(nobody, "sluice.trusted_proxy.addresses names nobody");
    one_sluice_problem(r#"{"listen": "[::ffff:8.8.8.8]:80"}"#, "is not loopback");
    one_sluice_problem(
        r#"{"trusted_proxy": {"addresses": ["10.0.0.1"], "public_url": "http://h"}}"#,
        "must be a URL that begins with https://",
    );
}

#[test]
fn names_that_open_the_door_to_anybody_are_refused() {
    one_sluice_problem(r#"{"allowed_hosts": ["*"]}"#, "DNS rebinding");
    one_sluice_problem(r#"{"allowed_hosts": ["https://h.example.com/"]}"#, "write \"h.example.com\"");
    one_sluice_problem(r#"{"allowed_origins": ["null"]}"#, "any page in a browser");
    one_sluice_problem(r#"{"allowed_origins": ["https://a/b"]}"#, "write \"https://a\"");
    one_sluice_problem(r#"{"allowed_origins": ["a.example.com"]}"#, "write \"https://a.example.com\"");
    for wrong in ["h.", "h:", "h:99999", "a@h", "h/x", "a b"] {
        one_sluice_problem(&format!("{{\"allowed_hosts\": [\"{wrong}\"]}}"), "must be a host name");
        one_sluice_problem(&format!("{{\"allowed_origins\": [\"http://{wrong}\"]}}"), "must be an origin");
    }
    one_sluice_problem(r#"{"allowed_hosts": "h"}"#, "must be a list, not \"h\"; write [\"h\"]");
    let settings = settings(r#"{"allowed_hosts": ["MCP.example.com:80"], "allowed_origins": ["HTTPS://A"]}"#);
    assert_eq!(settings.allowed_hosts[0].as_str(), "mcp.example.com:80");
    assert_eq!(settings.allowed_origins[0].as_str(), "https://a");
}

#[test]
fn filters_do_not_see_credentials() {
    let settings = settings(r#"{"fact_headers": ["X-Team"]}"#);
    assert_eq!(settings.fact_headers[0], "x-team");
    assert_eq!(settings.auth.credential_headers[0], "x-api-key");
    for header in ["Authorization", "cookie", "X-Api-Key"] {
        one_sluice_problem(&format!("{{\"fact_headers\": [\"{header}\"]}}"), "carries a credential");
    }
    one_sluice_problem(r#"{"fact_headers": ["x team"]}"#, "must be a name of a header");
}

#[test]
fn administration_stays_at_home() {
    one_sluice_problem(r#"{"admin": {"listen": "0.0.0.0:1"}}"#, "administration never leaves this machine");
    one_sluice_problem(r#"{"admin": {"listen": "127.0.0.1:7411"}}"#, "is the address of sluice.listen");
    assert!(!settings(r#"{"admin": false}"#).admin.enabled);
    assert!(settings(r#"{"admin": true}"#).admin.enabled);
    one_sluice_problem(r#"{"admin": "off"}"#, "must be true or false, not \"off\"; write false, without quotes");
}

#[test]
fn a_chain_is_of_names_builtins_and_files() {
    let chain = settings(r#"{"chain": ["10-auth", "builtin:redact", "x.wasm"]}"#).chain.unwrap();
    assert_eq!(chain[0], Link::Named("10-auth".into()));
    assert_eq!(chain[1], Link::Builtin("redact".into()));
    assert!(matches!(&chain[2], Link::File(path) if path.ends_with("x.wasm")));
    assert_eq!(settings(r#"{"chain": []}"#).chain, Some(Vec::new()));
    assert_eq!(settings("{}").chain, None);
    one_sluice_problem(r#"{"chain": ["a", "a"]}"#, "f.json:1:28: sluice.chain has \"a\" a second time");
    one_sluice_problem(r#"{"chain": ["a b"]}"#, "must be a name of a plugin");
}

#[test]
fn limits_agree_with_each_other() {
    one_sluice_problem(
        r#"{"limits": {"call_timeout_ms": 700000}}"#,
        "call_timeout_ms (700000) is more than call_total_timeout_ms (600000)",
    );
    one_sluice_problem(r#"{"limits": {"children_max": 2}}"#, "children_per_upstream_max (8) is more than children_max (2)");
    one_sluice_problem(r#"{"limits": {"request_bytes_max": "4 MiB"}}"#, "write 4194304");
    one_sluice_problem(r#"{"limits": {"request_bytes_max": -1}}"#, "must be a whole number, not -1");
    one_sluice_problem(r#"{"limits": {"request_bytes_max": 1e9}}"#, "must be a whole number, not 1e9");
}

#[test]
fn a_grant_is_a_power_that_is_not_given_anyway() {
    let plugin = |settings: &str| format!(r#"{{"plugins": {{"settings": {{"p": {settings}}}}}}}"#);
    one_sluice_problem(&plugin(r#"{"grants": ["payload"]}"#), "every plugin has \"payload\": leave it away");
    one_sluice_problem(&plugin(r#"{"grants": ["net:example.com"]}"#), "what can be granted is \"kv:<bucket>\"");
    one_sluice_problem(&plugin(r#"{"grants": ["kv:a b"]}"#), "what can be granted is");
    for path in ["/mcp", "/", "/-/", "/.well-known/", "/.well-known/*/x", "/-/a b", "-/connect/x", "/.well-known/**"] {
        one_sluice_problem(&plugin(&format!(r#"{{"grants": ["http:{path}"]}}"#)), "a route of the plugin's own");
    }
    for path in ["/.well-known/oauth-protected-resource*", "/-/connect/*", "/-/connect/callback"] {
        let settings = settings(&plugin(&format!(r#"{{"grants": ["http:{path}"]}}"#)));
        assert_eq!(settings.plugins.settings["p"].grants[0].to_string(), format!("http:{path}"));
    }
    one_sluice_problem(&plugin(r#"{"grants": ["secret:a/b"]}"#), "what can be granted is \"secret:<name>\"");
    one_sluice_problem(&plugin(r#"{"grants": ["secret:a b"]}"#), "\"b\" is no place for a secret");
    one_sluice_problem(&plugin(r#"{"grants": ["fetch:api.example.com"]}"#), "\"api.example.com\" is no scheme and host");
    one_sluice_problem(&plugin(r#"{"grants": ["fetch:https://a.example get"]}"#), "\"get\" is no method");
    one_sluice_problem(r#"{"secrets": {"a b": "${X:-x}"}}"#, "\"a b\" cannot be granted");
    one_sluice_problem(&plugin(r#"{"deny": ["paylod"]}"#), "did you mean \"payload\"?");
    let settings = settings(&plugin(r#"{"grants": ["kv:shared"], "deny": ["payload"]}"#));
    assert_eq!(settings.plugins.settings["p"].grants[0].to_string(), "kv:shared");
}

#[test]
fn a_server_is_reached_in_one_way() {
    one_server_problem(r#"{"command": "npx", "url": "http://h"}"#, "has both command and url; keep one of them");
    one_server_problem(r#"{"comand": "npx"}"#, "has no command or url; did you mean \"command\" by \"comand\"?");
    one_server_problem(r#"{"type": "http", "command": "npx"}"#, "has no url");
    one_server_problem(r#"{"type": "stdio", "url": "http://h"}"#, "has no command");
    one_server_problem(r#"{"type": "websocket", "url": "ws://h"}"#, "must be \"stdio\", \"http\" or \"sse\", not \"websocket\"");
    one_server_problem(r#"{"url": "builtin:note"}"#, "did you mean \"builtin:notes\"?");
    one_server_problem("[]", "mcpServers.s must be an object, not a list");
    let text = r#"{"mcpServers": {"n": {"url": "builtin:notes"}, "h": {"type": "streamableHttp", "serverUrl": "http://localhost/x"}}}"#;
    let loaded = Room::new().read("f.json", text, &[]).unwrap_or_else(|report| panic!("{report}"));
    assert!(matches!(&loaded.config.upstreams[0].reach, Reach::Builtin(name) if name == "notes"));
    assert!(matches!(&loaded.config.upstreams[1].reach, Reach::Http(http) if http.url.to_string() == "http://localhost/…"));
    assert!(loaded.warnings.is_empty());
}

#[test]
fn a_command_is_one_program() {
    one_server_problem(r#"{"command": "npx -y a b"}"#, "write \"command\": \"npx\", \"args\": [\"-y\", \"a\", \"b\"]");
    for shell in ["npx a | tee b", "npx; id", "$(id)", "`id`", "npx && id", "a\nb"] {
        let server = format!("{{\"command\": {}}}", serde_json::json!(shell));
        one_server_problem(&server, "no shell reads this; to have one, write \"command\": \"sh\"");
    }
    one_server_problem(r#"{"command": ""}"#, "must be a path or the name of a program");
    one_server_problem(r#"{"command": "a\u0000b"}"#, "must be a path or the name of a program");
    one_server_problem(r#"{"command": "--version"}"#, "the first argument belongs in args");
    one_server_problem(r#"{"command": "~/bin/x"}"#, "no shell reads the ~; write \"${HOME}/bin/x\"");
    one_server_problem(r#"{"command": "npx", "args": ["a\u0000"]}"#, "args[0] holds a NUL");
    one_server_problem(r#"{"command": "npx", "args": "-y a"}"#, "args must be a list");
    one_server_problem(r#"{"command": "npx", "env": {"A=B": "x"}}"#, "is no name of a variable");
    one_server_problem(r#"{"command": "npx", "env": {"A": ["x"]}}"#, "mcpServers.s.env.A must be a text, not a list");
    let warned = warnings(r#"{"mcpServers": {"s": {"command": "no-such-program"}}}"#);
    assert!(warned[0].contains("the program \"no-such-program\" is not in PATH"), "{warned:?}");
}

/// Arguments are not a shell's either: they arrive as they were written.
#[test]
fn a_program_with_a_space_in_its_name_is_found_and_arguments_stay_whole() {
    let room = Room::new();
    let path = room.put("my programs/server", "");
    let text = r#"{"mcpServers": {"s": {"command": "./my programs/server", "args": ["; id", "$HOME", "-x"]}}}"#;
    let loaded = room.read("f.json", text, &[]).unwrap_or_else(|report| panic!("{report}"));
    let Reach::Stdio(stdio) = &loaded.config.upstreams[0].reach else { panic!() };
    assert_eq!(PathBuf::from(stdio.command.value()).canonicalize().unwrap(), path.canonicalize().unwrap());
    let args: Vec<_> = stdio.args.iter().map(|arg| arg.value()).collect();
    assert_eq!(args, ["; id", "$HOME", "-x"]);
}

#[test]
fn a_url_is_one_that_can_be_reached() {
    one_server_problem(r#"{"url": "mcp.example.com/mcp"}"#, "write \"https://mcp.example.com/mcp\"");
    one_server_problem(r#"{"url": "https://ada:pw@h/mcp"}"#, "put an Authorization header under headers");
    one_server_problem(r#"{"url": "ftp://x"}"#, "must be a URL that begins with http://, https:// or unix:");
    one_server_problem(r#"{"url": "unix:"}"#, "write \"unix:/run/server.sock:/mcp\"");
    one_server_problem(r#"{"url": "http://h", "headers": {"A B": "x"}}"#, "is no name of a header");
    one_server_problem(r#"{"url": "http://h", "headers": {"A": "x\ny"}}"#, "holds characters that no header can");
    one_server_problem(r#"{"url": "http://h", "headers": {"X-A": "1", "x-a": "2"}}"#, "stands here a second time");
    let warned =
        warnings(r#"{"mcpServers": {"s": {"url": "http://far.example.com/sse", "headers": {"Mcp-Session-Id": "1", "X": "${A:-b}"}}}}"#);
    assert_eq!(warned.len(), 2, "{warned:#?}");
    for expected in ["is Sluice's to write", "travel without encryption"] {
        assert!(warned.iter().any(|warning| warning.contains(expected)), "{warned:#?}");
    }
}

#[test]
fn names_are_unique_without_case_and_after_folding() {
    one_problem(
        r#"{"mcpServers": {"a": {"url": "http://h"}, "A": {"url": "http://h"}}}"#,
        "server \"A\" has the name of \"a\"; rename one",
    );
    one_problem(
        r#"{"mcpServers": {"x/y": {"url": "http://h"}}, "servers": {"x-y": {"url": "http://h"}}}"#,
        "server \"x-y\" has the name of \"x/y\"",
    );
    one_problem(r#"{"mcpServers": {"日本": {"url": "http://h"}}}"#, "is no name for a server");
    one_problem(
        r#"{"mcpServers": {"a": {"url": "http://h"}, "a": {"url": "http://i"}}}"#,
        "key \"a\" stands here a second time, first on line 1",
    );
    // One that is switched off holds no name.
    assert!(warnings(r#"{"mcpServers": {"a": {"disabled": true}, "A": {"url": "http://h"}}}"#).is_empty());
}

#[test]
fn upstream_settings_find_their_server() {
    let with = |key: &str| {
        format!(
            r#"{{"servers": {{"x/y": {{"url": "http://h"}}, "off": {{"disabled": true}}}},
                "sluice": {{"upstreams": {{"{key}": {{"era": "modern", "optional": true}}}}}}}}"#
        )
    };
    for key in ["x/y", "x-y"] {
        let loaded = Room::new().read("f.json", &with(key), &[]).unwrap_or_else(|report| panic!("{report}"));
        assert!(loaded.config.upstreams[0].settings.optional);
    }
    assert!(problems(&with("off")).is_empty());
    let repeated = with("x/y").replace(r#""era": "modern""#, r#""idempotent_tools": ["get_*"]"#);
    one_problem(&repeated, "idempotent_tools takes no patterns; name each tool");
    one_problem(&with("x/z"), "there is no server \"x/z\" to say more about; did you mean \"x/y\"?");
}

#[test]
fn keys_of_others_warn_once_and_a_slip_of_our_name_does_not_pass() {
    let warned = warnings(r#"{"mcpServers": {"s": {"url": "http://h"}}, "theme": 1, "numStartups": 2}"#);
    assert_eq!(warned, ["f.json:1:44: keys without effect here: \"theme\", \"numStartups\""]);
    let warned = warnings(r#"{"mcpservers": {"s": {"url": "http://h"}}}"#);
    assert!(warned.iter().any(|w| w.contains("did you mean \"mcpServers\"?")), "{warned:#?}");
    let warned = warnings(r#"{"github": {"command": "npx"}}"#);
    assert!(warned.iter().any(|w| w.contains("looks like a server; put it under \"mcpServers\"")), "{warned:#?}");
    let warned = warnings(r#"{"mcp": {"servers": {"s": {"command": "npx"}}}}"#);
    assert!(warned.iter().any(|w| w.contains("\"mcp\" holds servers")), "{warned:#?}");
    let warned = warnings(r#"{"audit": {"mode": "off"}}"#);
    assert!(warned.iter().any(|w| w.contains("if it is meant for Sluice, put it under \"sluice\"")), "{warned:#?}");
    one_problem(r#"{"Sluise": {"listen": "127.0.0.1:1"}}"#, "unknown key \"Sluise\"; did you mean \"sluice\"?");
}

#[test]
fn files_are_found_or_said_to_be_missing() {
    let room = Room::new();
    let load = |source: Source| Config::load(&source).map_err(|report| report.to_string());
    let at = |file: &str| Source { file: Some(file.into()), ..room.source(&[]) };

    let none = load(room.source(&[])).unwrap();
    assert!(none.config.file.is_none() && none.config.upstreams.is_empty() && none.warnings.is_empty());
    assert!(load(at("nothing.json")).unwrap_err().starts_with("nothing.json: cannot be read: "));

    room.put("sluice.toml", "[mcpServers.s]\nurl = \"http://h\"\n");
    assert_eq!(load(room.source(&[])).unwrap().config.file, Some(room.0.join("sluice.toml")));
    room.put("sluice.json", "{}");
    assert!(load(room.source(&[])).unwrap_err().contains("sluice.json, sluice.toml are all here; name one with --config"));

    room.put("long.json", &" ".repeat((1 << 20) + 1));
    assert!(load(at("long.json")).unwrap_err().starts_with("long.json: is longer than 1 MiB"));
    std::fs::write(room.0.join("latin.json"), b"{\n \"a\": \"\xe9\"}").unwrap();
    assert!(load(at("latin.json")).unwrap_err().starts_with("latin.json:2:8: is not UTF-8"));
    room.put("x.conf", "a = 1");
    assert!(load(at("x.conf")).unwrap_err().contains("name it .json, .jsonc, .toml"));
    room.put("list.json", "[]");
    assert!(load(at("list.json")).unwrap_err().contains("list.json:1:1: the file must be an object, not a list"));
    room.put("empty.yaml", "# nothing yet\n");
    assert!(load(at("empty.yaml")).unwrap().warnings[0].what.contains("there is no server"));
}

#[test]
fn flags_go_before_the_file() {
    let room = Room::new();
    room.put("sluice.json", r#"{"sluice": {"listen": "127.0.0.1:1", "plugins": {"dir": "nowhere"}}}"#);
    let dir = room.0.join("here");
    std::fs::create_dir_all(&dir).unwrap();
    let source = Source { listen: Some("127.0.0.1:0".into()), plugins_dir: Some(dir.clone()), ..room.source(&[]) };
    let config = Config::load(&source).unwrap_or_else(|report| panic!("{report}")).config;
    assert_eq!((config.settings.listen.tcp().unwrap().port(), config.places.plugins_dir), (0, dir));

    let source = Source { listen: Some("0.0.0.0:1".into()), plugins_dir: Some("gone".into()), ..room.source(&[]) };
    let Err(report) = Config::load(&source) else { panic!() };
    let places: Vec<_> = report.problems.iter().map(|problem| problem.place.clone()).collect();
    assert_eq!(places, [Place::Flag("--listen"), Place::Flag("--plugins")], "{report}");

    let Err(report) = Config::load(&room.source(&[])) else { panic!() };
    assert!(report.to_string().starts_with("sluice.json:1:57: there is no directory "), "{report}");
}

#[test]
fn a_publishers_key_is_one_and_there_is_one_where_signatures_are_required() {
    for (plugins, says) in [
        (r#"{"keys": {"acme": "ed25519:AAAA"}}"#, "a publisher's public key"),
        (r#"{"keys": {"acme": "-----BEGIN PUBLIC KEY-----"}}"#, "`sluice plugin keygen` prints it"),
        (r#"{"signatures": "always"}"#, "signatures"),
        (r#"{"signatures": "required"}"#, "no key that could have made one"),
    ] {
        one_sluice_problem(&format!(r#"{{"plugins": {plugins}}}"#), says);
    }
}

#[test]
fn a_plugin_from_elsewhere_is_named_whole() {
    let digest = "ab".repeat(32);
    let url = format!("https://example.com/redact.wasm#sha256:{digest}");
    let chain = settings(&format!(r#"{{"chain": ["oci://ghcr.io/acme/redact:1", "{url}"]}}"#)).chain.unwrap();
    assert!(matches!(&chain[0], Link::Fetched(reference) if reference.to_string() == "oci://ghcr.io/acme/redact:1"));
    assert!(matches!(&chain[1], Link::Fetched(reference) if reference.to_string() == url));
    one_sluice_problem(r#"{"chain": ["https://example.com/x.wasm"]}"#, "write the digest of the file behind it");
    one_sluice_problem(r#"{"chain": ["oci://ghcr.io/acme/redact"]}"#, "write a tag or a digest");
    one_sluice_problem(r#"{"chain": ["oci://redact:1"]}"#, "write the registry, too");
}

#[test]
fn what_goes_without_tls_is_written_down() {
    let digest = "ab".repeat(32);
    let plain = |host: &str| format!(r#""chain": ["http://{host}/x.wasm#sha256:{digest}"]"#);
    one_sluice_problem(&format!("{{{}}}", plain("intranet:80")), "goes without TLS; write https://");
    let written = format!(r#"{{{}, "plugins": {{"registries": {{"intranet:8080": {{"plain_http": true}}}}}}}}"#, plain("intranet:8080"));
    assert!(settings(&written).plugins.registries["intranet:8080"].plain_http);
    assert!(settings(&format!("{{{}}}", plain("localhost:8080"))).chain.is_some());
    for (registry, says) in [
        (r#""ghcr.io": {"username": "acme"}"#, "has a username and no password"),
        (r#""https://ghcr.io": {}"#, "is no host; write \"ghcr.io\""),
        (r#""ghcr.io": {"username": "acme", "password": "s3cret"}"#, "holds an inline secret"),
    ] {
        one_sluice_problem(&format!(r#"{{"plugins": {{"registries": {{{registry}}}}}}}"#), says);
    }
}

#[test]
fn state_in_redis_has_an_address_and_an_address_means_redis() {
    for (state, says) in [
        (r#"{"kind": "redis"}"#, "has no url"),
        (r#"{"url": "env:HOME"}"#, "means something with kind = \"redis\" alone"),
        (r#"{"kind": "file", "degrade": ["quota"]}"#, "means something with kind = \"redis\" alone"),
        (r#"{"kind": "redis", "url": "redis://:hunter2@host"}"#, "holds an inline secret"),
        (r#"{"prefix": "a{b"}"#, "has a brace"),
        (r#"{"kind": "sqlite"}"#, "memory"),
    ] {
        one_sluice_problem(&format!(r#"{{"state": {state}}}"#), says);
    }
}
