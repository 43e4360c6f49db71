//! What an operator has afterwards: a line an exchange under the id that every error shows, an audit record of every call,
//! figures; and in none of it a secret.

use crate::{
    backend::{Backend, Call, Offer},
    caller::{Caller, Era},
    connection::Connection,
    folder::{Folder, component},
    gateway::{Gateway, journal_entry, key_hash},
    turn::{beside, eventually},
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};

const KEY: &str = "canary-api-key-6d1f40";
/// None of these may stand in a log, an audit record or a metric.
const SECRETS: [&str; 7] = [
    KEY,
    "canary-argument-0b9e",
    "canary-result-77aa",
    "canary@example.com",
    "canary-header-41c2",
    "canary-environment-93fe",
    "canary-data-5512",
];

async fn gateway(folder: &Folder, backend: &Backend) -> Gateway {
    folder.drop_in("done-recorder.wasm", component("guest_done_recorder"));
    let (_, mut child) = journal_entry(folder, "journal.jsonl", &[]);
    child["env"] = json!({"TOKEN": "canary-environment-93fe"});
    Gateway::start(
        folder,
        json!({
            "mcpServers": {
                "http": {"url": backend.url, "headers": {"x-upstream-key": "canary-header-41c2"}},
                "child": child,
                "dead": {"url": "http://127.0.0.1:9/mcp"},
            },
            "sluice": {
                "chain": ["builtin:auth-api-key", "builtin:rate-limit", "builtin:redact", "builtin:namespace", "done-recorder"],
                "plugins": {"settings": {
                    "auth-api-key": {"config": {"keys": [{"id": "k", "hash": key_hash(KEY), "subject": "ada", "tenant": "acme"}]}},
                    "rate-limit": {"config": {"limits": [{"name": "few", "names": ["*_limited"], "per_hour": 1, "burst": 1}]}},
                    "namespace": {"config": {"prefix": "always"}},
                }},
            },
        }),
    )
    .await
}

async fn backend() -> Backend {
    Backend::start(Offer::tools(&["echo", "limited", "fails", "refuses"]), |call: Call| async move {
        match call.name.as_str() {
            "fails" => call.members(r#""content":[{"type":"text","text":"canary-result-77aa canary@example.com"}],"isError":true"#),
            "refuses" => call.error(-32050, "canary-result-77aa", r#"{"k":"canary-data-5512"}"#),
            _ => call.echo(),
        }
    })
    .await
}

/// Every kind of end an exchange can have, in one era; the ids that its errors showed.
async fn all_kinds(gateway: &Gateway, era: Era) -> Vec<String> {
    let mut caller = Caller::new(&gateway.address, era, KEY).await;
    let mut ids = Vec::new();
    let arguments = r#"{"text":"canary-argument-0b9e, canary@example.com"}"#;
    for tool in ["http_echo", "http_fails", "http_refuses", "http_limited", "http_limited", "child_record", "child_nothing", "dead_tool"] {
        let reply = caller.call(tool, arguments).await.expect("an answer");
        let header = reply.header("x-request-id").map(str::to_owned);
        let answer = reply.json();
        let id = answer["error"]["data"]["requestId"].as_str().map(str::to_owned);
        assert!(!answer.to_string().contains("canary@example.com"), "{answer}");
        if answer.get("error").is_some() {
            let shown = header.unwrap_or_else(|| panic!("{tool}: an error without X-Request-Id: {answer}"));
            // An upstream's own error keeps its body, so there the header alone tells.
            assert!(tool.ends_with("refuses") || id.as_ref() == Some(&shown), "{tool}: {shown} in the header, {answer}");
            ids.push(shown);
        }
    }
    // Unknown methods and strangers never become an exchange, and their errors carry an id all the same.
    let reply = caller.ask("tools/fly", None, "").await.expect("an answer").json();
    assert_eq!(reply["error"]["data"]["requestId"].as_str().map(str::len), Some(16), "{reply}");
    let mut stranger = Caller::silent(&gateway.address, Era::Modern, "canary-api-key-wrong");
    let reply = stranger.call("http_echo", arguments).await.expect("an answer").json();
    assert_eq!(reply["error"]["data"]["requestId"].as_str().map(str::len), Some(16), "{reply}");
    ids
}

#[test]
fn one_line_an_exchange_and_one_record_a_call_and_no_secret() {
    beside("records", 120, async {
        let backend = backend().await;
        let folder = Folder::new();
        let mut gateway = gateway(&folder, &backend).await;
        let mut ids = BTreeSet::new();
        for era in Era::BOTH {
            ids.extend(all_kinds(&gateway, era).await);
        }
        let metrics = gateway.metrics().await;
        gateway.signal(Signal::SIGTERM);
        assert_eq!(gateway.ended(Duration::from_secs(20)).await.and_then(|status| status.code()), Some(0));

        let exchanges = eventually(Duration::from_secs(5), || async {
            let lines = gateway.exchanges();
            if lines.len() >= 16 { Ok(lines) } else { Err(format!("{} lines", lines.len())) }
        })
        .await;
        let request = |line: &Value| line["request"].as_str().expect("an id").to_owned();
        let known: BTreeSet<String> = exchanges.iter().map(request).collect();
        assert_eq!(known.len(), exchanges.len(), "one line an exchange");
        assert!(
            ids.is_subset(&known),
            "ids that errors showed and the log does not know: {:?}",
            ids.difference(&known).collect::<Vec<_>>()
        );

        let audit = folder.read("audit.jsonl");
        let records: Vec<Value> = audit.lines().map(|line| serde_json::from_str(line).expect("a record is one line of JSON")).collect();
        let calls: Vec<&Value> = records.iter().filter(|record| record["method"] == "tools/call").collect();
        assert_eq!(calls.len(), 16, "every call: {calls:#?}");
        calls.iter().for_each(|call| check_record(call));
        assert!(ids.iter().all(|id| records.iter().any(|record| record["request"] == **id)), "the audit log has them, too");

        let log = gateway.log(|_| true).join("\n");
        for secret in SECRETS {
            for (what, text) in [("log", &log), ("audit log", &audit), ("metrics", &metrics)] {
                let found = text.lines().find(|line| line.contains(secret));
                assert!(found.is_none(), "{secret} stands in the {what}: {found:?}");
            }
        }
        check_metrics(&metrics);
        println!(
            "records: N={} exchanges, {} ids of errors found in log and audit, {} secrets searched, 0 found",
            exchanges.len(),
            ids.len(),
            SECRETS.len()
        );
    });
}

#[test]
fn a_client_that_leaves_is_a_cancelled_exchange_in_log_audit_and_metrics() {
    beside("records, cancelled", 60, async {
        let backend = backend().await;
        let folder = Folder::new();
        let gateway = gateway(&folder, &backend).await;
        let mut caller = Caller::new(&gateway.address, Era::Modern, KEY).await;
        let leaves = caller.call("child_slow", r#"{"ms":20000}"#);
        assert!(tokio::time::timeout(Duration::from_millis(500), leaves).await.is_err(), "it answers in twenty seconds");
        drop(caller);
        let line = eventually(Duration::from_secs(5), || async {
            let lines = gateway.exchanges();
            lines.into_iter().find(|line| line["name"] == "child_slow").ok_or_else(|| "no line yet".to_owned())
        })
        .await;
        assert_eq!(line["outcome"], "cancelled", "{line}");
        let audit = folder.read("audit.jsonl");
        let audited: Vec<Value> = audit.lines().map(|line| serde_json::from_str(line).expect("one line of JSON")).collect();
        assert!(audited.iter().any(|record| record["request"] == line["request"] && record["outcome"] == "cancelled"), "{audit}");
        let series = r#"sluice_exchanges_total{method="tools/call",upstream="child",outcome="cancelled"}"#;
        assert_eq!(gateway.metric(series).await, 1.0, "{}", gateway.metrics().await);
    });
}

fn check_record(record: &Value) {
    let text = |key: &str| record[key].as_str().unwrap_or_else(|| panic!("{key}: {record}"));
    assert!(text("time").ends_with('Z') && text("request").len() == 16, "{record}");
    assert_eq!((text("principal"), text("tenant"), text("authority")), ("ada", "acme", "auth-api-key"), "{record}");
    assert!(["answered", "refused", "failed", "cancelled"].contains(&text("outcome")), "{record}");
    assert!(
        record["generation"].is_u64() && record["requestBytes"].is_u64() && record["responseBytes"].is_u64() && record["micros"].is_u64()
    );
    let verdicts = record["verdicts"].as_array().expect("a list");
    for verdict in verdicts {
        let digest = verdict["digest"].as_str().expect("a digest");
        assert!(digest.len() == 71 && digest.starts_with("sha256:"), "{verdict}");
        assert!(
            verdict["plugin"].is_string()
                && verdict["version"].is_string()
                && verdict["hook"].is_string()
                && verdict["verdict"].is_string()
        );
    }
    let said =
        |plugin: &str, hook: &str| verdicts.iter().find(|v| v["plugin"] == plugin && v["hook"] == hook).map(|v| v["verdict"].clone());
    match (text("name"), text("outcome")) {
        ("http_echo", outcome) => {
            assert_eq!((outcome, text("upstream")), ("answered", "http"));
            assert_eq!(said("redact", "on-request"), Some(json!("edited")), "{record}");
            assert_eq!(said("rate-limit", "on-request"), Some(json!("next")), "{record}");
        }
        ("http_fails", _) => assert_eq!(record["toolError"], true, "{record}"),
        ("http_limited", "refused") => {
            assert_eq!((said("rate-limit", "on-request"), &record["code"]), (Some(json!("reject")), &json!(4290)), "{record}")
        }
        ("dead_tool" | "child_nothing", outcome) => assert_ne!(outcome, "answered", "{record}"),
        _ => {}
    }
}

fn check_metrics(metrics: &str) {
    for family in [
        "sluice_exchanges_total{",
        "sluice_exchange_seconds_bucket{",
        "sluice_plugin_entries_total{",
        "sluice_plugin_seconds_total{",
        // What a plugin counts itself.
        "sluice_plugin_count_done_total{plugin=\"done-recorder\",outcome=\"answered\"} ",
        "sluice_turned_away_total{",
        "sluice_upstream_up{upstream=\"dead\"} 0",
        "sluice_upstream_up{upstream=\"http\"} 1",
        "sluice_chain_generation ",
        "sluice_plugin_memory_peak_bytes{plugin=\"redact\"}",
        "outcome=\"refused\"",
    ] {
        assert!(metrics.contains(family), "{family} is missing in\n{metrics}");
    }
    assert!(metrics.ends_with("# EOF\n"), "the end mark of the format");
    // A scraper takes each family once, and all of its series together.
    let families: Vec<&str> = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert_eq!(families.len(), families.iter().collect::<BTreeSet<_>>().len(), "a family stands there twice: {families:?}");
}

#[test]
fn the_admin_listener_shows_health_to_all_and_figures_to_few() {
    beside("records, admin", 60, async {
        let backend = backend().await;
        let folder = Folder::new();
        let gateway = gateway(&folder, &backend).await;
        let bearer = |token: &str| format!("authorization: Bearer {token}\r\n");
        for (path, headers, status) in [
            ("/livez", String::new(), 200),
            ("/readyz", String::new(), 200),
            ("/metrics", String::new(), 401),
            ("/metrics", bearer("wrong"), 401),
            ("/metrics", bearer(KEY), 401),
            ("/metrics", bearer(&gateway.admin_token), 200),
            ("/nothing", bearer(&gateway.admin_token), 404),
            ("/mcp", bearer(&gateway.admin_token), 404),
            ("/livez", "origin: https://evil.example\r\n".to_owned(), 403),
            ("/livez", "host: evil.example\r\n".to_owned(), 403),
        ] {
            assert_eq!(gateway.admin(path, &headers).await.status, status, "{path} {headers}");
        }
        for host in ["evil.example", "localhost.evil.example", "127.0.0.2", "0.0.0.0", "127.1"] {
            for path in ["/livez", "/readyz", "/metrics"] {
                let mut connection = Connection::open(&gateway.admin).await.expect("a connection");
                let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n{}\r\n", bearer(&gateway.admin_token));
                assert_eq!(connection.exchange(request.as_bytes()).await.expect("an answer").status, 403, "{host} {path}");
            }
        }
        let mut connection = Connection::open(&gateway.admin).await.expect("a connection");
        let request =
            format!("POST /metrics HTTP/1.1\r\nhost: {}\r\n{}content-length: 0\r\n\r\n", gateway.admin, bearer(&gateway.admin_token));
        assert_eq!(connection.exchange(request.as_bytes()).await.expect("an answer").status, 405);
        // The admin token is for the admin listener, and the client's for the client's.
        let mut caller = Caller::silent(&gateway.address, Era::Modern, &gateway.admin_token);
        assert_eq!(caller.call("http_echo", "{}").await.expect("an answer").status, 401);
        assert!(!gateway.metrics().await.contains(&gateway.admin_token));
    });
}

/// Tokens are made for this user alone, and stay.
#[test]
fn tokens_and_records_are_readable_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    beside("records, files", 60, async {
        let backend = backend().await;
        let folder = Folder::new();
        let config = json!({"mcpServers": {"http": {"url": backend.url}}});
        let first = Gateway::start(&folder, config.clone()).await;
        first.caller(Era::Modern).await.result("echo", "{}").await;
        let token = first.token.clone();
        assert!(token.len() >= 32 && first.admin_token.len() >= 32 && token != first.admin_token);
        for file in ["token", "admin-token", "task-key", "audit.jsonl"] {
            let mode = std::fs::metadata(folder.path(file)).expect("it is there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
        drop(first);
        let second = Gateway::start(&folder, config.clone()).await;
        assert_eq!(second.token, token, "a restart keeps it");
        drop(second);
        std::fs::set_permissions(folder.path("token"), std::fs::Permissions::from_mode(0o644)).expect("our own file");
        let refused = Gateway::refused(&folder, config).await;
        assert!(refused.stderr.contains("chmod 600") && !refused.stderr.contains(&token), "{}", refused.stderr);
    });
}
