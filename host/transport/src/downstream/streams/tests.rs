use super::*;
use std::task::Poll::{Pending, Ready};

fn streams(change: impl FnOnce(&mut Limits)) -> (Streams, Arc<AtomicUsize>) {
    let mut limits = Limits::default();
    change(&mut limits);
    let total = Arc::<AtomicUsize>::default();
    (Streams::new(&limits, total.clone()), total)
}

fn text(text: &str) -> Addressed {
    Addressed::whole(Bytes::copy_from_slice(text.as_bytes()))
}

fn read(streams: &Streams, reader: &mut Reader) -> Poll<Option<String>> {
    let next = streams.poll_next(reader, &Context::from_waker(Waker::noop()));
    next.map(|event| event.map(|(_, text)| String::from_utf8(text.into_bytes().to_vec()).expect("UTF-8")))
}

fn says(text: &str) -> Poll<Option<String>> {
    Ready(Some(text.to_owned()))
}

#[test]
fn what_came_before_the_stream_waits_for_it_in_order_and_bounded() {
    let (streams, total) = streams(|limits| limits.outbox_messages_max = 2);
    for text in ["a", "b", "c"] {
        streams.push(Bytes::from(text));
    }
    let mut reader = streams.open(Kind::Own).expect("open");
    assert_eq!([read(&streams, &mut reader), read(&streams, &mut reader)], [says("a"), says("b")]);
    assert_eq!(read(&streams, &mut reader), Pending);
    assert_eq!((streams.close(), total.load(Relaxed)), (1, 0), "the third found no room");
}

#[test]
fn s093_a_second_stream_takes_over_and_no_message_is_sent_twice() {
    let (streams, _) = streams(|_| {});
    let mut first = streams.open(Kind::Own).expect("open");
    streams.push(Bytes::from("a"));
    assert_eq!(read(&streams, &mut first), says("a"));
    let mut second = streams.open(Kind::Own).expect("open");
    streams.push(Bytes::from("b"));
    assert_eq!(read(&streams, &mut first), Ready(None));
    streams.leave(&first);
    assert_eq!(read(&streams, &mut second), says("b"));
    assert_eq!(read(&streams, &mut second), Pending);
    streams.close();
    assert_eq!(read(&streams, &mut second), Ready(None));
    assert!(streams.open(Kind::Own).is_none());
}

#[test]
fn s094_a_resumed_stream_repeats_its_own_later_events_and_goes_on() {
    let (streams, _) = streams(|_| {});
    let mut own = streams.open(Kind::Own).expect("open");
    let mut call = streams.open(Kind::Call).expect("open");
    let (own_start, call_start) = (own.place(), call.place());
    for (at, both) in ["1", "2", "3"].into_iter().enumerate() {
        streams.push(Bytes::from(format!("own {both}")));
        assert_eq!(read(&streams, &mut own), says(&format!("own {both}")));
        streams.put(call_start, text(&format!("call {both}")));
        if at == 0 {
            assert_eq!(read(&streams, &mut call), says("call 1"));
        }
    }
    let after_one = call.place();
    streams.leave(&call);
    streams.leave(&own);
    let mut again = streams.resume(after_one).expect("kept");
    assert_eq!([read(&streams, &mut again), read(&streams, &mut again)], [says("call 2"), says("call 3")]);
    assert_eq!(read(&streams, &mut again), Pending);
    streams.put(call_start, text("answer"));
    streams.end(call_start);
    assert_eq!([read(&streams, &mut again), read(&streams, &mut again)], [says("answer"), Ready(None)]);
    let mut other = streams.resume(own_start).expect("kept");
    for later in ["own 1", "own 2", "own 3"] {
        assert_eq!(read(&streams, &mut other), says(later));
    }
    assert_eq!(read(&streams, &mut other), Pending);
    streams.push(Bytes::from("own 4"));
    assert_eq!(read(&streams, &mut other), says("own 4"));
    // What another stream said is not this one's, even when the number is higher.
    let mut fresh = streams.open(Kind::Own).expect("open");
    streams.push(Bytes::from("own 5"));
    assert_eq!(read(&streams, &mut fresh), says("own 5"));
    let mut back = streams.resume(other.place()).expect("kept");
    assert_eq!([read(&streams, &mut fresh), read(&streams, &mut back)], [Ready(None), Pending]);
}

#[test]
fn a_place_that_is_not_this_sessions_or_is_forgotten_is_refused() {
    let (streams, _) = streams(|_| {});
    let own = streams.open(Kind::Own).expect("open").place();
    let call = streams.open(Kind::Call).expect("open").place();
    let foreign = [
        EventId { stream: 9, ..own },
        EventId { event: 7, ..own },
        EventId { kind: Kind::Call, ..own },
        EventId { kind: Kind::Own, ..call },
        EventId { stream: 0, ..call },
    ];
    for place in foreign {
        assert_eq!(streams.resume(place).err(), Some(NotHere::Unknown), "{place}");
    }
    streams.put(call, text("answer"));
    streams.end(call);
    let reader = streams.resume(call).expect("kept");
    streams.leave(&reader);
    streams.forget_old(Duration::ZERO);
    assert_eq!(streams.resume(call).err(), Some(NotHere::Unknown), "too old");
    assert!(streams.resume(own).is_ok(), "a session's own stream goes on");
    streams.close();
    assert_eq!(streams.resume(own).err(), Some(NotHere::Closed));
}

#[test]
fn what_is_kept_is_bounded_in_events_and_bytes_and_the_newest_stays() {
    let (streams, total) = streams(|limits| (limits.replay_events_max, limits.replay_bytes_max) = (3, 100));
    let call = streams.open(Kind::Call).expect("open");
    let start = call.place();
    streams.leave(&call);
    for at in 0..9 {
        streams.put(start, text(&at.to_string()));
    }
    assert_eq!(total.load(Relaxed), 3);
    streams.put(start, text(&"x".repeat(1000)));
    streams.end(start);
    assert_eq!(total.load(Relaxed), 1000);
    let mut reader = streams.resume(start).expect("kept");
    assert_eq!([read(&streams, &mut reader), read(&streams, &mut reader)], [says(&"x".repeat(1000)), Ready(None)]);
    drop(streams);
    assert_eq!(total.load(Relaxed), 0);
}

#[test]
fn with_no_room_left_in_all_sessions_events_pass_and_are_not_kept() {
    let (streams, total) = streams(|limits| limits.replay_total_bytes_max = 0);
    let mut call = streams.open(Kind::Call).expect("open");
    let start = call.place();
    streams.put(start, text("one"));
    assert_eq!((read(&streams, &mut call), total.load(Relaxed)), (says("one"), 0));
    streams.leave(&call);
    streams.put(start, text("two"));
    streams.end(start);
    let mut again = streams.resume(start);
    assert_eq!(again.as_mut().map(|again| read(&streams, again)).ok(), Some(Ready(None)));
    assert_eq!(streams.close(), 1);
}

#[test]
fn a_flood_is_bounded_in_bytes_too() {
    let (streams, _) = streams(|limits| limits.outbox_messages_max = 1000);
    for _ in 0..20 {
        streams.push(Bytes::from(vec![0; 100 * 1024]));
    }
    assert_eq!(streams.close(), 20, "ten waited, ten found no room");
}
