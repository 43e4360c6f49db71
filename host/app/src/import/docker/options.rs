//! The gateway's command line.

use crate::config::problem::{Place, quoted};
use crate::import::draft::Draft;

/// What it says.
#[derive(Debug, Default)]
pub(super) struct Options {
    pub(super) servers: Vec<String>,
    /// All of the catalog, whatever is registered.
    pub(super) is_all: bool,
    pub(super) tools: Vec<String>,
    pub(super) catalogs: Vec<String>,
    pub(super) registries: Vec<String>,
    pub(super) configs: Vec<String>,
    pub(super) tool_files: Vec<String>,
    /// Colon-separated, as the gateway has it.
    pub(super) secrets: Vec<String>,
    pub(super) cpus: Option<String>,
    pub(super) memory: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) host: Option<String>,
    pub(super) transport: Option<String>,
    pub(super) is_long_lived: bool,
    pub(super) is_network_blocked: bool,
    pub(super) is_static: bool,
    /// Networks of the gateway's own container, which its servers join.
    pub(super) networks: Vec<String>,
}

/// Options without a value of their own.
const FLAGS: [&str; 13] = [
    "enable-all-servers",
    "long-lived",
    "block-network",
    "static",
    "allow-unauthenticated",
    "log-calls",
    "block-secrets",
    "verify-signatures",
    "dry-run",
    "verbose",
    "debug-dns",
    "watch",
    "keep",
];

impl Options {
    /// What stands behind `gateway run`, said at this place.
    pub(super) fn read(&mut self, words: &[String], place: &Place, draft: &mut Draft<'_>) {
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            let Some(option) = word.strip_prefix("--") else {
                draft.lost(place.clone(), format!("{} is no option of the gateway", quoted(word)), None);
                continue;
            };
            let (name, value) = match option.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None if FLAGS.contains(&option) => (option, None),
                None => (option, rest.next().cloned()),
            };
            self.one(name, value.as_deref(), place, draft);
        }
    }

    fn one(&mut self, name: &str, value: Option<&str>, place: &Place, draft: &mut Draft<'_>) {
        let is_on = !matches!(value, Some("false" | "0" | "f" | "F"));
        let value = value.unwrap_or_default();
        let several = || value.split(',').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty());
        match name {
            "servers" => self.servers.extend(several()),
            "tools" => self.tools.extend(several()),
            "catalog" | "additional-catalog" => self.catalogs.extend(several()),
            "registry" | "additional-registry" => self.registries.extend(several()),
            "config" | "additional-config" => self.configs.extend(several()),
            "tools-config" | "additional-tools-config" => self.tool_files.extend(several()),
            "secrets" => self.secrets = value.split(':').map(str::to_owned).collect(),
            "enable-all-servers" => self.is_all = is_on,
            "long-lived" => self.is_long_lived = is_on,
            "static" => self.is_static = is_on,
            "block-network" => self.is_network_blocked = is_on,
            "cpus" => self.cpus = Some(value.to_owned()),
            "memory" => self.memory = Some(value.to_owned()),
            "host" => self.host = Some(value.to_owned()),
            "transport" => self.transport = Some(value.to_ascii_lowercase()),
            "port" => match value.parse() {
                Ok(port) => self.port = Some(port),
                Err(_) => draft.lost(place.clone(), "--port is no number of a port", Some("set sluice.listen")),
            },
            "log-calls" if is_on => draft.carried(place.clone(), "--log-calls: every call is a line of the audit log"),
            "watch" if is_on => draft.carried(place.clone(), "--watch: a changed configuration is taken up while calls go on"),
            "verbose" if is_on => {
                draft.set(&["log", "level"], serde_json::json!("debug"));
                draft.carried(place.clone(), "--verbose: sluice.log.level");
            }
            // The opposite of what there is.
            "log-calls" | "watch" | "verbose" | "block-secrets" | "verify-signatures" | "dry-run" | "keep" | "debug-dns" if !is_on => {}
            "block-secrets" => {
                draft.lost(place.clone(), "--block-secrets", Some("builtin:redact keeps secrets from crossing; its page says how"))
            }
            "verify-signatures" => {
                let todo = "let your container engine verify them, or name images by digest";
                draft.lost(place.clone(), "--verify-signatures: signatures of images are not checked here", Some(todo));
            }
            "allow-unauthenticated" if is_on => draft.admit(place),
            "interceptor" => {
                let what = format!("--interceptor {}", quoted(value));
                draft.lost(
                    place.clone(),
                    what,
                    Some("write a plugin: `sluice plugin new`; builtin:interceptor asks interceptors over MCP"),
                );
            }
            "dry-run" => draft.lost(place.clone(), "--dry-run", Some("`sluice check` does that")),
            "profile" | "oci-ref" | "mcp-registry" => {
                let todo = "write its servers into a catalog file, and give that as one more FILE";
                draft.lost(place.clone(), format!("--{name} {}: nothing is fetched", quoted(value)), Some(todo));
            }
            _ => draft.lost(place.clone(), format!("--{name} is not known"), None),
        }
    }
}
