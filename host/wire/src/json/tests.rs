//! Tables for every refusal, a differential run against serde_json, and readers.

use super::*;
use bytes::Bytes;
use proptest::prelude::*;

const SMALL: Limits = Limits { bytes_max: 64, depth_max: 4, nodes_max: 12 };

fn parse(text: &str) -> Document {
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    Document::parse(bytes, &Limits::REQUEST, IndexDepth::Full).unwrap()
}

fn refuse(text: &[u8]) -> Option<DecodeError> {
    let bytes = Bytes::copy_from_slice(text);
    Document::parse(bytes, &Limits::REQUEST, IndexDepth::Full).err()
}

#[test]
fn every_refusal_says_what_and_where() {
    use DecodeError::*;
    for (text, expected) in [
        (&b""[..], Truncated),
        (b" \n\t\r ", Truncated),
        (b"[1", Truncated),
        (b"[1,", Truncated),
        (b"{\"a\"", Truncated),
        (b"{\"a\":", Truncated),
        (b"\"abc", Truncated),
        (b"\"abc\\", Truncated),
        (b"\"\\u12", Truncated),
        (b"\"\\ud800", Truncated),
        (b"tru", Truncated),
        (b"-", Truncated),
        (b"1.", Truncated),
        (b"1e+", Truncated),
        (b"\xEF\xBB\xBF{}", Syntax { offset: 0 }),
        (b"{,}", Syntax { offset: 1 }),
        (b"[1,]", Syntax { offset: 3 }),
        (b"[,1]", Syntax { offset: 1 }),
        (b"{\"a\":1,}", Syntax { offset: 7 }),
        (b"{\"a\" 1}", Syntax { offset: 5 }),
        (b"{a:1}", Syntax { offset: 1 }),
        (b"{'a':1}", Syntax { offset: 1 }),
        (b"[1}", Syntax { offset: 2 }),
        (b"{\"a\":1]", Syntax { offset: 6 }),
        (b"nul!", Syntax { offset: 3 }),
        (b"NaN", Syntax { offset: 0 }),
        (b"-Infinity", Syntax { offset: 1 }),
        (b"+1", Syntax { offset: 0 }),
        (b".5", Syntax { offset: 0 }),
        (b"[1.e1]", Syntax { offset: 3 }),
        (b"[0x1]", Syntax { offset: 2 }),
        (b"[007]", Syntax { offset: 2 }),
        (b"[-01]", Syntax { offset: 3 }),
        (b"\"a\nb\"", Syntax { offset: 2 }),
        (b"\"\\x\"", Syntax { offset: 2 }),
        (b"\"\\u00g0\"", Syntax { offset: 5 }),
        (b"[1]//", Trailing { offset: 3 }),
        (b"\"\x7F\xC0\xAF\"", Utf8 { offset: 2 }),
        (b"\"\xED\xA0\x80\"", Utf8 { offset: 1 }),
        (b"{\"a\":1,\"a\":2}", DuplicateKey { offset: 7 }),
        (b"{\"a\":1,\"\\u0061\":2}", DuplicateKey { offset: 7 }),
        (b"[{\"x\":{\"k\\n\":1,\"k\\u000a\":2}}]", DuplicateKey { offset: 15 }),
        (b"{\"\":1,\"\":2}", DuplicateKey { offset: 6 }),
        (b"\"\\ud800\"", LoneSurrogate { offset: 1 }),
        (b"\"\\ud800x\"", LoneSurrogate { offset: 1 }),
        (b"\"\\ud800\\n\"", LoneSurrogate { offset: 1 }),
        (b"\"a\\udc00\"", LoneSurrogate { offset: 2 }),
        (b"\"\\ud800\\ud800\"", LoneSurrogate { offset: 1 }),
        (b"{\"\\ud800\":1}", LoneSurrogate { offset: 2 }),
        (b"1 2", Trailing { offset: 2 }),
        (b"{}{}", Trailing { offset: 2 }),
        (b"01", Trailing { offset: 1 }),
        (b"{}\0", Trailing { offset: 2 }),
    ] {
        let shown = String::from_utf8_lossy(text);
        assert_eq!(refuse(text), Some(expected), "{shown}");
        assert_eq!(validate(text, &Limits::REQUEST), Err(expected), "{shown}");
        assert_eq!(expected.code(), -32700);
    }
}

#[test]
fn limits_hold_exactly() {
    let check = |text: &str| validate(text.as_bytes(), &SMALL);
    assert_eq!(check(&format!("\"{}\"", "x".repeat(62))), Ok(()));
    let too_large = Err(DecodeError::TooLarge { limit: 64 });
    assert_eq!(check(&format!("\"{}\"", "x".repeat(63))), too_large);
    assert_eq!(check("[[[[1]]]]"), Ok(()));
    assert_eq!(check("[[[[[]]]]]"), Err(DecodeError::Depth { limit: 4 }));
    assert_eq!(check("[{\"a\":[{}]}]"), Ok(()));
    assert_eq!(check("[1,1,1,1,1,1,1,1,1,1,1]"), Ok(()));
    let nodes = Err(DecodeError::Nodes { limit: 12 });
    assert_eq!(check("[1,1,1,1,1,1,1,1,1,1,1,1]"), nodes);
    assert_eq!(check("{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1}"), nodes);
}

#[test]
fn a_million_levels_are_refused_early() {
    let deep = "[".repeat(1_000_000);
    let limit = Limits::REQUEST.depth_max;
    assert_eq!(refuse(deep.as_bytes()), Some(DecodeError::Depth { limit }));
}

#[test]
fn twins_of_protocol_keys_are_refused_where_the_protocol_reads_them() {
    for (text, offset) in [
        (r#"{"Method":"x"}"#, Some(1)),
        (r#"{"method":"x","ID":1}"#, Some(14)),
        (r#"{"paramſ":{}}"#, Some(1)),
        (r#"{"param\u017f":{}}"#, Some(1)),
        (r#"{"\u0130d":1}"#, None),
        (r#"{"ıd":1}"#, Some(1)),
        (r#"{"JSONRPC":"2.0"}"#, Some(1)),
        (r#"{"Error":1}"#, Some(1)),
        (r#"{"RESULT":1}"#, Some(1)),
        (r#"{"params":{"Name":"x"}}"#, Some(11)),
        (r#"{"par\u0061ms":{"Arguments":{}}}"#, Some(16)),
        (r#"{"params":{"_META":{}}}"#, Some(11)),
        (r#"{"params":{"taſKId":1}}"#, Some(11)),
        (r#"{"params":{"arguments":{"Name":1,"name":2,"ID":3}}}"#, None),
        (r#"{"params":[{"Name":1}]}"#, None),
        (r#"{"result":{"Name":1}}"#, None),
        (r#"{"x":1,"params":{"name":1},"y":{"Name":1}}"#, None),
        (r#"[{"Method":1}]"#, None),
    ] {
        let expected = offset.map(|offset| DecodeError::CaseTwin { offset });
        assert_eq!(refuse(text.as_bytes()), expected, "{text}");
        assert_eq!(validate(text.as_bytes(), &Limits::REQUEST), Ok(()), "{text}");
    }
}

#[test]
fn refusals_never_echo_content() {
    for text in [&b"{\"s3cret\":1,\"s3cret\":2}"[..], b"s3cret", b"1s3cret", b"{\"Method\":1}"] {
        let shown = refuse(text).unwrap().to_string();
        assert!(!shown.contains("s3cret") && !shown.contains("Method"), "{shown}");
    }
}

#[test]
fn many_keys_are_checked_without_squaring() {
    for count in [15, 16, 17, 18, 200, 90_000] {
        let unique: Vec<String> = (0..count).map(|n| format!("\"key-number-{n}\":1")).collect();
        let fine = format!("{{{}}}", unique.join(","));
        assert_eq!(refuse(fine.as_bytes()), None, "{count}");
        for twin in ["key-number-0", "key\\u002dnumber-7"] {
            let twice = format!("{{{},\"{twin}\":1}}", unique.join(","));
            let offset = twice.len() - twin.len() - 5;
            let expected = Some(DecodeError::DuplicateKey { offset });
            assert_eq!(refuse(twice.as_bytes()), expected, "{count} {twin}");
        }
    }
}

#[test]
fn every_place_in_a_string_is_looked_at() {
    use DecodeError::*;
    for length in 0..18 {
        for at in 0..=length {
            // With the end of the text right behind the string and far behind it.
            for tail in ["", "                                                      "] {
                let around = |what: &str| {
                    let (before, after) = ("x".repeat(at), "y".repeat(length - at));
                    format!("\"{before}{what}{after}\"{tail}")
                };
                let offset = at + 1;
                for plain in ["", "é", "😀", "\u{7F}", "\u{2028}", "\\\"", "\\\\", "\\u0000"] {
                    let text = around(plain);
                    assert_eq!(parse(&text).root().span().end, text.trim_end().len(), "{text}");
                }
                for (what, expected) in [
                    ("\0", Syntax { offset }),
                    ("\n", Syntax { offset }),
                    ("\u{1F}", Syntax { offset }),
                    ("\\q", Syntax { offset: at + 2 }),
                    ("\\udc00", LoneSurrogate { offset }),
                    ("\\ud800", LoneSurrogate { offset }),
                ] {
                    assert_eq!(refuse(around(what).as_bytes()), Some(expected), "{what:?}");
                }
                let mut bytes = around("z").into_bytes();
                bytes[at + 1] = 0xFF;
                assert_eq!(refuse(&bytes), Some(Utf8 { offset }));
                let open = &around("")[..at + 1];
                assert_eq!(refuse(open.as_bytes()), Some(Truncated), "{open}");
            }
        }
    }
}

#[test]
fn keys_of_every_length_are_told_apart_and_found_again() {
    // Differing in one byte anywhere, below and above the number that is compared one by one.
    for length in 1..20 {
        let plain = "k".repeat(length);
        let mut keys = vec![plain.clone()];
        for at in 0..length {
            for other in ["j", "\0", "é"] {
                let mut key = plain.clone();
                key.replace_range(at..at + 1, other);
                keys.push(key);
            }
        }
        for few in [2, 16, 17, keys.len()] {
            let keys = &keys[..few.min(keys.len())];
            let members: Vec<_> = keys.iter().map(|k| format!("{}:1", quote(k))).collect();
            let members = members.join(",");
            assert_eq!(refuse(format!("{{{members}}}").as_bytes()), None);
            for key in keys {
                let escaped: String = key.encode_utf16().map(|u| format!("\\u{u:04x}")).collect();
                for again in [quote(key), format!("\"{escaped}\"")] {
                    let text = format!("{{{members},{again}:2}}");
                    let offset = members.len() + 2;
                    let expected = Some(DecodeError::DuplicateKey { offset });
                    assert_eq!(refuse(text.as_bytes()), expected, "{text}");
                }
            }
        }
    }
}

#[test]
fn keys_with_one_fingerprint_are_still_compared() {
    // The middle of a long key is no part of its fingerprint.
    for count in [2, 16, 17, 40] {
        let keys: Vec<_> = (0..count).map(|n| format!("\"12345678{n:02}abcdefgh\":1")).collect();
        let members = keys.join(",");
        assert_eq!(refuse(format!("{{{members}}}").as_bytes()), None, "{count}");
        let twice = format!("{{{members},{}}}", keys[1]);
        let offset = members.len() + 2;
        let expected = Some(DecodeError::DuplicateKey { offset });
        assert_eq!(refuse(twice.as_bytes()), expected, "{count}");
    }
}

#[test]
fn the_first_of_several_duplicates_is_named_however_many_keys() {
    for count in [2, 16, 17, 100] {
        let keys: Vec<_> = (0..count).map(|n| format!("\"key-{n}\":1")).collect();
        let members = keys.join(",");
        let text = format!("{{{members},{},{}}}", keys[1], keys[0]);
        let offset = members.len() + 2;
        let expected = Some(DecodeError::DuplicateKey { offset });
        assert_eq!(refuse(text.as_bytes()), expected, "{count}");
    }
}

#[test]
fn keys_that_share_a_prefix_or_a_null_are_told_apart() {
    let text = r#"{"abcdefgh":1,"abcdefghi":2,"abcdefghj":3,"a":4,"a\u0000":5,"":6,"\u0000":7}"#;
    assert_eq!(refuse(text.as_bytes()), None);
}

#[test]
fn values_read_as_sent() {
    let doc = parse(r#" {"s":"a\u0041\/é","n":1.10,"i":-7,"b":[true,false,null],"e":{},"x":"p"} "#);
    let root = doc.root();
    assert_eq!(root.kind(), Kind::Object);
    assert_eq!(root.get("s").unwrap().as_str().unwrap(), "aA/é");
    assert_eq!(root.get("s").unwrap().raw(), r#""a\u0041\/é""#);
    assert!(root.get("s").unwrap().is_str("aA/é"));
    assert!(!root.get("s").unwrap().is_str("aA/"));
    assert!(matches!(root.get("x").unwrap().as_str(), Some(std::borrow::Cow::Borrowed("p"))));
    assert_eq!(root.get("n").unwrap().raw(), "1.10");
    assert_eq!(root.get("n").unwrap().as_i64(), None);
    assert_eq!(root.get("n").unwrap().as_f64(), Some(1.1));
    assert_eq!(root.get("i").unwrap().as_i64(), Some(-7));
    assert_eq!(root.get("i").unwrap().as_u64(), None);
    let flags: Vec<_> = root.get("b").unwrap().items().map(|item| item.as_bool()).collect();
    assert_eq!(flags, [Some(true), Some(false), None]);
    assert!(root.get("e").unwrap().is_empty());
    assert!(!root.is_empty());
    assert!(root.get("missing").is_none());
    assert_eq!(doc.bytes().len(), doc.len());
    assert_eq!(root.get("b").unwrap().to_bytes(), "[true,false,null]");
}

#[test]
fn pointers_lead_there_and_back() {
    let doc = parse(r#"{"a":{"b":[10,{"c":1}]},"":{"":2},"x/y":{"~":3},"\u0031":4}"#);
    for (pointer, raw) in [
        ("", None),
        ("/a/b/0", Some("10")),
        ("/a/b/1/c", Some("1")),
        ("/", Some(r#"{"":2}"#)),
        ("//", Some("2")),
        ("/x~1y/~0", Some("3")),
        ("/1", Some("4")),
    ] {
        let value = doc.pointer(pointer).unwrap();
        assert_eq!(value.raw(), raw.unwrap_or(doc.root().raw()));
        assert_eq!(doc.pointer_of(value.node()), pointer);
    }
    for nothing in ["a", "/a/b/01", "/a/b/2", "/a/b/-", "/a/b/+1", "/x~2y", "/x~", "/a/b/0/z"] {
        assert!(doc.pointer(nothing).is_none(), "{nothing}");
    }
}

#[test]
fn every_node_has_a_pointer_that_finds_it() {
    let doc = parse(r#"[{"a":[1,[2,{"b":{}}]],"c":{"d":[[],"x"]}},3]"#);
    for index in 0..doc.node_count() as u32 {
        let node = NodeId(index);
        let found = doc.pointer(&doc.pointer_of(node)).unwrap();
        match doc.key(node) {
            Some(_) => assert_eq!(found.node(), NodeId(index + 1)),
            None => assert_eq!(found.node(), node),
        }
    }
}

const DEEP: &str = r#"{"jsonrpc":"2.0","params":{"name":"n","_meta":{"k":{"deep":"z"}},"e":{ }},"list":[["q"]]}"#;

fn at_level(levels: u16) -> Document {
    Document::parse(DEEP.into(), &Limits::REQUEST, IndexDepth::Levels(levels)).unwrap()
}

#[test]
fn a_shallow_index_stops_where_told() {
    for (levels, pointer, is_there) in [
        (0, "", true),
        (0, "/jsonrpc", false),
        (1, "/params", true),
        (1, "/params/name", false),
        (2, "/params/_meta", true),
        (2, "/params/_meta/k", false),
        (3, "/params/_meta/k", true),
        (3, "/params/_meta/k/deep", false),
        (4, "/params/_meta/k/deep", true),
    ] {
        let doc = at_level(levels);
        assert_eq!(doc.pointer(pointer).is_some(), is_there, "{levels} {pointer}");
        let deepened = doc.deepen();
        assert!(deepened.pointer(pointer).is_some() && deepened.is_full());
    }
    let doc = at_level(2);
    assert!(doc.pointer("/params/_meta").unwrap().is_shallow());
    assert!(!doc.pointer("/params/_meta").unwrap().is_empty());
    assert!(doc.pointer("/params/e").unwrap().is_empty());
    assert!(!doc.is_full() && at_level(4).is_full());
}

#[test]
fn a_shallow_index_checks_just_as_strictly() {
    for text in [r#"{"a":{"b":{"c":1,"c":2}}}"#, r#"{"a":{"b":["\ud800"]}}"#, r#"{"params":{"Name":1}}"#, r#"{"a":{"b":[1,]}}"#] {
        let shallow = Document::parse(text.into(), &Limits::REQUEST, IndexDepth::Levels(0));
        assert_eq!(shallow.err(), refuse(text.as_bytes()), "{text}");
    }
}

#[test]
fn leaves_miss_nothing_however_shallow_the_index() {
    let texts = |doc: &Document| -> Vec<(bool, String)> {
        let leaves = doc.root().leaves();
        leaves.map(|leaf| (leaf.is_key, leaf.text.into_owned())).collect()
    };
    let full = texts(&parse(DEEP));
    assert_eq!(full.len(), 12);
    for levels in 0..5 {
        let doc = at_level(levels);
        assert_eq!(texts(&doc), full, "{levels}");
        for leaf in doc.root().leaves() {
            assert_eq!(decode_str(&DEEP[leaf.span.clone()]), leaf.text);
        }
    }
}

#[test]
fn leaves_stay_below_their_value() {
    let doc = parse(r#"{"a":["x",{"y":1}],"b":"z"}"#);
    let below: Vec<_> = doc.root().get("a").unwrap().leaves().map(|leaf| leaf.text).collect();
    assert_eq!(below, ["x", "y"]);
    let leaf = doc.root().get("b").unwrap().leaves().next().unwrap();
    assert_eq!((doc.pointer_of(leaf.node), leaf.is_key), ("/b".into(), false));
}

/// JSON texts with white space, escapes and the odd mistake, nested up to a few levels.
fn texts() -> impl Strategy<Value = String> {
    let string = prop_oneof![
        8 => "[a-c]{0,2}".prop_map(|s| format!("\"{s}\"")),
        2 => any::<String>().prop_map(|s| quote(&s)),
        2 => prop::collection::vec(prop_oneof![
            Just("\\u0061"), Just("\\n"), Just("\\/"), Just("\\ud83d\\ude00"), Just("é"), Just("\\\""),
        ], 0..3).prop_map(|parts| format!("\"{}\"", parts.concat())),
    ];
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        any::<i32>().prop_map(|n| n.to_string()),
        (-999i32..999, 0u32..99, -9i32..9).prop_map(|(a, b, c)| format!("{a}.{b}e{c}")),
        string.clone(),
    ];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|v| format!("[{}]", v.join(" ,\n"))),
            prop::collection::vec((string.clone(), inner), 0..4).prop_map(|v| {
                let members: Vec<_> = v.iter().map(|(k, v)| format!("{k} : {v}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

/// Whether serde_json keeps every member, that is, saw no duplicate.
fn count(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Array(items) => 1 + items.iter().map(count).sum::<usize>(),
        serde_json::Value::Object(members) => 1 + members.values().map(|v| 1 + count(v)).sum::<usize>(),
        _ => 1,
    }
}

fn rebuild(value: Value<'_>) -> serde_json::Value {
    match value.kind() {
        Kind::Array => value.items().map(rebuild).collect(),
        Kind::Object => {
            let members = value.members();
            members.map(|m| (m.key.decoded().into_owned(), rebuild(m.value))).collect()
        }
        Kind::String => value.as_str().unwrap().into(),
        _ => serde_json::from_str(value.raw()).unwrap(),
    }
}

fn agrees_with_serde(text: &[u8]) -> Result<(), TestCaseError> {
    let theirs = serde_json::from_slice::<serde_json::Value>(text);
    let parsed = Document::parse_value(Bytes::copy_from_slice(text), &Limits::REQUEST, IndexDepth::Full);
    prop_assert_eq!(validate(text, &Limits::REQUEST).err(), parsed.as_ref().err().copied());
    match (parsed, theirs) {
        (Ok(doc), Ok(theirs)) => {
            prop_assert_eq!(doc.node_count(), count(&theirs));
            prop_assert_eq!(rebuild(doc.root()), theirs);
        }
        // The one thing serde_json refuses on top: numbers no double can hold.
        (Ok(_), Err(error)) => {
            prop_assert!(error.to_string().contains("out of range"), "{}", error)
        }
        (Err(DecodeError::DuplicateKey { .. }), Ok(_)) => {}
        (Err(error), Ok(_)) => prop_assert!(false, "only we refuse: {}", error),
        (Err(_), Err(_)) => {}
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn accepts_what_serde_accepts(text in texts()) {
        agrees_with_serde(text.as_bytes())?;
    }

    #[test]
    fn refuses_what_serde_refuses(text in texts(), at in any::<prop::sample::Index>(), byte in any::<u8>(), how in 0..3) {
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        match how {
            0 => bytes[at] = byte,
            1 => { bytes.remove(at); }
            _ => bytes.insert(at, byte),
        }
        agrees_with_serde(&bytes)?;
    }

    #[test]
    fn survives_any_bytes(bytes in prop::collection::vec(prop_oneof![
        Just(b'"'), Just(b'\\'), Just(b'{'), Just(b'}'), Just(b'['), Just(b']'), Just(b','), Just(b':'),
        Just(b'u'), Just(b'd'), Just(b'8'), Just(b'0'), Just(b'e'), Just(b'-'), Just(b'.'), any::<u8>(),
    ], 0..60)) {
        agrees_with_serde(&bytes)?;
    }

    #[test]
    fn the_index_is_sound_at_every_depth(text in texts(), levels in 0u16..6) {
        let parsed = Document::parse_value(text.clone().into(), &Limits::REQUEST, IndexDepth::Levels(levels));
        let full = Document::parse_value(text.into(), &Limits::REQUEST, IndexDepth::Full);
        prop_assert_eq!(parsed.as_ref().err(), full.as_ref().err());
        if let (Ok(shallow), Ok(full)) = (parsed, full) {
            let texts = |doc: &Document| doc.root().leaves().map(|l| (l.is_key, l.span)).collect::<Vec<_>>();
            prop_assert_eq!(texts(&shallow), texts(&full));
            for index in 0..shallow.node_count() as u32 {
                let pointer = shallow.pointer_of(NodeId(index));
                prop_assert!(full.pointer(&pointer).is_some());
                if let Some(value) = shallow.value(NodeId(index)) {
                    prop_assert_eq!(full.pointer(&pointer).unwrap().span(), value.span());
                }
            }
        }
    }
}
