//! Tools made of calls of others, as the settings declare them.
//!
//! In reading order: [`config`] (the settings), [`recipe`] (a tool with everything in it checked), [`template`] (values made of others),
//! [`check`] (arguments), [`run`] (one call); [`json`] reads and writes.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

pub mod check;
pub mod config;
pub mod json;
pub mod recipe;
pub mod run;
pub mod template;

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use sluice_sdk::catalog::without_prefix;
use sluice_sdk::log::{self, Level};
use sluice_sdk::prelude::*;

use config::Config;
use json::Value;
use recipe::Recipe;
use run::Bounds;

/// The arguments are not those of the tool.
pub const ASKED_WRONGLY: i32 = 4000;

/// The name that `namespace` has for this plugin.
const PLUGIN: &str = "compose";

/// The plugin.
pub struct Compose {
    recipes: Vec<Recipe>,
    bounds: Bounds,
}

impl Plugin for Compose {
    type Config = Config;

    fn manifest() -> Manifest {
        Manifest::new(PLUGIN, env!("CARGO_PKG_VERSION"), "Tools made of calls of others, as the settings declare them.")
            .schema(include_str!("../config.schema.json"))
            .select(Hook::OnCatalog, &["tools/list"], &[])
            .select(Hook::OnRequest, &["tools/call"], &[])
            .need("upstream", "to call the tools that steps name, as who asks")
            .stateless()
    }

    fn new(config: Config) -> Result<Self, String> {
        let bounds = Bounds { calls_max: config.calls_max, bytes_max: config.bytes_max };
        let mut recipes: Vec<Recipe> = Vec::new();
        let mut names = BTreeSet::new();
        for tool in config.tools {
            let name = tool.name.clone();
            if !names.insert(name.clone()) {
                return Err(format!("tools: two are called {name:?}"));
            }
            recipes.push(Recipe::read(tool).map_err(|why| format!("tools.{name}.{why}"))?);
        }
        // Behind a prefix of `namespace` one would be called as the other.
        if let Some(name) = names.iter().find(|name| without_prefix(PLUGIN, name).is_some_and(|own| names.contains(own))) {
            return Err(format!(
                "tools: {name:?} is what another could be called, with the prefix of this plugin before it; give it another name"
            ));
        }
        Ok(Compose { recipes, bounds })
    }
}

impl OnCatalog for Compose {
    fn on_catalog(&self, _: &Viewer, kind: ListKind, entries: &[Entry]) -> Answer {
        if kind != ListKind::Tools {
            return Answer::keep_all();
        }
        let is_own = |entry: &&Entry| self.recipes.iter().any(|recipe| recipe.name == entry.name);
        for entry in entries.iter().filter(is_own) {
            let fields = [("tool", entry.name.as_str()), ("upstream", &entry.upstream)];
            log::write(Level::Warn, "a tool is hidden, because one of the settings is called so and it would take its place", &fields);
        }
        let changes = entries.iter().map(|entry| if is_own(&entry) { Change::Hide } else { Change::Keep }).collect();
        Answer { changes, added: self.recipes.iter().map(|recipe| recipe.definition.clone()).collect() }
    }
}

impl OnRequest for Compose {
    fn on_request(&self, head: &Head, x: &Exchange) -> Verdict {
        let asked = head.name.as_deref().filter(|_| head.kind == Kind::Request && x.upstream().is_none());
        let Some(recipe) = asked.and_then(|name| self.recipe(name)) else { return Verdict::Next };
        let arguments = x.get("/params/arguments").unwrap_or_else(|| "{}".into());
        let Some(input) = json::read(&arguments) else { return wrong("the arguments are nested too deep") };
        if let Err(why) = recipe.input.check(&input) {
            return wrong(&why);
        }
        Verdict::Reply(self.run(recipe, &input, x))
    }
}

impl Compose {
    /// By the name that a call comes with.
    fn recipe(&self, name: &str) -> Option<&Recipe> {
        let named = |name: &str| self.recipes.iter().find(|recipe| recipe.name == name);
        named(name).or_else(|| named(without_prefix(PLUGIN, name)?))
    }

    fn run(&self, recipe: &Recipe, input: &Value<'_>, x: &Exchange) -> String {
        run::run(recipe, input, self.bounds, x).unwrap_or_else(|failure| {
            // For the audit log. That there is no room for it is no reason to say anything else to who asks.
            let _ = x.set_attr("failed_step", failure.step.as_deref().unwrap_or("output"));
            let text = sluice_sdk::json::string(&failure.message);
            format!(r#"{{"content":[{{"type":"text","text":{text}}}],"isError":true,"resultType":"complete"}}"#)
        })
    }
}

/// For the model to read.
fn wrong(why: &str) -> Verdict {
    Rejection::new(ASKED_WRONGLY, why).tool_result().into()
}

sluice_sdk::export!(Compose: on_catalog, on_request);
sluice_sdk::lean!();
