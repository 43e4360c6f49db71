//! Plugins written by hand in WebAssembly text, for what no SDK would write.

use bytes::Bytes;
use std::ops::Range;

/// Where `on-request` puts a verdict of its own.
pub const VERDICT: u32 = 2096;

/// The parts of a plugin that is otherwise well: it lets every request pass. Instructions, but for `fields`.
#[derive(Clone, Copy, Default)]
pub struct Handmade<'a> {
    /// Imports, globals, tables, functions.
    pub fields: &'a str,
    /// When an instance is made, before anything else.
    pub start: &'a str,
    /// In `cabi_realloc`, with `$size`; falls through to a bump allocator.
    pub realloc: &'a str,
    /// In `init`.
    pub init: &'a str,
    /// In `on-request`, with `$exchange`; may leave an address of a verdict behind with `return`.
    pub request: &'a str,
    /// Once the host has read the verdict.
    pub post_return: &'a str,
    /// The manifest's record is read from here; none: a good one.
    pub manifest: Option<u32>,
}

impl Handmade<'_> {
    /// The core module; memory comes from outside, since the host's own functions need it before there is one.
    fn module(&self) -> String {
        let Self { fields, start, realloc, init, request, post_return, manifest } = self;
        let manifest = manifest.unwrap_or(1024);
        // Name, version, summary, schema; no needs, selectors, routes, edits; stateless; no overlap; nothing more.
        format!(
            r#"(core module $m
                (import "host" "memory" (memory 1))
                (import "host" "drop" (func $drop (param i32)))
                (import "host" "log" (func $log (param i32 i32 i32 i32 i32)))
                (global $top (mut i32) (i32.const 4096))
                {fields}
                (data (i32.const 16) "handmade") (data (i32.const 32) "0.1.0") (data (i32.const 48) "{{}}")
                (data (i32.const 1024)
                    "\10\00\00\00\08\00\00\00" "\20\00\00\00\05\00\00\00" "\10\00\00\00\08\00\00\00" "\30\00\00\00\02\00\00\00"
                    "\00\00\00\00\00\00\00\00" "\00\00\00\00\00\00\00\00" "\00\00\00\00\00\00\00\00" "\00\00\00\00\00\00\00\00" "\01\00\00\00" "\00\00\00\00" "\00\00\00\00\00\00\00\00")
                (func $start {start})
                (start $start)
                (func (export "realloc") (param $old i32) (param $was i32) (param $align i32) (param $size i32) (result i32)
                    (local $at i32)
                    {realloc}
                    (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
                    (global.set $top (i32.add (local.get $at) (local.get $size)))
                    (local.get $at))
                (func (export "describe") (result i32) (i32.const {manifest}))
                (func (export "init") (param i32 i32) (result i32) {init} (i32.const 2048))
                (func (export "on-request")
                    (param $exchange i64) (param $round i32) (param i32 i32 i32 i32 i32 i32 i32 i32 i32) (param $x i32) (result i32)
                    (local $i i32) (local $n i32)
                    (call $drop (local.get $x))
                    {request}
                    (global.set $top (i32.const 4096))
                    (i32.const 2064))
                (func (export "post-return") (param i32) {post_return}))"#
        )
    }

    /// As a component on the contract.
    pub fn component(&self) -> Bytes {
        let text = CONTRACT.replace("MODULE", &self.module()).replace("HOOKS", &hooks());
        let component = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        // Without the names at its end: cut there, it would still be whole.
        let mut bare = component[..8].to_vec();
        for (id, range) in sections(&component) {
            if id != 0 {
                bare.extend_from_slice(&component[range]);
            }
        }
        bare.into()
    }
}

/// What of the contract such a plugin has, around its core module.
const CONTRACT: &str = r#"(component
    (import "sluice:filter/types@0.1.0" (instance $types
        (export "exchange" (type (sub resource)))
        (type $direction0 (enum "to-server" "to-client")) (export "direction" (type $direction (eq $direction0)))
        (type $kind0 (enum "request" "response" "notification" "input-request" "input-response"))
        (export "kind" (type $kind (eq $kind0)))
        (type $method0 (variant
            (case "tools-list") (case "tools-call") (case "resources-list") (case "resources-templates-list") (case "resources-read")
            (case "resources-subscribe") (case "resources-unsubscribe") (case "prompts-list") (case "prompts-get")
            (case "completion-complete") (case "subscriptions-listen") (case "sampling-create-message") (case "roots-list")
            (case "elicitation-create") (case "tasks-get") (case "tasks-cancel") (case "tasks-result") (case "tasks-list")
            (case "tasks-update") (case "notifications-cancelled") (case "notifications-progress") (case "notifications-message")
            (case "notifications-roots-list-changed") (case "notifications-tools-list-changed")
            (case "notifications-prompts-list-changed") (case "notifications-resources-list-changed")
            (case "notifications-resources-updated") (case "notifications-elicitation-complete") (case "notifications-tasks-status")
            (case "notifications-tasks") (case "other" string)))
        (export "method" (type $method (eq $method0)))
        (type $head0 (record
            (field "exchange" u64) (field "round" u32) (field "direction" $direction) (field "kind" $kind) (field "method" $method)
            (field "name" (option string)) (field "body-bytes" u32)))
        (export "head" (type (eq $head0)))
        (type $rejection0 (record
            (field "code" s32) (field "message" string) (field "data" (option string)) (field "http-status" (option u16))
            (field "http-headers" (list (tuple string string))) (field "as-tool-result" bool)))
        (export "rejection" (type $rejection (eq $rejection0)))
        (type $ask0 (variant (case "form" string) (case "url" string))) (export "ask" (type $ask (eq $ask0)))
        (type $suspension0 (record (field "message" string) (field "ask" $ask) (field "ttl-ms" u32)))
        (export "suspension" (type $suspension (eq $suspension0)))
        (type $verdict0 (variant
            (case "next") (case "reply" string) (case "reject" $rejection) (case "suspend" $suspension)
            (case "other" (tuple string string))))
        (export "verdict" (type (eq $verdict0)))))
    (alias export $types "exchange" (type $exchange))
    (alias export $types "head" (type $head))
    (alias export $types "verdict" (type $verdict))
    (import "sluice:filter/log@0.1.0" (instance $log
        (type $level0 (enum "debug" "info" "warn" "error")) (export "level" (type $level (eq $level0)))
        (export "log" (func (param "l" $level) (param "message" string) (param "fields" (list (tuple string string)))))))
    (core module $shared (memory (export "memory") 1))
    (core instance $shared (instantiate $shared))
    (core func $drop (canon resource.drop $exchange))
    (core func $say (canon lower (func $log "log") (memory (core memory $shared "memory"))))
    MODULE
    (core instance $i (instantiate $m (with "host" (instance
        (export "memory" (memory $shared "memory")) (export "drop" (func $drop)) (export "log" (func $say))))))
    (type $need (record (field "capability" string) (field "reason" string) (field "optional" bool)))
    (type $hook (enum HOOKS))
    (type $selector (record (field "hook" $hook) (field "methods" (list string)) (field "names" (list string))))
    (type $route (record (field "path" string) (field "methods" (list string))))
    (type $manifest (record
        (field "name" string) (field "version" string) (field "summary" string) (field "config-schema" string)
        (field "needs" (list $need)) (field "selectors" (list $selector)) (field "routes" (list $route)) (field "edits" (list string)) (field "stateless" bool)
        (field "overlap" u32) (field "more" (list (tuple string string)))))
    (func $describe (result $manifest) (canon lift (core func $i "describe") (memory (core memory $shared "memory"))))
    (instance $described
        (export "need" (type $need)) (export "hook" (type $hook)) (export "selector" (type $selector))
        (export "route" (type $route))
        (export "manifest" (type $manifest)) (export "describe" (func $describe)))
    (export "sluice:filter/describe@0.1.0" (instance $described))
    (func $init (param "config" string) (result (result (error string)))
        (canon lift (core func $i "init") (memory (core memory $shared "memory")) (realloc (core func $i "realloc"))))
    (instance $alive (export "init" (func $init)))
    (export "sluice:filter/lifecycle@0.1.0" (instance $alive))
    (func $on-request (param "h" $head) (param "x" (borrow $exchange)) (result $verdict)
        (canon lift (core func $i "on-request") (memory (core memory $shared "memory")) (realloc (core func $i "realloc"))
            (post-return (core func $i "post-return"))))
    (instance $on (export "on-request" (func $on-request)))
    (export "sluice:filter/on-request@0.1.0" (instance $on)))"#;

/// The cases of `hook` as the contract has them, which grow.
fn hooks() -> String {
    let contract = include_str!("../../../../../wit/v0.1.0/filter.wit");
    let cases = contract.split_once("enum hook {").and_then(|(_, rest)| rest.split_once('}')).expect("the contract has hooks").0;
    cases.split(',').map(str::trim).filter(|case| !case.is_empty()).map(|case| format!("{case:?} ")).collect()
}

/// Instructions that leave a `reply` of the text at this place.
pub fn reply(at: u32, length: u32) -> String {
    format!(
        "(i32.store (i32.const {VERDICT}) (i32.const 1)) (i32.store (i32.const {}) (i32.const {at}))
         (i32.store (i32.const {}) (i32.const {length})) (return (i32.const {VERDICT}))",
        VERDICT + 4,
        VERDICT + 8
    )
}

/// One core instance more for each module, put behind a component that is otherwise whole.
pub fn with_instances(component: &[u8], module: &str, count: u32) -> Bytes {
    let module = wat::parse_str(module).expect("a module");
    let before = sections(component).iter().filter(|(id, _)| *id == 1).count() as u32;
    let mut out = component.to_vec();
    section(&mut out, 1, &module);
    let mut instances = leb(count);
    for _ in 0..count {
        // Instantiate that module, without arguments.
        instances.push(0);
        instances.extend(leb(before));
        instances.push(0);
    }
    section(&mut out, 2, &instances);
    out.into()
}

fn section(out: &mut Vec<u8>, id: u8, content: &[u8]) {
    out.push(id);
    out.extend(leb(content.len() as u32));
    out.extend_from_slice(content);
}

fn leb(mut number: u32) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let byte = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            out.push(byte);
            return out;
        }
        out.push(byte | 0x80);
    }
}

/// A component's sections, in order: their ids, and where they stand.
fn sections(component: &[u8]) -> Vec<(u8, Range<usize>)> {
    let (mut at, mut found) = (8, Vec::new());
    while at < component.len() {
        let (start, id) = (at, component[at]);
        at += 1;
        let (mut size, mut shift) = (0_usize, 0);
        loop {
            let byte = component[at];
            at += 1;
            size |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        at += size;
        found.push((id, start..at));
    }
    found
}
