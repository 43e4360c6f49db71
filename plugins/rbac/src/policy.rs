//! Rules, whom they are about, and what they say.
//!
//! Three questions are asked of the same rules. Of an entry of a list: may this caller use it? What it may not is not shown, and the host calls
//! nothing that is not shown. Of a request: may this caller use this method at all? A rule that names entries has been asked about them by
//! then, so it counts here for its method and upstream alone. Of a server's question to the client: may it be asked?

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use sluice_sdk::glob;
use sluice_sdk::prelude::*;

use crate::config::{Config, Effect, RuleConfig};

/// The caller may not.
pub const FORBIDDEN: i32 = 4030;

/// All rules, ready for use.
#[derive(Debug)]
pub struct Rules {
    default: Effect,
    rules: Vec<Rule>,
    /// The attribute that holds roles; nothing if no rule asks for them.
    roles: Option<String>,
    asks: Asks,
}

/// What the rules want to know of a caller. What is not asked for is not read, so that callers who differ in it alone share their lists.
#[derive(Debug, Default, Clone, Copy)]
struct Asks {
    subject: bool,
    tenant: bool,
    group: bool,
    scopes: bool,
}

#[derive(Debug)]
struct Rule {
    config: RuleConfig,
    /// It names entries.
    is_about_entries: bool,
}

/// Who asks, as far as any rule wants to know.
#[derive(Debug, Default, Clone)]
pub struct Caller {
    roles: Vec<String>,
    subject: Option<String>,
    tenant: Option<String>,
    group: Option<String>,
    scopes: Vec<String>,
}

/// What kind of thing a request or an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    /// A tool.
    Tool,
    /// A prompt.
    Prompt,
    /// A resource, or a template of some.
    Resource,
}

impl Thing {
    /// What a list holds.
    pub fn of(kind: ListKind) -> Self {
        match kind {
            ListKind::Tools => Thing::Tool,
            ListKind::Prompts => Thing::Prompt,
            ListKind::Resources | ListKind::ResourceTemplates => Thing::Resource,
        }
    }

    /// What a method is about; nothing: about no entry.
    pub fn of_method(method: &str) -> Option<Self> {
        match method.split('/').next() {
            Some("tools") => Some(Thing::Tool),
            Some("prompts") => Some(Thing::Prompt),
            Some("resources") => Some(Thing::Resource),
            _ => None,
        }
    }

    /// The method by which an entry is used.
    fn used_by(self) -> &'static str {
        match self {
            Thing::Tool => "tools/call",
            Thing::Prompt => "prompts/get",
            Thing::Resource => "resources/read",
        }
    }
}

impl Rules {
    /// Checks what a schema cannot say.
    pub fn new(config: Config) -> Result<Self, String> {
        let (mut asks, mut asks_roles) = (Asks::default(), false);
        let mut rules = Vec::with_capacity(config.rules.len());
        for (at, rule) in (1..).zip(config.rules) {
            if rule.read_only && (!rule.prompts.is_empty() || !rule.resources.is_empty()) {
                return Err(format!("rule {at} is about tools that change nothing, and names prompts or resources"));
            }
            asks_roles |= !rule.roles.is_empty();
            asks.subject |= !rule.subjects.is_empty();
            asks.tenant |= !rule.tenants.is_empty();
            asks.group |= !rule.groups.is_empty();
            asks.scopes |= !rule.scopes.is_empty();
            rules.push(Rule::new(rule));
        }
        let roles = asks_roles.then(|| format!("principal.claim.{}", config.role_claim));
        Ok(Rules { default: config.default, rules, roles, asks })
    }

    /// Who asks. `attr` reads an attribute.
    pub fn caller(&self, attr: impl Fn(&str) -> Option<String>) -> Caller {
        let words = |text: Option<String>, between: char| match text {
            Some(text) => text.split(between).map(ToString::to_string).collect(),
            None => Vec::new(),
        };
        Caller {
            // A claim that repeats is one attribute, with line feeds between its values.
            roles: words(self.roles.as_deref().and_then(&attr), '\n'),
            subject: self.asks.subject.then(|| attr("principal.subject")).flatten(),
            tenant: self.asks.tenant.then(|| attr("principal.tenant")).flatten(),
            group: self.asks.group.then(|| attr("transport.group")).flatten(),
            scopes: words(self.asks.scopes.then(|| attr("principal.scopes")).flatten(), ' '),
        }
    }

    /// May the caller use this entry? `changes_nothing` looks at a tool's definition, and is asked last.
    pub fn allow_entry(&self, caller: &Caller, thing: Thing, entry: &Entry, changes_nothing: impl Fn() -> bool) -> bool {
        self.decide(|rule| {
            rule.is_about(caller, Some(&entry.upstream), thing.used_by())
                && rule.names(thing, &entry.name)
                && (!rule.config.read_only || (thing == Thing::Tool && changes_nothing()))
        })
    }

    /// May the caller use this method, toward this upstream if it goes to one?
    pub fn allow_method(&self, caller: &Caller, method: &str, upstream: Option<&str>) -> bool {
        let thing = Thing::of_method(method);
        self.decide(|rule| {
            // A no to some entries is no word about the others.
            let speaks = rule.config.effect == Effect::Allow || !rule.is_about_entries;
            speaks && rule.is_about(caller, upstream, method) && thing.is_none_or(|thing| rule.may_name(thing))
        })
    }

    /// May this upstream ask this caller's client that, while it works for it? The caller has been let in by then, so only a no counts.
    pub fn allow_question(&self, caller: &Caller, method: &str, upstream: Option<&str>) -> bool {
        let says_no = |rule: &Rule| rule.config.effect == Effect::Deny && !rule.is_about_entries && rule.is_about(caller, upstream, method);
        !self.rules.iter().any(says_no)
    }

    /// A no counts more than any yes.
    fn decide(&self, speaks: impl Fn(&Rule) -> bool) -> bool {
        let mut is_allowed = self.default == Effect::Allow;
        for rule in self.rules.iter().filter(|rule| speaks(rule)) {
            match rule.config.effect {
                Effect::Deny => return false,
                Effect::Allow => is_allowed = true,
            }
        }
        is_allowed
    }
}

impl Rule {
    fn new(config: RuleConfig) -> Self {
        let names = [&config.tools, &config.prompts, &config.resources];
        let is_about_entries = config.read_only || names.iter().any(|globs| !globs.is_empty());
        Rule { config, is_about_entries }
    }

    fn is_about(&self, caller: &Caller, upstream: Option<&str>, method: &str) -> bool {
        let Self { config, .. } = self;
        let one_of = |globs: &[String], text: Option<&str>| globs.is_empty() || text.is_some_and(|text| glob::any(globs, text));
        // A request that goes nowhere in particular is about every upstream for a yes, and about none for a no.
        let is_there = upstream.is_none() && config.effect == Effect::Allow || one_of(&config.upstreams, upstream);
        (config.roles.is_empty() || caller.roles.iter().any(|role| glob::any(&config.roles, role)))
            && one_of(&config.subjects, caller.subject.as_deref())
            && one_of(&config.tenants, caller.tenant.as_deref())
            && one_of(&config.groups, caller.group.as_deref())
            && config.scopes.iter().all(|scope| caller.scopes.contains(scope))
            && is_there
            && one_of(&config.methods, Some(method))
    }

    fn globs(&self, thing: Thing) -> &[String] {
        match thing {
            Thing::Tool => &self.config.tools,
            Thing::Prompt => &self.config.prompts,
            Thing::Resource => &self.config.resources,
        }
    }

    /// A rule without names is about all there is; one with names of tools alone, about no prompt.
    fn names(&self, thing: Thing, name: &str) -> bool {
        let globs = self.globs(thing);
        if globs.is_empty() { self.may_name(thing) } else { glob::any(globs, name) }
    }

    /// Whether it says anything about things of this kind.
    fn may_name(&self, thing: Thing) -> bool {
        !self.is_about_entries || !self.globs(thing).is_empty() || (self.config.read_only && thing == Thing::Tool)
    }
}
