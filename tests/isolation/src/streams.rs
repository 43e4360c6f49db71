//! What is told without being asked for: streams that stay open for the whole run, and questions in the middle of a call.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use std::{
    cell::RefCell,
    collections::HashMap,
    rc::Rc,
    time::{Duration, Instant},
};
use tokio::{
    task::spawn_local,
    time::{sleep, timeout},
};

use crate::{
    canary::{Kind, LENGTH},
    ledger::{Wrong, exchange},
    people::Who,
    request::Voice,
    stage::{Handle, Thing},
    tries::Tries,
    wire::Connection,
};

/// How a stream was opened.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// `subscriptions/listen`.
    Listen,
    /// The own stream of a session.
    Session,
    /// HTTP+SSE.
    Sse,
}

const WAYS: [(Way, &str, usize); 3] =
    [(Way::Listen, "a subscription", 12), (Way::Session, "a session's own stream", 12), (Way::Sse, "an HTTP+SSE stream", 6)];
const OPENED_WITHIN: Duration = Duration::from_secs(60);
const HEARD_WITHIN: Duration = Duration::from_secs(20);
/// What was read before is looked at again, in case it was cut.
const OVERLAP: usize = 4 * LENGTH;

/// How often a stream has heard of each of its own.
type Heard = Rc<RefCell<HashMap<String, u64>>>;

/// One open stream.
pub struct Stream {
    at: &'static str,
    who: Who,
    /// Servers, and what of them it wants to hear of.
    uris: Vec<(&'static str, String)>,
    heard: Heard,
}

/// Opens them all; each is read until the end of the run.
pub async fn open_all(tries: &Rc<Tries>) -> Result<Vec<Stream>> {
    let mut all = Vec::new();
    let mut who = 0;
    for (way, name, count) in WAYS {
        for _ in 0..count {
            who = (who + 7) % crate::people::CALLERS;
            let opened = timeout(OPENED_WITHIN, open(tries, way, name, who)).await;
            all.push(opened.with_context(|| format!("{name} took too long"))?.with_context(|| name.to_owned())?);
        }
    }
    Ok(all)
}

async fn open(tries: &Rc<Tries>, way: Way, at: &'static str, who: Who) -> Result<Stream> {
    let stage = &tries.stage;
    let uris: Vec<(&'static str, String)> = tries.servers[..tries.servers.len() - 1]
        .iter()
        .map(|(name, server)| (*name, format!("note:///{}/{}", server.word(), stage.canaries.make(Kind::Name, who))))
        .collect();
    let mut connection = Connection::open(&tries.address).await?;
    let mut seen = Vec::new();
    match way {
        Way::Listen => {
            let wanted: Vec<&String> = uris.iter().map(|(_, uri)| uri).collect();
            let notifications = json!({"resourceSubscriptions": wanted, "toolsListChanged": true});
            let request = tries.speaking(who, Voice::Modern, "0".into());
            connection.send(&request.method("subscriptions/listen", json!({"notifications": notifications}))).await?;
            let (answer, _) = connection.head().await?;
            ensure!(answer.status == 200 && answer.is_stream, "{answer:?}");
            while !uris.iter().all(|(_, uri)| has(&seen, uri)) {
                ensure!(connection.chunk(&mut seen).await?, "it ended: {}", String::from_utf8_lossy(&seen));
            }
        }
        Way::Session => {
            let session = open_session(tries, who).await?;
            let request = tries.speaking(who, Voice::Legacy(session.clone()), "1000".into());
            connection.send(&request.bare("GET", &session, "")).await?;
            let (answer, _) = connection.head().await?;
            ensure!(answer.status == 200 && answer.is_stream, "{answer:?}");
            let mut aside = Connection::open(&tries.address).await?;
            for (_, uri) in &uris {
                aside.send(&request.method("resources/subscribe", json!({"uri": uri}))).await?;
                let answer = aside.answer().await?;
                ensure!(has(&answer.body, "\"result\""), "{}", String::from_utf8_lossy(&answer.body));
            }
            stage.keep(Thing::Session, Handle { owner: who, value: session, with: String::new(), canary: String::new() });
        }
        Way::Sse => {
            let key = &stage.people.keys[who];
            let address = &tries.address;
            let open = format!("GET /sse HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\naccept: text/event-stream\r\n\r\n");
            connection.send(open.as_bytes()).await?;
            let (answer, _) = connection.head().await?;
            ensure!(answer.status == 200 && answer.is_stream, "{answer:?}");
            while !has(&seen, "\n\n") {
                ensure!(connection.chunk(&mut seen).await?, "it ended");
            }
            let text = String::from_utf8_lossy(&seen).into_owned();
            let door = text.lines().find_map(|line| line.strip_prefix("data:")).context("no endpoint")?.trim().to_owned();
            let mut aside = Connection::open(&tries.address).await?;
            let request = tries.speaking(who, Voice::Modern, "0".into());
            let client = json!({"name": stage.people.clients[who], "version": "1"});
            let opening = json!({"protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": client});
            let mut messages = vec![
                json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": opening}),
                json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
            ];
            let ask = |(at, (_, uri)): (usize, &(&str, String))| json!({"jsonrpc": "2.0", "id": at + 1, "method": "resources/subscribe", "params": {"uri": uri}});
            messages.extend(uris.iter().enumerate().map(ask));
            for message in &messages {
                aside.send(&request.post_to(&door, key, "", message.to_string().as_bytes())).await?;
                let answer = aside.answer().await?;
                ensure!(answer.status == 202, "{}", String::from_utf8_lossy(&answer.bytes()));
            }
            let answers = |seen: &[u8]| String::from_utf8_lossy(seen).matches("\"result\"").count();
            while answers(&seen) < uris.len() + 1 {
                ensure!(connection.chunk(&mut seen).await?, "it ended: {}", String::from_utf8_lossy(&seen));
            }
            tries.doors.borrow_mut().push((who, door));
        }
    }
    let heard: Heard = Rc::new(RefCell::new(uris.iter().map(|(_, uri)| (uri.clone(), 0)).collect()));
    tries.listeners.borrow_mut().extend(uris.iter().map(|(server, uri)| (who, uri.clone(), *server)));
    let (tries, counted) = (tries.clone(), heard.clone());
    spawn_local(async move { follow(&tries, at, who, connection, seen, &counted).await });
    Ok(Stream { at, who, uris, heard })
}

fn has(bytes: &[u8], text: &str) -> bool {
    memchr::memmem::find(bytes, text.as_bytes()).is_some()
}

/// A session in which streams may be opened.
pub async fn open_session(tries: &Tries, who: Who) -> Result<String> {
    let mut connection = Connection::open(&tries.address).await?;
    let request = tries.speaking(who, Voice::Modern, "0".into());
    connection.send(&request.initialize()).await?;
    let session = connection.answer().await?.session.context("no session")?;
    connection.send(&request.message(&session, &json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))).await?;
    ensure!(connection.answer().await?.status == 202, "initialized was refused");
    Ok(session)
}

/// Reads a stream to its end, which does not come.
async fn follow(tries: &Tries, at: &'static str, who: Who, mut connection: Connection, mut seen: Vec<u8>, heard: &Heard) {
    loop {
        let cut = seen.len().saturating_sub(OVERLAP);
        seen.drain(..cut);
        let old = seen.len();
        let ended = match connection.chunk(&mut seen).await {
            Ok(true) => None,
            Ok(false) => Some("it ended".to_owned()),
            Err(error) => Some(format!("{error:#}")),
        };
        tries.stage.judge(at, who, b"", &seen);
        let new = &seen[old..];
        for (uri, count) in heard.borrow_mut().iter_mut() {
            *count += u64::from(has(new, uri));
        }
        if let Some(why) = ended {
            if !tries.is_over.get() {
                tries.stage.found(Wrong::Disturbed, at, why, exchange(&format!("caller {who}"), b"", &seen));
            }
            return;
        }
    }
}

/// After all that others have tried, each stream still hears of a change of its own.
pub async fn still_hear(tries: &Rc<Tries>, streams: &[Stream]) -> Result<()> {
    let mut connection = Connection::open(&tries.address).await?;
    for Stream { at, who, uris, heard } in streams {
        let (server, uri) = &uris[fastrand::usize(..uris.len())];
        let count = || heard.borrow().get(uri).copied().unwrap_or_default();
        let before = count();
        let request = tries.speaking(*who, Voice::Modern, "0".into());
        connection.send(&request.call(&format!("{server}_touch"), json!({"text": uri}))).await?;
        let answer = connection.answer().await?;
        ensure!(has(&answer.body, "\"result\""), "{}", String::from_utf8_lossy(&answer.body));
        let began = Instant::now();
        while count() == before {
            if began.elapsed() > HEARD_WITHIN {
                tries.stage.found(Wrong::Disturbed, at, format!("{who} does not hear of {uri} of {server} any more"), String::new());
                break;
            }
            sleep(Duration::from_millis(2)).await;
        }
    }
    Ok(())
}

/// A legacy client is asked in the middle of its call. Meanwhile others answer in its place; what counts is its own answer.
pub async fn dialogue(tries: &Rc<Tries>, who: Who) -> Result<()> {
    const AT: &str = "a question in the middle of a call";
    let stage = &tries.stage;
    let thief = (who + 1 + fastrand::usize(..crate::people::CALLERS - 1)) % crate::people::CALLERS;
    let (session, den) = (open_session(tries, who).await?, open_session(tries, thief).await?);
    let text = stage.canaries.make(Kind::Value, who);
    let (name, _) = &tries.servers[fastrand::usize(..tries.servers.len() - 1)];
    let request = tries.speaking(who, Voice::Legacy(session.clone()), "0".into());
    let sent = request.call(&format!("{name}_ask"), json!({"text": text}));
    let mut connection = Connection::open(&tries.address).await?;
    connection.send(&sent).await?;
    let (answer, _) = connection.head().await?;
    ensure!(answer.status == 200 && answer.is_stream, "{answer:?}");
    let mut told = Vec::new();
    let question = loop {
        ensure!(connection.chunk(&mut told).await?, "no question: {}", String::from_utf8_lossy(&told));
        let said = String::from_utf8_lossy(&told).into_owned();
        let messages = said.lines().filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data:")?).ok());
        if let Some(question) = messages.into_iter().find(|message| message["method"] == "elicitation/create") {
            break question;
        }
    };
    {
        let mut questions = tries.questions.borrow_mut();
        questions.push(question["id"].to_string());
        let too_many = questions.len().saturating_sub(32);
        questions.drain(..too_many);
    }
    let answer = |who: Who| {
        let word = stage.canaries.make(Kind::Value, who);
        (json!({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "accept", "content": {"word": word}}}), word)
    };
    let mut aside = Connection::open(&tries.address).await?;
    let other = tries.speaking(thief, Voice::Legacy(den.clone()), "0".into());
    // In a session of its own, and in the one that is not its own.
    let (theirs, stolen) = answer(thief);
    for session in [&den, &session] {
        aside.send(&other.message(session, &theirs)).await?;
        let answer = aside.answer().await?;
        if session != &den && answer.status != 404 {
            stage.found(
                Wrong::Taken,
                AT,
                "another answered in its session".into(),
                exchange("the other", theirs.to_string().as_bytes(), &answer.bytes()),
            );
        }
    }
    let (own, word) = answer(who);
    aside.send(&request.message(&session, &own)).await?;
    ensure!(aside.answer().await?.status == 202, "one's own answer was refused");
    while connection.chunk(&mut told).await? {}
    stage.judge(AT, who, &sent, &told);
    if !has(&told, &word) || has(&told, &stolen) {
        stage.found(Wrong::Disturbed, AT, format!("{word} was answered, not {stolen}"), exchange(&format!("caller {who}"), &sent, &told));
    }
    for (who, session) in [(who, &session), (thief, &den)] {
        aside.send(&tries.speaking(who, Voice::Modern, "0".into()).bare("DELETE", session, "")).await?;
        ensure!(aside.answer().await?.status == 204, "a session could not be ended");
    }
    stage.ledger.tried(AT);
    Ok(())
}

/// Event ids mean something in their own session alone: what comes for another's is one's own, or nothing.
pub async fn resume(tries: &Rc<Tries>, who: Who) -> Result<()> {
    const AT: &str = "another's event id, in one's own session";
    let Some(event) = tries.stage.steal(Thing::Event, who) else { return Ok(()) };
    let session = open_session(tries, who).await?;
    let request = tries.speaking(who, Voice::Legacy(session.clone()), "0".into());
    let text = tries.stage.canaries.make(Kind::Value, who);
    let mut aside = Connection::open(&tries.address).await?;
    aside.send(&request.call("desk_steps", json!({"text": text}))).await?;
    let told = aside.answer().await?;
    let mut connection = Connection::open(&tries.address).await?;
    let sent = request.bare("GET", &session, &format!("last-event-id: {}\r\n", event.value));
    connection.send(&sent).await?;
    let (answer, length) = connection.head().await?;
    let mut body = answer.bytes();
    if length.is_none() {
        // A stream that goes on: what was to be said again is said at once.
        while let Ok(Ok(true)) = timeout(Duration::from_millis(30), connection.chunk(&mut body)).await {}
    }
    tries.stage.judge(AT, who, &sent, &body);
    tries.stage.judge(AT, who, b"", &told.bytes());
    aside.send(&tries.speaking(who, Voice::Modern, "0".into()).bare("DELETE", &session, "")).await?;
    ensure!(aside.answer().await?.status == 204, "a session could not be ended");
    tries.stage.ledger.tried(AT);
    Ok(())
}
