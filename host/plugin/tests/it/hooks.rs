//! Each hook and each import, through guests that do as they are told.

use crate::support::{call, engine, labels, load};
use serde_json::json;
use sluice_chain::filter::{Filter, Hook, Verdict};

#[tokio::test]
async fn a_filter_that_reads_facts_lets_pass() {
    let engine = engine();
    let filter = load(&engine, "facts-only", json!({})).await;
    assert_eq!(filter.imports(), ["types"], "{:?}", filter.imports());
    assert!(!filter.interest().reads_payload);
    assert!(filter.interest().hooks.iter().any(|(hook, _)| *hook == Hook::OnRequest));
    let mut call = call("ls", json!({}));
    for _ in 0..3 {
        assert!(matches!(call.request(&filter).await, Ok(Verdict::Next(None))));
    }
    assert!(labels(&call).is_empty());
}
