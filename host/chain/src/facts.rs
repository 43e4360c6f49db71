//! Several servers' words about themselves, as one.

use crate::{changes::promised, host::own_revision, upstream::ServerFacts};
use bytes::Bytes;
use sluice_wire::{
    json::{Document, IndexDepth, Kind, Limits},
    listen::{List, Lists},
    meta,
    revision::Era,
};
use std::sync::Arc;

/// Most bytes of merged instructions: it is untrusted text that ends in a model's context.
const INSTRUCTIONS_MAX: usize = 16 * 1024;

/// The union of what can be carried to a client of `era`. `interceptors`: what is said of those that are served here, JSON text.
pub fn merge(era: Era, answers: &[(Arc<str>, Arc<ServerFacts>)], interceptors: Option<&str>) -> ServerFacts {
    let mut has = Carried { interceptors: interceptors.map(str::to_owned), ..Carried::default() };
    for (_, facts) in answers {
        has.add(facts);
    }
    ServerFacts {
        era,
        revision: own_revision(era),
        capabilities: has.to_json(era),
        info: match answers {
            [(_, only)] => only.info.clone(),
            _ => None,
        },
        instructions: instructions(answers),
    }
}

/// Of a server that cannot be asked yet: it may have every list.
pub fn unknown(era: Era) -> ServerFacts {
    let capabilities = r#"{"prompts":{"listChanged":true},"resources":{"listChanged":true},"tools":{"listChanged":true}}"#;
    ServerFacts {
        era,
        revision: own_revision(era),
        capabilities: Bytes::from_static(capabilities.as_bytes()),
        info: None,
        instructions: None,
    }
}

#[derive(Default)]
struct Carried {
    tools: bool,
    prompts: bool,
    resources: bool,
    subscribe: bool,
    changes: Lists,
    completions: bool,
    logging: bool,
    tasks: Option<Tasks>,
    interceptors: Option<String>,
}

/// What can be done about tasks with every server that has them.
#[derive(Clone, Copy)]
struct Tasks {
    list: bool,
    cancel: bool,
}

impl Carried {
    fn add(&mut self, facts: &ServerFacts) {
        self.changes.add(promised(&facts.capabilities));
        let Ok(document) = Document::parse_value(facts.capabilities.clone(), &Limits::RESPONSE, IndexDepth::Levels(5)) else { return };
        let has = |key: &str| document.root().get(key).is_some_and(|v| v.kind() == Kind::Object);
        self.tools |= has("tools");
        self.prompts |= has("prompts");
        self.resources |= has("resources");
        self.completions |= has("completions");
        self.logging |= has("logging");
        if has_tasks(facts) {
            let (list, cancel) = (lists_tasks(facts), facts.era == Era::Modern || document.pointer("/tasks/cancel").is_some());
            let before = self.tasks.unwrap_or(Tasks { list: true, cancel: true });
            self.tasks = Some(Tasks { list: before.list && list, cancel: before.cancel && cancel });
        }
        self.subscribe |= document.pointer("/resources/subscribe").and_then(|v| v.as_bool()).unwrap_or(false);
    }

    fn to_json(&self, era: Era) -> Bytes {
        let list = |list| if self.changes.contains(list) { r#"{"listChanged":true}"# } else { "{}" };
        let resources = match (self.subscribe, list(List::Resources)) {
            (false, resources) => resources,
            (true, "{}") => r#"{"subscribe":true}"#,
            (true, _) => r#"{"subscribe":true,"listChanged":true}"#,
        };
        let (tasks_extend, interceptors) = (self.tasks.is_some() && era == Era::Modern, self.interceptors.as_deref());
        let extensions = [(meta::EXTENSION_TASKS, tasks_extend.then_some("{}")), (meta::EXTENSION_INTERCEPTORS, interceptors)];
        let extensions: Vec<String> = extensions.iter().filter_map(|(id, says)| says.map(|says| format!(r#""{id}":{says}"#))).collect();
        let extensions = format!("{{{}}}", extensions.join(","));
        let tasks = self.tasks.filter(|_| era == Era::Legacy).map(Tasks::to_json);
        let members: Vec<String> = [
            (self.completions, "completions", "{}"),
            // Before there were extensions there was room for experiments.
            (era == Era::Legacy && interceptors.is_some(), "experimental", &extensions),
            (era == Era::Modern && extensions.len() > 2, "extensions", &extensions),
            (self.logging, "logging", "{}"),
            (self.prompts, "prompts", list(List::Prompts)),
            (self.resources, "resources", resources),
            (tasks.is_some(), "tasks", tasks.as_deref().unwrap_or_default()),
            (self.tools, "tools", list(List::Tools)),
        ]
        .into_iter()
        .filter(|(has, _, _)| *has)
        .map(|(_, key, value)| format!(r#""{key}":{value}"#))
        .collect();
        format!("{{{}}}", members.join(",")).into()
    }
}

impl Tasks {
    fn to_json(self) -> String {
        let list = if self.list { r#""list":{},"# } else { "" };
        let cancel = if self.cancel { r#""cancel":{},"# } else { "" };
        format!(r#"{{{list}{cancel}"requests":{{"tools":{{"call":{{}}}}}}}}"#)
    }
}

/// Whether a server runs calls of tools as tasks, in the way of its era.
pub(crate) fn has_tasks(facts: &ServerFacts) -> bool {
    let path: &[&str] = match facts.era {
        Era::Modern => &["extensions", meta::EXTENSION_TASKS],
        Era::Legacy => &["tasks", "requests", "tools", "call"],
    };
    says(facts, path)
}

/// Whether a server lists its tasks, which is a legacy thing.
pub(crate) fn lists_tasks(facts: &ServerFacts) -> bool {
    facts.era == Era::Legacy && says(facts, &["tasks", "list"])
}

fn says(facts: &ServerFacts, path: &[&str]) -> bool {
    let Ok(document) = Document::parse_value(facts.capabilities.clone(), &Limits::RESPONSE, IndexDepth::Levels(5)) else { return false };
    path.iter().try_fold(document.root(), |at, key| at.get(key)).is_some()
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
