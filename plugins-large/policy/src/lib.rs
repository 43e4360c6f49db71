//! Cedar policies over who asks, what for, and with which arguments.
//!
//! In reading order: [`config`] (the settings), [`policies`] (read and checked at load), [`schema`], [`depth`] and [`place`] (against what,
//! and where they are wrong), [`mentions`] (what they look at), [`caller`] and [`arguments`] (a request in Cedar's words), [`weigh`] (the question),
//! [`answer`] (what a client hears).

pub mod answer;
pub mod arguments;
pub mod caller;
pub mod config;
pub mod depth;
pub mod mentions;
pub mod place;
pub mod policies;
pub mod schema;
pub mod weigh;

use cedar_policy::RestrictedExpression as Expression;
use sluice_sdk::prelude::*;

use arguments::{Arguments, TooLarge};
use caller::Caller;
use config::Config;
use policies::{Policies, Rules};
use weigh::{Asked, Decided, Thing, Types, weigh};

/// The plugin.
pub struct Policy {
    policies: Policies,
    types: Types,
    role_claim: String,
}

/// What nobody needs a policy for: lists show what may be used, and the rest is how a session goes on.
const ALWAYS: [&str; 6] = ["tools/list", "prompts/list", "resources/list", "resources/templates/list", "ping", "logging/setLevel"];

impl Plugin for Policy {
    type Config = Config;

    fn manifest() -> Manifest {
        Manifest::new("policy", env!("CARGO_PKG_VERSION"), "Decides by Cedar policies who may see and call what, and with which arguments.")
            .schema(include_str!("../config.schema.json"))
            .stateless()
    }

    fn new(config: Config) -> Result<Self, String> {
        Ok(Policy { policies: Policies::new(&config)?, types: Types::new()?, role_claim: config.role_claim })
    }
}

impl OnCatalog for Policy {
    fn on_catalog(&self, viewer: &Viewer, kind: ListKind, entries: &[Entry]) -> Answer {
        let rules = &self.policies.lists;
        let caller = self.caller(rules, |key| viewer.attr(key), |prefix| viewer.attrs(prefix));
        let (thing, method) = match kind {
            ListKind::Tools => (Thing::Tool, "tools/call"),
            ListKind::Prompts => (Thing::Prompt, "prompts/get"),
            ListKind::Resources | ListKind::ResourceTemplates => (Thing::Resource, "resources/read"),
        };
        let change = |entry: &Entry| {
            let asked = Asked { method, about: Some((thing, &entry.name)), upstream: Some(&entry.upstream) };
            match caller.as_ref().map(|caller| weigh(&self.types, rules, caller, asked, None)) {
                Ok(Ok(Decided::Permitted)) => Change::Keep,
                _ => Change::Hide,
            }
        };
        entries.iter().map(change).collect::<Vec<_>>().into()
    }
}

impl OnRequest for Policy {
    fn on_request(&self, head: &Head, x: &Exchange) -> Verdict {
        let method = head.method.as_str();
        if head.kind != Kind::Request || ALWAYS.contains(&method) {
            return Verdict::Next;
        }
        let rules = &self.policies.calls;
        let Some(about) = about(method, head.name.as_deref(), x) else { return answer::unclear() };
        let arguments = match rules.mentions.arguments.then(|| self.arguments(method, x)).transpose() {
            Ok(arguments) => arguments,
            Err(TooLarge) => return answer::too_large(),
        };
        let caller = self.caller(rules, |key| x.attr(key), |prefix| x.attrs(prefix));
        let upstream = x.upstream();
        let asked = Asked { method, about, upstream: upstream.as_deref() };
        match caller.and_then(|caller| weigh(&self.types, rules, &caller, asked, arguments)) {
            Ok(decided) => answer::of(&decided),
            Err(_) => answer::unclear(),
        }
    }
}

impl Policy {
    fn caller(
        &self,
        rules: &Rules,
        attr: impl Fn(&str) -> Option<String>,
        attrs: impl Fn(&str) -> Vec<(String, String)>,
    ) -> Result<Caller, String> {
        Caller::new(&self.types, rules.mentions, &self.role_claim, attr, attrs)
    }

    /// What a request is made with; nothing is an empty record.
    fn arguments(&self, method: &str, x: &Exchange) -> Result<Expression, TooLarge> {
        let given = match method {
            "tools/call" | "prompts/get" => value(x, "/params/arguments"),
            // The one that is being filled in.
            "completion/complete" => value(x, "/params/argument").map(|at| match at["name"].as_str() {
                Some(name) => serde_json::json!({ name: at["value"] }),
                None => at,
            }),
            _ => None,
        };
        Arguments::new(self.types.json.clone()).expression(&given.unwrap_or_else(|| serde_json::json!({})))
    }
}

/// What a request is about, if that can be told.
fn about<'a>(method: &str, name: Option<&'a str>, x: &Exchange) -> Option<Option<(Thing, &'a str)>> {
    let thing = match method {
        "tools/call" => Thing::Tool,
        "prompts/get" => Thing::Prompt,
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => Thing::Resource,
        "completion/complete" => match value(x, "/params/ref/type")?.as_str()? {
            "ref/prompt" => Thing::Prompt,
            "ref/resource" => Thing::Resource,
            _ => return None,
        },
        _ => return Some(None),
    };
    Some(Some((thing, name?)))
}

/// A part of the request. The host has parsed it, and goes less deep than would be an error here.
fn value(x: &Exchange, pointer: &str) -> Option<serde_json::Value> {
    serde_json::from_str(&x.get(pointer)?).ok()
}

sluice_sdk::export!(Policy: on_catalog, on_request);
