//! Sets attributes, some of them copies of what it can see of the caller.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::collections::BTreeMap;
use alloc::string::String;

use sluice_sdk::prelude::*;

#[derive(serde::Deserialize)]
struct Settings {
    #[serde(default)]
    set: BTreeMap<String, String>,
    /// Own key → whole key of an attribute; `absent` if there is none.
    #[serde(default)]
    copy: BTreeMap<String, String>,
    /// All attributes that begin so, as `key=value` lines under the key `all`.
    list: Option<String>,
    /// Upstream and revision, under the key `place`.
    #[serde(default)]
    place: bool,
}

struct Label(Settings);

impl Plugin for Label {
    type Config = Settings;

    fn manifest() -> Manifest {
        Manifest::new("label", "0.1.0", "Sets attributes.").schema(r#"{"type":"object"}"#).stateless()
    }

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(Label(settings))
    }
}

impl Label {
    fn label(&self, x: &Exchange) -> Verdict {
        for (key, value) in &self.0.set {
            if x.set_attr(key, value).is_err() {
                return Rejection::new(4000, "an attribute was refused").into();
            }
        }
        for (key, from) in &self.0.copy {
            let _ = x.set_attr(key, x.attr(from).as_deref().unwrap_or("absent"));
        }
        if let Some(prefix) = &self.0.list {
            let mut all = String::new();
            for (key, value) in x.attrs(prefix) {
                all += &alloc::format!("{key}={value}\n");
            }
            let _ = x.set_attr("all", &all);
        }
        if self.0.place {
            let _ = x.set_attr("place", &alloc::format!("{} {}", x.upstream().as_deref().unwrap_or("-"), x.protocol()));
        }
        Verdict::Next
    }
}

impl OnRequest for Label {
    fn on_request(&self, _: &Head, x: &Exchange) -> Verdict {
        self.label(x)
    }
}

impl OnResponse for Label {
    fn on_response(&self, _: &Head, x: &Exchange) -> Verdict {
        self.label(x)
    }
}

sluice_sdk::export!(Label: on_request, on_response);
sluice_sdk::lean!();
