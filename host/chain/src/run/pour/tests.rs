//! Long answers to their end, by a clock that nothing but timers moves.

mod stage;

use super::*;
use crate::{
    chunk::{BATCH_BYTES, Chunk},
    generation::Policy,
    host::OUTGOING_QUEUE,
    selector::{Conditions, Globs},
    stream::Flow,
};
use stage::{End, Server, Stage, looker, rest};
use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// As a transport reads them.
const PIECE: usize = 64 << 10;
const MARK: &str = "MARK";

/// An answer that holds this.
fn holding(member: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":7,"result":{{{member}}}}}"#)
}

/// An answer of four strings, five pieces long.
fn plain() -> String {
    let text = "x".repeat(70_000);
    holding(&format!(r#""content":["{text}","{text}","{text}","{text}"]"#))
}

fn cut(text: &str) -> Vec<Bytes> {
    text.as_bytes().chunks(PIECE).map(Bytes::copy_from_slice).collect()
}

/// An answer of twelve strings, of which this one ends with a mark.
fn marked(at: Option<usize>) -> String {
    let text = |n| format!("\"{}{}\"", "x".repeat(30_000), if Some(n) == at { MARK } else { "" });
    holding(&format!(r#""content":[{}]"#, (0..12).map(text).collect::<Vec<_>>().join(",")))
}

/// Labels the exchange when it sees the mark.
fn finder(hooks: &[Hook]) -> Link {
    looker("finder", hooks, Policy::default(), |pass| {
        if pass.batch.chunks.iter().any(|chunk| chunk.text.contains(MARK)) {
            pass.attributes.set_label("finder", "found", "yes");
        }
    })
}

/// Takes part where that label is, and counts the bytes of text that it sees.
fn late(hooks: &[Hook]) -> (Link, Arc<AtomicUsize>) {
    let labels = vec![("finder.found".into(), Globs::new(&["yes"]))];
    let policy = Policy { when: Conditions { labels, ..Conditions::default() }, ..Policy::default() };
    let fresh = |chunk: &Chunk| if chunk.key { 0 } else { chunk.text.len() - chunk.held };
    let seen = Arc::<AtomicUsize>::default();
    let noted = seen.clone();
    let link = looker("late", hooks, policy, move |pass| {
        noted.fetch_add(pass.batch.chunks.iter().map(fresh).sum(), Relaxed);
    });
    (link, seen)
}

#[tokio::test(start_paused = true)]
async fn a_label_that_brings_in_a_filter_in_the_middle_breaks_the_answer_off() {
    for hooks in [&[Hook::OnChunk][..], &[Hook::OnResponse][..], &[Hook::OnChunk, Hook::OnResponse][..]] {
        // In the first batch, before anything has left; between others; in the last, which ends the answer.
        for at in [0, 6, 11] {
            let (late, seen) = late(hooks);
            let sent = marked(Some(at));
            let mut stage = Stage::new(Server::new(cut(&sent), End::Whole), vec![late, finder(&[Hook::OnChunk])]);
            let (got, error) = stage.heard().await;
            assert!(error.as_ref().is_some_and(|error| error.contains("plugin late")), "{hooks:?} {at}: {error:?}");
            assert_eq!(got.is_empty(), at == 0, "{hooks:?} {at}");
            assert!(got.len() < sent.len() && sent.starts_with(&got) && !got.contains(MARK), "{hooks:?} {at}: {} bytes", got.len());
            assert_eq!(seen.load(Relaxed), 0, "it is not shown an answer without its beginning");
            let ended = stage.ended().await;
            let stream = (at > 0).then_some(Streamed { truncated: true, tool_error: false });
            assert_eq!((ended.outcome, ended.stream), (Outcome::Failed, stream), "{hooks:?} {at}");
        }
        // The control: nothing brings it in.
        let sent = marked(None);
        let mut stage = Stage::new(Server::new(cut(&sent), End::Whole), vec![late(hooks).0, finder(&[Hook::OnChunk])]);
        assert!(stage.heard().await == (sent, None), "{hooks:?}");
    }
    // And a label that was there before takes the whole answer through it.
    let ((late, seen), sent) = (late(&[Hook::OnChunk, Hook::OnResponse]), marked(Some(6)));
    let mut stage = Stage::new(Server::new(cut(&sent), End::Whole), vec![late, finder(&[Hook::OnRequest, Hook::OnChunk])]);
    assert!(stage.heard().await == (sent, None));
    assert_eq!(seen.load(Relaxed), 12 * 30_000 + MARK.len());
}

#[tokio::test(start_paused = true)]
async fn the_closing_brace_waits_until_the_message_proved_whole() {
    let (whole, nameless) = (plain(), plain().replace(r#","id":7"#, ""));
    let blanks = Bytes::from(vec![b' '; 70_000]);
    for is_watched in [false, true] {
        for (name, sent, behind, end) in [
            ("whole", &whole, "", End::Whole),
            ("a byte behind it", &whole, "x", End::Whole),
            ("a message behind it", &whole, "{}", End::Whole),
            ("no id", &nameless, "", End::Whole),
            ("no end", &whole, "", End::Dies),
        ] {
            let mut pieces = cut(sent);
            // So much that it would drive on whatever goes on with what comes behind it.
            pieces.extend([blanks.clone(), blanks.clone(), blanks.clone()]);
            pieces.extend((!behind.is_empty()).then(|| Bytes::from(behind)));
            let links = if is_watched { vec![looker("looker", &[Hook::OnChunk], Policy::default(), |_| {})] } else { Vec::new() };
            let mut stage = Stage::new(Server::new(pieces, end), links);
            let (got, error) = stage.heard().await;
            let ended = stage.ended().await;
            if name == "whole" {
                assert!(got == *sent && error.is_none(), "{is_watched}: {} bytes, {error:?}", got.len());
                assert_eq!((ended.outcome, ended.response_bytes), (Outcome::Answered, sent.len()), "without the white space");
                continue;
            }
            assert!(error.is_some(), "{name} {is_watched}: taken for whole");
            assert!(!got.is_empty() && got.len() < sent.len() && sent.starts_with(&got), "{name} {is_watched}: {} bytes", got.len());
            assert_eq!(ended.stream, Some(Streamed { truncated: true, tool_error: false }), "{name} {is_watched}");
        }
    }
}

/// The longest name of a member of the result.
const NAME_MAX: usize = Streaming::PATH_BYTES_MAX - "result".len();

#[tokio::test(start_paused = true)]
async fn filters_are_fed_every_8_kib_so_that_pointers_do_not_pile_up() {
    // An empty string takes 3 bytes, and a pointer of 4 KiB. All of them come at once.
    let strings = vec![r#""""#; 30_000].join(",");
    let sent = holding(&format!(r#""{}":[{strings}]"#, "n".repeat(NAME_MAX)));
    let calls = Arc::<Mutex<Vec<(usize, usize)>>>::default();
    let noted = calls.clone();
    let counting = looker("looker", &[Hook::OnChunk], Policy::default(), move |pass| {
        let bytes = pass.batch.chunks.iter().map(|chunk| chunk.pointer.len() + chunk.text.len()).sum();
        noted.lock().unwrap().push((pass.bytes, bytes));
    });
    let mut stage = Stage::new(Server::new(vec![Bytes::from(sent.clone())], End::Whole), vec![counting]);
    assert!(stage.heard().await == (sent, None));
    let calls = std::mem::take(&mut *calls.lock().unwrap());
    assert_eq!(calls[0].0, READ, "the first batch comes when so much was read");
    let largest = calls.iter().map(|(_, bytes)| *bytes).max().unwrap();
    assert!(largest <= BATCH_BYTES + 2 * Streaming::PATH_BYTES_MAX, "one batch has {largest} bytes");
    // What was there at one time: all that was read before the filter was called again.
    let mut at_once = BTreeMap::<usize, usize>::new();
    for (read, bytes) in &calls {
        *at_once.entry(*read).or_default() += bytes;
    }
    let (most, all) = (*at_once.values().max().unwrap(), at_once.values().sum::<usize>());
    println!("{} batches of up to {largest} bytes; {most} of {all} bytes at one time", calls.len());
    assert!(most <= 12 << 20 && all > 100 << 20, "{most} of {all}");
}

#[tokio::test(start_paused = true)]
async fn names_are_long_many_and_deep_within_bounds() {
    let flat = |name: &str, length: usize| holding(&format!(r#""{}":"x""#, name.repeat(length)));
    let deep = |length: usize| {
        let name = "n".repeat(length);
        let inside = format!(r#""{name}":{{"#).repeat(59);
        holding(&format!(r#"{inside}"{name}":"x"{}"#, "}".repeat(59)))
    };
    let wide = |count: usize| holding(&(0..count).map(|n| format!(r#""k{n}":0"#)).collect::<Vec<_>>().join(","));
    // The message's own three are open, too.
    let keys_max = Streaming::KEYS_MAX - 3;
    let (long, many) = (Some("names of nested members are longer than 4096 bytes"), Some("more than 200000 values and keys"));
    for (what, sent, expected) in [
        ("a name", flat("n", NAME_MAX), None),
        ("a name that a pointer escapes", flat("~", NAME_MAX), None),
        ("a longer name", flat("n", NAME_MAX + 1), long),
        ("a much longer name", flat("n", 1 << 20), long),
        ("names below names", deep(NAME_MAX / 60), None),
        ("longer names below names", deep(NAME_MAX / 60 + 1), long),
        ("many names", wide(keys_max), None),
        ("more names", wide(keys_max + 1), many),
    ] {
        let longest = Arc::<AtomicUsize>::default();
        let noted = longest.clone();
        let measuring = looker("looker", &[Hook::OnChunk], Policy::default(), move |pass| {
            let length = pass.batch.chunks.iter().map(|chunk| chunk.pointer.len()).max();
            noted.fetch_max(length.unwrap_or_default(), Relaxed);
        });
        let mut stage = Stage::new(Server::new(cut(&sent), End::Whole), vec![measuring]);
        let (got, error) = stage.heard().await;
        match expected {
            Some(expected) => assert!(error.as_ref().is_some_and(|error| error.contains(expected)), "{what}: {error:?}"),
            None => assert!(got == sent && error.is_none(), "{what}: {} bytes, {error:?}", got.len()),
        }
        // `~` is spelled `~0`; what is more are the slashes and the message's own names.
        let longest = longest.load(Relaxed);
        assert!(longest <= 2 * Streaming::PATH_BYTES_MAX + 64, "{what}: a pointer of {longest} bytes");
    }
}

/// All pieces but the last, and then nothing.
fn slow() -> Server {
    let mut pieces = cut(&plain());
    pieces.pop();
    Server::new(pieces, End::Never)
}

/// Takes what there is.
async fn taken(flow: &mut Flow) -> usize {
    let mut bytes = 0;
    while let Ok(piece) = timeout(Duration::from_secs(1), flow.next()).await {
        bytes += piece.expect("more to come").expect("nothing broke").len();
    }
    bytes
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_while_the_server_is_slow_is_noticed_and_the_server_told() {
    // It hangs up, and it takes its request back.
    for hangs_up in [true, false] {
        let mut stage = Stage::new(slow(), Vec::new());
        let mut flow = stage.flow().await;
        assert_eq!(taken(&mut flow).await, 3 * PIECE, "the last one waits");
        assert!(!stage.is_told.is_cancelled());
        let left = Instant::now();
        if hangs_up {
            drop(flow);
        } else {
            stage.running.cancel.cancel();
            assert_eq!(rest(&mut flow).await, (String::new(), Some(String::new())), "it breaks off without a word");
        }
        let ended = stage.ended().await;
        assert!(left.elapsed() < Duration::from_secs(1), "after {:?}", left.elapsed());
        assert!(stage.is_told.is_cancelled());
        assert_eq!(ended.outcome, Outcome::Cancelled, "{:?}", ended.cause);
        assert_eq!(ended.stream, Some(Streamed { truncated: true, tool_error: false }));
    }
    // The control: a client that waits has the server's time.
    let mut stage = Stage::new(slow(), Vec::new());
    let (began, mut flow) = (Instant::now(), stage.flow().await);
    let (_, error) = rest(&mut flow).await;
    assert!(error.is_some_and(|error| error.contains("no reply within")) && began.elapsed() >= Streaming::default().silent_max);
    assert!(stage.is_told.is_cancelled() && stage.ended().await.outcome == Outcome::Failed);
}

#[tokio::test(start_paused = true)]
async fn each_wait_for_a_client_that_does_not_read_has_its_time() {
    let (stalled, text) = (Streaming::default().stalled_max, plain());
    let halves: Vec<Bytes> = text.as_bytes().chunks(text.len().div_ceil(2)).map(Bytes::copy_from_slice).collect();
    // As many as may wait for its connection before the answer.
    let mut queued = Server::new(cut(&text), End::Whole);
    queued.notes = OUTGOING_QUEUE;
    // What it waits with; whether the client has taken up its answer; how long that may take, and why it is over.
    for (what, server, is_taken_up, limit, cause) in [
        ("the answer", queued, false, stalled, "did not take the answer"),
        ("a piece", Server::new(cut(&text), End::Whole), true, stalled, "did not take the answer"),
        ("the end", Server::new(halves, End::Whole), true, stalled, "did not take the answer"),
        ("the word that it broke off", Server::new(cut(&text)[..3].to_vec(), End::Dies), true, BREAK_OFF_MAX, "went away"),
    ] {
        let mut stage = Stage::new(server, Vec::new());
        let began = Instant::now();
        let flow = if is_taken_up { Some(stage.flow().await) } else { None };
        stage.running.run_on();
        let ended = stage.ended().await;
        let took = began.elapsed();
        assert!(took >= limit && took <= limit + BREAK_OFF_MAX + Duration::from_secs(1), "{what}: {took:?}");
        assert!(stage.is_told.is_cancelled(), "{what}");
        assert!(ended.cause.as_ref().is_some_and(|told| told.contains(cause)), "{what}: {:?}", ended.cause);
        assert_eq!((ended.outcome, ended.stream.is_some()), (Outcome::Failed, is_taken_up), "{what}");
        drop(flow);
    }
}
