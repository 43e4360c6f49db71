//! What one plugin says about an exchange decides whether another one runs.

use crate::{
    backend::Backend,
    caller::Era,
    folder::{Folder, component},
    gateway::Gateway,
    turn::beside,
};
use serde_json::json;

const NO: &str = r#"
[config]
on = "request"
verdict = { reject = { code = 4030, message = "too risky" } }
"#;

#[test]
fn a_plugin_runs_where_an_earlier_one_has_set_the_label() {
    beside("labels", 120, async {
        for (risk, when, is_refused) in [
            ("high", r#"labels = { "label.risk" = ["high"] }"#, true),
            ("high", r#"labels = { "label.risk" = ["low", "h*"] }"#, true),
            ("high", r#"labels = { "label.risk" = [] }"#, true),
            ("low", r#"labels = { "label.risk" = ["high"] }"#, false),
            ("high", r#"labels = { "label.risk" = ["high"], "label.other" = [] }"#, false),
            // A fact is no label: a client could say it.
            ("high", r#"labels = { "client.name" = [] }"#, false),
            // The control: without a condition it always runs.
            ("low", "", true),
        ] {
            let backend = Backend::echo(&["echo"]).await;
            let folder = Folder::new();
            folder.drop_in("10-label.wasm", component("guest_label"));
            folder.drop_in("10-label.toml", format!("[config.set]\nrisk = \"{risk}\"\n"));
            folder.drop_in("20-verdict.wasm", component("guest_verdict"));
            folder.drop_in("20-verdict.toml", format!("{NO}[when]\n{when}\n"));
            let gateway = Gateway::start(&folder, json!({"mcpServers": {"only": {"url": backend.url}}})).await;
            for era in Era::BOTH {
                let answer = gateway.caller(era).await.call("echo", "{}").await.expect("an answer").json();
                assert_eq!(answer["error"]["code"] == 4030, is_refused, "{risk}, {when}: {answer}");
            }
        }
    });
}
