//! The settings, as `config.schema.json` describes them.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::value::RawValue;

/// All settings.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The server's MCP endpoint.
    pub url: String,
    /// Name of the operator's secret that is sent as a bearer token.
    #[serde(default)]
    pub token: Option<String>,
    /// In the order they are asked in.
    pub interceptors: Vec<Interceptor>,
    /// What they are shown.
    #[serde(default)]
    pub payload: Form,
    /// What a client hears of a refusal.
    #[serde(default)]
    pub tell: Tell,
    /// How a `tools/call` is refused.
    #[serde(default)]
    pub answer: Answer,
}

/// One interceptor, and how far it is trusted.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interceptor {
    /// As the server lists it.
    pub name: String,
    /// Whether it decides or changes.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Globs over methods.
    #[serde(default = "default_events")]
    pub events: Vec<String>,
    /// On which ways it is asked.
    #[serde(default = "default_phases")]
    pub phases: Vec<Phase>,
    /// Whether what it says counts.
    #[serde(default)]
    pub mode: Mode,
    /// Whether a message passes that it could not be asked about.
    #[serde(default)]
    pub fail_open: bool,
    /// Milliseconds.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u32,
    /// JSON text of an object, passed along as it is.
    #[serde(default)]
    pub config: Option<Box<RawValue>>,
}

/// The draft's two types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Says whether a message may pass.
    Validation,
    /// Says what becomes of a message.
    Mutation,
}

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// To the server.
    Request,
    /// Back.
    Response,
}

/// Whether what an interceptor says counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It does.
    #[default]
    Active,
    /// It is written down.
    Audit,
}

/// What an interceptor is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// The message without what is the connection's: `method` and `params`, or `result`, or `error`.
    #[default]
    Message,
    /// What is under `params` or `result`; errors are shown to nobody.
    Params,
}

/// What a client hears of a refusal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tell {
    /// Which interceptor it was.
    #[default]
    Nothing,
    /// Its words, and its code if it has one.
    Messages,
}

/// How a `tools/call` is refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// As an error.
    #[default]
    Error,
    /// As a result that models can read.
    ToolResult,
}

impl Kind {
    /// The draft's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Validation => "validation",
            Kind::Mutation => "mutation",
        }
    }
}

impl Phase {
    /// The draft's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Request => "request",
            Phase::Response => "response",
        }
    }
}

impl Interceptor {
    /// Is it asked about this?
    pub fn covers(&self, event: &str, phase: Phase) -> bool {
        self.phases.contains(&phase) && self.events.iter().any(|glob| matches(glob, event))
    }
}

/// `*` matches any run of characters.
fn matches(glob: &str, text: &str) -> bool {
    match glob.split_once('*') {
        None => glob == text,
        Some((before, after)) => text
            .strip_prefix(before)
            .is_some_and(|rest| rest.char_indices().map(|(at, _)| at).chain([rest.len()]).any(|at| matches(after, &rest[at..]))),
    }
}

fn default_events() -> Vec<String> {
    alloc::vec!["tools/call".to_string()]
}

fn default_phases() -> Vec<Phase> {
    alloc::vec![Phase::Request, Phase::Response]
}

fn default_timeout_ms() -> u32 {
    1_000
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_str, from_value};

    use super::*;

    /// The host fills in the schema's defaults; they must be ours.
    #[test]
    fn schema_and_code_agree() {
        let schema: Value = from_str(include_str!("../config.schema.json")).unwrap();
        let ours: Config = from_str(r#"{"url":"https://a.example","interceptors":[{"name":"a","type":"validation"}]}"#).unwrap();
        let default = |key: &str| schema["properties"][key]["default"].clone();
        assert_eq!(from_value::<Form>(default("payload")).unwrap(), ours.payload);
        assert_eq!(from_value::<Tell>(default("tell")).unwrap(), ours.tell);
        assert_eq!(from_value::<Answer>(default("answer")).unwrap(), ours.answer);

        let (one, default) = (&ours.interceptors[0], &schema["properties"]["interceptors"]["items"]["properties"]);
        assert_eq!(from_value::<Vec<String>>(default["events"]["default"].clone()).unwrap(), one.events);
        assert_eq!(from_value::<Vec<Phase>>(default["phases"]["default"].clone()).unwrap(), one.phases);
        assert_eq!(from_value::<Mode>(default["mode"]["default"].clone()).unwrap(), one.mode);
        assert_eq!((default["fail_open"]["default"] == one.fail_open, default["timeout_ms"]["default"] == one.timeout_ms), (true, true));
    }

    #[test]
    fn the_readmes_example_is_a_configuration() {
        let page = include_str!("../README.md");
        let example = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
        let table: toml::Table = example.parse().unwrap();
        let config = serde_json::to_string(&table["config"]).unwrap();
        assert_eq!(from_str::<Config>(&config).unwrap().interceptors.len(), 2);
    }

    #[test]
    fn globs_match_whole_methods() {
        for (glob, text, is) in [
            ("*", "tools/call", true),
            ("tools/*", "tools/call", true),
            ("tools/call", "tools/call", true),
            ("tools/*", "xtools/call", false),
            ("*/list", "tools/list", true),
            ("tools", "tools/call", false),
            ("t*l*l", "tools/call", true),
        ] {
            assert_eq!(matches(glob, text), is, "{glob} {text}");
        }
    }
}
