//! Edits one place twice, or a place that is not there.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;

use sluice_sdk::prelude::*;

#[derive(serde::Deserialize)]
struct Settings {
    /// "splices", "set-in-set", "set-and-splice", "remove-and-set", "out-of-range", "inside-a-character", "no-parent",
    /// "bad-pointer" or "not-a-string".
    how: String,
}

struct OverlapEdit(Settings);

impl Plugin for OverlapEdit {
    type Config = Settings;

    fn manifest() -> Manifest {
        Manifest::new("overlap-edit", "0.1.0", "Edits one place twice.").schema(r#"{"type":"object"}"#).stateless()
    }

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(OverlapEdit(settings))
    }
}

impl OnRequest for OverlapEdit {
    fn on_request(&self, _: &Head, x: &Exchange) -> Verdict {
        // A test sends {"a":"éclair","o":{"b":1},"n":1}.
        const A: &str = "/params/arguments/a";
        const O: &str = "/params/arguments/o";
        let set = |pointer: &str| Edit::set(pointer, r#""x""#.into());
        let edits = match self.0.how.as_str() {
            "splices" => alloc::vec![Edit::splice(A, 2..5, "x"), Edit::splice(A, 4..6, "y")],
            "set-in-set" => alloc::vec![set(O), set("/params/arguments/o/b")],
            "set-and-splice" => alloc::vec![set(A), Edit::splice(A, 2..3, "x")],
            "remove-and-set" => alloc::vec![Edit::remove(O), set("/params/arguments/o/c")],
            "out-of-range" => alloc::vec![Edit::splice(A, 2..1000, "x")],
            "inside-a-character" => alloc::vec![Edit::splice(A, 1..2, "x")],
            "no-parent" => alloc::vec![set("/params/arguments/none/c")],
            "bad-pointer" => alloc::vec![set("params/arguments/~2")],
            _ => alloc::vec![Edit::splice("/params/arguments/n", 0..1, "x")],
        };
        let said = if x.stage(&edits).is_ok() { "ok" } else { "refused" };
        let _ = x.set_attr("staged", said);
        Verdict::Next
    }
}

sluice_sdk::export!(OverlapEdit: on_request);
sluice_sdk::lean!();
