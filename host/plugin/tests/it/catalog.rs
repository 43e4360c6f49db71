//! Lists as guests shape them.

use crate::support::{engine, load};
use bytes::Bytes;
use serde_json::{Value, json};
use sluice_chain::{
    attributes::Attributes,
    catalogue::{Change, Entry, ListKind, Offer, Read, Viewer},
    fault::Fault,
    filter::Filter,
};
use std::sync::Arc;

fn offer(names: &[(&str, &str)]) -> Offer {
    let entries = names.iter().enumerate().map(|(i, (upstream, name))| Entry {
        name: (*name).into(),
        upstream: Some(i),
        owner: (*upstream).into(),
        original: (*name).into(),
        definition: Bytes::from(json!({"name": name}).to_string()),
        digest: "0".repeat(64).into(),
        task: None,
    });
    let facts = vec![("principal.claim.role".into(), "dev".into())];
    Offer {
        kind: ListKind::Tools,
        entries: Arc::new(entries.collect()),
        upstreams: names.len() as u32,
        viewer: Viewer::new(Attributes::new(Arc::new(facts))),
        changes: Vec::new(),
        own: Vec::new(),
    }
}

async fn shape(config: Value, offer: &mut Offer) -> Result<(), Fault> {
    load(&engine(), "rename-catalog", config).await.on_catalog(offer).await
}

#[tokio::test]
async fn entries_are_kept_hidden_renamed_patched_and_added() {
    let config = json!({
        "rename": {"b": "bee", "d": "dee"}, "hide": ["c"], "patch": {"d": "{\"title\":\"D\"}", "e": "{\"x\":null}"},
        "add": ["{\"name\":\"mine\"}"],
    });
    let mut offer = offer(&[("u", "a"), ("u", "b"), ("u", "c"), ("u", "d"), ("u", "e")]);
    shape(config, &mut offer).await.unwrap();
    assert!(
        matches!(&offer.changes[..], [
        Change::Keep, Change::Rename(bee), Change::Hide, Change::RenameAndPatch(dee, _), Change::Patch(_),
    ] if bee == "bee" && dee == "dee"),
        "{:?}",
        offer.changes
    );
    assert_eq!(offer.own, [r#"{"name":"mine"}"#]);
}

#[tokio::test]
async fn what_is_read_of_the_viewer_is_noted() {
    let mut seen = offer(&[("u", "a")]);
    shape(json!({"role": "dev"}), &mut seen).await.unwrap();
    assert!(matches!(&seen.changes[..], [Change::Keep] | []), "{:?}", seen.changes);
    assert_eq!(seen.viewer.reads(), [Read::Key("principal.claim.role".into())]);
    let mut hidden = offer(&[("u", "a")]);
    shape(json!({"role": "admin"}), &mut hidden).await.unwrap();
    assert!(matches!(&hidden.changes[..], [Change::Hide]));
    let mut unread = offer(&[("u", "a")]);
    shape(json!({}), &mut unread).await.unwrap();
    assert!(unread.viewer.reads().is_empty());
}

#[tokio::test]
async fn an_answer_that_does_not_fit_the_list_is_a_fault() {
    for config in [
        json!({"miscount": true, "hide": ["a"]}),
        json!({"rename": {"a": ""}}),
        json!({"patch": {"a": "{"}}),
        json!({"patch": {"a": "[]"}}),
        json!({"add": ["nope"]}),
    ] {
        let mut offer = offer(&[("u", "a"), ("u", "b")]);
        let fault = shape(config.clone(), &mut offer).await.unwrap_err();
        assert!(matches!(fault, Fault::BadReply(_)), "{config}: {fault}");
        assert!(offer.changes.is_empty() && offer.own.is_empty());
    }
}
