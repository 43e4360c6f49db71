//! Rules, and which tools they are about.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use sluice_sdk::glob;

use crate::config::{Config, OutputSchema, RuleConfig};
use crate::select::Path;

/// All rules, ready for use.
#[derive(Debug)]
pub struct Rules(Vec<Rule>);

/// What becomes of the results of some tools.
#[derive(Debug)]
pub struct Rule {
    config: RuleConfig,
    /// What stays of data; none: all of it.
    pub select: Vec<Path>,
    /// Of each array in data.
    pub items_max: Option<usize>,
    /// Of each text, and of each string in data.
    pub text_bytes_max: Option<usize>,
    /// Of content.
    pub blocks_max: Option<usize>,
    /// Of what is left.
    pub result_bytes_max: Option<usize>,
}

impl Rules {
    /// Checks what a schema cannot say.
    pub fn new(config: Config) -> Result<Self, String> {
        if config.rules.is_empty() {
            return Err("rules is empty, so there is nothing to shape; write a rule, or leave the plugin out".to_string());
        }
        let rules: Vec<_> = (1..)
            .zip(config.rules)
            .map(|(at, rule)| Rule::new(rule).map_err(|why| format!("rule {at}: {why}")))
            .collect::<Result<_, _>>()?;
        if rules.iter().all(Rule::is_idle) {
            return Err("no rule says what becomes of a result: set select or one of the bounds".to_string());
        }
        let hides = rules.iter().position(|rule| rule.config.tools.is_empty() && rule.config.upstreams.is_empty());
        if let Some(at) = hides.filter(|at| at + 1 < rules.len()) {
            return Err(format!("rule {} is about all tools, so those behind it count for none; put it last", at + 1));
        }
        Ok(Rules(rules))
    }

    /// The one that counts for a tool as the client calls it.
    pub fn of(&self, name: &str, upstream: &str) -> Option<&Rule> {
        self.0.iter().find(|rule| rule.is_of(upstream) && (rule.config.tools.is_empty() || glob::any(&rule.config.tools, name)))
    }

    /// May the results of a tool of a list stop keeping what its `outputSchema` promises? The client may know it as it is called here, or as
    /// `namespace` calls it behind this place.
    pub fn may_break(&self, name: &str, upstream: &str) -> bool {
        let names = [name, &format!("{upstream}_{name}")];
        for rule in self.0.iter().filter(|rule| rule.is_of(upstream)) {
            let is_of_all = rule.config.tools.is_empty();
            if (is_of_all || names.iter().any(|name| glob::any(&rule.config.tools, name))) && rule.breaks_promises() {
                return true;
            }
            if is_of_all {
                return false;
            }
        }
        false
    }
}

impl Rule {
    fn new(config: RuleConfig) -> Result<Self, String> {
        if config.tools.iter().chain(&config.upstreams).any(|glob| glob.is_empty()) {
            return Err("an empty name is in tools or upstreams, which nothing is called".to_string());
        }
        let bound = |name: &str, max: Option<u32>| match max {
            Some(0) => Err(format!("{name} is at least 1")),
            max => Ok(max.map(|max| max as usize)),
        };
        Ok(Rule {
            select: config.select.iter().map(|pointer| Path::read(pointer)).collect::<Result<_, _>>()?,
            items_max: bound("items_max", config.items_max)?,
            text_bytes_max: bound("text_bytes_max", config.text_bytes_max)?,
            blocks_max: bound("blocks_max", config.blocks_max)?,
            result_bytes_max: bound("result_bytes_max", config.result_bytes_max)?,
            config,
        })
    }

    fn is_of(&self, upstream: &str) -> bool {
        self.config.upstreams.is_empty() || glob::any(&self.config.upstreams, upstream)
    }

    /// Whether it changes data, and with it perhaps what a tool's `outputSchema` promises.
    pub fn changes_data(&self) -> bool {
        !self.select.is_empty() || self.items_max.is_some() || self.text_bytes_max.is_some()
    }

    fn breaks_promises(&self) -> bool {
        self.changes_data() && self.config.output_schema == OutputSchema::Remove
    }

    /// It leaves every result as it is.
    pub fn is_idle(&self) -> bool {
        !self.changes_data() && self.blocks_max.is_none() && self.result_bytes_max.is_none()
    }

    /// It leaves an answer of so many bytes as it is, whatever is in it.
    pub fn is_idle_for(&self, bytes: usize) -> bool {
        let fits = |max: Option<usize>| max.is_none_or(|max| bytes <= max);
        let looks_inside = !self.select.is_empty() || self.items_max.is_some() || self.blocks_max.is_some();
        !looks_inside && fits(self.text_bytes_max) && fits(self.result_bytes_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_meant_by_its_name_here_and_by_the_one_it_gets() {
        for (glob, name, yes) in [
            ("get_log", "get_log", true),
            ("git_get_log", "get_log", true),
            ("git_*", "get_log", true),
            ("*_log", "get_log", true),
            ("mail_*", "get_log", false),
            ("get_log_*", "get_log", false),
            ("git_push", "get_log", false),
        ] {
            let config = serde_json::json!({"rules": [{"tools": [glob], "items_max": 1}]});
            let rules = Rules::new(serde_json::from_value(config).unwrap()).unwrap();
            assert_eq!(rules.may_break(name, "git"), yes, "{glob} {name}");
        }
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        for (bad, why) in [
            (r#"{"rules":[]}"#, "nothing to shape"),
            (r#"{"rules":[{"tools":["a"]}]}"#, "no rule says"),
            (r#"{"rules":[{"items_max":1},{"tools":["a"],"items_max":0}]}"#, "rule 2: items_max is at least 1"),
            (r#"{"rules":[{"items_max":1},{"tools":["a"],"items_max":2}]}"#, "rule 1 is about all tools"),
            (r#"{"rules":[{"tools":["a"],"select":["a.b"]}]}"#, "rule 1: \"a.b\" is no JSON pointer"),
            (r#"{"rules":[{"tools":[""],"items_max":1}]}"#, "rule 1: an empty name"),
        ] {
            let error = Rules::new(serde_json::from_str(bad).unwrap()).unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
        let exempt = r#"{"rules":[{"tools":["export"]},{"items_max":1}]}"#;
        let rules = Rules::new(serde_json::from_str(exempt).unwrap()).unwrap();
        assert!(rules.of("export", "u").unwrap().is_idle() && !rules.of("other", "u").unwrap().is_idle());
    }
}
