//! Edits of a small contract, each with what is said of it.

use sluice_contract::{Change, Contract, compare};

const CONTRACT: &str = "package sluice:small@0.1.0;

interface types {
  type json = string;
  enum level { low, high }
  flags rights { read, write }
  record head { id: u64, name: option<string> }
  variant verdict { next, reply(json), other(tuple<string, json>) }
  resource exchange {
    attr: func(key: string) -> option<string>;
  }
}

interface kv {
  use types.{json};
  variant error { denied, late(string) }
  resource bucket {
    open: static func(name: string) -> result<bucket, error>;
    get: func(key: string) -> option<json>;
    incr: func(key: string, by: s64) -> result<s64, error>;
  }
  flush: func();
}

interface describe {
  describe: func() -> string;
}

interface on-request {
  use types.{head, exchange, verdict};
  record note { text: string }
  on-request: func(h: head, x: borrow<exchange>) -> verdict;
}

world plugin {
  export describe;
}

world everything {
  include plugin;
  import kv;
  export on-request;
}
";

/// The contract with this in the place of that, and what is said: `+` is fine, `-` is refused.
type Edit<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);

fn said(changes: &[Change]) -> Vec<String> {
    changes.iter().map(|change| format!("{}{}", if change.breaks.is_some() { '-' } else { '+' }, change.what)).collect()
}

fn edited(replacements: &[(&str, &str)]) -> Contract {
    let text = replacements.iter().fold(CONTRACT.to_owned(), |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "{from:?} does not stand once in the contract");
        text.replace(from, to)
    });
    Contract::parse(&text).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn check(edits: &[Edit<'_>]) {
    let released = edited(&[]);
    for (replacements, expected) in edits {
        assert_eq!(said(&compare(&released, &edited(replacements))), *expected, "{replacements:?}");
    }
}

#[test]
fn nothing_changed_without_a_change() {
    check(&[
        (&[], &[]),
        (&[("interface kv {", "/// Keys and values.\ninterface kv {")], &[]),
        // Order counts in types alone.
        (
            &[
                ("interface describe {\n  describe: func() -> string;\n}\n", ""),
                ("world plugin", "interface describe { describe: func() -> string; }\nworld plugin"),
            ],
            &[],
        ),
        // An alias has no place in a binary.
        (&[("get: func(key: string) -> option<json>", "get: func(key: string) -> option<string>")], &[]),
        // Neither has a record, where it was declared.
        (
            &[
                ("record head { id: u64, name: option<string> }", "use heads.{head};"),
                ("interface kv {", "interface heads { record head { id: u64, name: option<string> } }\ninterface kv {"),
            ],
            &["+the interface heads is new", "+the world everything imports heads"],
        ),
    ]);
}

#[test]
fn what_the_host_gives_may_grow() {
    check(&[
        (&[("interface kv {", "interface mail { send: func(); }\ninterface kv {")], &["+the interface mail is new"]),
        (
            &[("interface kv {", "interface mail { send: func(); }\ninterface kv {"), ("import kv;", "import kv; import mail;")],
            &["+the interface mail is new", "+the world everything imports mail"],
        ),
        (&[("flush: func();", "flush: func(); sync: func();")], &["+the function kv.sync is new"]),
        (&[("get: func(key: string)", "has: func() -> bool; get: func(key: string)")], &["+the function kv.bucket.has is new"]),
        (&[("flush: func();", "record entry { key: string } flush: func();")], &["+the type kv.entry is new"]),
        (&[("flush: func();", "resource cursor; flush: func();")], &["+the type kv.cursor is new"]),
    ]);
}

#[test]
fn plugins_may_have_hooks_that_earlier_ones_have_not() {
    let hook = ("world plugin", "interface on-response { on-response: func(); }\nworld plugin");
    check(&[
        (
            &[hook, ("export on-request;", "export on-request; export on-response;")],
            &["+the interface on-response is new", "+the world everything exports on-response"],
        ),
        // Where every world exports it, the host may ask each plugin for it.
        (
            &[hook, ("export describe;", "export describe; export on-response;")],
            &[
                "+the interface on-response is new",
                "-every world exports on-response now, so every plugin must",
                "+the world plugin exports on-response",
                "+the world everything exports on-response",
            ],
        ),
        (
            &[("export describe;", "export describe; export on-request;")],
            &[
                "-every world exports on-request now, so every plugin must",
                "+the world plugin imports types",
                "+the world plugin exports on-request",
            ],
        ),
        (&[("world everything", "world small { import kv; }\nworld everything")], &["+the world small is new"]),
        // A new world hides nothing.
        (
            &[hook, ("export describe;", "export describe; export on-response;"), ("world everything", "world small {}\nworld everything")],
            &[
                "+the interface on-response is new",
                "-every world exports on-response now, so every plugin must",
                "+the world plugin exports on-response",
                "+the world everything exports on-response",
                "+the world small is new",
            ],
        ),
    ]);
}

#[test]
fn what_plugins_give_is_what_they_were_built_with() {
    check(&[
        (&[("describe: func() -> string;", "describe: func() -> string; more: func();")], &["-the function describe.more is new"]),
        (&[("record note { text: string }", "record note { text: string } resource thing;")], &["-the type on-request.thing is new"]),
        (
            &[("record note { text: string }", "record note { text: string } record later { a: u8 }")],
            &["+the type on-request.later is new"],
        ),
        (&[("  on-request: func(h: head, x: borrow<exchange>) -> verdict;\n", "")], &["-the function on-request.on-request is gone"]),
        (&[("export on-request;", "")], &["-no world exports on-request any more"]),
    ]);
}

#[test]
fn nothing_goes_away() {
    check(&[
        (&[("  flush: func();\n", "")], &["-the function kv.flush is gone"]),
        (&[("  flush: func();", "  empty: func();")], &["-the function kv.flush is gone", "+the function kv.empty is new"]),
        (&[("    incr: func(key: string, by: s64) -> result<s64, error>;\n", "")], &["-the function kv.bucket.incr is gone"]),
        (&[("record note { text: string }", "")], &["-the type on-request.note is gone"]),
        (&[("import kv;", "")], &["-no world imports kv any more"]),
        (
            &[("interface kv {", "interface store {"), ("import kv;", "import store;")],
            &["-the interface kv is gone", "+the interface store is new", "+the world everything imports store"],
        ),
        (&[("world plugin {\n  export describe;\n}\n", ""), ("include plugin;", "export describe;")], &["-the world plugin is gone"]),
        (
            &[("export describe;", ""), ("include plugin;", "include plugin; export describe;")],
            &["-the world plugin no longer exports describe"],
        ),
        (
            &[
                ("type json = string;", "type text = string;"),
                ("reply(json)", "reply(text)"),
                ("other(tuple<string, json>)", "other(tuple<string, text>)"),
                ("use types.{json}", "use types.{text as json}"),
            ],
            &["-the type types.json is gone", "+the type types.text is new"],
        ),
        (
            &[("package sluice:small@0.1.0", "package sluice:little@0.1.0")],
            &["-the package is called sluice:little@0.1.0, was sluice:small@0.1.0"],
        ),
    ]);
}

#[test]
fn a_resource_goes_with_its_methods_and_stays_where_it_is_declared() {
    let gone = [
        ("  resource exchange {\n    attr: func(key: string) -> option<string>;\n  }\n", ""),
        ("use types.{head, exchange, verdict};", "use types.{head, verdict};"),
        ("(h: head, x: borrow<exchange>)", "(h: head)"),
    ];
    let moved = [
        ("  resource exchange {\n    attr: func(key: string) -> option<string>;\n  }\n", "  use lent.{exchange};\n"),
        ("interface types {", "interface lent { resource exchange { attr: func(key: string) -> option<string>; } }\ninterface types {"),
    ];
    let released = edited(&[]);
    let first = |replacements: &[(&str, &str)]| said(&compare(&released, &edited(replacements)))[0].clone();
    assert_eq!(first(&gone), "-the resource types.exchange is gone");
    assert_eq!(first(&moved), "-types.exchange is resource lent.exchange, was resource");
    assert!(!said(&compare(&released, &edited(&gone))).iter().any(|one| one.contains("attr")));
}

#[test]
fn signatures_are_what_they_were() {
    let incr = "incr: func(key: string, by: s64) -> result<s64, error>";
    check(&[
        (
            &[(incr, "incr: func(key: string, by: u64) -> result<s64, error>")],
            &["-kv.bucket.incr takes (key: string, by: u64), took (key: string, by: s64)"],
        ),
        (&[(incr, "incr: func(key: string) -> result<s64, error>")], &["-kv.bucket.incr takes (key: string), took (key: string, by: s64)"]),
        (
            &[(incr, "incr: func(key: string, by: s64, ttl: u32) -> result<s64, error>")],
            &["-kv.bucket.incr takes (key: string, by: s64, ttl: u32), took (key: string, by: s64)"],
        ),
        (
            &[(incr, "incr: func(by: s64, key: string) -> result<s64, error>")],
            &["-kv.bucket.incr takes (by: s64, key: string), took (key: string, by: s64)"],
        ),
        (
            &[(incr, "incr: func(name: string, by: s64) -> result<s64, error>")],
            &["-kv.bucket.incr takes (name: string, by: s64), took (key: string, by: s64)"],
        ),
        (
            &[(incr, "incr: func(key: string, by: s64) -> result<u64, error>")],
            &["-kv.bucket.incr returns result<u64, kv.error>, returned result<s64, kv.error>"],
        ),
        (&[(incr, "incr: func(key: string, by: s64)")], &["-kv.bucket.incr returns nothing, returned result<s64, kv.error>"]),
        (
            &[(incr, "incr: static func(key: string, by: s64) -> result<s64, error>")],
            &["-kv.bucket.incr is a static function, was a method"],
        ),
        (&[("flush: func();", "flush: async func();")], &["-kv.flush is an async function, was a function"]),
        (
            &[("x: borrow<exchange>", "x: exchange")],
            &["-on-request.on-request takes (h: types.head, x: types.exchange), took (h: types.head, x: borrow<types.exchange>)"],
        ),
        (&[("-> option<json>", "-> list<json>")], &["-kv.bucket.get returns list<types.json>, returned option<types.json>"]),
    ]);
}

#[test]
fn records_and_cases_are_frozen() {
    check(&[
        (
            &[("{ id: u64, name: option<string> }", "{ id: u64, name: option<string>, size: u32 }")],
            &["-the field size of types.head is new"],
        ),
        (&[("{ id: u64, name: option<string> }", "{ id: u64 }")], &["-the field name of types.head is gone"]),
        (
            &[("{ id: u64, name: option<string> }", "{ id: u64, title: option<string> }")],
            &["-the field name of types.head is gone", "-the field title of types.head is new"],
        ),
        (
            &[("{ id: u64, name: option<string> }", "{ name: option<string>, id: u64 }")],
            &["-the fields of types.head are in another order"],
        ),
        (&[("{ id: u64, name: option<string> }", "{ id: u32, name: option<string> }")], &["-the field id of types.head has u32, had u64"]),
        (&[("reply(json), other", "reply(json), wait, other")], &["-the case wait of types.verdict is new, and `other` is there for it"]),
        (&[("denied, late(string)", "denied, late(string), lost")], &["-the case lost of kv.error is new"]),
        (&[("denied, late(string)", "late(string)")], &["-the case denied of kv.error is gone"]),
        (&[("denied, late(string)", "late(string), denied")], &["-the cases of kv.error are in another order"]),
        (&[("denied, late(string)", "denied, late(u32)")], &["-the case late of kv.error has u32, had string"]),
        (&[("denied, late(string)", "denied, late")], &["-the case late of kv.error has nothing, had string"]),
        (&[("low, high", "low, middle, high")], &["-the value middle of types.level is new"]),
        (&[("low, high", "high, low")], &["-the values of types.level are in another order"]),
        (&[("read, write", "read, write, run")], &["-the flag run of types.rights is new"]),
        (&[("read, write", "write")], &["-the flag read of types.rights is gone"]),
        (&[("record note { text: string }", "resource note;")], &["-on-request.note is resource, was record"]),
        (
            &[("resource bucket {", "record bucket { a: u8 } resource other {"), ("result<bucket, error>", "result<other, error>")],
            &[
                "-kv.bucket is record, was resource",
                "+the type kv.other is new",
                "-the function kv.bucket.open is gone",
                "-the function kv.bucket.get is gone",
                "-the function kv.bucket.incr is gone",
                "+the function kv.other.open is new",
                "+the function kv.other.get is new",
                "+the function kv.other.incr is new",
            ],
        ),
        (&[("enum level { low, high }", "variant level { low, high }")], &["-types.level is variant, was enum"]),
        (&[("type json = string", "type json = list<u8>")], &["-types.json is list, was string"]),
    ]);
}

#[test]
fn a_later_version_of_a_line_may_grow_and_no_other_may_be() {
    let version = |number: &'static str| ("package sluice:small@0.1.0", number);
    check(&[
        (&[version("package sluice:small@0.1.1")], &["+the package is called sluice:small@0.1.1, was sluice:small@0.1.0"]),
        (&[version("package sluice:small@0.2.0")], &["-the package is called sluice:small@0.2.0, was sluice:small@0.1.0"]),
        (&[version("package sluice:small")], &["-the package is called sluice:small, was sluice:small@0.1.0"]),
    ]);
    let (later, earlier) = (edited(&[version("package sluice:small@0.1.1")]), edited(&[]));
    assert!(compare(&later, &earlier)[0].breaks.is_some(), "a version does not go back");
}

#[test]
fn each_refusal_says_why() {
    let first = |replacements: &[(&str, &str)]| compare(&edited(&[]), &edited(replacements))[0].to_string();
    let hook = "  on-request: func(h: head, x: borrow<exchange>) -> verdict;\n";
    let interface = "interface describe {\n  describe: func() -> string;\n}\n";
    let describe = [(interface, ""), ("world plugin {\n  export describe;\n}", "world plugin {}")];
    assert_eq!(
        first(&[("denied, late(string)", "denied, late(string), lost")]),
        "refused: the case lost of kv.error is new: host and plugin must know the very same, so no built plugin that has it loads"
    );
    assert_eq!(
        first(&[("  flush: func();\n", "")]),
        "refused: the function kv.flush is gone: a built plugin that imports it does not load"
    );
    for gone in [first(&[(hook, "")]), first(&describe)] {
        assert!(gone.ends_with(" is gone: a built plugin that exports it loads, and is never called there"), "{gone}");
    }
    let loose = first(&[("import kv;", "import kv; import now: func() -> u64;")]);
    assert_eq!(loose, "refused: the world everything has now in no interface: only interfaces are compared; put it into one");
}
