//! What stays in a list, and what the two tools of this plugin say of themselves.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use sluice_sdk::glob;
use sluice_sdk::json::{self, Json};
use sluice_sdk::prelude::*;

use crate::config::Config;

/// Hides what is to be found, and adds what finds and calls it.
pub fn shape(config: &Config, entries: &[Entry]) -> Answer {
    let is_own_name = |entry: &Entry| entry.name == config.search_tool || entry.name == config.call_tool;
    let stays = |entry: &Entry| {
        // What is called as our own tools would take their place.
        !is_own_name(entry) && (glob::any(&config.keep, &entry.name) || !glob::any(&config.upstreams, &entry.upstream))
    };
    let changes: Vec<Change> = entries.iter().map(|entry| if stays(entry) { Change::Keep } else { Change::Hide }).collect();
    let hidden = changes.iter().filter(|change| matches!(change, Change::Hide)).count();
    if hidden < config.tools_min.max(1) {
        return Answer::keep_all();
    }
    Answer { changes, added: vec![search_tool(config, hidden), call_tool(config)] }
}

/// Whether a name that a client calls is that of one of our tools, be it behind a prefix that another plugin set.
pub fn is_own(own: &str, name: &str) -> bool {
    let before = name.strip_suffix(own);
    before.is_some_and(|before| before.is_empty() || !before.ends_with(|c: char| c.is_alphanumeric()))
}

fn search_tool(config: &Config, hidden: usize) -> Json {
    let about = format!(
        "Finds tools. {hidden} tools are there that are not in this list: say in plain words what should be done, in English, and what \
         it is to be done to; the answer has the names, descriptions and input schemas of those that fit best. Call one with {}. If \
         none fits, ask again in other words.",
        config.call_tool
    );
    let most = format!("How many, at most 20; {} unless said.", config.results);
    format!(
        r#"{{"name":{},"title":"Find tools","description":{},"inputSchema":{{"type":"object","properties":{{"query":{{"type":"string","description":"What should be done, such as: send a message to a channel."}},"limit":{{"type":"integer","minimum":1,"maximum":20,"description":{}}}}},"required":["query"]}},"annotations":{{"readOnlyHint":true,"openWorldHint":false}}}}"#,
        json::string(&config.search_tool),
        json::string(&about),
        json::string(&most),
    )
}

fn call_tool(config: &Config) -> Json {
    let about: String = format!("Calls a tool that {} has found, and answers as that tool does.", config.search_tool);
    format!(
        r#"{{"name":{},"title":"Call a tool","description":{},"inputSchema":{{"type":"object","properties":{{"name":{{"type":"string","description":"As it was found."}},"arguments":{{"type":"object","description":"As the tool's own input schema has them."}}}},"required":["name"]}},"annotations":{{"readOnlyHint":false,"destructiveHint":true,"openWorldHint":true}}}}"#,
        json::string(&config.call_tool),
        json::string(&about),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(names: &[&str]) -> Vec<Entry> {
        names.iter().map(|name| Entry::new(name.split('_').next().unwrap(), name, "")).collect()
    }

    fn kept(config: &Config, names: &[&str]) -> (String, usize) {
        let answer = shape(config, &entries(names));
        let signs = answer.changes.iter().map(|change| if matches!(change, Change::Keep) { '+' } else { '-' });
        (signs.collect(), answer.added.len())
    }

    #[test]
    fn what_is_found_is_hidden_and_the_rest_stays() {
        let names = ["git_log", "git_push", "mail_send", "clock_now"];
        let config = Config { tools_min: 2, ..Config::default() };
        assert_eq!(kept(&config, &names), ("----".into(), 2));
        assert_eq!(kept(&Config { keep: vec!["*_now".into()], ..config.clone() }, &names), ("---+".into(), 2));
        assert_eq!(kept(&Config { upstreams: vec!["g*".into()], ..config.clone() }, &names), ("--++".into(), 2));
        assert_eq!(kept(&Config { upstreams: vec!["mail".into()], ..config }, &names), ("".into(), 0), "one is fewer than two");
        assert_eq!(kept(&Config::default(), &names), ("".into(), 0), "a short list stays as it is");
        assert_eq!(kept(&Config { tools_min: 0, ..Config::default() }, &[]), ("".into(), 0));
    }

    #[test]
    fn nobody_takes_the_place_of_our_own_tools() {
        let config = Config { tools_min: 1, keep: vec!["*".into()], ..Config::default() };
        assert_eq!(kept(&config, &["git_log", "call_tool"]), ("+-".into(), 2));
    }

    #[test]
    fn our_tools_are_known_behind_a_prefix() {
        for (name, yes) in
            [("call_tool", true), ("search_call_tool", true), ("x.call_tool", true), ("recall_tool", false), ("call_tools", false)]
        {
            assert_eq!(is_own("call_tool", name), yes, "{name}");
        }
    }

    #[test]
    fn our_definitions_are_json_whatever_the_names() {
        let config = Config::default();
        for definition in [search_tool(&config, 7), call_tool(&config)] {
            let value: serde_json::Value = serde_json::from_str(&definition).unwrap();
            assert!(value["inputSchema"]["required"].is_array(), "{value}");
        }
    }
}
