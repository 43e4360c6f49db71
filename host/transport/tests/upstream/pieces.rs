//! Answers that come in pieces, and servers that hear that nobody wants the rest.

use crate::{
    stdio::Rig,
    support::{
        Asker, Ear, eventually,
        server::{Act, Acts, Fake, Seen, chunk, last_chunk, legacy, modern, respond, stream_head},
    },
};
use bytes::Bytes;
use serde_json::json;
use sluice_chain::{stream::Source, upstream::Upstream};
use sluice_transport::upstream::{
    CallLimits,
    http::{Http, HttpSettings, HttpUpstream},
};
use sluice_wire::json::Limits;
use std::sync::{Arc, atomic::Ordering::SeqCst};

const HELD: usize = 100_000;

fn limits() -> CallLimits {
    CallLimits { response: Limits { bytes_max: HELD, ..Limits::RESPONSE }, ..CallLimits::default() }
}

fn upstream(fake: &Fake) -> HttpUpstream {
    let mut settings = HttpSettings::new("fake", fake.url.clone());
    settings.call = limits();
    Http::upstream(settings, Arc::new(Ear::default())).unwrap()
}

/// Answers `whole` to its end, and everything else for as long as somebody listens; `event` as one.
fn long(seen: &Seen) -> Acts {
    if seen.verb != "POST" {
        return respond(405, "", "");
    }
    let is_event = seen.tool() == "event";
    let before = if is_event { "data: " } else { "" };
    let text = format!(r#"{before}{{"jsonrpc":"2.0","id":{},"result":{{"t":"{}"#, seen.id(), "x".repeat(2 * HELD));
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut acts = vec![if is_event { stream_head() } else { Act::Write(head.to_owned()) }, chunk(&text)];
    match seen.tool() {
        "whole" => acts.extend([chunk("\"}}"), last_chunk()]),
        _ => acts.push(Act::Hold),
    }
    acts
}

/// The answer to a call of this tool, once it comes in pieces.
async fn begun(upstream: &dyn Upstream, asker: &Asker, tool: &str) -> Box<dyn Source> {
    let mut asked = asker.tool(tool, json!({"size": 3 * HELD}));
    asked.outbound.pieces_bytes_max = 100 * HELD as u64;
    let (answer, _) = asked.send(upstream).await;
    answer.unwrap().rest.expect("it is too long to be held").into_source()
}

async fn piece(source: &mut Box<dyn Source>) -> Bytes {
    source.next().await.expect("more of it").expect("nothing broke")
}

#[tokio::test]
async fn a_server_is_told_when_nobody_wants_the_rest_of_its_answer() {
    for tool in ["body", "event"] {
        let fake = Fake::start(legacy(json!({"tools":{}}), long)).await;
        let upstream = upstream(&fake);
        let mut source = begun(&upstream, &Asker::legacy("c1"), tool).await;
        assert!(piece(&mut source).await.starts_with(b"{\"jsonrpc\""), "{tool}");
        assert!(!fake.trace().contains(&"notifications/cancelled".to_owned()), "{tool}");
        drop(source);
        eventually("the cancellation", || fake.trace().contains(&"notifications/cancelled".to_owned())).await;
        let told = fake.last("notifications/cancelled");
        assert_eq!((&told.body["params"]["requestId"], told.header("mcp-session-id")), (&fake.last("tools/call").id(), "s1"), "{tool}");

        let fake = Fake::start(modern(long)).await;
        let upstream = self::upstream(&fake);
        let mut source = begun(&upstream, &Asker::modern(), tool).await;
        piece(&mut source).await;
        assert_eq!(fake.left.load(SeqCst), 0, "{tool}");
        drop(source);
        eventually("the closing", || fake.left.load(SeqCst) == 1).await;
    }
    let rig = Rig::new("legacy").with(|settings| settings.call = limits());
    let upstream = rig.start();
    let mut source = begun(&upstream, &Asker::legacy("c1"), "big").await;
    piece(&mut source).await;
    assert_eq!(rig.count("notifications/cancelled"), 0);
    drop(source);
    eventually("the cancellation", || rig.count("notifications/cancelled") == 1).await;
}

/// The control of the one before.
#[tokio::test]
async fn a_server_whose_answer_was_taken_to_its_end_is_told_nothing() {
    let fake = Fake::start(legacy(json!({"tools":{}}), long)).await;
    let upstream = upstream(&fake);
    for _ in 0..2 {
        let mut source = begun(&upstream, &Asker::legacy("c1"), "whole").await;
        let mut bytes = 0;
        while let Some(piece) = source.next().await {
            bytes += piece.expect("nothing broke").len();
        }
        assert!(bytes > 2 * HELD);
    }
    assert!(!fake.trace().contains(&"notifications/cancelled".to_owned()), "{:?}", fake.trace());
}
