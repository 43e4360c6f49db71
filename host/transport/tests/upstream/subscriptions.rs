//! Hearing of changes from children of both eras, and over sessions that break.

use crate::{
    http_modern::upstream,
    stdio::Rig,
    support::{
        Asker, eventually,
        server::{Act, Acts, Fake, Seen, chunk, event, json_body, last_chunk, legacy, respond, result, stream_head},
    },
};
use serde_json::json;
use sluice_chain::upstream::{Sink, Update, Upstream, Watching, Wish};
use sluice_wire::listen::{Filter, List};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

/// What was told of resources: asked for, changed, and whether the server said so.
#[derive(Default)]
struct Told(Mutex<Vec<(String, String, bool)>>);

impl Sink for Told {
    fn updated(&self, update: &Update<'_>) {
        self.0.lock().unwrap().push((update.asked.into(), update.uri.into(), update.said.is_some()));
    }
}

impl Told {
    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

async fn watch(upstream: &dyn Upstream, asker: &Asker, told: &Arc<Told>) -> Watching {
    let what = Filter { lists: List::Tools.into(), uris: vec!["test://a".into()] };
    let wish = Wish {
        era: asker.revision.era(),
        client: asker.client.clone(),
        principal: asker.principal.clone(),
        what,
        sink: told.clone(),
        wait: Duration::from_secs(20),
    };
    upstream.watch(wish).await
}

#[tokio::test]
async fn s099_a_child_that_dies_is_told_again_what_is_wanted_and_what_may_have_changed_is_told() {
    for (words, asker) in [("legacy changes", Asker::modern()), ("modern changes", Asker::legacy("c1"))] {
        let rig = Rig::new(words);
        let upstream = rig.start();
        let told = Arc::<Told>::default();
        let watching = watch(&upstream, &asker, &told).await;
        assert_eq!(watching.granted.to_json(), r#"{"toolsListChanged":true,"resourceSubscriptions":["test://a"]}"#, "{words}");
        asker.tool("touch", json!({})).answer(&upstream).await;
        eventually("both changes are heard", || told.count() == 1 && rig.heard() == 1).await;
        let error = asker.tool("die", json!({})).fail(&upstream).await;
        assert!(error.to_string().contains("went away"), "{error}");
        eventually("both may have changed", || told.count() == 2 && rig.heard() == 2).await;
        assert_eq!(told.0.lock().unwrap()[1], ("test://a".to_owned(), "test://a".to_owned(), false), "{words}");
        asker.tool("touch", json!({})).answer(&upstream).await;
        eventually("its successor is heard", || told.count() == 3 && rig.heard() == 3).await;
        upstream.close().await;
    }
}

#[tokio::test]
async fn several_who_want_the_same_are_one_to_the_child_and_the_last_who_leaves_ends_it() {
    for (words, asker, opens, closes) in [
        ("legacy changes", Asker::modern(), "resources/subscribe", "resources/unsubscribe"),
        ("modern changes", Asker::modern(), "subscriptions/listen", "notifications/cancelled"),
    ] {
        let rig = Rig::new(words);
        let upstream = rig.start();
        let told = Arc::<Told>::default();
        let first = watch(&upstream, &asker, &told).await;
        let second = watch(&upstream, &asker, &told).await;
        assert_eq!(first.granted, second.granted);
        asker.tool("touch", json!({})).answer(&upstream).await;
        eventually("each is told", || told.count() == 2).await;
        drop(first);
        asker.tool("touch", json!({})).answer(&upstream).await;
        eventually("the other is told", || told.count() == 3).await;
        drop(second);
        eventually("it is ended", || rig.count(closes) == 1).await;
        assert_eq!(rig.count(opens), 1, "{words}");
        upstream.close().await;
    }
}

#[tokio::test]
async fn another_principal_hears_nothing_of_it() {
    let rig = Rig::new("legacy changes");
    let upstream = rig.start();
    let (own, others) = (Arc::<Told>::default(), Arc::<Told>::default());
    let [a, b] = ["a", "b"].map(|name| Asker::modern().named(name));
    let _own = watch(&upstream, &a, &own).await;
    let _others = watch(&upstream, &b, &others).await;
    a.tool("touch", json!({})).answer(&upstream).await;
    eventually("it is told", || own.count() == 1).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(others.count(), 0);
    upstream.close().await;
}

/// A listener whose server tells nothing does not keep the child that would tell it.
#[tokio::test]
async fn a_child_that_announces_nothing_is_idle_whoever_listens() {
    for (words, announces) in [("legacy", false), ("modern", false), ("legacy changes", true), ("modern changes", true)] {
        let rig = Rig::new(words).with(|settings| settings.child_idle = Duration::from_millis(200));
        let upstream = rig.start();
        let watching = watch(&upstream, &Asker::modern(), &Arc::default()).await;
        assert_eq!(watching.granted.is_empty(), !announces, "{words}");
        if announces {
            tokio::time::sleep(Duration::from_millis(800)).await;
            assert_eq!(upstream.counters().read().children, 1, "{words}");
        } else {
            eventually("it is stopped", || upstream.counters().read().children == 0).await;
            tokio::time::sleep(Duration::from_millis(800)).await;
            assert_eq!(upstream.counters().read().children, 0, "{words}: and not started again");
        }
        upstream.close().await;
    }
}

/// A legacy server that can be subscribed to. Its own streams, one after the other, are these; its answers to subscriptions, too.
async fn server(streams: &'static [fn() -> Acts], agrees: &'static [bool]) -> Fake {
    let (opened, asked) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let at = |count: &AtomicUsize, len: usize| count.fetch_add(1, SeqCst).min(len - 1);
    Fake::start(legacy(json!({"resources":{"subscribe":true}}), move |seen: &Seen| match (seen.verb.as_str(), seen.method()) {
        ("GET", _) => streams[at(&opened, streams.len())](),
        (_, "resources/subscribe") if !agrees[at(&asked, agrees.len())] => {
            json_body(200, &json!({"jsonrpc":"2.0","id":seen.id(),"error":{"code":-32099,"message":"not today"}}))
        }
        _ => result(seen, json!({})),
    }))
    .await
}

fn stays() -> Acts {
    vec![stream_head(), Act::Hold]
}

fn hangs_up() -> Acts {
    vec![stream_head(), chunk("retry: 20\n\n"), last_chunk()]
}

#[tokio::test]
async fn a_stream_that_is_refused_after_it_was_there_is_asked_for_again() {
    fn ends() -> Acts {
        vec![stream_head(), chunk("retry: 20\nid: 7\ndata:\n\n"), last_chunk()]
    }
    fn says() -> Acts {
        let updated = json!({"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"test://a"}});
        vec![stream_head(), Act::Pause(Duration::from_millis(200)), event(&updated), Act::Hold]
    }
    let [conflict, stale]: [&[fn() -> Acts]; 2] = [&[ends, || respond(409, "", ""), says], &[ends, || respond(400, "", ""), says]];
    for streams in [conflict, stale] {
        let fake = server(streams, &[true]).await;
        let (upstream, told) = (upstream(&fake), Arc::<Told>::default());
        let watching = watch(&upstream, &Asker::legacy("c1"), &told).await;
        assert_eq!(watching.granted.uris.len(), 1);
        eventually("it is heard again", || told.0.lock().unwrap().iter().any(|(_, _, is_said)| *is_said)).await;
        let places: Vec<_> =
            fake.seen().iter().filter(|seen| seen.verb == "GET").map(|seen| seen.header("last-event-id").to_owned()).collect();
        assert_eq!(places, ["", "7", ""]);
        assert!(told.0.lock().unwrap().iter().any(|(_, _, is_said)| !is_said), "nobody knows what was said meanwhile");
    }
}

#[tokio::test]
async fn what_a_server_says_before_its_stream_is_there_counts_as_missed() {
    let fake = server(&[|| respond(503, "", ""), stays], &[true]).await;
    let (upstream, told) = (upstream(&fake), Arc::<Told>::default());
    let watching = watch(&upstream, &Asker::legacy("c1"), &told).await;
    assert_eq!((watching.granted.uris.len(), told.count()), (1, 0));
    eventually("it may have changed", || told.count() == 1).await;
}

#[tokio::test]
async fn what_was_refused_once_is_asked_again_for_the_next_and_owed_to_whom_had_it() {
    let fake = server(&[hangs_up, stays], &[true, false, true]).await;
    let (upstream, told, asker) = (upstream(&fake), Arc::<Told>::default(), Asker::legacy("c1"));
    let first = watch(&upstream, &asker, &told).await;
    assert_eq!(first.granted.uris.len(), 1);
    let subscribed = || fake.trace().iter().filter(|method| *method == "resources/subscribe").count();
    eventually("it is asked again, and refuses", || subscribed() == 2).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(told.count(), 0);
    let second = watch(&upstream, &asker, &Arc::default()).await;
    assert_eq!((second.granted.uris.len(), subscribed()), (1, 3));
    assert_eq!(told.count(), 1, "what changed while it was refused");
}
