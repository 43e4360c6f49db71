//! One exchange with its message, in a test.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::Value;

use super::{document, host, host::HITS_MAX};
use crate::exchange::{AccessError, Edit, Elicited, Facts, Hit, Payload, Scan};
use crate::json::Json;

/// What [`Exchange`](crate::exchange::Exchange) is natively: a message, the request it answers, and attributes.
#[derive(Debug, Default)]
pub struct FakeExchange {
    message: Value,
    asked: Value,
    upstream: Option<String>,
    attrs: RefCell<BTreeMap<String, String>>,
    set: RefCell<BTreeMap<String, String>>,
    staged: RefCell<Vec<Edit>>,
}

impl FakeExchange {
    /// An exchange whose message is this JSON text.
    ///
    /// # Panics
    /// If it is no JSON: a test's own mistake.
    pub fn new(message: &str) -> Self {
        FakeExchange { message: parse(message), ..Self::default() }
    }

    /// With an attribute.
    pub fn with_attr(self, key: &str, value: &str) -> Self {
        self.attrs.borrow_mut().insert(key.to_string(), value.to_string());
        self
    }

    /// With what a person said to the plugin of this name when it suspended the exchange.
    pub fn with_elicited(self, plugin: &str, said: &Elicited) -> Self {
        let (action, content) = match said {
            Elicited::Accept(content) => ("accept", Some(content)),
            Elicited::Decline => ("decline", None),
            Elicited::Cancel => ("cancel", None),
        };
        let with = self.with_attr(&format!("{plugin}.answer.action"), action);
        content.into_iter().fold(with, |with, content| with.with_attr(&format!("{plugin}.answer.content"), content))
    }

    /// With the server it goes to or comes from.
    pub fn with_upstream(mut self, upstream: &str) -> Self {
        self.upstream = Some(upstream.to_string());
        self
    }

    /// With the request that the message answers.
    ///
    /// # Panics
    /// If it is no JSON.
    pub fn answering(mut self, request: &str) -> Self {
        self.asked = parse(request);
        self
    }

    /// What the plugin staged.
    pub fn staged(&self) -> Vec<Edit> {
        self.staged.borrow().clone()
    }

    /// What the plugin set, without the prefix of its name.
    pub fn set_attrs(&self) -> BTreeMap<String, String> {
        self.set.borrow().clone()
    }

    /// The message with everything staged applied, or what the host would call a fault.
    pub fn edited(&self) -> Result<Value, String> {
        document::apply(&self.message, &self.staged.borrow())
    }
}

impl Facts for FakeExchange {
    fn upstream(&self) -> Option<String> {
        self.upstream.clone()
    }

    /// That of a modern client.
    fn protocol(&self) -> String {
        "2026-07-28".to_string()
    }

    fn attr(&self, key: &str) -> Option<String> {
        self.attrs.borrow().get(key).cloned()
    }

    fn attrs(&self, prefix: &str) -> Vec<(String, String)> {
        let attrs = self.attrs.borrow();
        let held = attrs.iter().filter(|(key, _)| key.starts_with(prefix));
        held.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    fn set_attr(&self, key: &str, value: &str) -> Result<(), AccessError> {
        let mut set = self.set.borrow_mut();
        if value.len() > 4096 || (set.len() == 64 && !set.contains_key(key)) {
            return Err(AccessError::TooLarge);
        }
        set.insert(key.to_string(), value.to_string());
        Ok(())
    }
}

impl Payload for FakeExchange {
    fn get(&self, pointer: &str) -> Option<Json> {
        self.message.pointer(pointer).map(Value::to_string)
    }

    fn get_many(&self, pointers: &[&str]) -> Vec<Option<Json>> {
        pointers.iter().map(|pointer| self.get(pointer)).collect()
    }

    fn text(&self) -> Result<Json, AccessError> {
        Ok(self.message.to_string())
    }

    fn stage(&self, edits: &[Edit]) -> Result<(), AccessError> {
        for edit in edits {
            document::permit(edit)?;
        }
        self.staged.borrow_mut().extend_from_slice(edits);
        Ok(())
    }

    fn asked(&self, pointer: &str) -> Option<Json> {
        self.asked.pointer(pointer).map(Value::to_string)
    }
}

impl Scan for FakeExchange {
    fn scan(&self, set: &str, roots: &[&str]) -> Result<Vec<Hit>, AccessError> {
        let all = ["/params", "/result", "/error"];
        let roots = if roots.is_empty() { &all } else { roots };
        let mut hits = Vec::new();
        host::with(|host| {
            let set = host.sets.get(set).ok_or_else(|| AccessError::Denied(format!("no set {set}")))?;
            for root in roots {
                if let Some(value) = self.message.pointer(root) {
                    document::each_text(root, value, &mut |pointer, in_key, text| {
                        for (pattern, regex) in set.iter().enumerate() {
                            hits.extend(regex.find_iter(text).map(|found| Hit {
                                pointer: pointer.to_string(),
                                in_key,
                                start: found.start() as u32,
                                end: found.end() as u32,
                                pattern: pattern as u32,
                                text: found.as_str().to_string(),
                            }));
                        }
                    });
                }
            }
            if hits.len() > HITS_MAX { Err(AccessError::TooLarge) } else { Ok(()) }
        })?;
        Ok(hits)
    }
}

fn parse(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error} in {json}"))
}
