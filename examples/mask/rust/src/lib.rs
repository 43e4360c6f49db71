//! Masks addresses, card numbers and tokens, and refuses private keys. The same filter as its neighbours in other languages.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::{format, string::String, string::ToString, vec, vec::Vec};
use sluice_sdk::{exchange::Hit, patterns, patterns::Pattern, prelude::*};

const DETECTORS: [(&str, &str); 4] = [
    ("email", r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"),
    ("card", r"\b[0-9]{4}(?:[ -]?[0-9]{4}){3}\b"),
    ("token", r"\b(?:ghp|sk)_[A-Za-z0-9]{16,}"),
    ("private-key", r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
];

const SCHEMA: &str = r#"{
  "type": "object",
  "properties": {
    "detectors": {
      "type": "array",
      "items": {"enum": ["email", "card", "token", "private-key"]},
      "default": ["email", "card", "token", "private-key"],
      "minItems": 1,
      "uniqueItems": true
    },
    "hooks": {"type": "array", "items": {"enum": ["on-request", "on-response"]}, "default": ["on-request", "on-response"]},
    "mark": {"type": "string", "default": "masked"}
  },
  "additionalProperties": false
}"#;

/// As the schema has them.
#[derive(serde::Deserialize)]
pub struct Settings {
    detectors: Vec<String>,
    hooks: Vec<String>,
    mark: String,
}

/// The filter.
pub struct Mask(Settings);

impl Plugin for Mask {
    type Config = Settings;

    fn manifest() -> Manifest {
        Manifest::new("mask-rust", "0.1.0", "Masks addresses, card numbers and tokens; refuses private keys.")
            .schema(SCHEMA)
            .select(Hook::OnRequest, &["tools/call"], &[])
            .select(Hook::OnResponse, &["tools/call"], &[])
            .edits(&["/params/arguments/**", "/result/**"])
            .stateless()
    }

    fn new(settings: Settings) -> Result<Self, String> {
        let regex = |name: &String| DETECTORS.iter().find(|(known, _)| known == name).map(|(_, regex)| regex.to_string());
        let chosen = settings.detectors.iter().filter_map(regex);
        let set: Vec<Pattern> = chosen.map(|regex| Pattern { regex, case_insensitive: false }).collect();
        patterns::define("mask", &set)?;
        Ok(Mask(settings))
    }
}

impl OnRequest for Mask {
    fn on_request(&self, _: &Head, x: &Exchange) -> Verdict {
        self.look_if("on-request", x, "/params/arguments")
    }
}

impl OnResponse for Mask {
    fn on_response(&self, _: &Head, x: &Exchange) -> Verdict {
        self.look_if("on-response", x, "/result")
    }
}

impl Mask {
    fn look_if(&self, hook: &str, x: &(impl Facts + Payload + Scan), root: &str) -> Verdict {
        if !self.0.hooks.iter().any(|wanted| wanted == hook) {
            return Verdict::Next;
        }
        self.look(x, root).unwrap_or_else(|error| {
            let case = match error {
                AccessError::TooLarge => "too-large",
                AccessError::Denied(_) => "denied",
                AccessError::BadPointer(_) => "bad-pointer",
            };
            Rejection::new(4033, &format!("this message cannot be examined ({case})")).into()
        })
    }

    fn look(&self, x: &(impl Facts + Payload + Scan), root: &str) -> Result<Verdict, AccessError> {
        let mut hits = x.scan("mask", &[root])?;
        hits.retain(|hit| self.name(hit) != "card" || luhn(&hit.text));
        if hits.iter().any(|hit| self.name(hit) == "private-key") {
            return Ok(Rejection::new(4031, "a private key may not pass here").into());
        }
        if hits.iter().any(|hit| hit.in_key) {
            return Ok(Rejection::new(4032, "the name of a member holds what may not pass here").into());
        }
        if !hits.is_empty() {
            x.stage(&self.edits(&mut hits))?;
            x.set_attr("hits", &hits.len().to_string())?;
        }
        Ok(Verdict::Next)
    }

    fn name(&self, hit: &Hit) -> &str {
        self.0.detectors.get(hit.pattern as usize).map_or("", String::as_str)
    }

    /// What is to go, string by string; hits that overlap go together, under the name of the first.
    fn edits(&self, hits: &mut [Hit]) -> Vec<Edit> {
        hits.sort_by(|a, b| {
            let ends = b.end.cmp(&a.end);
            a.pointer.cmp(&b.pointer).then(a.start.cmp(&b.start)).then(ends).then(a.pattern.cmp(&b.pattern))
        });
        let mut spans: Vec<(&Hit, u32)> = vec![];
        for hit in hits.iter() {
            match spans.last_mut() {
                Some((first, end)) if first.pointer == hit.pointer && hit.start < *end => *end = hit.end.max(*end),
                _ => spans.push((hit, hit.end)),
            }
        }
        let veil = |hit: &Hit| format!("[{}:{}]", self.0.mark, self.name(hit));
        spans.iter().map(|(hit, end)| Edit::splice(&hit.pointer, hit.start..*end, &veil(hit))).collect()
    }
}

/// Is this the number of a card?
fn luhn(text: &str) -> bool {
    let digits = text.bytes().rev().filter(u8::is_ascii_digit).map(|b| u32::from(b - b'0'));
    let weighed = digits.enumerate().map(|(place, digit)| match (place % 2, digit) {
        (0, digit) => digit,
        (_, digit) => digit * 2 - if digit > 4 { 9 } else { 0 },
    });
    weighed.sum::<u32>() % 10 == 0
}

sluice_sdk::lean!();
sluice_sdk::export!(Mask: on_request, on_response);
