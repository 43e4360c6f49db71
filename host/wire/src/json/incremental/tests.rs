//! Against the pass over the whole text, for every way to cut it.

use super::*;
use crate::json::{Document, IndexDepth, Kind, Limits, Value, escape_into};
use bytes::Bytes;
use proptest::prelude::*;

const PASSING: PassingLimits = PassingLimits { bytes_max: 4096, depth_max: 5, nodes_max: 60, keys_max: 60, path_bytes_max: 4096 };
const WHOLE: Limits = Limits { bytes_max: 4096, depth_max: 5, nodes_max: 60 };

/// What a sink hears: the text again, and its strings and names with their places.
#[derive(Default, Debug, PartialEq)]
struct Heard {
    text: Vec<u8>,
    strings: Vec<(String, bool, String)>,
    now: String,
}

impl Sink for Heard {
    fn token(&mut self, at: Place<'_>, token: Token<'_>) {
        match token {
            Token::Open(byte) | Token::Close(byte) => self.text.push(byte),
            Token::Comma => self.text.push(b','),
            Token::Colon => self.text.push(b':'),
            Token::Space(raw) | Token::Scalar(raw) => self.text.extend_from_slice(raw),
            Token::Begin { .. } => {
                self.text.push(b'"');
                self.now.clear();
            }
            Token::Text { raw, decoded } => {
                assert!(!decoded.is_empty());
                self.text.extend_from_slice(raw);
                self.now.push_str(decoded);
            }
            Token::End { key } => {
                self.text.push(b'"');
                self.strings.push((at.pointer(), key, std::mem::take(&mut self.now)));
                assert_eq!(at.pointer().matches('/').count(), at.depth());
            }
        }
    }
}

fn pass(text: &[u8], cuts: &[usize], limits: PassingLimits) -> Result<Heard, DecodeError> {
    let mut pass = Incremental::new(limits);
    let mut heard = Heard::default();
    let mut from = 0;
    for &cut in cuts.iter().chain([&text.len()]) {
        let to = cut.clamp(from, text.len());
        pass.push(&text[from..to], &mut heard)?;
        from = to;
    }
    pass.finish().map(|()| heard)
}

fn strings(value: Value<'_>, pointer: &str, out: &mut Vec<(String, bool, String)>) {
    match value.kind() {
        Kind::String => out.push((pointer.to_owned(), false, value.as_str().unwrap().into_owned())),
        Kind::Array => value.items().enumerate().for_each(|(at, item)| strings(item, &format!("{pointer}/{at}"), out)),
        Kind::Object => value.members().for_each(|member| {
            let name = member.key.decoded().into_owned();
            let below = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
            out.push((below.clone(), true, name));
            strings(member.value, &below, out);
        }),
        _ => {}
    }
}

#[track_caller]
fn agree(text: &[u8], cuts: &[usize]) {
    let whole = Document::parse(Bytes::copy_from_slice(text), &WHOLE, IndexDepth::Full);
    let passed = pass(text, cuts, PASSING);
    assert_eq!(whole.is_ok(), passed.is_ok(), "{:?} {whole:?} {passed:?} {cuts:?}", String::from_utf8_lossy(text));
    let (Ok(document), Ok(heard)) = (whole, passed) else { return };
    assert_eq!(heard.text, text);
    let mut expected = Vec::new();
    strings(document.root(), "", &mut expected);
    assert_eq!(heard.strings, expected);
}

const SAMPLES: &[&str] = &[
    r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"a\u00e9\ud83d\ude00\n\"\\\/é€😀"}],"n":[-0,1.5e+10,0E-1,true,false,null,[],{}]}}"#,
    " [ 1 , \"\" , { } , { \"a/b~c\" : { \"\" : \"x\" } } ]\r\n\t",
    r#"{"a":1,"\u0061":2}"#,
    r#"{"a":{"b":1},"b":{"b":1}}"#,
    r#"{"Method":1}"#,
    r#"{"par\u0061ms":{"Name":1}}"#,
    r#"{"params":[{"Name":1}]}"#,
    r#"{"param\u017f":1}"#,
    r#""\ud800""#,
    r#""\udc00""#,
    r#""\ud800\u0041""#,
    r#""\ud800x""#,
    r#""\x""#,
    r#""\u00g0""#,
    "\"a\nb\"",
    "01",
    "-",
    "-01",
    "1.",
    "1e",
    "1e+",
    "+1",
    "tru",
    "truE",
    "[1,]",
    "{,}",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1,}",
    "[1}",
    "{\"a\":1]",
    "]",
    "1 2",
    "{}{}",
    "",
    " ",
    "[[[[[]]]]]",
    "[[[[[[]]]]]]",
    "{a:1}",
    "nullnull",
    "12",
    "12 ",
    "\"abc",
];

#[test]
fn every_cut_of_every_sample_agrees_with_the_whole() {
    for sample in SAMPLES {
        let text = sample.as_bytes();
        for one in 0..=text.len() {
            agree(text, &[one]);
        }
        let each: Vec<usize> = (0..text.len()).collect();
        agree(text, &each);
    }
    for bad in [&b"\"\x7f\xc0\xaf\""[..], b"\"\xed\xa0\x80\"", b"\"\xe2\x82\"", b"\xef\xbb\xbf{}", b"\"\xf0\x9f\x98\"", b"{\"\xe2\":1}"] {
        for one in 0..=bad.len() {
            agree(bad, &[one]);
        }
        agree(bad, &(0..bad.len()).collect::<Vec<_>>());
    }
}

#[test]
fn limits_hold_exactly() {
    let limits = PassingLimits { bytes_max: 20, depth_max: 2, nodes_max: 7, keys_max: 3, path_bytes_max: 4 };
    let check = |text: &str| pass(text.as_bytes(), &[3, 7], limits).map(drop);
    assert_eq!(check(r#"{"abcd":["123456"]}"#), Ok(()));
    assert_eq!(check(r#"{"abcd":["1234567"]}x"#), Err(DecodeError::TooLarge { limit: 20 }));
    assert_eq!(check("[[[]]]"), Err(DecodeError::Depth { limit: 2 }));
    assert_eq!(check("[1,1,1,1,1,1]"), Ok(()));
    assert_eq!(check("[1,1,1,1,1,1,1]"), Err(DecodeError::Nodes { limit: 7 }));
    assert_eq!(check(r#"{"abcde":1}"#), Err(DecodeError::LongNames { limit: 4 }));
    assert_eq!(check(r#"{"ab":{"cde":1}}"#), Err(DecodeError::LongNames { limit: 4 }));
    assert_eq!(check(r#"{"ab":1,"cde":1}"#), Ok(()));
    let keys = PassingLimits { nodes_max: 100, bytes_max: 100, ..limits };
    let check = |text: &str| pass(text.as_bytes(), &[], keys).map(drop);
    assert_eq!(check(r#"[{"a":1,"b":1,"c":1},{"a":1,"b":1}]"#), Ok(()), "those of closed objects are forgotten");
    assert_eq!(check(r#"[{"a":1,"b":1,"c":1,"d":1}]"#), Err(DecodeError::Nodes { limit: 3 }));
}

#[test]
fn a_large_object_has_each_key_once() {
    let limits = PassingLimits { bytes_max: 1 << 30, depth_max: 9, nodes_max: 1 << 30, keys_max: 1 << 20, path_bytes_max: 100 };
    let members: Vec<String> = (0..40_000).map(|n| format!("\"k{n}\":{n}")).collect();
    let mut text = format!("{{{}}}", members.join(","));
    assert!(pass(text.as_bytes(), &[], limits).is_ok());
    text.insert_str(text.len() - 1, ",\"k17\":0");
    assert!(matches!(pass(text.as_bytes(), &[], limits), Err(DecodeError::DuplicateKey { .. })));
}

/// JSON with anything in its strings, some of it escaped where it need not be; sometimes broken.
fn texts() -> impl Strategy<Value = Vec<u8>> {
    let name = prop_oneof!["[a-c]{0,2}", Just("params".to_owned()), Just("id".to_owned()), Just("Name".to_owned()), any::<String>()];
    let string = (name, any::<bool>()).prop_map(|(text, is_escaped)| {
        let mut out = vec![b'"'];
        if is_escaped {
            text.encode_utf16().for_each(|unit| out.extend_from_slice(format!("\\u{unit:04x}").as_bytes()));
        } else {
            escape_into(&mut out, &text);
        }
        out.push(b'"');
        String::from_utf8(out).unwrap()
    });
    let scalar =
        prop_oneof!["-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?", Just("true".to_owned()), Just("null".to_owned())];
    let value = prop_oneof![string.clone(), scalar].prop_recursive(6, 40, 5, move |inner| {
        let pair = (string.clone(), inner.clone()).prop_map(|(name, value)| format!("{name} :{value}"));
        prop_oneof![
            prop::collection::vec(inner, 0..5).prop_map(|items| format!("[{}]", items.join(" ,"))),
            prop::collection::vec(pair, 0..5).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    });
    (value, prop::option::of((any::<prop::sample::Index>(), any::<u8>()))).prop_map(|(text, spoilt)| {
        let mut text = text.into_bytes();
        if let Some((at, byte)) = spoilt {
            let at = at.index(text.len());
            text[at] = byte;
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]
    #[test]
    fn any_cut_agrees_with_the_whole(text in texts(), cuts in prop::collection::vec(0_usize..400, 0..6)) {
        let mut cuts = cuts;
        cuts.sort_unstable();
        agree(&text, &cuts);
    }

    #[test]
    fn any_bytes_agree_with_the_whole(text in prop::collection::vec(prop::sample::select(&b"{}[]:,\"\\u0d8c1-.eEtrufalsn \n\xc3\xa9\xf0"[..]), 0..24), cut in 0_usize..24) {
        agree(&text, &[cut]);
    }
}
