//! What can go wrong with a file in the plugin directory while traffic runs: it is half there, it claims another's name, it
//! takes for ever to compile. The old chain goes on, and one line says why.

use crate::{
    backend::Backend,
    caller::{Caller, Era},
    connection::Connection,
    folder::{Folder, component, marked},
    gateway::{Gateway, key_hash},
    turn::{beside, eventually, rng},
};
use serde_json::{Value, json};
use std::{
    fs::File,
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

const SEEN_WITHIN: Duration = Duration::from_secs(60);
/// Longer than the directory has to be quiet before it is looked at.
const STEP: Duration = Duration::from_millis(450);

/// Calls without end, and counts those that failed.
struct Load {
    stop: Arc<AtomicBool>,
    calls: Arc<AtomicUsize>,
    failed: tokio::task::JoinHandle<Vec<String>>,
}

impl Load {
    fn start(mut caller: Caller, tool: &'static str) -> Self {
        let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, counted) = (stop.clone(), calls.clone());
        let failed = tokio::spawn(async move {
            let mut failed = Vec::new();
            while !stopped.load(Relaxed) {
                match caller.call(tool, "{}").await.map(|reply| reply.json()) {
                    Ok(answer) if answer.get("result").is_some() => {}
                    Ok(answer) => failed.push(answer.to_string()),
                    Err(error) => failed.push(error.to_string()),
                }
                counted.fetch_add(1, Relaxed);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            failed
        });
        Self { stop, calls, failed }
    }

    /// Calls made, none of which failed.
    async fn end(self) -> usize {
        self.stop.store(true, Relaxed);
        let failed = self.failed.await.expect("the load ends well");
        assert!(failed.is_empty(), "{} failed: {:?}", failed.len(), failed.first());
        self.calls.load(Relaxed)
    }
}

async fn generation(caller: &mut Caller) -> Value {
    let answer = caller.call("echo", "{}").await.expect("an answer").json();
    answer["result"]["_meta"]["generation"]["request"].clone()
}

#[test]
fn a_file_that_is_written_piece_by_piece_is_never_half_a_plugin() {
    beside("dropped, pieces", 180, async {
        let backend = Backend::echo(&["echo"]).await;
        let folder = Folder::new();
        let good = component("guest_generation");
        folder.drop_in("generation.toml", "[config]\ngeneration = \"old\"\n");
        folder.drop_in("generation.wasm", &good);
        let config = json!({"mcpServers": {"only": {"url": backend.url}}});
        let gateway = Gateway::start(&folder, config.clone()).await;
        let mut caller = gateway.caller(Era::Modern).await;
        assert_eq!(generation(&mut caller).await, "old");
        let load = Load::start(gateway.caller(Era::Legacy).await, "echo");

        // In place and slowly, so that it is looked at in between; the last bytes one by one.
        let new = marked(&good, "new");
        let (most, last) = new.split_at(new.len() - 40);
        let mut file = File::create(folder.path("plugins/generation.wasm")).expect("the file");
        for piece in most.chunks(most.len() / 6 + 1) {
            file.write_all(piece).expect("a piece");
            tokio::time::sleep(STEP).await;
            assert_eq!(generation(&mut caller).await, "old");
        }
        for byte in last {
            file.write_all(&[*byte]).expect("a byte");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        drop(file);
        folder.drop_in("generation.toml", "[config]\ngeneration = \"new\"\n");
        eventually(SEEN_WITHIN, || async {
            let mut caller = gateway.caller(Era::Modern).await;
            let seen = generation(&mut caller).await;
            if seen == "new" { Ok(()) } else { Err(format!("{seen}")) }
        })
        .await;
        let calls = load.end().await;
        let refused = gateway.errors("generation.wasm").len();
        println!("dropped: N={calls} calls while a file grew, 0 failed; it was looked at and refused {refused} times");
        assert!(refused >= 1, "it was never looked at half written, so nothing was shown");
        drop(gateway);

        // The control: without an old version to keep, half a file is a start that fails.
        folder.drop_in("generation.wasm", most);
        let refused = Gateway::refused(&folder, config).await;
        assert!(refused.stderr.contains("generation.wasm"), "{}", refused.stderr);
    });
}

#[test]
fn two_plugins_of_one_name_are_never_loaded_together() {
    beside("dropped, names", 120, async {
        let backend = Backend::echo(&["echo"]).await;
        let folder = Folder::new();
        let good = component("guest_generation");
        let sidecar = "[config]\ngeneration = \"old\"\n";
        for name in ["10-generation", "20-other"] {
            folder.drop_in(&format!("{name}.toml"), sidecar);
            folder.drop_in(&format!("{name}.wasm"), &good);
        }
        let config = json!({"mcpServers": {"only": {"url": backend.url}}});
        // Twice the same file is no impostor.
        let gateway = Gateway::start(&folder, config.clone()).await;
        let load = Load::start(gateway.caller(Era::Legacy).await, "echo");
        folder.drop_in("20-other.wasm", marked(&good, "impostor"));
        let names = |text: &str| text.contains("10-generation.wasm and 20-other.wasm are different plugins");
        eventually(SEEN_WITHIN, || async {
            let lines = gateway.log(names);
            if lines.len() == 1 { Ok(()) } else { Err(format!("{lines:?}")) }
        })
        .await;
        println!("dropped: N={} calls beside an impostor, 0 failed", load.end().await);
        drop(gateway);
        let refused = Gateway::refused(&folder, config.clone()).await;
        assert!(names(&refused.stderr), "{}", refused.stderr);

        // Which of two files a name means, and which of two settings a file has, is nobody's guess either.
        folder.take_out("20-other.wasm");
        folder.take_out("20-other.toml");
        folder.drop_in("30-generation.toml", sidecar);
        folder.drop_in("30-generation.wasm", &good);
        let named = json!({"mcpServers": config["mcpServers"], "sluice": {"chain": ["generation"]}});
        let refused = Gateway::refused(&folder, named).await;
        assert!(refused.stderr.contains("10-generation.wasm as well as"), "{}", refused.stderr);
        folder.take_out("30-generation.wasm");
        folder.take_out("30-generation.toml");
        let settings = json!({"config": {"generation": "central"}});
        let both = json!({"mcpServers": config["mcpServers"], "sluice": {"plugins": {"settings": {"generation": settings}}}});
        let refused = Gateway::refused(&folder, both.clone()).await;
        assert!(refused.stderr.contains("keep one of them"), "{}", refused.stderr);
        folder.take_out("10-generation.toml");
        Gateway::start(&folder, both).await;
    });
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_hook_leaves_nothing_behind() {
    const CALLS: usize = 300;
    beside("dropped, clients", 120, async {
        let mut rng = rng("dropped, clients");
        let backend = Backend::echo(&["ok", "bad"]).await;
        let folder = Folder::new();
        folder.drop_in("guest.wasm", component("guest_wait_in_host"));
        folder.drop_in(
            "guest.toml",
            "[limits]\nwall_ms = 40\nwall_waiting_ms = 40\n[breaker]\nin_a_row = 10000\nwindow_calls = 100000\nwindow_percent = 100\n[when]\nnames = [\"bad\"]\n[config]\non = \"request\"\n",
        );
        let key = "dropped-key-77a1";
        let config = json!({
            "mcpServers": {"only": {"url": backend.url}},
            "sluice": {
                "chain": ["builtin:auth-api-key", "guest", "builtin:namespace"],
                "plugins": {"settings": {"auth-api-key": {"config": {"keys": [{"id": "k", "hash": key_hash(key)}]}}}},
            },
        });
        let mut gateway = Gateway::start(&folder, config).await;
        let mut caller = Caller::new(&gateway.address, Era::Modern, key).await;
        caller.result("ok", "{}").await;
        let body = caller.text("1", "tools/call", r#""name":"bad","arguments":{}"#);
        let request = caller.head("POST", "tools/call", Some("bad"), body.len(), "") + &body;
        for _ in 0..CALLS {
            let mut connection = Connection::open(&gateway.address).await.expect("a connection");
            tokio::io::AsyncWriteExt::write_all(&mut connection.stream, request.as_bytes()).await.expect("it is sent");
            tokio::time::sleep(Duration::from_millis(rng.u64(0..12))).await;
        }
        // Each call has its one record, although nobody was there to hear of it, and no instance is left. Whoever left before their request
        // was read, or while it was asked who they are, has made no call: it entered no hook, and is in no record.
        let entered = r#"sluice_plugin_entries_total{plugin="wait-in-host",hook="on-request"}"#;
        let recorded = || {
            let audit = folder.read("audit.jsonl");
            audit.lines().filter(|line| line.contains(r#""name":"bad""#) && line.contains("tools/call")).count()
        };
        eventually(Duration::from_secs(20), || async {
            let (running, begun, ended) = (gateway.metric("sluice_exchanges_running").await, gateway.metric(entered).await, recorded());
            if running == 0.0 && begun == ended as f64 { Ok(()) } else { Err(format!("{running} run; {begun} entered, {ended} ended")) }
        })
        .await;
        let ended = recorded();
        assert!((CALLS * 9 / 10..=CALLS).contains(&ended), "only {ended} of {CALLS} were begun, so not much was shown");
        let live = gateway.metric("sluice_plugin_instances_live{plugin=\"wait-in-host\"}").await;
        println!(
            "dropped: of N={CALLS} clients {ended} left in the middle of a hook; every call has one record, {live} instances are left"
        );
        assert!(live <= 1.0, "{live} instances");
        assert!(gateway.is_running());
        caller.result("ok", "{}").await;
    });
}

#[test]
fn a_hangup_looks_again_and_ends_nothing() {
    beside("SIGHUP", 60, async {
        let backend = Backend::echo(&["echo"]).await;
        let folder = Folder::new();
        let mut gateway = Gateway::start(&folder, json!({"mcpServers": {"only": {"url": backend.url}}})).await;
        let mut caller = gateway.caller(Era::Modern).await;
        for _ in 0..3 {
            gateway.signal(nix::sys::signal::Signal::SIGHUP);
            caller.result("echo", "{}").await;
        }
        folder.drop_in("broken.wasm", b"no component");
        gateway.signal(nix::sys::signal::Signal::SIGHUP);
        eventually(SEEN_WITHIN, || async {
            if gateway.errors("the chain stays as it was").is_empty() { Err("no word about it".to_owned()) } else { Ok(()) }
        })
        .await;
        caller.result("echo", "{}").await;
        assert!(gateway.is_running());
    });
}
