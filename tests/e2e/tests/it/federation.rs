//! Gateways behind gateways: the set-ups of `examples/` as they stand there, and what happens when they lead back to where they began.

use crate::{
    backend::{Backend, Call, Offer},
    caller::{Caller, Era},
    folder::{Folder, cache},
    gateway::{Gateway, key_hash, plain_command},
    server::Seen,
    turn::beside,
};
use serde_json::{Value, json};
use std::{net::TcpListener, path::Path, process::Command, time::Instant};

/// A file of `examples/`, served with nothing of the machine's but what the test says.
async fn example(folder: &Folder, file: &str, variables: &[(&str, &str)]) -> Gateway {
    Gateway::of(folder, command(folder, "serve", file, variables)).await.unwrap_or_else(|refused| panic!("{file}: {}", refused.stderr))
}

/// `SERVER` is a server in the place of the demo one; every other variable is the file's own.
fn command(folder: &Folder, verb: &str, file: &str, variables: &[(&str, &str)]) -> Command {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
    let server = variables.iter().find(|(name, _)| *name == "SERVER").map_or("builtin:notes", |(_, url)| url);
    let file = folder.write(&file.replace('/', "-"), text.replace("builtin:notes", server));
    let mut command = plain_command(folder);
    // The files name no cache, so it is the user's; this user's is that of all tests.
    let cached = folder.path("cache");
    if std::fs::create_dir(&cached).is_ok() {
        std::os::unix::fs::symlink(cache(), cached.join("sluice")).expect("a link");
    }
    command.args([verb, "--config"]).arg(file).env("XDG_CACHE_HOME", cached).env("AUDIT_DIR", folder.root());
    command.envs(variables.iter().copied());
    command
}

fn free() -> String {
    TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").to_string()
}

/// What there is to see of who called.
fn audited(folder: &Folder, file: &str, says: &str) -> bool {
    folder.read(file).lines().any(|line| line.contains(says))
}

fn via(seen: &Seen) -> Vec<&str> {
    seen.header("via").expect("the way is said").split(", ").collect()
}

const KEYS: [(&str, &str); 2] = [("PAYMENTS_HOP", "canary-payments-0123456789abcdef"), ("SUPPORT_HOP", "canary-support-0123456789abcdef0")];

fn with_keys<'v>(more: &[(&'v str, &'v str)]) -> Vec<(&'v str, &'v str)> {
    [&KEYS[..], more].concat()
}

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

#[test]
fn f026_teams_gateways_know_who_calls_at_the_top_and_decide_for_themselves() {
    beside("federation", 120, async {
        let ledger = Backend::recording(&["book"]).await;
        let (ports, folder) = ([free(), free()], Folder::new());
        let urls = ports.clone().map(|port| format!("http://{port}/mcp"));
        let payments = example(&folder, "federation/payments.toml", &with_keys(&[("PAYMENTS", &ports[0]), ("SERVER", &ledger.url)])).await;
        let support = example(&folder, "federation/support.toml", &with_keys(&[("SUPPORT", &ports[1])])).await;
        let top = with_keys(&[("TOP", "127.0.0.1:0"), ("PAYMENTS_URL", &urls[0]), ("SUPPORT_URL", &urls[1])]);
        let top = example(&folder, "federation/top.toml", &top).await;
        assert!(top.ready.contains("forward-identity"), "{}", top.ready);
        for era in Era::BOTH {
            let (mut ada, mut otto) = (Caller::new(&top.address, era, "ada-key").await, Caller::new(&top.address, era, "otto-key").await);
            assert!(otto.names("tools").await.iter().all(|name| name.starts_with("support_")), "{era:?}");
            assert_eq!(ada.names("tools").await.iter().filter(|name| *name == "payments_book").count(), 1, "{era:?}");
            let meta =
                format!(r#""name":"payments_book","arguments":{{"n":1.10}},"_meta":{{"traceparent":"00-{TRACE}-b7ad6b7169203331-01""#);
            let meta = if era == Era::Legacy { format!("{meta}}}") } else { format!("{meta},{}}}", crate::caller::stamp()) };
            let body = format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{{meta}}}}}"#);
            let reply = ada.post("tools/call", Some("payments_book"), &body).await.expect("an answer");
            assert!(reply.json().get("result").is_some(), "{era:?}: {}", reply.answer());
            assert_eq!(otto.call("payments_book", "{}").await.expect("an answer").json()["error"]["code"], -32602, "{era:?}");
            let card = ada.result("support_lookup_contact", r#"{"name":"ada"}"#).await.to_string();
            assert!(card.contains("[REDACTED:email]"), "{card}");

            let sent = ledger.last_call();
            assert!(sent.contains(r#""n":1.10"#) && sent.contains(&format!("00-{TRACE}-")) && !sent.contains("b7ad6b7169203331"), "{sent}");
        }
        folder.audited_in("payments.audit.jsonl", &[r#""principal":"ada","tenant":"acme""#]).await;
        assert!(!audited(&folder, "payments.audit.jsonl", r#""principal":"otto","tenant":"acme","method":"tools/call","tool":"book""#));
        folder.audited_in("support.audit.jsonl", &[r#""principal":"ada","tenant":"acme""#, r#""principal":"otto","tenant":"acme""#]).await;
        for seen in ledger.server.seen().iter() {
            let way = via(seen);
            assert!(way.len() == 2 && way[0] != way[1] && seen.header("x-sluice-identity").is_none(), "{seen:?}");
        }

        // Who comes by himself is nobody there, whatever he says he is.
        for extra in ["", "x-sluice-identity: ada\r\n", "x-sluice-identity: eyJhbGciOiJub25lIn0.eyJpc3MiOiJ0b3AiLCJzdWIiOiJhZGEifQ.\r\n"] {
            let mut stranger = Caller::silent(&payments.address, Era::Modern, "");
            let body = stranger.text("1", "tools/call", r#""name":"book","arguments":{}"#);
            let reply = stranger.post_with("tools/call", Some("book"), &body, extra).await.expect("an answer");
            assert_eq!(reply.status, 401, "{extra}: {}", reply.answer());
        }
        let log = [&payments, &support, &top].map(|gateway| gateway.log(|_| true).join("\n")).concat();
        assert!(!log.contains("canary") && !log.contains("eyJ"), "a key or a word is written down");
    });
}

#[test]
fn f026_a_gateway_that_is_not_believed_says_whose_matter_that_is() {
    beside("federation, other keys", 90, async {
        let (port, folder) = (free(), Folder::new());
        let payments = [("PAYMENTS_HOP", "canary-payments-0123456789abcdef"), ("PAYMENTS", &*port)];
        let _payments = example(&folder, "federation/payments.toml", &payments).await;
        let (url, nobody) = (format!("http://{port}/mcp"), format!("http://{}/mcp", free()));
        let others = ["another key of the top gateway's 0", "canary-support-0123456789abcdef0"];
        let top = [
            ("PAYMENTS_HOP", others[0]),
            ("SUPPORT_HOP", others[1]),
            ("TOP", "127.0.0.1:0"),
            ("PAYMENTS_URL", &url),
            ("SUPPORT_URL", &nobody),
        ];
        let top = example(&folder, "federation/top.toml", &top).await;
        let mut ada = Caller::silent(&top.address, Era::Modern, "ada-key");
        let told = ada.call("payments_book", "{}").await.expect("an answer").json();
        assert!(told["error"].is_object(), "{told}");
        let said = top.log(|line| line.contains("a gateway does not believe who is calling"));
        assert!(!said.is_empty() && said[0].contains("payments"), "{said:?}");
    });
}

/// A gateway on this port, whose other server is at that URL.
async fn looped(folder: &Folder, port: &str, own: &str, others: &[(&str, &str)], more: Value) -> Gateway {
    let mut servers = json!({"own": {"url": own}});
    for (name, url) in others {
        servers[name] = json!({"url": url});
    }
    let mut sluice = json!({
        "listen": port,
        "chain": ["builtin:auth-api-key", "builtin:namespace"],
        "plugins": {"settings": {"auth-api-key": {"config": {"keys": [{"id": "all", "hash": key_hash("all")}]}}}},
    });
    sluice.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    for (name, _) in others {
        servers[name]["headers"] = json!({"Authorization": "Bearer all"});
    }
    Gateway::start(folder, json!({"mcpServers": servers, "sluice": sluice})).await
}

#[test]
fn f026_gateways_that_ask_each_other_answer_at_once_with_what_is_theirs() {
    beside("federation, loop", 120, async {
        let (a_own, b_own) = (Backend::recording(&["book"]).await, Backend::recording(&["file"]).await);
        let (ports, folders) = ([free(), free()], [Folder::new(), Folder::new()]);
        let urls = ports.clone().map(|port| format!("http://{port}/mcp"));
        let a = looped(&folders[0], &ports[0], &a_own.url, &[("b", &urls[1])], json!({})).await;
        let b = looped(&folders[1], &ports[1], &b_own.url, &[("a", &urls[0])], json!({})).await;
        for era in Era::BOTH {
            // Both at once, and cold: neither waits for what the other waits for.
            let began = Instant::now();
            let list = async |gateway: &Gateway| Caller::new(&gateway.address, era, "all").await.names("tools").await;
            let (of_a, of_b) = tokio::join!(list(&a), list(&b));
            assert!(began.elapsed().as_secs() < 4, "{era:?}: {:?}", began.elapsed());
            // What the other has without us, or with its prefix.
            assert_eq!((of_a.len(), of_b.len()), (2, 2), "{of_a:?} {of_b:?}");
            assert!(of_a.contains(&"own_book".to_owned()) && of_a.contains(&"b_own_file".to_owned()), "{of_a:?}");
            assert!(of_b.contains(&"own_file".to_owned()) && of_b.contains(&"a_own_book".to_owned()), "{of_b:?}");
            Caller::new(&a.address, era, "all").await.result("b_own_file", "{}").await;
        }
        // Nobody's health suffers: each is asked again by whoever comes.
        for gateway in [&a, &b] {
            assert!(!gateway.log(|line| line.contains("refused the request as a loop")).is_empty(), "the operator hears of it");
            assert!(gateway.log(|line| line.contains("upstream is down")).is_empty());
        }
        // By name, the whole way round.
        let own = via(b_own.server.seen().last().expect("a request")).join(", ");
        let mut caller = Caller::silent(&a.address, Era::Modern, "all");
        let body = caller.text("1", "tools/list", "");
        let reply = caller.post_with("tools/list", None, &body, &format!("via: {own}\r\n")).await.expect("an answer");
        let error = reply.json()["error"].clone();
        assert_eq!((reply.status, &error["code"], &error["data"]["reason"]), (508, &json!(5080), &json!("loop")), "{error}");
    });
}

#[test]
fn f026_a_request_goes_through_so_many_gateways_and_a_liar_harms_himself_alone() {
    beside("federation, far", 90, async {
        let (own, folder) = (Backend::recording(&["book"]).await, Folder::new());
        let far = looped(&folder, "127.0.0.1:0", &own.url, &[], json!({"limits": {"gateways_max": 2}})).await;
        let names = ['1', '2', '3'].map(|digit| format!("1.1 sluice-{}", digit.to_string().repeat(16)));
        let mut caller = Caller::silent(&far.address, Era::Modern, "all");
        let body = caller.text("1", "tools/call", r#""name":"book","arguments":{}"#);
        let mut ask =
            async |via: &str| caller.post_with("tools/call", Some("book"), &body, &format!("via: {via}\r\n")).await.expect("an answer");
        let two = ask(&format!("1.0 corp.example, {}, {}", names[0], names[1])).await;
        assert!(two.json().get("result").is_some(), "{}", two.answer());
        let sent = own.server.seen().last().map(|seen| via(seen).iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        let sent = sent.expect("a request");
        assert!(sent.len() == 3 && sent[..2] == names[..2], "what is no gateway's stays here: {sent:?}");
        let three = ask(&names.join(", ")).await;
        assert_eq!((three.status, &three.json()["error"]["data"]["reason"]), (508, &json!("too_many_gateways")), "{}", three.answer());
        // As if he came through the server that he asks for: it says no, to him.
        let mut liar = Caller::silent(&far.address, Era::Modern, "all");
        assert_eq!(liar.names("tools").await, ["book"]);
    });
}

#[test]
fn f027_an_agent_reaches_the_central_gateway_by_its_sidecar_and_never_sees_the_key() {
    beside("sidecar", 120, async {
        let guarded = Backend::recording(&["look"]).await;
        let (port, folder) = (free(), Folder::new());
        let central = example(&folder, "sidecar/central.toml", &[("CENTRAL", &port), ("SERVER", &guarded.url)]).await;
        let (url, token) = (format!("http://{port}/mcp"), folder.path("token"));
        let token = token.to_str().expect("a path");
        let variables = [("CENTRAL_URL", &*url), ("CENTRAL_KEY", "agent-7-key"), ("SIDECAR", "127.0.0.1:0"), ("TOKEN_FILE", token)];
        let sidecar = example(&folder, "sidecar/sidecar.toml", &variables).await;
        assert_eq!(sidecar.token, folder.read("token").trim());
        for era in Era::BOTH {
            let mut agent = Caller::new(&sidecar.address, era, &sidecar.token).await;
            assert_eq!(agent.names("tools").await, ["look"]);
            let answer = agent.result("look", r#"{"for":"ada@example.com"}"#).await.to_string();
            assert!(!answer.contains("ada@example.com") && !answer.contains("agent-7-key"), "{answer}");
            // Neither a key of its own nor the central one's name gets it further.
            let mut without = Caller::silent(&sidecar.address, era, "agent-7-key");
            assert_eq!(without.ask("tools/list", None, "").await.expect("an answer").status, 401);
            let mut straight = Caller::silent(&central.address, era, &sidecar.token);
            assert_eq!(straight.ask("tools/list", None, "").await.expect("an answer").status, 401);
        }
        folder.audited_in("central.audit.jsonl", &[r#""principal":"agent-7""#]).await;
        let everything = folder.read("sidecar.audit.jsonl") + &sidecar.log(|_| true).join("\n") + &central.log(|_| true).join("\n");
        assert!(!everything.contains("agent-7-key"), "the key is written down");

        // The same file by stdio: the agent starts it itself.
        let mut child = command(&folder, "stdio", "sidecar/sidecar.toml", &variables);
        let body = Caller::silent("", Era::Modern, "").text("1", "tools/list", "");
        let file = folder.write("asks", format!("{body}\n"));
        child.stdin(std::fs::File::open(file).expect("its questions"));
        let output = tokio::task::block_in_place(|| child.output().expect("sluice runs"));
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
        assert_eq!(answer["result"]["tools"][0]["name"], "look", "{answer}");
    });
}

#[test]
fn f028_the_edge_lets_in_who_has_a_key_over_tls_and_keeps_it_outside() {
    beside("edge", 120, async {
        let crm = Backend::start(Offer::tools(&["customer"]).keeping(), |call: Call| async move { call.echo() }).await;
        let folder = Folder::new();
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned(), "mcp.example.com".to_owned()]).expect("a certificate");
        let ca = folder.write("server.pem", pair.cert.pem());
        let key = folder.write("server.key", pair.signing_key.serialize_pem());
        std::fs::set_permissions(key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("its mode");
        let here = folder.root().to_str().expect("a path");
        let edge = example(&folder, "edge/edge.toml", &[("EDGE", "127.0.0.1:0"), ("TLS_DIR", here), ("SERVER", &crm.url)]).await;
        let port = edge.address.rsplit_once(':').expect("a port").1;
        let call = |key: &str, arguments: &[&str]| {
            let mut command = plain_command(&folder);
            command.args(["call", "--url", &format!("https://localhost:{port}/mcp"), "--key", key, "--ca"]).arg(&ca).args(arguments);
            let output = tokio::task::block_in_place(|| command.output().expect("sluice runs"));
            (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
        };
        let (ops, said) = call("ops-key", &["crm_customer", r#"{"n":1}"#]);
        assert!(ops && said.contains(r#""n":1"#), "{said}");
        let (partner, list) = call("partner-key", &["--list"]);
        assert!(partner && list.contains("clock_") && !list.contains("crm"), "{list}");
        let calls = crm.asked("tools/call");
        for (key, tool) in [("partner-key", "crm_customer"), ("another-key", "clock_now"), ("another-key", "crm_customer")] {
            let (is_in, said) = call(key, &[tool]);
            assert!(!is_in && (key == "partner-key" || said.contains("401")), "{key} {tool}: {said}");
        }
        // Without TLS nobody answers; a key that came in did not go on: a backend of these tests takes none.
        let mut plain = Caller::silent(&edge.address, Era::Modern, "ops-key");
        plain.patience = std::time::Duration::from_secs(5);
        assert!(plain.ask("tools/list", None, "").await.is_err());
        assert_eq!(crm.asked("tools/call"), calls);
        folder.audited_in("edge.audit.jsonl", &[r#""principal":"ops""#]).await;
        assert!(edge.log(|line| line.contains("ops-key")).is_empty(), "a key is written down");
    });
}
