//! The settings, as `config.schema.json` describes them, and what a schema cannot say about them.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// What members with documents begin with.
const DOCUMENT: &str = "document_";

/// All settings.
#[derive(Debug, Default)]
pub struct Config {
    /// By name.
    pub apis: BTreeMap<String, Api>,
    /// Who is shown the tools of APIs that are only converted.
    pub listeners: Vec<Listener>,
    /// By the name of their API.
    pub documents: BTreeMap<String, Box<RawValue>>,
}

/// One API.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// Where it is. What the document says about that does not count.
    pub base_url: String,
    /// Before the names of its tools.
    #[serde(default)]
    pub prefix: String,
    /// Whether its tools are listed by themselves.
    #[serde(default)]
    pub mode: Mode,
    /// By which listeners name it.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Which operations are tools; none written: all.
    #[serde(default)]
    pub include: Vec<Selection>,
    /// Which are not.
    #[serde(default)]
    pub exclude: Vec<Selection>,
    /// Names of tools, by operation.
    #[serde(default)]
    pub names: BTreeMap<String, String>,
    /// Operations that change nothing, whatever their method.
    #[serde(default)]
    pub read_only: Vec<String>,
    /// What shows who asks.
    #[serde(default)]
    pub auth: Vec<Auth>,
    /// Sent along with every request.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Whether tools say what they answer.
    #[serde(default = "yes")]
    pub output_schemas: bool,
    /// How long one request may take, if that is less than what is left of the hook's time.
    pub timeout_ms: Option<u32>,
}

/// Whether tools are listed by themselves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// They are, for everybody.
    #[default]
    ConversionListener,
    /// For whom a listener shows them.
    ConversionOnly,
}

/// Some operations: those of which everything that is written holds.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Selection {
    /// Globs of `operationId`, or of `GET /path` where there is none.
    pub operations: Vec<String>,
    /// Globs of tags.
    pub tags: Vec<String>,
    /// Of HTTP.
    pub methods: Vec<String>,
    /// Globs of paths, as the document has them.
    pub paths: Vec<String>,
}

/// One secret in one header.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// The operator's name of it.
    pub secret: String,
    /// The header.
    pub header: Option<String>,
    /// What stands before it there.
    #[serde(default)]
    pub prefix: String,
    /// Instead of a header: as the password of this user.
    pub user: Option<String>,
}

/// Who is shown the tools of some APIs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// Of the APIs.
    pub tags: Vec<String>,
    /// Facts, and globs of what they may be. All must be there.
    #[serde(default)]
    pub when: BTreeMap<String, Vec<String>>,
}

fn yes() -> bool {
    true
}

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut members = BTreeMap::<String, Box<RawValue>>::deserialize(from)?;
        let mut config = Config::default();
        if let Some(apis) = members.remove("apis") {
            config.apis = serde_json::from_str(apis.get()).map_err(|error| D::Error::custom(format!("apis: {error}")))?;
        }
        if let Some(listeners) = members.remove("listeners") {
            config.listeners = serde_json::from_str(listeners.get()).map_err(|error| D::Error::custom(format!("listeners: {error}")))?;
        }
        for (name, document) in members {
            let api = name.strip_prefix(DOCUMENT).ok_or_else(|| D::Error::custom(format!("{name} is no setting")))?;
            config.documents.insert(api.to_string(), document);
        }
        Ok(config)
    }
}

impl Config {
    /// Checks what a schema cannot say.
    pub fn check(&self) -> Result<(), String> {
        for (name, api) in &self.apis {
            api.check().map_err(|problem| format!("apis.{name}.{problem}"))?;
            if !self.documents.contains_key(name) {
                return Err(format!("apis.{name} has no document: write config_files.{DOCUMENT}{name} = \"its file\""));
            }
            let is_bound = |tag| self.listeners.iter().any(|listener| listener.tags.contains(tag));
            if api.mode == Mode::ConversionOnly && !api.tags.iter().any(is_bound) {
                return Err(format!(
                    "apis.{name} is conversion-only, and no listener names one of its tags, so nobody would ever see its tools"
                ));
            }
        }
        if let Some(name) = self.documents.keys().find(|name| !self.apis.contains_key(*name)) {
            return Err(format!("{DOCUMENT}{name} is the document of apis.{name}, which is not there"));
        }
        for (at, listener) in (1..).zip(&self.listeners) {
            if let Some(tag) = listener.tags.iter().find(|tag| !self.apis.values().any(|api| api.tags.contains(tag))) {
                return Err(format!("listener {at} names the tag {tag:?}, which no API has"));
            }
            let is_fact = |key: &String| ["principal.", "client.", "transport.", "http.header."].iter().any(|start| key.starts_with(start));
            if let Some(key) = listener.when.keys().find(|key| !is_fact(key)) {
                return Err(format!(
                    "listener {at}: {key:?} is nothing that is known where lists are made; principal.*, client.*, transport.* and http.header.* are"
                ));
            }
        }
        Ok(())
    }
}

impl Api {
    fn check(&self) -> Result<(), String> {
        let rest = self.base_url.strip_prefix("https://").or_else(|| self.base_url.strip_prefix("http://"));
        let is_url = |rest: &str| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}#?@".contains(&b));
        if !rest.is_some_and(is_url) {
            return Err("base_url is a URL such as https://api.example.com/v1, without a user, a query or a fragment".to_string());
        }
        for auth in &self.auth {
            if auth.header.is_some() == auth.user.is_some() {
                return Err(format!("auth with the secret {:?} needs either a header or a user", auth.secret));
            }
            if auth.user.is_some() && !auth.prefix.is_empty() {
                return Err(format!(
                    "auth with the secret {:?} has a user, so nothing stands before the secret: take prefix away",
                    auth.secret
                ));
            }
        }
        let mut taken = Vec::new();
        for header in self.own_headers() {
            let is_name = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
            if header.is_empty() || !header.bytes().all(is_name) {
                return Err(format!("{header:?} is no name of a header"));
            }
            if taken.contains(&header) {
                return Err(format!("the header {header} is set twice"));
            }
            taken.push(header);
        }
        if let Some((name, _)) = self.headers.iter().find(|(_, value)| !is_header_value(value)) {
            return Err(format!("headers.{name} is no value of a header"));
        }
        Ok(())
    }

    /// Headers that no argument sets, in lower case.
    pub fn own_headers(&self) -> impl Iterator<Item = String> {
        let secret = self.auth.iter().map(|auth| auth.header.as_deref().unwrap_or("authorization"));
        secret.chain(self.headers.keys().map(String::as_str)).map(str::to_ascii_lowercase)
    }
}

/// Printable ASCII, with spaces within.
pub fn is_header_value(value: &str) -> bool {
    value.bytes().all(|b| b.is_ascii_graphic() || b == b' ') && value.trim() == value
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn problem(config: &Value) -> String {
        let config: Result<Config, _> = serde_json::from_str(&config.to_string());
        config.map_err(|error| error.to_string()).and_then(|config| config.check()).err().unwrap_or_default()
    }

    fn with(change: impl FnOnce(&mut Value)) -> Value {
        let mut config = json!({"apis": {"pets": {"base_url": "https://api.example.com/v1"}}, "document_pets": {"openapi": "3.1.0"}});
        change(&mut config);
        config
    }

    #[test]
    fn what_a_schema_cannot_say_is_checked() {
        assert_eq!(problem(&with(|_| {})), "");
        let api = |member: &str, value: Value| with(|config| config["apis"]["pets"][member] = value);
        for (config, says) in [
            (api("base_url", json!("ftp://x")), "apis.pets.base_url is a URL"),
            (api("base_url", json!("https://a/?b")), "apis.pets.base_url"),
            (api("base_url", json!("https://user@a/")), "apis.pets.base_url"),
            (api("auth", json!([{"secret": "k"}])), "either a header or a user"),
            (api("auth", json!([{"secret": "k", "header": "a", "user": "b"}])), "either a header or a user"),
            (api("auth", json!([{"secret": "k", "user": "b", "prefix": "c"}])), "take prefix away"),
            (api("auth", json!([{"secret": "k", "header": "a b"}])), "no name of a header"),
            (api("headers", json!({"X-A": "1", "x-a": "2"})), "set twice"),
            (api("headers", json!({"x": "a\nb"})), "headers.x is no value"),
            (api("mode", json!("conversion-only")), "no listener names one of its tags"),
            (api("mode", json!("listener")), "apis: "),
            (api("unknown", json!(1)), "apis: "),
            (with(|config| drop(config.as_object_mut().unwrap().remove("document_pets"))), "config_files.document_pets"),
            (with(|config| config["document_other"] = json!({})), "document_other is the document of apis.other"),
            (with(|config| config["other"] = json!({})), "other is no setting"),
            (with(|config| config["listeners"] = json!([{"tags": ["x"]}])), "listener 1 names the tag \"x\""),
            (
                with(|config| {
                    config["apis"]["pets"]["tags"] = json!(["x"]);
                    config["listeners"] = json!([{"tags": ["x"], "when": {"guard.risk": ["low"]}}]);
                }),
                "guard.risk",
            ),
        ] {
            let problem = problem(&config);
            assert!(problem.contains(says), "{config}: {problem:?}");
        }
    }

    /// The host fills in the schema's defaults; they must be ours.
    #[test]
    fn schema_and_code_agree() {
        let schema: Value = serde_json::from_str(include_str!("../config.schema.json")).unwrap();
        let of = &schema["$defs"]["api"]["properties"];
        let api: Api = serde_json::from_str(r#"{"base_url":"https://a"}"#).unwrap();
        assert_eq!(of["output_schemas"]["default"], api.output_schemas);
        assert_eq!(of["prefix"]["default"], api.prefix);
        assert_eq!((of["mode"]["default"].as_str(), api.mode), (Some("conversion-listener"), Mode::ConversionListener));
        let known: Vec<&String> = of.as_object().unwrap().keys().collect();
        assert_eq!(known.len(), 12, "{known:?}");
        for name in known {
            let read = serde_json::from_value::<Api>(json!({"base_url": "https://a", name.as_str(): {"never": ["this"]}}));
            assert!(read.is_err_and(|error| !error.to_string().contains("unknown field")), "{name}");
        }
    }
}
