//! Which tools are whose: lists, and the names that calls come with.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use sluice_sdk::glob;
use sluice_sdk::prelude::*;

use crate::config::{Api, Config, Listener, Mode};

/// The name that `namespace` has for this plugin.
pub const PLUGIN: &str = "openapi";

/// Whether somebody is shown the tools of an API. `attr` reads an attribute of theirs.
pub fn shows(config: &Config, api: &Api, attr: impl Fn(&str) -> Option<String>) -> bool {
    let binds = |listener: &&Listener| listener.tags.iter().any(|tag| api.tags.contains(tag));
    api.mode == Mode::ConversionListener || config.listeners.iter().filter(binds).any(|listener| listener.holds(&attr))
}

impl Listener {
    fn holds(&self, attr: impl Fn(&str) -> Option<String>) -> bool {
        self.when.iter().all(|(key, globs)| {
            // A claim that repeats is one attribute, with line feeds between its values; scopes have spaces between them.
            let between = if key == "principal.scopes" { ' ' } else { '\n' };
            attr(key).is_some_and(|values| values.split(between).any(|value| glob::any(globs, value)))
        })
    }
}

/// The list with these tools in it, in their order, by name and definition. An entry of somebody else's that is called like one of them would
/// take its place, so it is hidden.
pub fn shape<'t>(entries: &[Entry], tools: impl Iterator<Item = (&'t str, &'t str)>) -> (Answer, Vec<&'t str>) {
    let (names, added): (BTreeSet<&str>, Vec<String>) = tools.map(|(name, definition)| (name, definition.into())).unzip();
    let own = |entry: &Entry| names.get(entry.name.as_str()).copied();
    let changes = entries.iter().map(|entry| if own(entry).is_some() { Change::Hide } else { Change::Keep }).collect();
    (Answer { changes, added }, entries.iter().filter_map(own).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use serde_json::json;

    #[test]
    fn listeners_show_what_they_name_to_whom_they_name() {
        let config: Config = serde_json::from_value(json!({
            "apis": {
                "open": {"base_url": "https://a"},
                "bills": {"base_url": "https://b", "mode": "conversion-only", "tags": ["money"]},
            },
            "listeners": [
                {"tags": ["money"], "when": {"principal.tenant": ["acme"], "principal.scopes": ["bills:*"]}},
                {"tags": ["money", "other"], "when": {"principal.claim.role": ["admin"]}},
            ],
        }))
        .unwrap();
        let shown = |api: &str, facts: &[(&str, &str)]| {
            shows(&config, &config.apis[api], |key| facts.iter().find(|(known, _)| *known == key).map(|(_, value)| (*value).into()))
        };
        assert!(shown("open", &[]) && !shown("bills", &[]));
        assert!(shown("bills", &[("principal.tenant", "acme"), ("principal.scopes", "read bills:read")]));
        assert!(!shown("bills", &[("principal.tenant", "acme"), ("principal.scopes", "read")]));
        assert!(!shown("bills", &[("principal.tenant", "acme2"), ("principal.scopes", "bills:read")]));
        assert!(shown("bills", &[("principal.claim.role", "dev\nadmin")]) && !shown("bills", &[("principal.claim.role", "dev admin")]));
    }

    #[test]
    fn nobody_takes_the_place_of_a_tool() {
        let entries = [Entry::new("a", "get_pet", ""), Entry::new("a", "other", "")];
        let (answer, hidden) = shape(&entries, [("put_pet", "2"), ("get_pet", "1")].into_iter());
        assert_eq!((answer.changes, answer.added), (vec![Change::Hide, Change::Keep], vec!["2".into(), "1".into()]));
        assert_eq!(hidden, ["get_pet"]);
    }
}
