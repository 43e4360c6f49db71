//! The policies, read once.

use std::collections::BTreeMap;

use cedar_policy::{Policy, PolicyId, PolicySet};

use crate::config::Config;
use crate::mentions::{Mentions, without_arguments};
use crate::{depth, place, schema};

/// Longest name that a policy may have: it goes to clients and into records.
const ID_BYTES_MAX: usize = 128;

/// All policies, ready for use.
#[derive(Debug)]
pub struct Policies {
    /// What decides on requests.
    pub calls: Rules,
    /// What decides on entries of lists: the same, without what is said of arguments.
    pub lists: Rules,
}

/// Policies, and what has to be known to decide by them.
#[derive(Debug)]
pub struct Rules {
    /// What decides.
    pub set: PolicySet,
    /// What any of them mentions.
    pub mentions: Mentions,
}

impl Policies {
    /// Reads and checks them. Errors name the policy, or its text, and the line.
    pub fn new(config: &Config) -> Result<Self, String> {
        let mut named = BTreeMap::new();
        for (name, text) in config.policies.iter() {
            read(name, text, &mut named)?;
        }
        let calls = rules(named.values().cloned())?;
        if let Some(text) = &config.schema {
            schema::check(text, &calls.set)?;
        }
        let mut shown = Vec::new();
        for (id, policy) in &named {
            if let Some(json) = without_arguments(json(policy)?) {
                let policy =
                    Policy::from_json(Some(PolicyId::new(id)), json).map_err(|error| place::told(&format!("policy `{id}`"), &error))?;
                shown.push(policy);
            }
        }
        Ok(Policies { calls, lists: rules(shown)? })
    }
}

/// The policies of one text, under the names they have from here on.
fn read(name: &str, text: &str, named: &mut BTreeMap<String, Policy>) -> Result<(), String> {
    if let Some(line) = depth::too_many_brackets(text) {
        return Err(format!("{name}, line {line}: more than {} brackets within one another; split the policy", depth::BRACKETS_MAX));
    }
    let set: PolicySet = text.parse().map_err(|error: cedar_policy::ParseErrors| place::told(name, &error))?;
    if let Some(template) = set.templates().next() {
        return Err(format!("{name}: `{}` is a template, and there is nothing here that would fill one in", template.id()));
    }
    for (at, policy) in (1..).zip(set.policies()) {
        let id = match policy.annotation("id") {
            Some(id) if !id.is_empty() && id.len() <= ID_BYTES_MAX && !id.contains(char::is_control) => id.to_string(),
            Some(_) => {
                return Err(format!("{name}: the @id of policy {at} must have 1 to {ID_BYTES_MAX} bytes, and no control characters"));
            }
            None => format!("{name}#{at}"),
        };
        if named.insert(id.clone(), policy.new_id(PolicyId::new(&id))).is_some() {
            return Err(format!("{name}: another policy has the name `{id}` of policy {at}, too; give each @id once"));
        }
    }
    Ok(())
}

fn rules(policies: impl IntoIterator<Item = Policy>) -> Result<Rules, String> {
    let set = PolicySet::from_policies(policies).map_err(|error| error.to_string())?;
    let mut mentions = Mentions::default();
    for policy in set.policies() {
        mentions = mentions.and(Mentions::of(&json(policy)?));
    }
    Ok(Rules { set, mentions })
}

fn json(policy: &Policy) -> Result<serde_json::Value, String> {
    let json = policy.to_json().map_err(|error| place::told(&format!("policy `{}`", policy.id()), &error))?;
    if depth::has_too_many_levels(&json) {
        return Err(format!("policy `{}` goes deeper than is evaluated, about {} operators; split it", policy.id(), depth::LEVELS_MAX / 2));
    }
    Ok(json)
}
