//! Refuses tool calls whose arguments hold a forbidden word.

// Without `std`, which would bring a dozen WASI imports. Tests are native and have it.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::{string::String, string::ToString, vec::Vec};
use sluice_sdk::{patterns, patterns::Pattern, prelude::*};

/// As the schema has them.
#[derive(serde::Deserialize)]
pub struct Settings {
    words: Vec<String>,
}

pub struct ForbiddenWords;

impl Plugin for ForbiddenWords {
    type Config = Settings;

    fn manifest() -> Manifest {
        Manifest::new("my-plugin", "0.1.0", "Refuses tool calls whose arguments hold a forbidden word.")
            .schema(include_str!("../config.schema.json"))
            .select(Hook::OnRequest, &["tools/call"], &[])
            .stateless()
    }

    fn new(settings: Settings) -> Result<Self, String> {
        // Regular expressions, run by the host: the arguments never enter the plugin.
        let words: Vec<Pattern> = settings.words.into_iter().map(|regex| Pattern { regex, case_insensitive: true }).collect();
        patterns::define("words", &words)?;
        Ok(ForbiddenWords)
    }
}

impl OnRequest for ForbiddenWords {
    fn on_request(&self, _: &Head, x: &Exchange) -> Verdict {
        self.look(x)
    }
}

impl ForbiddenWords {
    fn look(&self, x: &(impl Facts + Scan)) -> Verdict {
        let Ok(hits) = x.scan("words", &["/params/arguments"]) else {
            return Rejection::new(4001, "these arguments cannot be examined").into();
        };
        if hits.is_empty() {
            return Verdict::Next;
        }
        // A label, for the audit log and for filters that come later.
        let _ = x.set_attr("hits", &hits.len().to_string());
        Rejection::new(4000, "a word in these arguments is forbidden").into()
    }
}

sluice_sdk::lean!();
sluice_sdk::export!(ForbiddenWords: on_request);

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_sdk::testing::{self, FakeExchange};

    #[test]
    fn a_forbidden_word_is_refused_and_others_are_not() {
        let plugin: ForbiddenWords = testing::plugin(r#"{"words": ["forbidden"]}"#).unwrap();
        let call = |text: &str| FakeExchange::new(&alloc::format!(r#"{{"params": {{"arguments": {{"text": "{text}"}}}}}}"#));
        assert_eq!(plugin.look(&call("good morning")), Verdict::Next);
        assert!(matches!(plugin.look(&call("this is Forbidden")), Verdict::Reject(_)));
    }
}
