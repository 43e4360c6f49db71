//! `approve`: nothing runs that nobody said yes to, and a yes is good for the call that was read.

use super::with;
use crate::{
    backend::Backend,
    caller::{Caller, Era, MODERN},
    folder::Folder,
    turn::beside,
};
use serde_json::{Value, json};

/// One call of a modern client with a person behind it; `more` are further members of its params.
pub(super) async fn call(caller: &mut Caller, arguments: &str, more: &str) -> Value {
    let declared = r#"{"elicitation":{"form":{}}}"#;
    let meta =
        format!(r#"{{"io.modelcontextprotocol/protocolVersion":"{MODERN}","io.modelcontextprotocol/clientCapabilities":{declared}}}"#);
    let params = format!(r#"{{"name":"delete_file","arguments":{arguments}{more},"_meta":{meta}}}"#);
    let body = format!(r#"{{"jsonrpc":"2.0","id":{},"method":"tools/call","params":{params}}}"#, caller.next_id());
    caller.post("tools/call", Some("delete_file"), &body).await.expect("an answer").json()
}

/// What the person says to a question, as members of the next round's params.
pub(super) fn said(asked: &Value, said: &str) -> String {
    assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
    let key = asked["result"]["inputRequests"].as_object().and_then(|all| all.keys().next()).expect("a question");
    format!(r#","requestState":{},"inputResponses":{{"{key}":{said}}}"#, asked["result"]["requestState"])
}

#[test]
fn nothing_runs_without_a_yes_and_a_yes_is_good_for_what_was_read() {
    beside("approve", 90, async {
        let backend = Backend::recording(&["delete_file", "list"]).await;
        let folder = Folder::new();
        let config = json!({"rules": [{"tools": ["delete_*"], "remember_seconds": 600}]});
        let gateway = with(&folder, "approve", config, json!({"only": {"url": backend.url}})).await;
        let mut caller = gateway.caller(Era::Modern).await;
        caller.result("list", "{}").await;
        assert_eq!(backend.asked("tools/call"), 1);

        let asked = call(&mut caller, r#"{"path":"/a"}"#, "").await;
        assert!(asked.to_string().contains(r#"{\"path\":\"/a\"}"#), "the person is shown the arguments: {asked}");
        let no = call(&mut caller, r#"{"path":"/a"}"#, &said(&asked, r#"{"action":"decline"}"#)).await;
        assert!(no["result"]["isError"] == true && no.to_string().contains("said no"), "{no}");
        assert_eq!(backend.asked("tools/call"), 1, "nothing ran");

        let asked = call(&mut caller, r#"{"path":"/a"}"#, "").await;
        let yes = said(&asked, r#"{"action":"accept","content":{"remember":true}}"#);
        let other = call(&mut caller, r#"{"path":"/b"}"#, &yes).await;
        assert!(other.get("error").is_some(), "a yes to one call is none to another: {other}");
        assert_eq!(backend.asked("tools/call"), 1, "nothing ran");

        let asked = call(&mut caller, r#"{"path":"/a"}"#, "").await;
        let done = call(&mut caller, r#"{"path":"/a"}"#, &said(&asked, r#"{"action":"accept","content":{"remember":true}}"#)).await;
        assert_eq!(done["result"]["structuredContent"], json!({"path": "/a"}), "{done}");
        let again = call(&mut caller, r#"{"path":"/a"}"#, "").await;
        assert_eq!(again["result"]["structuredContent"], json!({"path": "/a"}), "remembered: {again}");
        let asked = call(&mut caller, r#"{"path":"/b"}"#, "").await;
        assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
        assert_eq!(backend.asked("tools/call"), 3);
    });
}

#[test]
fn a_client_that_cannot_ask_anybody_hears_so() {
    beside("approve, nobody", 60, async {
        let backend = Backend::recording(&["delete_file"]).await;
        let folder = Folder::new();
        let gateway = with(&folder, "approve", json!({"rules": [{}]}), json!({"only": {"url": backend.url}})).await;
        for era in Era::BOTH {
            let mut caller = gateway.caller(era).await;
            let answer = caller.call("delete_file", "{}").await.expect("an answer").json();
            assert!(answer.to_string().contains("elicitation"), "{era:?}: {answer}");
        }
        assert_eq!(backend.asked("tools/call"), 0);
    });
}
