//! Hearing of changes from children of both eras.

use crate::{
    stdio::Rig,
    support::{Asker, eventually},
};
use serde_json::json;
use sluice_chain::upstream::{Sink, Update, Upstream, Watching, Wish};
use sluice_wire::listen::{Filter, List};
use std::{
    sync::{Arc, Mutex},
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
