//! What belongs to one caller reaches no other: sessions, cursors, ids, answers, notifications.

use crate::{
    backend::{Backend, Call, Offer, tool},
    caller::{Caller, Era},
    folder::Folder,
    gateway::{Gateway, journal_entry, key_hash},
    turn::{alone, beside, rng},
};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

const KEYS: [&str; 2] = ["isolation-key-a-9b1d", "isolation-key-b-77e0"];
const CLIENTS: usize = 64;
const CALLS: usize = 20_000;

/// Two principals behind API keys, on these servers.
async fn two_principals(folder: &Folder, servers: Value) -> Gateway {
    let keys: Vec<Value> =
        ["a", "b"].iter().zip(KEYS).map(|(id, key)| json!({"id": id, "hash": key_hash(key), "tenant": format!("tenant-{id}")})).collect();
    Gateway::start(
        folder,
        json!({
            "mcpServers": servers,
            "sluice": {
                "chain": ["builtin:auth-api-key", "builtin:namespace"],
                "plugins": {"settings": {"auth-api-key": {"config": {"keys": keys}}}},
            },
        }),
    )
    .await
}

#[test]
fn somebody_elses_session_does_not_exist() {
    beside("isolation, sessions", 60, async {
        let backend = Backend::recording(&["echo"]).await;
        let folder = Folder::new();
        let gateway = two_principals(&folder, json!({"only": {"url": backend.url}})).await;
        let mut owner = Caller::new(&gateway.address, Era::Legacy, KEYS[0]).await;
        owner.result("echo", "{}").await;
        let calls = backend.asked("tools/call");
        let mut thief = Caller::silent(&gateway.address, Era::Legacy, KEYS[1]);
        let mut nobody = Caller::silent(&gateway.address, Era::Legacy, KEYS[1]);
        nobody.session = Some("00000000000000000000000000000000".into());
        thief.session = owner.session.clone();
        for verb in ["POST", "GET", "DELETE"] {
            let mut bodies = Vec::new();
            for caller in [&mut thief, &mut nobody] {
                let body = if verb == "POST" { caller.text("1", "tools/call", r#""name":"echo","arguments":{}"#) } else { String::new() };
                let request = caller.head(verb, "", None, body.len(), "") + &body;
                let reply = caller.send(request.as_bytes()).await.expect("an answer");
                assert_eq!(reply.status, 404, "{verb}");
                let mut answer = reply.json();
                answer["error"]["data"]["requestId"].take();
                bodies.push((reply.status, answer));
            }
            assert_eq!(bodies[0], bodies[1], "{verb}: a session of somebody else reads like none at all");
        }
        assert_eq!(backend.asked("tools/call"), calls, "nothing of it reached the server");
        owner.result("echo", "{}").await;
    });
}

#[test]
fn somebody_elses_cursor_is_refused() {
    beside("isolation, cursors", 60, async {
        let tools: Vec<Value> = (0..700).map(|at| tool(&format!("t{at:03}"))).collect();
        let offer = Offer { legacy: true, modern: true, tools, ..Offer::default() };
        let backend = Backend::start(offer, |call: Call| async move { call.echo() }).await;
        let folder = Folder::new();
        let gateway = two_principals(&folder, json!({"only": {"url": backend.url}})).await;
        for era in Era::BOTH {
            let mut owner = Caller::new(&gateway.address, era, KEYS[0]).await;
            let mut thief = Caller::new(&gateway.address, era, KEYS[1]).await;
            let first = owner.ask("tools/list", None, "").await.expect("a list").json();
            let cursor = first["result"]["nextCursor"].as_str().unwrap_or_else(|| panic!("one page only: {first}")).to_owned();
            let asked = format!(r#""cursor":"{cursor}""#);
            let second = owner.ask("tools/list", None, &asked).await.expect("a list").json();
            let count = |page: &Value| page["result"]["tools"].as_array().map_or(0, Vec::len);
            assert_eq!(count(&first) + count(&second), 700);
            let stolen = thief.ask("tools/list", None, &asked).await.expect("an answer").json();
            assert_eq!((&stolen["error"]["code"], &stolen["error"]["data"]["reason"]), (&json!(-32602), &json!("bad_cursor")), "{stolen}");
            // A cursor says nothing, and no other is taken.
            let mut forged = cursor.clone().into_bytes();
            let middle = forged.len() / 2;
            forged[middle] = if forged[middle] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).expect("ASCII");
            for bad in [forged.as_str(), "", "0", "500", "AAAA"] {
                let answer = owner.ask("tools/list", None, &format!(r#""cursor":"{bad}""#)).await.expect("an answer").json();
                assert_eq!(answer["error"]["data"]["reason"], "bad_cursor", "{bad}: {answer}");
            }
        }
    });
}

/// Many clients, all of which count from 0, and half of them from 0 only: each answer goes to who asked.
#[test]
fn ids_do_not_cross() {
    alone("isolation, ids", 180, async {
        let seed = rng("isolation, ids").u64(..);
        // With a pause that differs, so that answers overtake each other.
        let http = Backend::start(Offer::tools(&["echo"]), move |call: Call| async move {
            tokio::time::sleep(pause(seed, &call.arguments)).await;
            call.echo()
        })
        .await;
        let folder = Folder::new();
        let (_, child) = journal_entry(&folder, "journal.jsonl", &["--delay-ms", "1"]);
        let gateway = two_principals(&folder, json!({"http": {"url": http.url}, "child": child})).await;
        let made = Arc::new(AtomicUsize::new(0));
        let mut lanes = Vec::new();
        for at in 0..CLIENTS {
            let caller = Caller::new(&gateway.address, Era::BOTH[at % 2], KEYS[at / 2 % 2]).await;
            lanes.push(tokio::spawn(lane(caller, at, made.clone())));
        }
        let mut crossings = Vec::new();
        for lane in lanes {
            crossings.extend(lane.await.expect("a lane ends well"));
        }
        println!("isolation: {CLIENTS} clients, all with id 0, N={CALLS} calls, {} crossings", crossings.len());
        assert!(crossings.is_empty(), "{:#?}", &crossings[..crossings.len().min(5)]);
    });
}

/// Up to 3 ms, by what is asked: the same in every run of a seed.
fn pause(seed: u64, text: &str) -> Duration {
    let digest = text.bytes().fold(seed, |digest, byte| (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    Duration::from_micros((digest >> 32) % 3000)
}

async fn lane(mut caller: Caller, client: usize, made: Arc<AtomicUsize>) -> Vec<String> {
    let mut crossings = Vec::new();
    loop {
        let number = made.fetch_add(1, Relaxed);
        if number >= CALLS {
            return crossings;
        }
        let canary = format!("canary-{client}-{number}-end");
        let tool = if number.is_multiple_of(4) { "child_record" } else { "http_echo" };
        let id = if client % 4 < 2 { "0" } else { r#""0""# };
        let body = caller.text(id, "tools/call", &format!(r#""name":"{tool}","arguments":{{"unique":"{canary}"}}"#));
        let answer = caller.post("tools/call", Some(tool), &body).await.map(|reply| reply.answer());
        let is_ours = |answer: &String| {
            let right_id = answer.contains(&format!(r#""id":{id},"#)) || answer.contains(&format!(r#""id":{id}}}"#));
            let (all, ours) = (answer.matches("canary-").count(), answer.matches(&canary).count());
            right_id && ours > 0 && all == ours
        };
        match answer {
            Ok(answer) if is_ours(&answer) => {}
            Ok(answer) => crossings.push(format!("{canary}: {answer}")),
            Err(error) => crossings.push(format!("{canary}: {error}")),
        }
    }
}

/// Progress of one call reaches that call's client only, under the token that it chose.
#[test]
fn notifications_reach_their_own_call_only() {
    beside("isolation, notifications", 90, async {
        let seed = rng("isolation, notifications").u64(..);
        let backend = Backend::start(Offer::tools(&["work"]), move |call: Call| async move {
            let token = call.progress_token.clone().unwrap_or_default();
            let unique = call.arguments.clone();
            let note = |step: usize| {
                format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{step},"message":{}}}}}"#, json!(unique))
            };
            let pause = |step: usize| pause(seed, &format!("{unique}{step}"));
            let mut notes: Vec<_> = (1..4).map(|step| (pause(step), note(step))).collect();
            // One that is not ours to hear: a token nobody gave.
            notes.push((pause(9), note(9).replace(&format!(r#""progressToken":{token}"#), r#""progressToken":987654321"#)));
            call.echo().behind(notes)
        })
        .await;
        let folder = Folder::new();
        let gateway = two_principals(&folder, json!({"only": {"url": backend.url}})).await;
        let mut lanes = Vec::new();
        for at in 0..16 {
            let mut caller = Caller::new(&gateway.address, Era::BOTH[at % 2], KEYS[at / 2 % 2]).await;
            lanes.push(tokio::spawn(async move {
                for turn in 0..40 {
                    let unique = format!("canary-{at}-{turn}");
                    let more = if caller.era == Era::Modern { format!(",{}", crate::caller::stamp()) } else { String::new() };
                    let params = format!(r#"{{"name":"work","arguments":{{"unique":"{unique}"}},"_meta":{{"progressToken":0{more}}}}}"#);
                    let body = format!(r#"{{"jsonrpc":"2.0","id":0,"method":"tools/call","params":{params}}}"#);
                    let reply = caller.post("tools/call", Some("work"), &body).await.expect("an answer");
                    let messages = reply.messages();
                    assert_eq!(messages.len(), 4, "three notes and the answer: {messages:#?}");
                    for (at, message) in messages.iter().enumerate() {
                        assert!(
                            message.contains(&unique) && message.matches("canary-").count() == message.matches(&unique).count(),
                            "{message}"
                        );
                        assert!(at == 3 || message.contains(r#""progressToken":0,"#), "{message}");
                    }
                }
            }));
        }
        for lane in lanes {
            lane.await.expect("each hears its own");
        }
        println!("isolation, notifications: 16 clients, all with token 0, N={} notifications, 0 crossings", 16 * 40 * 3);
    });
}

/// Children belong to principals: what one caller's child keeps, another's cannot have.
#[test]
fn each_principal_has_its_own_child() {
    beside("isolation, children", 60, async {
        let folder = Folder::new();
        let (journal, child) = journal_entry(&folder, "journal.jsonl", &[]);
        let gateway = two_principals(&folder, json!({"child": child})).await;
        for (at, key) in KEYS.iter().enumerate() {
            for turn in 0..3 {
                let mut caller = Caller::new(&gateway.address, Era::Legacy, key).await;
                caller.result("record", &format!(r#"{{"unique":"{at}-{turn}"}}"#)).await;
            }
        }
        let lines = std::fs::read_to_string(journal).expect("the journal");
        let mut pids: [Vec<Value>; 2] = Default::default();
        for line in lines.lines() {
            let record: Value = serde_json::from_str(line).expect("JSON");
            pids[usize::from(record["unique"].as_str().expect("text").starts_with('1'))].push(record["pid"].clone());
        }
        assert!(pids.iter().all(|of_one| of_one.len() == 3 && of_one.iter().all(|pid| *pid == of_one[0])), "{pids:?}");
        assert_ne!(pids[0][0], pids[1][0]);
    });
}
