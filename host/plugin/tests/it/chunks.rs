//! Long answers, batch by batch.

use crate::support::{call, engine, labels, load, load_with, settings};
use serde_json::json;
use sluice_chain::{
    chunk::{Batch, Chunk, ChunkPass, ChunkVerdict, Splice},
    exchange::{Direction, Kind},
    fault::Fault,
    filter::{Filter, Hook},
};
use sluice_plugin::{Power, Settings, WasmFilter};
use std::{sync::Arc, time::Instant};

fn chunk(pointer: &str, text: &str) -> Chunk {
    Chunk { pointer: pointer.into(), key: false, offset: 0, before: None, text: text.into(), held: 0, last: true }
}

fn window(text: &str, before: char, held: usize) -> Chunk {
    Chunk { before: Some(before), offset: 9, held, last: false, ..chunk("/result/content/0/text", text) }
}

async fn judged(filter: &WasmFilter, chunks: Vec<Chunk>) -> (Result<ChunkVerdict, Fault>, Vec<String>) {
    let mut call = call("export", json!({}));
    (call.pass.head.kind, call.pass.head.direction) = (Kind::Response, Direction::ToClient);
    let batch = Arc::new(Batch { chunks, ends: true });
    let held = &mut call.pass;
    let mut pass = ChunkPass {
        head: &held.head,
        principal: &held.principal,
        attributes: &mut held.attributes,
        batch: &batch,
        bytes: 1 << 20,
        asked: Some(held.message.clone()),
        began: Instant::now(),
        origin: None,
    };
    let said = filter.on_chunk(&mut pass).await;
    (said, labels(&call))
}

fn splice(chunk: usize, range: std::ops::Range<usize>, text: &str) -> Splice {
    Splice { chunk, range, text: text.into() }
}

#[tokio::test]
async fn a_search_sees_what_stood_before_and_leaves_what_is_held() {
    let filter = load(&engine(), "redact", json!({"patterns": [{"name": "start", "regex": "^ring|\\bkey[0-9]+"}]})).await;
    assert!(filter.interest().hooks.iter().any(|(hook, _)| *hook == Hook::OnChunk) && filter.interest().overlap == 16_384);
    let chunks = vec![
        // Neither is a beginning, since something stood before; the last begins in what comes again.
        window("ring key7 and a@example.com, b@example.com", 's', 14),
        window("key8 x", 'y', 0),
        chunk("/result/structuredContent/a", "ring key9"),
        chunk("/result/_meta/io.modelcontextprotocol~1serverInfo/name", "c@example.com"),
    ];
    let (said, labels) = judged(&filter, chunks).await;
    let expected = vec![
        splice(0, 5..9, "[REDACTED:start]"),
        splice(0, 14..27, "[REDACTED:email]"),
        splice(2, 0..4, "[REDACTED:start]"),
        splice(2, 5..9, "[REDACTED:start]"),
    ];
    assert_eq!(said.unwrap(), ChunkVerdict::Edit(expected));
    assert_eq!(labels, ["redact.response=email=1 start=3"]);
    let (said, labels) = judged(&filter, vec![chunk("/result/content/0/text", "nothing")]).await;
    assert_eq!((said.unwrap(), labels), (ChunkVerdict::Next, Vec::new()));
    assert_eq!(judged(&filter, Vec::new()).await.0.unwrap(), ChunkVerdict::Next);
}

#[tokio::test]
async fn what_cannot_be_taken_out_is_refused() {
    let filter = load(&engine(), "redact", json!({})).await;
    let name = Chunk { key: true, ..chunk("/result/structuredContent/a@example.com", "a@example.com") };
    let cut = Chunk { held: 4, last: false, ..chunk("/result/content/0/text", "glpat-abcdefghij0123456789") };
    for chunks in [vec![name], vec![cut]] {
        let (said, _) = judged(&filter, chunks).await;
        let Ok(ChunkVerdict::Reject(no)) = said else { panic!("{said:?}") };
        assert!(no.code == 4032 && no.as_tool_result, "{no:?}");
    }
}

/// Without a power its part of the lent batch says no: the search here, which the plugin takes for a reason to refuse.
#[tokio::test]
async fn without_the_power_nothing_is_read() {
    let denied = Settings { denied: vec![Power::Patterns], ..settings("redact", json!({})) };
    // It cannot even define its patterns.
    assert!(engine().load(crate::support::guests::bytes("redact"), denied).await.is_err());
    let denied = Settings { denied: vec![Power::Payload], ..settings("redact", json!({})) };
    let filter = load_with(&engine(), denied).await;
    let (said, _) = judged(&filter, vec![chunk("/result/content/0/text", "a@example.com")]).await;
    assert!(matches!(said, Err(Fault::BadReply(ref why)) if why.contains("may not read")), "{said:?}");
}
