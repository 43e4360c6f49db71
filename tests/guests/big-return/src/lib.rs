//! Returns more than anyone wants.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;

use sluice_sdk::prelude::*;

#[derive(serde::Deserialize)]
struct Settings {
    #[serde(default = "mebibytes_32")]
    bytes: usize,
    /// "reply", "message" (of a rejection), "attr", "set" or "log".
    #[serde(default = "reply")]
    to: String,
}

/// Above the cap of a message, within the memory of a plugin.
fn mebibytes_32() -> usize {
    32 << 20
}

fn reply() -> String {
    "reply".into()
}

struct BigReturn(Settings);

impl Plugin for BigReturn {
    type Config = Settings;

    fn manifest() -> Manifest {
        Manifest::new("big-return", "0.1.0", "Returns too much.").schema(r#"{"type":"object"}"#).stateless()
    }

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(BigReturn(settings))
    }
}

impl OnRequest for BigReturn {
    fn on_request(&self, _: &Head, x: &Exchange) -> Verdict {
        let (head, tail) = (r#"{"content":[{"type":"text","text":""#, r#""}]}"#);
        let mut text = String::with_capacity(self.0.bytes + head.len() + tail.len());
        let quoted = matches!(self.0.to.as_str(), "reply" | "set");
        text.push_str(if quoted { head } else { "" });
        text.extend(core::iter::repeat_n('x', self.0.bytes));
        text.push_str(if quoted { tail } else { "" });
        match self.0.to.as_str() {
            "message" => return Rejection::new(4000, &text).into(),
            "attr" => drop(x.set_attr("big", &text)),
            "set" => drop(x.stage(&[Edit::set("/params/arguments/big", text)])),
            "log" => sluice_sdk::log::info(&text),
            _ => return Verdict::Reply(text),
        }
        Verdict::Next
    }
}

sluice_sdk::export!(BigReturn: on_request);
sluice_sdk::lean!();
