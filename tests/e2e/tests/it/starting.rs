//! A plugin that takes long to be compiled holds up neither the start nor the traffic that need not pass it.

use crate::{
    backend::Backend,
    caller::{Caller, Era},
    connection::Connection,
    folder::{Folder, component},
    gateway::Gateway,
    registry::sha256,
    server::{Response, Server},
    turn::{alone, beside, eventually},
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::{
    fmt::Write as _,
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

const LONG: Duration = Duration::from_secs(120);

/// The versioned guest with work for the compiler: a module that nothing instantiates, the cost of whose functions grows with variables
/// times branches.
fn heavy() -> Vec<u8> {
    let (functions, locals, branches) = (10, 150, 100);
    let mut text = String::from("(module");
    for _ in 0..functions {
        let _ = write!(text, "(func (param i32) (local{})", " i64".repeat(locals));
        for branch in 0..branches {
            text.push_str("(if (local.get 0) (then ");
            for at in 1..=locals {
                let _ = write!(text, "(local.set {at} (i64.add (local.get {}) (i64.const {branch})))", at % locals + 1);
            }
            text.push_str("))");
        }
        text.push(')');
    }
    text.push(')');
    let module = wat::parse_str(&text).expect("it is a module");
    let mut bytes = component("guest_versioned");
    // A section of a component that is a core module, behind its length as LEB128.
    bytes.push(1);
    let mut length = module.len();
    while length >= 0x80 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(&module);
    bytes
}

/// Two addresses that are free now.
fn addresses() -> [String; 2] {
    let taken = [(), ()].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    taken.map(|listener| listener.local_addr().expect("an address").to_string())
}

fn config(backend: &Backend, folder: &Folder, [listen, admin]: &[String; 2]) -> Value {
    // A cache of its own, so that nobody has compiled it yet.
    json!({
        "mcpServers": {"only": {"url": backend.url}},
        "sluice": {"listen": listen, "admin": {"listen": admin}, "cache_dir": folder.path("cache"), "limits": {"compile_cpu_ms": 120_000}},
    })
}

async fn get(address: &str, path: &str) -> Result<(u16, String), String> {
    let mut connection = Connection::open(address).await.map_err(|error| error.to_string())?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
    let reply = connection.exchange(request.as_bytes()).await.map_err(|error| error.to_string())?;
    Ok((reply.status, reply.answer()))
}

#[test]
fn whoever_comes_while_a_plugin_is_compiled_is_told_to_come_back() {
    alone("starting, closed", 300, async {
        let (backend, folder, addresses) = (Backend::echo(&["echo"]).await, Folder::new(), addresses());
        folder.drop_in("versioned.wasm", heavy());
        let settings = config(&backend, &folder, &addresses);
        let [listen, admin] = &addresses;
        let (started, ()) = tokio::join!(Gateway::start(&folder, settings), async {
            eventually(LONG, || async {
                let (status, why) = get(admin, "/readyz").await?;
                assert_eq!(status, 503, "it is ready before it was seen compiling, so this test shows nothing: {why}");
                if why.contains("starting: compiling ") && why.contains("versioned.wasm") { Ok(()) } else { Err(why) }
            })
            .await;
            assert_eq!(get(admin, "/livez").await.expect("an answer").0, 200);
            for era in [Era::Modern, Era::Legacy] {
                let mut caller = Caller::silent(listen, era, "");
                let reply = match era {
                    Era::Modern => caller.call("echo", "{}").await,
                    Era::Legacy => caller.ask("initialize", None, "").await,
                };
                let reply = reply.expect("an answer");
                assert_eq!((reply.status, reply.header("retry-after")), (503, Some("2")), "{}", reply.answer());
                assert!(reply.json()["error"]["message"].as_str().is_some_and(|text| text.contains("is starting")), "{}", reply.answer());
            }
        });
        assert_eq!(backend.asked("tools/call"), 0, "nothing passed by");
        let result = started.caller(Era::Modern).await.result("echo", "{}").await;
        assert!(result["structuredContent"]["version"].is_string(), "the plugin is in force: {result}");
        assert_eq!(get(admin, "/readyz").await.expect("an answer").0, 200);
        let took = started.log(|line| line.contains("versioned.wasm took"));
        assert_eq!(took.len(), 1, "{took:?}");
    });
}

#[test]
fn a_start_that_waits_for_a_registry_says_for_what() {
    beside("starting, fetching", 120, async {
        let (backend, folder, addresses) = (Backend::echo(&["echo"]).await, Folder::new(), addresses());
        let (wasm, goes_on) = (component("guest_versioned"), Arc::new(AtomicBool::new(false)));
        let (served, told) = (wasm.clone(), goes_on.clone());
        let server = Server::start(false, move |seen| {
            let (wasm, told) = (served.clone(), told.clone());
            Box::pin(async move {
                while !told.load(Relaxed) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                if seen.target == "/versioned.wasm?key=s3cret" { Response::json(wasm) } else { Response::status(404) }
            })
        })
        .await;
        let place = format!("http://{}/versioned.wasm", server.address);
        let mut settings = config(&backend, &folder, &addresses);
        settings["sluice"]["chain"] = json!([format!("{place}?key=s3cret#sha256:{}", sha256(&wasm))]);
        let [_, admin] = &addresses;
        let (_started, ()) = tokio::join!(Gateway::start(&folder, settings), async {
            let why = eventually(LONG, || async {
                let (_, why) = get(admin, "/readyz").await?;
                if why.contains(&format!("starting: fetching {place}")) { Ok(why) } else { Err(why) }
            })
            .await;
            assert!(!why.contains("s3cret"), "what may be a key is for nobody who can ask: {why}");
            goes_on.store(true, Relaxed);
        });
        assert_eq!(get(admin, "/readyz").await.expect("an answer").0, 200);
    });
}

#[test]
fn a_plugin_whose_faults_are_passed_over_comes_when_it_is_compiled() {
    alone("starting, late", 300, async {
        let (backend, folder, addresses) = (Backend::echo(&["echo"]).await, Folder::new(), addresses());
        folder.drop_in("versioned.toml", "on_fault = \"skip\"\n");
        folder.drop_in("versioned.wasm", heavy());
        let gateway = Gateway::start(&folder, config(&backend, &folder, &addresses)).await;
        let mut caller = gateway.caller(Era::Modern).await;
        let before = caller.result("echo", "{}").await;
        assert!(before["structuredContent"].get("version").is_none(), "it is compiled, so this test shows nothing: {before}");
        eventually(LONG, || async {
            let compiling = gateway.metric("sluice_plugins_compiling ").await;
            if compiling == 1.0 { Ok(()) } else { Err(format!("{compiling} are being compiled")) }
        })
        .await;
        loop {
            // Each call is answered, with the plugin or without.
            let result = caller.result("echo", "{}").await;
            if result["structuredContent"].get("version").is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(gateway.metric("sluice_plugins_compiling ").await, 0.0);
    });
}

#[test]
fn a_start_that_waits_for_a_compiler_can_be_ended() {
    alone("starting, ended", 120, async {
        let (backend, folder, addresses) = (Backend::echo(&["echo"]).await, Folder::new(), addresses());
        folder.drop_in("versioned.wasm", heavy());
        let mut child = crate::gateway::command(&folder, &config(&backend, &folder, &addresses), "serve").spawn().expect("sluice starts");
        eventually(LONG, || async {
            let (_, why) = get(&addresses[1], "/readyz").await?;
            if why.contains("compiling") { Ok(()) } else { Err(why) }
        })
        .await;
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).expect("it runs");
        let ended = eventually(Duration::from_secs(10), || {
            let ended = child.try_wait().expect("our own child").ok_or_else(|| "it still runs".to_owned());
            async move { ended }
        })
        .await;
        assert!(ended.success(), "{ended}");
    });
}
