//! Files of real clients, read unchanged.

use super::{Loaded, Room};
use crate::config::{AuditMode, FaultAction, Link, Reach, Scope, Upstream, file_schema};

fn loaded(name: &str, text: &str, variables: &[(&str, &str)]) -> (Loaded, Vec<String>) {
    let loaded = Room::new().read(name, text, variables).unwrap_or_else(|report| panic!("{name}:\n{report}"));
    let warnings = loaded.warnings.iter().map(ToString::to_string).collect();
    (loaded, warnings)
}

fn stdio(upstream: &Upstream) -> (String, Vec<String>, Vec<(&str, &str)>) {
    let Reach::Stdio(stdio) = &upstream.reach else { panic!("{upstream:?}") };
    let args = stdio.args.iter().map(|arg| arg.value().to_owned()).collect();
    let env = stdio.env.iter().map(|(name, value)| (name.as_str(), value.reveal())).collect();
    (stdio.command.value().to_owned(), args, env)
}

fn http(upstream: &Upstream) -> (String, Vec<(&str, &str)>) {
    let Reach::Http(http) = &upstream.reach else { panic!("{upstream:?}") };
    let headers = http.headers.iter().map(|(name, value)| (name.as_str(), value.reveal())).collect();
    (http.url.uri().to_string(), headers)
}

fn names(loaded: &Loaded) -> Vec<&str> {
    loaded.config.upstreams.iter().map(|upstream| upstream.name.as_str()).collect()
}

#[test]
fn claude_desktop() {
    let (loaded, warnings) = loaded("claude_desktop_config.json", include_str!("../samples/claude-desktop.json"), &[]);
    assert_eq!(names(&loaded), ["filesystem", "brave-search", "time"]);
    let (command, args, env) = stdio(&loaded.config.upstreams[1]);
    assert_eq!((command.as_str(), args.len()), ("npx", 2));
    assert_eq!(env, [("BRAVE_API_KEY", "YOUR_API_KEY_HERE")]);
    assert_eq!(
        warnings,
        [
            "claude_desktop_config.json:2:3: key without effect here: \"globalShortcut\"",
            "claude_desktop_config.json:11:33: mcpServers.brave-search.env.BRAVE_API_KEY is written out in the file; such \
         values are treated as secrets; better kept in the environment: \"BRAVE_API_KEY\": \"env:BRAVE_API_KEY\", or \
         ${BRAVE_API_KEY} inside a longer text",
        ]
    );
}

#[test]
fn cursor() {
    let variables = [("API_KEY", "one"), ("REMOTE_TOKEN", "two")];
    let text = include_str!("../samples/cursor.json");
    let (loaded, warnings) = loaded("mcp.json", text, &variables);
    assert_eq!(names(&loaded), ["local", "docs", "remote"]);
    assert_eq!(loaded.config.disabled, ["paused"]);
    assert_eq!(stdio(&loaded.config.upstreams[0]).2, [("API_KEY", "one")]);
    assert_eq!(stdio(&loaded.config.upstreams[1]).0, "/home/ada/bin/docs-server");
    assert_eq!(http(&loaded.config.upstreams[2]).1, [("authorization", "Bearer two")]);
    assert_eq!(
        warnings,
        [
            "mcp.json:8:7: key \"envFile\" under mcpServers.local is not read; set these variables where Sluice starts, and \
         name them in \"env\"",
            "mcp.json:11:18: mcpServers.docs.command: the program \"${userHome}/bin/docs-server\" is not there",
        ]
    );
}

#[test]
fn mcp_proxy() {
    let (loaded, warnings) = loaded("servers.json", include_str!("../samples/mcp-proxy.json"), &[]);
    assert_eq!(names(&loaded), ["fetch", "github"]);
    assert_eq!(loaded.config.disabled, ["resting"]);
    // One warning for `timeout`, although two servers have it.
    assert_eq!(warnings.len(), 2, "{warnings:#?}");
    assert!(warnings[0].contains("key \"timeout\" under mcpServers.fetch has no effect here; set call_timeout_ms"));
}

#[test]
fn fastmcp() {
    let text = include_str!("../samples/fastmcp.json");
    let (loaded, warnings) = loaded("fastmcp.json", text, &[]);
    let [weather, assistant] = &loaded.config.upstreams[..] else { panic!() };
    assert_eq!(http(weather).1, [("authorization", "Bearer a-bearer-token")]);
    let (command, args, env) = stdio(assistant);
    assert_eq!((command.as_str(), args[2].as_str()), ("python", "8080"));
    assert_eq!(env, [("LOG_LEVEL", "INFO"), ("DEBUG", "true"), ("WORKERS", "4")]);
    assert!(warnings.iter().any(|w| w.contains("key \"tools\" under mcpServers.assistant hides nothing here")));
    assert!(warnings.iter().any(|w| w.contains("weather.auth is written out in the file (and one more value)")));
}

#[test]
fn vs_code() {
    let text = include_str!("../samples/vscode.json");
    let (loaded, warnings) = loaded("mcp.json", text, &[("SLUICE_INPUT_PERPLEXITY_KEY", "pk")]);
    assert_eq!(names(&loaded), ["microsoft-playwright-mcp", "perplexity", "github"]);
    assert_eq!(loaded.config.upstreams[0].written_name, "microsoft/playwright-mcp");
    assert_eq!(stdio(&loaded.config.upstreams[1]).2, [("PERPLEXITY_API_KEY", "pk"), ("REGION", "eu")]);
    assert_eq!(warnings, ["mcp.json:9:5: server \"microsoft/playwright-mcp\" is called \"microsoft-playwright-mcp\" here"]);

    let Err(report) = Room::new().read("mcp.json", text, &[]) else { panic!("nobody gave the key") };
    let problems: Vec<_> = report.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        ["mcp.json:20:38: servers.perplexity.env.PERPLEXITY_API_KEY: input \"perplexity-key\" has no value: the \
         environment variable SLUICE_INPUT_PERPLEXITY_KEY is not set; set it",]
    );
}

#[test]
fn claude_code() {
    let text = include_str!("../samples/claude-code.json");
    let (loaded, warnings) = loaded(".mcp.json", text, &[("API_KEY", "k")]);
    let (url, headers) = http(&loaded.config.upstreams[0]);
    assert_eq!((url.as_str(), headers), ("https://api.example.com/mcp", vec![("authorization", "Bearer k")]));
    let (_, args, env) = stdio(&loaded.config.upstreams[1]);
    assert_eq!(args[3], "/etc/acme/db.json");
    // `file:` in a client's part is the value, not a reference.
    assert_eq!(env, [("DB_URL", "file:./dev.db"), ("CACHE_DIR", "/tmp")]);
    let about_keys = warnings.iter().filter(|warning| warning.contains("\"autoApprove\"")).count();
    assert_eq!(about_keys, 1, "{warnings:#?}");
}

#[test]
fn every_key_in_toml_and_in_yaml() {
    let room = Room::new();
    room.put("plugins/x.wasm", "");
    room.certificate("server", |_| {});
    room.certificate("clients", |_| {});
    let variables = [("GITHUB_TOKEN", "gt"), ("ADMIN_TOKEN", "at")];
    let toml = room.read("f.toml", include_str!("../samples/everything.toml"), &variables);
    let yaml = room.read("f.yaml", include_str!("../samples/everything.yaml"), &variables);
    let (toml, yaml) = (toml.unwrap_or_else(|r| panic!("{r}")), yaml.unwrap_or_else(|r| panic!("{r}")));
    assert_eq!(format!("{:?}", toml.config.settings), format!("{:?}", yaml.config.settings));
    assert!(toml.warnings.is_empty() && yaml.warnings.is_empty(), "{:?}", toml.warnings);

    let settings = &toml.config.settings;
    assert_eq!(settings.admin.listen.to_string(), "127.0.0.1:0");
    assert_eq!(settings.audit.mode, AuditMode::Off);
    assert_eq!(settings.chain.as_ref().unwrap()[2], Link::File(room.0.join("./filters/limit.wasm")));
    let proxy = settings.trusted_proxy.as_ref().unwrap();
    assert!(proxy.addresses.iter().any(|n| n.contains("::ffff:10.1.2.3".parse().unwrap())));
    let redact = &settings.plugins.settings["redact"];
    assert_eq!((redact.scope, redact.on_fault.deadline), (Scope::Call, FaultAction::Skip));
    assert_eq!(redact.config["replace"], "[eu]");
    assert_eq!(settings.plugins.settings["rate-limit"].on_fault.trap, FaultAction::Skip);
    assert_eq!(toml.config.upstreams[0].settings.children_max, Some(2));
    assert_eq!(toml.config.places.cache_dir, room.0.join("cache"));
}

/// What the reader takes, the schema takes; and the sample of every key has every key.
#[test]
fn the_schema_takes_what_the_reader_takes() {
    let schema = file_schema();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let everything: serde_json::Value = toml::from_str(include_str!("../samples/everything.toml")).unwrap();
    let errors: Vec<_> = validator.iter_errors(&everything).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    assert_eq!(absent(&schema["properties"]["sluice"], &everything["sluice"], "sluice"), Vec::<String>::new());
    for wrong in [r#"{"sluice": {"lisen": 1}}"#, r#"{"sluice": {"audit": {"mode": "of"}}}"#, r#"{"sluice": []}"#] {
        assert!(!validator.is_valid(&serde_json::from_str(wrong).unwrap()), "{wrong}");
    }
}

fn absent(schema: &serde_json::Value, sample: &serde_json::Value, path: &str) -> Vec<String> {
    // What a group says of a plugin is what `plugins.settings` can say.
    if path == "sluice.groups.ops.settings" {
        return Vec::new();
    }
    let object = schema.pointer("/anyOf/1").unwrap_or(schema);
    let one_of_many = object.get("additionalProperties").filter(|each| each.is_object());
    if let (Some(each), Some(map)) = (one_of_many, sample.as_object()) {
        let fullest = map.iter().map(|(key, value)| absent(each, value, &format!("{path}.{key}"))).min_by_key(Vec::len);
        return fullest.unwrap_or_else(|| vec![path.to_owned()]);
    }
    let Some(keys) = object.get("properties").and_then(|keys| keys.as_object()) else { return Vec::new() };
    keys.iter()
        .flat_map(|(key, schema)| match sample.get(key) {
            Some(value) => absent(schema, value, &format!("{path}.{key}")),
            None => vec![format!("{path}.{key}")],
        })
        .collect()
}
