//! Several servers' words about themselves, as one.

use crate::{host::own_revision, upstream::ServerFacts};
use bytes::Bytes;
use sluice_wire::{
    json::{Document, IndexDepth, Kind, Limits},
    revision::Era,
};
use std::sync::Arc;

/// Most bytes of merged instructions: it is untrusted text that ends in a model's context.
const INSTRUCTIONS_MAX: usize = 16 * 1024;

/// The union of what can be carried to a client of `era`. Change notifications, and subscriptions of modern clients or across
/// eras, are not carried yet, nor are tasks, so they are not advertised.
pub fn merge(era: Era, answers: &[(Arc<str>, Arc<ServerFacts>)]) -> ServerFacts {
    let mut has = Carried::default();
    for (_, facts) in answers {
        has.add(facts, facts.era == era, era);
    }
    ServerFacts {
        era,
        revision: own_revision(era),
        capabilities: has.to_json(),
        info: match answers {
            [(_, only)] => only.info.clone(),
            _ => None,
        },
        instructions: instructions(answers),
    }
}

#[derive(Default)]
struct Carried {
    tools: bool,
    prompts: bool,
    resources: bool,
    subscribe: bool,
    completions: bool,
    logging: bool,
}

impl Carried {
    fn add(&mut self, facts: &ServerFacts, same_era: bool, era: Era) {
        let Ok(document) = Document::parse_value(facts.capabilities.clone(), &Limits::RESPONSE, IndexDepth::Levels(2)) else { return };
        let has = |key: &str| document.root().get(key).is_some_and(|v| v.kind() == Kind::Object);
        self.tools |= has("tools");
        self.prompts |= has("prompts");
        self.resources |= has("resources");
        self.completions |= has("completions");
        self.logging |= has("logging");
        if same_era {
            self.subscribe |= era == Era::Legacy && document.pointer("/resources/subscribe").and_then(|v| v.as_bool()).unwrap_or(false);
        }
    }

    fn to_json(&self) -> Bytes {
        let resources = if self.subscribe { r#"{"subscribe":true}"# } else { "{}" };
        let members: Vec<String> = [
            (self.completions, "completions", "{}"),
            (self.logging, "logging", "{}"),
            (self.prompts, "prompts", "{}"),
            (self.resources, "resources", resources),
            (self.tools, "tools", "{}"),
        ]
        .into_iter()
        .filter(|(has, _, _)| *has)
        .map(|(_, key, value)| format!(r#""{key}":{value}"#))
        .collect();
        format!("{{{}}}", members.join(",")).into()
    }
}

fn instructions(answers: &[(Arc<str>, Arc<ServerFacts>)]) -> Option<String> {
    let mut parts = answers.iter().filter_map(|(name, f)| f.instructions.as_deref().map(|text| (name, text)));
    let text = match answers {
        [(_, only)] => only.instructions.clone()?,
        _ => {
            let joined: Vec<String> = parts.by_ref().map(|(name, text)| format!("## {name}\n\n{text}")).collect();
            if joined.is_empty() {
                return None;
            }
            joined.join("\n\n")
        }
    };
    let mut end = text.len().min(INSTRUCTIONS_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Some(text[..end].to_owned())
}
