//! Plugins that were built against a released contract and kept since: they load and run, for ever (ADR 35).

use crate::support::{call, labels, settings};
use bytes::Bytes;
use serde_json::{Value, json};
use sluice_chain::{
    attributes::Attributes,
    catalogue::{Change, Entry, ListKind, Offer, Viewer},
    chunk::{Batch, Chunk, ChunkPass, ChunkVerdict, Splice},
    departures::{Departure, Leaving, OutboundVerdict},
    exchange::{Direction, Kind},
    filter::{Authentication, Credential, Filter, Hook, NotificationVerdict, Verdict},
    principal::Principal,
    record::{Ended, Outcome, Passed},
    route::RouteRequest,
};
use sluice_plugin::{Engine, Secret, Settings, Setup, WasmFilter, artifact};
use sluice_state::memory::MemoryStore;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

const LIST: &str = "SHA256SUMS";

fn releases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/contract/released");
    let found: Vec<_> = fs::read_dir(&folder).expect("there are releases").map(|entry| entry.unwrap().path()).collect();
    assert!(!found.is_empty(), "nothing was released");
    found
}

/// The files of a release by name, without the list of them.
fn files(release: &Path) -> BTreeMap<String, Bytes> {
    let read = |path: PathBuf| (path.file_name().unwrap().to_string_lossy().into_owned(), Bytes::from(fs::read(&path).unwrap()));
    let found = fs::read_dir(release).unwrap().map(|entry| read(entry.unwrap().path()));
    found.filter(|(name, _)| name != LIST).collect()
}

#[test]
fn released_files_are_the_very_bytes() {
    for release in releases() {
        let list = fs::read_to_string(release.join(LIST)).unwrap_or_else(|error| panic!("{}: {error}", release.display()));
        let line = |line: &str| line.split_once("  ").map(|(digest, name)| (name.to_owned(), digest.to_owned())).expect("digest, name");
        let listed: BTreeMap<String, String> = list.lines().map(line).collect();
        let found: BTreeMap<_, _> = files(&release).into_iter().map(|(name, bytes)| (name, artifact::digest(&bytes))).collect();
        assert_eq!(found, listed, "{}", release.display());
    }
}

#[tokio::test]
async fn released_plugins_load_and_run() {
    for release in releases() {
        // Each has a store of its own: they count.
        let secrets = [("api".to_owned(), Secret::new(b"s3cret".to_vec()))].into();
        let cache = Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled-guests"));
        let setup = Setup { instances_max: 64, secrets, cache, ..Setup::new(Arc::new(MemoryStore::new())) };
        let engine = Engine::start(setup).expect("wasm runs here");
        let mut count = 0;
        for (name, bytes) in files(&release) {
            let Some(name) = name.strip_suffix(".wasm") else { continue };
            Frozen { engine: &engine, release: &release, name, bytes }.runs().await;
            count += 1;
        }
        assert!(count > 0, "{} has no plugin: cargo xtask contract --freeze VERSION", release.display());
    }
}

/// One plugin of a release.
struct Frozen<'a> {
    engine: &'a Engine,
    release: &'a Path,
    name: &'a str,
    bytes: Bytes,
}

impl Frozen<'_> {
    async fn load(&self, config: Value, grants: &[&str]) -> Arc<WasmFilter> {
        let grants = grants.iter().map(|grant| (*grant).to_owned()).collect();
        let loaded = self.engine.load(self.bytes.clone(), Settings { grants, ..settings(self.name, config) }).await;
        loaded.unwrap_or_else(|error| panic!("{}: {error}", self.release.display()))
    }

    /// Its hook, with an answer that it has only after it called what it imports.
    async fn runs(&self) {
        match self.name {
            "authenticate" => self.authenticates().await,
            "on-http" => self.answers_http().await,
            "on-catalog" => self.hides().await,
            "sets-headers" => self.sets_a_header().await,
            "on-chunk" => self.edits_a_chunk().await,
            "on-done" => self.is_told_the_end().await,
            "patterns" => self.masks().await,
            "fetch" => self.fetches().await,
            "calls-tools" => self.calls_tools().await,
            "reads-arguments" => self.reads().await,
            "label" => self.labels(json!({"place": true}), &[], "label.place=files 2026-07-28").await,
            "kv-counter" => self.labels(json!({}), &[], "kv-counter.count=1").await,
            "kv-batch" => {
                let said = "kv-batch.said=value:0 done conflict count:1 taken swapped:true done value:0";
                self.labels(json!({}), &[], said).await;
            }
            "uses-secrets" => {
                // hmac.new(b"s3cret", b"data", "sha256"), by another implementation.
                let said = "uses-secrets.hmac=7fb6d95052c61207f9be33a8036dccbae6202133305b12302887123df46ec4f3";
                self.labels(json!({}), &["secret:api"], said).await;
            }
            other => panic!("{other} is kept in {} and nothing here runs it", self.release.display()),
        }
    }

    async fn labels(&self, config: Value, grants: &[&str], expected: &str) {
        let filter = self.load(config, grants).await;
        let mut call = call("ls", json!({}));
        let verdict = call.request(&filter).await;
        assert!(matches!(verdict, Ok(Verdict::Next(None))), "{}: {verdict:?}", self.name);
        assert!(labels(&call).iter().any(|label| label == expected), "{expected}: {:?}", labels(&call));
    }

    async fn authenticates(&self) {
        let filter = self.load(json!({"token": "let-me-in", "subject": "ada"}), &[]).await;
        let credential = Credential { scheme: "bearer".into(), value: "let-me-in".into() };
        let said = filter.authenticate(&credential, &mut Attributes::default()).await;
        assert!(matches!(&said, Ok(Authentication::Identified(who, _)) if &*who.subject == "ada"), "{said:?}");
    }

    async fn answers_http(&self) {
        let filter = self.load(json!({}), &["http:/-/example-on-http/*"]).await;
        let request = RouteRequest {
            id: 1,
            method: "GET".into(),
            path: "/-/example-on-http/hello".into(),
            query: None,
            headers: Vec::new(),
            body: Bytes::new(),
            base: "https://mcp.example.com".into(),
        };
        let answer = filter.on_http(&request, Attributes::default()).await.unwrap();
        assert_eq!((answer.status, &answer.body[..]), (200, &br#"{"endpoint": "https://mcp.example.com/mcp"}"#[..]));
    }

    async fn hides(&self) {
        let filter = self.load(json!({}), &[]).await;
        let entry = |name: &str, destructive: bool| Entry {
            name: name.into(),
            upstream: Some(0),
            owner: "files".into(),
            original: name.into(),
            definition: json!({"name": name, "annotations": {"destructiveHint": destructive}}).to_string().into(),
            digest: "00".into(),
            task: None,
        };
        let mut offer = Offer {
            kind: ListKind::Tools,
            entries: Arc::new(vec![entry("read", false), entry("rm", true)]),
            upstreams: 1,
            viewer: Viewer::default(),
            changes: Vec::new(),
            own: Vec::new(),
        };
        filter.on_catalog(&mut offer).await.unwrap();
        assert!(matches!(&offer.changes[..], [Change::Keep, Change::Hide]), "{:?}", offer.changes);
    }

    async fn sets_a_header(&self) {
        let filter = self.load(json!({"secret": ["authorization", "Bearer ", "api"]}), &["outbound:*", "secret:api"]).await;
        let departure = Departure {
            upstream: "files".into(),
            url: "https://api.example.com/mcp".into(),
            method: "POST",
            headers: Vec::new(),
            fixed: Vec::new(),
            body: Bytes::from_static(b"{}"),
            challenge: None,
            refused: Vec::new(),
        };
        let (principal, attributes) = (Principal::local(), Attributes::default());
        let leaving = Leaving {
            departure: &departure,
            exchange: 1,
            protocol: None,
            principal: &principal,
            attributes: &attributes,
            began: Instant::now(),
        };
        let said = filter.on_outbound(&leaving).await;
        let Ok(OutboundVerdict::Next(headers)) = said else { panic!("{} does not let it go", self.name) };
        assert_eq!((headers.len(), &*headers[0].name, &headers[0].value[..]), (1, "authorization", &b"Bearer s3cret"[..]));
    }

    async fn edits_a_chunk(&self) {
        let filter = self.load(json!({}), &[]).await;
        let mut call = call("export", json!({}));
        (call.pass.head.kind, call.pass.head.direction) = (Kind::Response, Direction::ToClient);
        let text = Chunk {
            pointer: "/result/content/0/text".into(),
            key: false,
            offset: 0,
            before: None,
            text: "to ACC-654321, done".into(),
            held: 0,
            last: true,
        };
        let batch = Arc::new(Batch { chunks: vec![text], ends: true });
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
        let said = filter.on_chunk(&mut pass).await.unwrap();
        assert_eq!(said, ChunkVerdict::Edit(vec![Splice { chunk: 0, range: 3..13, text: "ACC-***".into() }]));
    }

    async fn is_told_the_end(&self) {
        let filter = self.load(json!({}), &[]).await;
        let pass = call("ls", json!({})).pass;
        let passed = Passed { filter: filter.identity().clone(), hook: Hook::OnRequest, verdict: "next", took: Duration::from_micros(5) };
        let ended = Ended {
            head: pass.head,
            principal: pass.principal,
            attributes: pass.attributes,
            generation: 1,
            parent: None,
            outcome: Outcome::Refused,
            code: Some(4030),
            tool_error: false,
            cause: None,
            request_bytes: 123,
            response_bytes: 45,
            stream: None,
            took: Duration::from_micros(678),
            upstream_took: Duration::from_micros(90),
            passed: vec![passed],
        };
        filter.on_done(&ended).await.unwrap();
    }

    async fn masks(&self) {
        let filter = self.load(json!({}), &[]).await;
        let result = json!({"content": [{"type": "text", "text": "write to ada@example.com"}]});
        let Ok(Verdict::Next(Some(after))) = call("find", json!({})).answered(result).response(&filter).await else { panic!("no edit") };
        let text = std::str::from_utf8(after.bytes()).unwrap();
        assert!(text.contains(r#""write to [address]""#), "{text}");
    }

    async fn fetches(&self) {
        let filter = self.load(json!({"url": "https://policy.example.com/judge"}), &["fetch:https://policy.example.com POST"]).await;
        // There is no network here, and it says so in its own words.
        let verdict = call("find", json!({})).request(&filter).await;
        assert!(matches!(&verdict, Ok(Verdict::Reject(no)) if no.code == 4031), "{verdict:?}");
    }

    async fn calls_tools(&self) {
        let filter = self.load(json!({}), &["upstream:b e*"]).await;
        let wanted = json!({"upstream": "b", "tool": "echo", "arguments": {}});
        let Ok(Verdict::Reply(said)) = call("a_ask", wanted).request(&filter).await else { panic!("it always answers") };
        let said: Value = serde_json::from_slice(&said).unwrap();
        assert_eq!(said["structuredContent"]["why"], "this host calls no tools here", "{said}");
        let mut note = call("a_ask", json!({})).notified("notifications/message", json!({}));
        assert!(matches!(note.notification(&filter).await, Ok(NotificationVerdict::Next(None))));
        assert!(labels(&note).iter().any(|label| label.starts_with("calls-tools.in-notification=")), "{:?}", labels(&note));
    }

    async fn reads(&self) {
        let filter = self.load(json!({"pointers": ["/params/arguments/n"], "by": "get-many"}), &[]).await;
        let verdict = call("ls", json!({"n": 7})).request(&filter).await;
        assert!(matches!(&verdict, Ok(Verdict::Reply(said)) if said.ends_with(br#""read":[7]}}"#)), "{verdict:?}");
    }
}
