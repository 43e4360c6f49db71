//! One server of a catalog: the container that the gateway would start, or the URL that it would go to.

use serde_json::{Map, Value as Json, json};

use super::options::Options;
use super::template::Scope;
use crate::config::problem::{Place, quoted};
use crate::config::tree::{Entry, Node, Table};
use crate::import::draft::{Draft, Server};
use crate::import::kept::{is_secret, literal};
use crate::import::pasted::shown;
use crate::import::source::{File, flag_at, list, table, text, text_at};

/// Where a value is that a secret's name stands for.
pub(super) trait Secrets {
    /// The value and its place.
    fn find(&self, name: &str) -> Option<(String, Place)>;
}

/// What a server is made from.
pub(super) struct Making<'a> {
    pub(super) name: String,
    pub(super) file: &'a File,
    pub(super) entry: &'a Entry,
    pub(super) scope: Scope<'a>,
    pub(super) options: &'a Options,
    pub(super) secrets: &'a dyn Secrets,
}

/// Keys that tell people what a server is.
const QUIET: [&str; 20] = [
    "name",
    "type",
    "title",
    "icon",
    "readme",
    "toolsUrl",
    "promptsUrl",
    "resourcesUrl",
    "source",
    "upstream",
    "dateAdded",
    "ref",
    "metadata",
    "config",
    "tools",
    "prompts",
    "resources",
    "description",
    "about",
    "policy",
];
/// Keys that are carried.
const USED: [&str; 13] = [
    "image",
    "remote",
    "sseEndpoint",
    "secrets",
    "env",
    "command",
    "volumes",
    "user",
    "disableNetwork",
    "extraHosts",
    "longLived",
    "oauth",
    "allowHosts",
];

impl Making<'_> {
    pub(super) fn carry(self, draft: &mut Draft<'_>) {
        let node = &self.entry.node;
        let place = self.file.at(self.entry.key_at);
        let name = quoted(&self.name);
        let is_remote = node.find(&["remote", "url"]).is_some() || node.find(&["sseEndpoint"]).is_some();
        let image = text_at(node, "image").filter(|image| !image.is_empty());
        let mut body = Map::new();
        if let Some(description) = text_at(node, "description") {
            body.insert("description".to_owned(), json!(literal(&description)));
        }
        match image {
            _ if is_remote => self.remote(&mut body, draft),
            Some(image) if !self.is_value("image", &image, draft) => return,
            Some(image) => self.container(&image, &mut body, draft),
            None => {
                let what = format!("server {name}: a container for each call of a tool (poci)");
                return draft.lost(place, what, Some("put an MCP server around that program"));
            }
        }
        self.rest(draft);
        draft.add(Server { name: self.name.clone(), body });
    }

    // === a container ===

    fn container(&self, image: &str, body: &mut Map<String, Json>, draft: &mut Draft<'_>) {
        draft.carried(self.file.at(self.entry.key_at), format!("server {}: docker run {}", quoted(&self.name), shown(image)));
        let node = &self.entry.node;
        let mut args = self.base();
        if flag_at(node, "disableNetwork") == Some(true) {
            args.extend(["--network", "none"].map(str::to_owned));
        } else {
            args.extend(self.options.networks.iter().flat_map(|network| ["--network".to_owned(), literal(network)]));
        }
        let (env, given) = self.variables(draft);
        for variable in env.keys() {
            args.extend(["-e".to_owned(), variable.clone()]);
        }
        args.extend(self.volumes(draft).into_iter().flat_map(|volume| ["-v".to_owned(), volume]));
        if let Some(user) = text_at(node, "user").map(|user| self.scope.text(&user)).filter(|user| self.is_value("user", user, draft)) {
            args.extend(["-u".to_owned(), literal(&user)]);
        }
        for host in self.texts("extraHosts") {
            if self.is_value("extraHosts", &host, draft) {
                args.extend(["--add-host".to_owned(), literal(&host)]);
            }
        }
        args.push(literal(image));
        let command = self.scope.texts(&self.texts("command"));
        args.extend(command.iter().map(|word| expanded(word, &given)));
        body.insert("command".to_owned(), json!("docker"));
        body.insert("args".to_owned(), json!(args));
        if !env.is_empty() {
            body.insert("env".to_owned(), Json::Object(env));
        }
        if self.options.is_long_lived || flag_at(node, "longLived") == Some(true) {
            draft.set(&["upstreams", &self.name, "child_idle_ms"], json!(86_400_000));
            draft.carried(self.file.at(self.entry.key_at), format!("server {} lives on for a day after its last use", quoted(&self.name)));
        }
    }

    /// How the gateway starts every container.
    fn base(&self) -> Vec<String> {
        let fixed = ["run", "--rm", "-i", "--init", "--security-opt", "no-new-privileges"].map(str::to_owned);
        let cpus = self.options.cpus.as_deref().unwrap_or("1");
        let memory = self.options.memory.as_deref().unwrap_or("2Gb");
        let mut args = fixed.to_vec();
        if cpus != "0" {
            args.extend(["--cpus".to_owned(), literal(cpus)]);
        }
        if !memory.is_empty() {
            args.extend(["--memory".to_owned(), literal(memory)]);
        }
        args.extend(["--pull", "never", "-l", "docker-mcp=true", "-l", "docker-mcp-tool-type=mcp"].map(str::to_owned));
        args.extend(["-l".to_owned(), format!("docker-mcp-name={}", self.name), "-l".to_owned(), "docker-mcp-transport=stdio".to_owned()]);
        args
    }

    /// Its environment, and what a `$NAME` in its command stands for.
    fn variables(&self, draft: &mut Draft<'_>) -> (Map<String, Json>, Vec<(String, String)>) {
        let (mut env, mut given) = (Map::new(), Vec::new());
        for (variable, secret, place) in self.secrets() {
            let reference = self.secret(&variable, &secret, &place, draft);
            env.insert(variable.clone(), json!(format!("env:{reference}")));
            given.push((variable, format!("${{{reference}}}")));
        }
        for item in self.entry.node.find(&["env"]).map(list).unwrap_or_default() {
            let (Some(variable), Some(written)) = (text_at(item, "name"), text_at(item, "value")) else { continue };
            let value = if written.contains("{{") { self.scope.text(&written) } else { expanded(&written, &given) };
            if value.is_empty() {
                continue;
            }
            let place = self.file.at(item.at);
            // A reference that we made ourselves is not a text of the catalog's.
            let is_made = !written.contains("{{") && value != literal(&written);
            let kept = match is_made {
                true => value.clone(),
                false => draft.variable(&self.name, &variable, &value, &place),
            };
            let spelt = if is_made || !is_secret(&variable, &value) { kept.clone() } else { kept.replacen("env:", "${", 1) + "}" };
            given.push((variable.clone(), spelt));
            env.insert(variable, json!(kept));
        }
        (env, given)
    }

    fn volumes(&self, draft: &mut Draft<'_>) -> Vec<String> {
        let home = draft.surroundings.variable("HOME").unwrap_or("~").to_owned();
        let mut volumes = Vec::new();
        for volume in self.scope.texts(&self.texts("volumes")) {
            if volume.is_empty() || !self.is_value("volumes", &volume, draft) {
                continue;
            }
            let parts: Vec<_> = volume.split(':').collect();
            let is_path = parts[0].starts_with(['/', '~', '.']);
            let source = parts[0].strip_prefix("~/").map_or_else(|| parts[0].to_owned(), |rest| format!("{home}/{rest}"));
            let written = match parts[..] {
                // What says nothing is mounted to be read, as the gateway does it.
                [_, target] if is_path => {
                    let what = format!(
                        "volume {} of server {} is mounted to be read only, as the gateway does it",
                        quoted(&volume),
                        quoted(&self.name)
                    );
                    draft.carried(self.at("volumes"), what);
                    format!("{source}:{target}:ro")
                }
                [_, target, mode] => format!("{source}:{target}:{mode}"),
                _ => volume.clone(),
            };
            volumes.push(literal(&written));
        }
        volumes
    }

    /// What begins with a dash would be an option of docker.
    fn is_value(&self, key: &str, value: &str, draft: &mut Draft<'_>) -> bool {
        if value.starts_with('-') {
            draft.lost(
                self.at(key),
                format!("{key} of server {}: {} would be an option of docker", quoted(&self.name), quoted(value)),
                None,
            );
        }
        !value.is_empty() && !value.starts_with('-')
    }

    // === a URL ===

    fn remote(&self, body: &mut Map<String, Json>, draft: &mut Draft<'_>) {
        let node = &self.entry.node;
        let old = text_at(node, "sseEndpoint").filter(|url| !url.is_empty());
        let remote = node.find(&["remote"]);
        let transport = remote.and_then(|remote| text_at(remote, "transport_type")).unwrap_or_default();
        let is_sse = old.is_some() || transport.eq_ignore_ascii_case("sse");
        let url = old.or_else(|| text_at(remote?, "url")).unwrap_or_default();
        draft.carried(self.file.at(self.entry.key_at), format!("server {}: {}", quoted(&self.name), shown(&url)));
        let place = self.at("remote");
        body.insert("url".to_owned(), json!(draft.argument_of(&self.name, &url, &place)));
        body.insert("transport".to_owned(), json!(if is_sse { "sse" } else { "http" }));
        let mut given = Vec::new();
        for (variable, secret, place) in self.secrets() {
            let reference = self.secret(&variable, &secret, &place, draft);
            given.push((variable, format!("${{{reference}}}")));
        }
        let written = remote.and_then(|remote| remote.find(&["headers"])).and_then(table);
        let mut headers = Map::new();
        for header in written.into_iter().flat_map(Table::iter) {
            let Some(value) = text(&header.node) else { continue };
            let filled = expanded(&value, &given);
            let is_made = filled != literal(&value);
            let kept = if is_made { filled } else { draft.header(&self.name, &header.key, &value, &self.file.at(header.node.at)) };
            headers.insert(header.key.clone(), json!(kept));
        }
        if !headers.is_empty() {
            body.insert("headers".to_owned(), Json::Object(headers));
        }
    }

    // === what both have ===

    /// Variable, name of the secret, and place.
    fn secrets(&self) -> Vec<(String, String, Place)> {
        let items = self.entry.node.find(&["secrets"]).map(list).unwrap_or_default();
        items.iter().filter_map(|item| Some((text_at(item, "env")?, text_at(item, "name")?, self.file.at(item.at)))).collect()
    }

    /// The variable of our own environment that a secret is read from. Two servers with one secret share it.
    fn secret(&self, variable: &str, secret: &str, place: &Place, draft: &mut Draft<'_>) -> String {
        let found = self.secrets.find(secret);
        let place = found.as_ref().map_or(place, |(_, place)| place);
        draft.lent([variable.to_owned(), format!("{}_{variable}", self.name)], secret, found.is_some(), place)
    }

    fn rest(&self, draft: &mut Draft<'_>) {
        let node = &self.entry.node;
        let name = quoted(&self.name);
        if let Some(oauth) = node.find(&["oauth"]) {
            let what = format!("oauth of server {name}: the token that the gateway keeps for it");
            draft.lost(
                self.file.at(oauth.at),
                what,
                Some("builtin:oauth-client does OAuth toward servers: its page says with which settings"),
            );
        }
        if let Some(hosts) = node.find(&["allowHosts"]).filter(|_| self.options.is_network_blocked) {
            let what =
                format!("allowHosts of server {name}: the gateway let its container reach nothing else, docker run lets it reach all");
            draft.lost(self.file.at(hosts.at), what, Some("give it a network of its own: --network in its args"));
        }
        for entry in table(node).into_iter().flat_map(Table::iter) {
            match entry.key.as_str() {
                "prefix" => {
                    let what = format!("prefix of server {name}: its tools keep their own names");
                    draft.lost(self.file.at(entry.key_at), what, Some("sluice.plugins.settings.namespace sets prefixes for all servers"));
                }
                key if QUIET.contains(&key) || USED.contains(&key) => {}
                key => draft.lost(self.file.at(entry.key_at), format!("key {} of server {name} is not known", quoted(key)), None),
            }
        }
    }

    fn texts(&self, key: &str) -> Vec<String> {
        self.entry.node.find(&[key]).map(list).unwrap_or_default().iter().filter_map(text).collect()
    }

    fn at(&self, key: &str) -> Place {
        self.file.at(self.entry.node.find(&[key]).map_or(self.entry.key_at, |node: &Node| node.at))
    }
}

/// `$NAME` and `${NAME}` by what the container is given; the gateway leaves out what it is not. What is no reference stays.
fn expanded(written: &str, given: &[(String, String)]) -> String {
    let mut text = String::new();
    let mut rest = written;
    while let Some((before, after)) = rest.split_once('$') {
        text.push_str(before);
        let braced = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let (name, behind) = braced.unwrap_or_else(|| {
            let length = after.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
            after.split_at(length)
        });
        if name.is_empty() {
            text.push('$');
        }
        let value = given.iter().rfind(|(known, _)| known == name);
        text.push_str(value.map_or("", |(_, value)| value));
        rest = behind;
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_filled_from_what_is_given() {
        let given = [("A".to_owned(), "${A_SECRET}".to_owned()), ("B".to_owned(), "b".to_owned())];
        for (written, wanted) in
            [("--key=$A", "--key=${A_SECRET}"), ("${B}$B-", "bb-"), ("$NONE.", "."), ("5$ ", "5$ "), ("x", "x"), ("${", "${")]
        {
            let filled = expanded(written, &given);
            assert_eq!(filled, wanted, "{written}");
        }
    }
}
