//! The settings, as `config.schema.json` describes them.

use alloc::string::String;
use alloc::vec::Vec;

use crate::detectors::{Detector, IN_TEXT};

/// All settings.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What becomes of a find in results, errors, prompts, resources, notifications and questions.
    #[serde(default)]
    pub messages: Messages,
    /// What becomes of a find in a definition of a list.
    #[serde(default)]
    pub definitions: Definitions,
    /// Hosts whose URLs may carry data.
    #[serde(default)]
    pub hosts: Vec<String>,
}

/// What becomes of a find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is not looked for.
    Off,
    /// It stays, and a label or the log says so.
    Flag,
    /// It is taken out.
    Strip,
    /// What it is in does not pass.
    Block,
}

/// By detector, for messages.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Messages {
    smuggled: Action,
    hidden: Action,
    terminal: Action,
    images: Action,
    links: Action,
    markup: Action,
    markers: Action,
    injection: Action,
}

/// By detector, for definitions.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Definitions {
    smuggled: Action,
    hidden: Action,
    terminal: Action,
    images: Action,
    links: Action,
    markup: Action,
    markers: Action,
    injection: Action,
    confusable: Action,
}

/// What nobody reads is taken out of a message unread. What somebody may have meant stays, and is said: a server's own words are what it
/// is asked for.
impl Default for Messages {
    fn default() -> Self {
        use Action::{Flag, Strip};
        Messages {
            smuggled: Strip,
            hidden: Strip,
            terminal: Strip,
            images: Strip,
            links: Flag,
            markup: Flag,
            markers: Flag,
            injection: Flag,
        }
    }
}

/// A definition is read before anything is asked, and nobody needs one that is worded like an attack.
impl Default for Definitions {
    fn default() -> Self {
        use Action::{Block, Flag, Strip};
        Definitions {
            smuggled: Block,
            hidden: Strip,
            terminal: Strip,
            images: Block,
            links: Flag,
            markup: Block,
            markers: Block,
            injection: Block,
            confusable: Block,
        }
    }
}

/// Which action a detector has.
pub trait Actions {
    /// That of one.
    fn action(&self, detector: Detector) -> Action;

    /// The detectors that look at text.
    fn on(&self) -> Vec<Detector> {
        IN_TEXT.into_iter().filter(|detector| self.action(*detector) != Action::Off).collect()
    }
}

impl Actions for Messages {
    fn action(&self, detector: Detector) -> Action {
        match detector {
            Detector::Smuggled => self.smuggled,
            Detector::Hidden => self.hidden,
            Detector::Terminal => self.terminal,
            Detector::Images => self.images,
            Detector::Links => self.links,
            Detector::Markup => self.markup,
            Detector::Markers => self.markers,
            Detector::Injection => self.injection,
            Detector::Confusable => Action::Off,
        }
    }
}

impl Actions for Definitions {
    fn action(&self, detector: Detector) -> Action {
        match detector {
            Detector::Smuggled => self.smuggled,
            Detector::Hidden => self.hidden,
            Detector::Terminal => self.terminal,
            Detector::Images => self.images,
            Detector::Links => self.links,
            Detector::Markup => self.markup,
            Detector::Markers => self.markers,
            Detector::Injection => self.injection,
            Detector::Confusable => self.confusable,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_str, from_value};

    use super::*;

    /// The host fills in the schema's defaults; they must be ours.
    #[test]
    fn schema_and_code_agree() {
        let schema: Value = from_str(include_str!("../config.schema.json")).unwrap();
        let ours: Config = from_str("{}").unwrap();
        let check = |table: &str, actions: &dyn Actions, detectors: &[Detector]| {
            let properties = &schema["properties"][table]["properties"];
            assert_eq!(properties.as_object().unwrap().len(), detectors.len(), "{table}");
            for detector in detectors {
                let default = from_value::<Action>(properties[detector.as_str()]["default"].clone()).unwrap();
                assert_eq!(default, actions.action(*detector), "{table} {detector:?}");
            }
        };
        check("messages", &ours.messages, &IN_TEXT);
        check("definitions", &ours.definitions, &[&IN_TEXT[..], &[Detector::Confusable]].concat());
        assert_eq!(from_value::<Vec<String>>(schema["properties"]["hosts"]["default"].clone()).unwrap(), ours.hosts);
    }

    #[test]
    fn unknown_settings_are_refused() {
        for bad in [r#"{"hidden":"off"}"#, r#"{"messages":{"confusable":"flag"}}"#, r#"{"messages":{"hidden":"drop"}}"#] {
            assert!(from_str::<Config>(bad).is_err(), "{bad}");
        }
    }
}
