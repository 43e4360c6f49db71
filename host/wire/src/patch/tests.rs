//! Hand-made cases, and a random run against edits on a serde_json tree.

use super::*;
use crate::json::quote;
use proptest::prelude::*;
use serde_json::Value as Tree;

fn parse(text: &str) -> Document {
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    Document::parse_value(bytes, &Limits::REQUEST, IndexDepth::Full).unwrap()
}

/// Applies edits and checks the result is one valid text.
fn edited(text: &str, edit: impl FnOnce(&mut Patch<'_>, &Document)) -> Result<String, PatchError> {
    let doc = parse(text);
    let mut patch = Patch::new(&doc);
    edit(&mut patch, &doc);
    let bytes = patch.apply()?;
    crate::json::validate(&bytes, &Limits::REQUEST).unwrap();
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

fn removing(text: &str, pointers: &[&str]) -> String {
    edited(text, |patch, doc| {
        for pointer in pointers {
            patch.remove(doc.pointer(pointer).unwrap());
        }
    })
    .unwrap()
}

#[test]
fn untouched_bytes_stay_as_sent() {
    let text = "{ \"z\" : 1.10 ,\n\t\"a\":\"\\u0041\" , \"n\":1e2 }";
    let out = edited(text, |patch, doc| patch.replace(doc.root().get("a").unwrap(), "0"));
    assert_eq!(out.unwrap(), "{ \"z\" : 1.10 ,\n\t\"a\":0 , \"n\":1e2 }");
}

#[test]
fn no_edit_shares_the_original() {
    let doc = parse("[1]");
    let out = Patch::new(&doc).apply().unwrap();
    assert_eq!(out.as_ptr(), doc.bytes().as_ptr());
}

#[test]
fn removal_takes_the_right_comma() {
    let text = r#"{"a":1, "b":2 , "c":3}"#;
    for (pointers, expected) in [
        (&["/a"][..], r#"{"b":2 , "c":3}"#),
        (&["/b"], r#"{"a":1 , "c":3}"#),
        (&["/c"], r#"{"a":1, "b":2}"#),
        (&["/a", "/b"], r#"{"c":3}"#),
        (&["/b", "/c"], r#"{"a":1}"#),
        (&["/c", "/a"], r#"{"b":2}"#),
        (&["/a", "/b", "/c"], "{}"),
        (&["/a", "/a"], r#"{"b":2 , "c":3}"#),
    ] {
        assert_eq!(removing(text, pointers), expected, "{pointers:?}");
    }
    assert_eq!(removing("[ 1 , [2,3] , 4 ]", &["/1/0", "/2", "/1/1"]), "[ 1 , [] ]");
}

#[test]
fn insertions_fit_empty_full_and_emptied_objects() {
    for (text, removed, expected) in [
        ("{}", &[][..], r#"{"x":1,"y":2}"#),
        ("{ \n}", &[], r#"{"x":1,"y":2 }"#),
        (r#"{"a":0 }"#, &[], r#"{"a":0,"x":1,"y":2 }"#),
        (r#"{"a":0 }"#, &["/a"], r#"{"x":1,"y":2 }"#),
        (r#"{"a":0,"b":1}"#, &["/a"], r#"{"b":1,"x":1,"y":2}"#),
        (r#"{"a":0,"b":1}"#, &["/b"], r#"{"a":0,"x":1,"y":2}"#),
        (r#"{"x":0,"b":1}"#, &["/x"], r#"{"b":1,"x":1,"y":2}"#),
    ] {
        let out = edited(text, |patch, doc| {
            patch.insert(doc.root(), "x", "1");
            for pointer in removed {
                patch.remove(doc.pointer(pointer).unwrap());
            }
            patch.insert(doc.root(), "y", "2");
        });
        let flat = out.unwrap().replace('\n', "").replace("{ \"", "{\"");
        assert_eq!(flat, expected, "{text} {removed:?}");
    }
}

#[test]
fn items_append_below_the_indexed_depth_too() {
    let text = r#"{"a":[[1], [ ]]}"#;
    let doc = Document::parse_value(text.into(), &Limits::REQUEST, IndexDepth::Levels(2)).unwrap();
    let mut patch = Patch::new(&doc);
    patch.append(doc.pointer("/a/0").unwrap(), "2");
    patch.append(doc.pointer("/a/1").unwrap(), "3");
    patch.append(doc.pointer("/a").unwrap(), "4");
    assert_eq!(patch.apply().unwrap(), r#"{"a":[[1,2], [3 ],4]}"#);
}

#[test]
fn splices_keep_the_escapes_around_them() {
    let text = r#"["\u0041b\ud83d\ude00\/d é"]"#;
    for (a, b, new, expected) in [
        (0, 0, "<", r#"["<\u0041b\ud83d\ude00\/d é"]"#),
        (0, 1, "", r#"["b\ud83d\ude00\/d é"]"#),
        (1, 2, "\"\n", r#"["\u0041\"\n\ud83d\ude00\/d é"]"#),
        (2, 6, ":)", r#"["\u0041b:)\/d é"]"#),
        (6, 8, "X", r#"["\u0041b\ud83d\ude00X é"]"#),
        (9, 11, "e", r#"["\u0041b\ud83d\ude00\/d e"]"#),
        (11, 11, ">", r#"["\u0041b\ud83d\ude00\/d é>"]"#),
    ] {
        let out = edited(text, |patch, doc| {
            let value = doc.pointer("/0").unwrap();
            patch.splice_str(value, a, b, new).unwrap();
        });
        assert_eq!(out.unwrap(), expected, "{a}..{b}");
    }
}

#[test]
fn splices_refuse_what_cuts_or_leaves_the_string() {
    for text in [r#"["é\ud83d\ude00"]"#, "[\"é😀\"]"] {
        let doc = parse(text);
        let value = doc.pointer("/0").unwrap();
        let mut patch = Patch::new(&doc);
        for (a, b) in [(1, 2), (0, 1), (2, 3), (2, 4), (2, 5), (6, 7), (7, 7), (2, 0), (0, usize::MAX)] {
            assert_eq!(patch.splice_str(value, a, b, ""), Err(PatchError::Bounds), "{a}..{b}");
        }
        assert!(patch.is_empty());
        let wrong = patch.splice_str(doc.root(), 0, 0, "");
        assert_eq!(wrong, Err(PatchError::WrongKind { offset: 0 }));
    }
}

#[test]
fn several_splices_of_one_string_go_in_any_order() {
    let out = edited(r#"["a\u0062cdef"]"#, |patch, doc| {
        let value = doc.pointer("/0").unwrap();
        for (a, b, new) in [(4, 6, "E"), (0, 1, "A"), (1, 1, "1"), (1, 1, "2"), (1, 2, "B")] {
            patch.splice_str(value, a, b, new).unwrap();
        }
    });
    assert_eq!(out.unwrap(), r#"["A12BcdE"]"#);
}

#[test]
fn keys_are_spliced_and_may_not_collide() {
    let rename = |new: &str, remove: Option<&str>| {
        edited(r#"{"o":{"a\u0062":1,"x":2}}"#, |patch, doc| {
            let object = doc.pointer("/o").unwrap();
            let member = object.member("ab").unwrap();
            patch.splice_key(member.key, 0, 2, new).unwrap();
            patch.replace(member.value, "9");
            if let Some(key) = remove {
                patch.remove(object.get(key).unwrap());
            }
        })
    };
    assert_eq!(rename("c", None).unwrap(), r#"{"o":{"c":9,"x":2}}"#);
    assert_eq!(rename("x", None), Err(PatchError::DuplicateKey { offset: 5 }));
    assert_eq!(rename("x", Some("x")).unwrap(), r#"{"o":{"x":9}}"#);
}

#[test]
fn mistakes_are_told_apart() {
    let text = r#"{"a":{"b":[1]},"s":"xyz"}"#;
    type EditFn = fn(&mut Patch<'_>, &Document);
    let cases: &[(EditFn, PatchError)] = &[
        (|p, d| p.remove(d.root()), PatchError::Root),
        (
            |p, d| {
                p.replace(d.pointer("/a").unwrap(), "1");
                p.replace(d.pointer("/a").unwrap(), "2")
            },
            PatchError::Overlap { offset: 5 },
        ),
        (
            |p, d| {
                p.replace(d.pointer("/a").unwrap(), "1");
                p.remove(d.pointer("/a/b/0").unwrap())
            },
            PatchError::Overlap { offset: 5 },
        ),
        (
            |p, d| {
                p.remove(d.pointer("/a").unwrap());
                p.replace(d.pointer("/a/b").unwrap(), "1")
            },
            PatchError::Overlap { offset: 1 },
        ),
        (
            |p, d| {
                p.remove(d.pointer("/a").unwrap());
                p.replace(d.pointer("/a").unwrap(), "1")
            },
            PatchError::Overlap { offset: 1 },
        ),
        (
            |p, d| {
                p.replace(d.pointer("/a").unwrap(), "{}");
                p.insert(d.pointer("/a").unwrap(), "k", "1")
            },
            PatchError::Overlap { offset: 5 },
        ),
        (
            |p, d| {
                let s = d.pointer("/s").unwrap();
                p.splice_str(s, 0, 2, "").unwrap();
                p.splice_str(s, 1, 3, "").unwrap()
            },
            PatchError::Overlap { offset: 21 },
        ),
        (
            |p, d| {
                let s = d.pointer("/s").unwrap();
                p.splice_str(s, 0, 2, "").unwrap();
                p.replace(s, "1")
            },
            PatchError::Overlap { offset: 19 },
        ),
        (
            |p, d| {
                let s = d.pointer("/s").unwrap();
                p.splice_str(s, 0, 2, "").unwrap();
                p.remove(s)
            },
            PatchError::Overlap { offset: 15 },
        ),
        (|p, d| p.insert(d.pointer("/s").unwrap(), "k", "1"), PatchError::WrongKind { offset: 19 }),
        (|p, d| p.append(d.pointer("/a").unwrap(), "1"), PatchError::WrongKind { offset: 5 }),
        (|p, d| p.insert(d.root(), "s", "1"), PatchError::DuplicateKey { offset: 0 }),
        (
            |p, d| {
                p.insert(d.root(), "n", "1");
                p.insert(d.root(), "n", "1")
            },
            PatchError::DuplicateKey { offset: 0 },
        ),
        (|p, _| p.remove(parse("[1]").pointer("/0").unwrap()), PatchError::Foreign),
    ];
    for (index, (edit, expected)) in cases.iter().enumerate() {
        assert_eq!(edited(text, edit).as_ref(), Err(expected), "case {index}");
    }
}

#[test]
fn a_key_cannot_be_added_where_the_index_does_not_reach() {
    let doc = Document::parse(r#"{"a":{"b":1}}"#.into(), &Limits::REQUEST, IndexDepth::Levels(1)).unwrap();
    let mut patch = Patch::new(&doc);
    patch.insert(doc.root().get("a").unwrap(), "c", "2");
    assert_eq!(patch.apply(), Err(PatchError::Shallow { offset: 5 }));
}

#[test]
fn a_raw_value_gone_wrong_is_caught_when_checked() {
    let doc = parse("[1]");
    let mut patch = Patch::new(&doc);
    patch.replace(doc.pointer("/0").unwrap(), "1,");
    let out = patch.apply_document(&Limits::REQUEST, IndexDepth::Full);
    assert!(matches!(out, Err(PatchError::Decode(_))));
}

#[test]
fn a_large_list_is_thinned_out_in_linear_time() {
    let items: Vec<String> = (0..50_000).map(|n| n.to_string()).collect();
    let out = edited(&format!("[{}]", items.join(",")), |patch, doc| {
        for item in doc.root().items().filter(|item| item.as_u64() != Some(777)) {
            patch.remove(item);
        }
    });
    assert_eq!(out.unwrap(), "[777]");
}

/// An edit chosen by numbers, applied to both the text and the tree.
#[derive(Debug, Clone)]
struct Choice {
    target: prop::sample::Index,
    how: u8,
    a: prop::sample::Index,
    b: prop::sample::Index,
    text: String,
}

fn choices() -> impl Strategy<Value = Vec<Choice>> {
    let index = any::<prop::sample::Index>;
    let choice =
        (index(), 0u8..6, index(), index(), "[a-zé\"\\\\]{0,3}").prop_map(|(target, how, a, b, text)| Choice { target, how, a, b, text });
    prop::collection::vec(choice, 1..6)
}

fn trees() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        Just(Tree::Null),
        any::<bool>().prop_map(Tree::from),
        any::<i64>().prop_map(Tree::from),
        "[a-cé😀\"\n]{0,6}".prop_map(Tree::from),
    ];
    leaf.prop_recursive(4, 30, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Tree::from),
            prop::collection::vec(("[a-d]{1,2}", inner), 0..5).prop_map(|members| Tree::Object(members.into_iter().collect())),
        ]
    })
}

/// Writes a tree with white space and needless escapes.
fn write(tree: &Tree, seed: &mut u64, out: &mut String) {
    let mut blank = |out: &mut String| {
        *seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        out.push_str(["", " ", "\n", "\t "][(*seed >> 60) as usize % 4]);
        (*seed >> 50) & 1 == 0
    };
    let mut string = |text: &str, out: &mut String| {
        let escaped = blank(out);
        if !escaped {
            return out.push_str(&quote(text));
        }
        out.push('"');
        let mut units = [0; 2];
        for c in text.chars() {
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
        out.push('"');
    };
    match tree {
        Tree::String(text) => string(text, out),
        Tree::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { " , " } else { "" });
                write(item, seed, out);
            }
            out.push(']');
        }
        Tree::Object(members) => {
            out.push('{');
            for (index, (key, value)) in members.iter().enumerate() {
                out.push_str(if index > 0 { ",\n" } else { " " });
                out.push_str(&quote(key));
                out.push(':');
                write(value, seed, out);
            }
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
}

/// The same edit on the tree; only called for edits that do not overlap.
fn on_tree(tree: &mut Tree, pointer: &str, edit: &Planned) {
    match edit {
        Planned::Replace(new) => *tree.pointer_mut(pointer).unwrap() = new.clone(),
        Planned::Insert(key, new) => {
            let object = tree.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
            object.insert(key.clone(), new.clone());
        }
        Planned::Append(new) => {
            tree.pointer_mut(pointer).unwrap().as_array_mut().unwrap().push(new.clone());
        }
        Planned::Splice(a, b, new) => {
            let Tree::String(text) = tree.pointer_mut(pointer).unwrap() else { panic!() };
            text.replace_range(*a..*b, new);
        }
        // Taken out last, by a marker, so that array positions stay valid until then.
        Planned::Remove => *tree.pointer_mut(pointer).unwrap() = Tree::from(MARK),
    }
}

const MARK: &str = "\u{1}removed\u{1}";

fn sweep(tree: &mut Tree) {
    match tree {
        Tree::Array(items) => {
            items.retain(|item| item != MARK);
            items.iter_mut().for_each(sweep);
        }
        Tree::Object(members) => {
            members.retain(|_, value| value != MARK);
            members.values_mut().for_each(sweep);
        }
        _ => {}
    }
}

#[derive(Debug, Clone)]
enum Planned {
    Replace(Tree),
    Remove,
    Insert(String, Tree),
    Append(Tree),
    Splice(usize, usize, String),
}

/// Turns a choice into an edit that suits its target.
fn plan(value: Value<'_>, choice: &Choice, serial: usize) -> Planned {
    let new = Tree::from(choice.text.clone());
    match (choice.how, value.kind()) {
        (0 | 1, _) if value.node().index() > 0 => Planned::Remove,
        (2 | 3, Kind::Object) => Planned::Insert(format!("new {serial} {}", choice.text), new),
        (2 | 3, Kind::Array) => Planned::Append(new),
        (4 | 5, Kind::String) => {
            let text = value.as_str().unwrap();
            let mut bounds: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
            bounds.push(text.len());
            let (a, b) = (*choice.a.get(&bounds), *choice.b.get(&bounds));
            Planned::Splice(a.min(b), a.max(b), choice.text.clone())
        }
        _ => Planned::Replace(new),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn edits_do_to_bytes_what_they_do_to_a_tree(tree in trees(), mut seed in any::<u64>(), choices in choices()) {
        let mut text = String::new();
        write(&tree, &mut seed, &mut text);
        let doc = parse(&text);
        let mut oracle = tree.clone();
        let mut patch = Patch::new(&doc);
        // Node ranges that later edits must stay out of, and nodes edited already.
        let mut closed: Vec<std::ops::Range<u32>> = Vec::new();
        let mut used: Vec<u32> = Vec::new();
        for (serial, choice) in choices.iter().enumerate() {
            let nodes: Vec<_> = (0..doc.node_count() as u32).filter_map(|n| doc.value(crate::json::NodeId(n))).collect();
            let value = *choice.target.get(&nodes);
            let node = value.node().index();
            let planned = plan(value, choice, serial);
            let whole = node..value.after().index();
            let covers = matches!(planned, Planned::Replace(_) | Planned::Remove);
            let adds = matches!(planned, Planned::Insert(..) | Planned::Append(_));
            let is_taken = closed.iter().any(|range| range.contains(&node))
                || (covers && used.iter().any(|used| whole.contains(used)))
                || (!adds && used.contains(&node));
            if is_taken {
                continue;
            }
            used.push(node);
            if covers {
                closed.push(whole);
            }
            let pointer = doc.pointer_of(value.node());
            match &planned {
                Planned::Replace(new) => patch.replace(value, new.to_string()),
                Planned::Remove => patch.remove(value),
                Planned::Insert(key, new) => patch.insert(value, key, new.to_string()),
                Planned::Append(new) => patch.append(value, new.to_string()),
                Planned::Splice(a, b, new) => patch.splice_str(value, *a, *b, new).unwrap(),
            }
            on_tree(&mut oracle, &pointer, &planned);
        }
        sweep(&mut oracle);
        let out = patch.apply().unwrap();
        prop_assert_eq!(crate::json::validate(&out, &Limits::REQUEST), Ok(()));
        let out: Tree = serde_json::from_slice(&out).unwrap();
        prop_assert_eq!(out.to_string(), oracle.to_string());
    }

    #[test]
    fn splices_do_to_a_string_what_replace_range_does(
        text in "[a-cé😀\"\n]{0,12}", cuts in prop::collection::vec((any::<prop::sample::Index>(), "[xé\"]{0,2}"), 0..6), mut seed in any::<u64>(),
    ) {
        let mut raw = String::new();
        write(&Tree::from(text.clone()), &mut seed, &mut raw);
        let doc = parse(&raw);
        let mut bounds: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        bounds.push(text.len());
        let mut points: Vec<(usize, String)> = cuts.iter().map(|(i, new)| (*i.get(&bounds), new.clone())).collect();
        points.sort();
        points.dedup_by_key(|point| point.0);
        let mut patch = Patch::new(&doc);
        let mut oracle = text.clone();
        for pair in points.chunks(2).rev() {
            let (a, b) = (pair[0].0, pair[pair.len() - 1].0);
            patch.splice_str(doc.root(), a, b, &pair[0].1).unwrap();
            oracle.replace_range(a..b, &pair[0].1);
        }
        let out = patch.apply().unwrap();
        prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), oracle);
    }
}
