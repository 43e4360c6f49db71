//! The standard's corner cases, every way to cut a stream, and limits.

use super::*;
use proptest::prelude::*;

fn decode_chunks<'a>(limit: usize, chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Result<Event, EventTooLong>> {
    let mut decoder = SseDecoder::new(limit);
    let mut out = Vec::new();
    for chunk in chunks {
        decoder.push(chunk);
        out.extend(std::iter::from_fn(|| decoder.next()));
    }
    out
}

/// Decodes whole, and checks that cutting at every place changes nothing.
fn decode(stream: &str) -> Vec<Event> {
    let bytes = stream.as_bytes();
    let whole = decode_chunks(1000, [bytes]);
    assert_eq!(decode_chunks(1000, bytes.chunks(1)), whole);
    for at in 0..bytes.len() {
        assert_eq!(decode_chunks(1000, [&bytes[..at], &bytes[at..]]), whole, "cut at {at}");
    }
    whole.into_iter().map(Result::unwrap).collect()
}

fn data(text: &str) -> Event {
    Event { data: Bytes::copy_from_slice(text.as_bytes()), ..Event::default() }
}

#[test]
fn any_line_end_will_do() {
    for end in ["\n", "\r", "\r\n"] {
        let stream = "data: a|data:b||: note|data:c||".replace('|', end);
        assert_eq!(decode(&stream), [data("a\nb"), data("c")], "{end:?}");
    }
}

#[test]
fn fields_follow_the_standard() {
    for (stream, expected) in [
        ("\u{FEFF}data:x\n\n", vec![data("x")]),
        ("data:  x\n\n", vec![data(" x")]),
        ("data\n\n", vec![data("")]),
        ("data\ndata\n\n", vec![data("\n")]),
        ("data:a\n\n\n\ndata:b\n\n", vec![data("a"), data("b")]),
        ("data:cut off\n", vec![]),
        ("data:cut off", vec![]),
        (":only\n:comments\n\n", vec![]),
        ("event:ping\n\n", vec![]),
        ("nonsense:1\ndatax:2\nDATA:3\n\n", vec![]),
        ("retry:x1\ndata:a\n\n", vec![data("a")]),
        ("id:a\0b\ndata:a\n\n", vec![data("a")]),
        ("event:\ndata:a\n\n", vec![data("a")]),
        ("data:a:b\n\n", vec![data("a:b")]),
        ("data:\u{2028}\n\n", vec![data("\u{2028}")]),
    ] {
        assert_eq!(decode(stream), expected, "{stream:?}");
    }
}

#[test]
fn a_priming_event_without_data_still_arrives() {
    let out = decode("id: 7\nretry: 1500\ndata:\n\nid:\n\nretry:3\n\n");
    let first = Event { id: Some("7".into()), retry: Some(1500), ..Event::default() };
    let second = Event { id: Some(String::new()), ..Event::default() };
    let third = Event { retry: Some(3), ..Event::default() };
    assert_eq!(out, [first, second, third]);
}

#[test]
fn a_single_data_line_is_not_copied() {
    let mut decoder = SseDecoder::new(100);
    decoder.push(b"data: payload\n\n");
    let buffer = decoder.buffer.as_ptr() as usize;
    let event = decoder.next().unwrap().unwrap();
    assert_eq!(event.data.as_ptr() as usize, buffer + 6);
}

#[test]
fn an_overlong_event_is_reported_once_and_skipped() {
    let too_long = Err(EventTooLong { limit: 8 });
    let long_line = format!("data:{}\ndata:x\n\ndata:ok\n\n", "x".repeat(50));
    let many_lines = format!("{}\ndata:ok\n\n", "data:abc\n".repeat(50));
    let comment = format!(":{}\r\n\r\ndata:ok\n\n", "x".repeat(50));
    for stream in [long_line, many_lines, comment] {
        for cut in [1, 2, 3, 7, 100_000] {
            let out = decode_chunks(8, stream.as_bytes().chunks(cut));
            let (last, reports) = out.split_last().unwrap();
            assert_eq!(last, &Ok(data("ok")), "{stream} {cut}");
            assert!(reports.iter().all(|report| report == &too_long) && reports.len() <= 1);
        }
    }
    let mut decoder = SseDecoder::new(100);
    for _ in 0..1000 {
        decoder.push(&[b'x'; 64]);
        let _ = decoder.next();
        assert!(decoder.buffer.len() <= 300);
    }
}

#[test]
fn nothing_written_can_start_another_field() {
    let out = encode(b"{\r\n\"a\":1}", Some("7\ndata: evil\r"), Some("m\n\nid: x"));
    assert_eq!(out, "id: 7data: evil\nevent: mid: x\ndata: {  \"a\":1}\n\n");
    let event = Event { event: Some("mid: x".into()), id: Some("7data: evil".into()), ..data("{  \"a\":1}") };
    assert_eq!(decode(std::str::from_utf8(&out).unwrap()), [event]);
    assert_eq!(decode(std::str::from_utf8(&comment()).unwrap()), []);
    let wait = Event { retry: Some(250), ..Event::default() };
    assert_eq!(decode(std::str::from_utf8(&retry(250)).unwrap()), [wait]);
}

proptest! {
    #[test]
    fn events_come_back_however_they_are_cut(
        texts in prop::collection::vec((any::<String>(), prop::option::of("[a-z0-9]{1,5}")), 0..6), cut in 1usize..9,
    ) {
        let mut stream = Vec::new();
        let mut expected = Vec::new();
        for (text, id) in &texts {
            stream.extend_from_slice(&encode(text.as_bytes(), id.as_deref(), None));
            stream.extend_from_slice(&comment());
            let flat = text.replace(['\n', '\r'], " ");
            expected.push(Ok(Event { id: id.clone(), ..data(&flat) }));
        }
        prop_assert_eq!(decode_chunks(10_000, stream.chunks(cut)), expected);
    }

    #[test]
    fn any_bytes_are_survived_the_same_way_however_cut(
        bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b':'), Just(b'd'), any::<u8>()], 0..80), cut in 1usize..9,
    ) {
        prop_assert_eq!(decode_chunks(1000, bytes.chunks(cut)), decode_chunks(1000, [&bytes[..]]));
    }
}
