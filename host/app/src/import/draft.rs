//! The configuration as it grows, with what there is to say about it.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::Syntax;
use super::note::{Became, Note};
use crate::config::Surroundings;
use crate::config::problem::{Place, Problem, quoted};
use crate::config::servers::name::plain;

/// A server as it will stand in the file.
pub(super) struct Server {
    /// Plain, so that it is the same in the file, in tool names and in paths.
    pub(super) name: String,
    /// Its keys.
    pub(super) body: Map<String, Json>,
}

/// The file that will be.
pub(super) struct Draft<'s> {
    pub(super) surroundings: &'s Surroundings,
    servers: Map<String, Json>,
    /// Their names without case, and as they were written.
    names: BTreeMap<String, String>,
    own: Map<String, Json>,
    filters: Vec<&'static str>,
    rules: Vec<Json>,
    /// Whether its texts are somebody else's, who may not name what is in our environment.
    pub(super) is_foreign: bool,
    /// What becomes of a request that no rule is about.
    pub(super) is_closed: bool,
    notes: Vec<Note>,
    /// Variables of the environment that it refers to, and what each stands for.
    pub(super) held: BTreeMap<String, String>,
}

impl<'s> Draft<'s> {
    pub(super) fn new(surroundings: &'s Surroundings) -> Draft<'s> {
        let (servers, names, own, filters, rules, notes, held) = Default::default();
        Draft { surroundings, servers, names, own, filters, rules, is_foreign: false, is_closed: false, notes, held }
    }

    // === what is said ===

    pub(super) fn carried(&mut self, place: Place, what: impl Into<String>) {
        self.notes.push(Note::new(Became::Carried, place, what, None));
    }

    pub(super) fn lost(&mut self, place: Place, what: impl Into<String>, suggestion: Option<&str>) {
        self.notes.push(Note::new(Became::Lost, place, what, suggestion.map(str::to_owned)));
    }

    pub(super) fn wanted(&mut self, place: Place, what: impl Into<String>) {
        self.notes.push(Note::new(Became::Wanted, place, what, None));
    }

    // === what is written ===

    /// A server of this name, if there can be one.
    pub(super) fn name(&mut self, written: &str, place: &Place) -> Option<String> {
        const CHARS_MAX: usize = 64;
        let name = plain(written);
        if name.is_empty() || name.len() > CHARS_MAX {
            let todo = "rename it: letters, digits, - and _, at most 64 of them";
            self.lost(place.clone(), format!("{} can be no server's name here", quoted(written)), Some(todo));
            return None;
        }
        if let Some(other) = self.names.insert(name.to_ascii_lowercase(), written.to_owned()) {
            let what = format!("server {} has the name of {}, which stands before it", quoted(written), quoted(&other));
            self.lost(place.clone(), what, Some("rename it"));
            return None;
        }
        if name != written {
            self.carried(place.clone(), format!("server {} is called {} here", quoted(written), quoted(&name)));
        }
        Some(name)
    }

    pub(super) fn add(&mut self, server: Server) {
        self.servers.insert(server.name, Json::Object(server.body));
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.servers.contains_key(name)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.servers.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.servers.len()
    }

    /// A setting under `sluice`.
    pub(super) fn set(&mut self, path: &[&str], value: Json) {
        let Some((last, above)) = path.split_last() else { return };
        let mut place = &mut self.own;
        for key in above {
            let below = place.entry(*key).or_insert_with(|| json!({}));
            // Every path here is one of ours, and none is a value in one place and an object in another.
            let Json::Object(object) = below else { return };
            place = object;
        }
        place.insert((*last).to_owned(), value);
    }

    /// A filter that has to be in the chain, before `namespace`.
    pub(super) fn filter(&mut self, name: &'static str) {
        if !self.filters.contains(&name) {
            self.filters.push(name);
        }
    }

    /// A rule of builtin:rbac, which lets everything through that no rule is about.
    pub(super) fn rule(&mut self, rule: Json) {
        self.filter("builtin:rbac");
        self.rules.push(rule);
    }

    /// Where clients connect. Only loopback needs nothing else that the old configuration did not have.
    pub(super) fn listen(&mut self, host: &str, port: u16, place: &Place) {
        let near = matches!(host, "127.0.0.1" | "localhost" | "::1" | "");
        let address = if host == "::1" { format!("[::1]:{port}") } else { format!("127.0.0.1:{port}") };
        self.set(&["listen"], json!(address));
        self.carried(place.clone(), format!("clients connect to http://{address}/mcp"));
        if !near {
            let what =
                format!("the address {} is one that others reach, without TLS and without anybody being asked who they are", quoted(host));
            let todo =
                "to be reached from elsewhere set sluice.tls or sluice.trusted_proxy, an authenticating plugin, and then sluice.listen";
            self.lost(place.clone(), what, Some(todo));
        }
    }

    /// The old one asked nobody who they are.
    pub(super) fn admit(&mut self, place: &Place) {
        self.set(&["auth", "allow_anonymous"], json!(true));
        let what = "whoever reaches the port is let in, as before: sluice.auth.allow_anonymous; without that line clients need the \
                    token that `sluice serve` names";
        self.carried(place.clone(), what);
    }

    /// The variables that it refers to.
    pub(super) fn variables(&self) -> Vec<String> {
        self.held.keys().cloned().collect()
    }

    /// For when there is nothing to write.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.notes.into_iter().map(|note| note.about).collect()
    }

    /// The text, and what there is to say about it.
    pub(super) fn written(mut self, syntax: Syntax) -> (String, Vec<Note>) {
        if !self.rules.is_empty() {
            let default = if self.is_closed { "deny" } else { "allow" };
            let config = json!({"default": default, "rules": self.rules});
            self.set(&["plugins", "settings", "rbac", "config"], config);
        }
        if !self.filters.is_empty() {
            let chain: Vec<_> = self.filters.iter().copied().chain(["builtin:namespace"]).collect();
            self.set(&["chain"], json!(chain));
        }
        let mut file = Map::new();
        file.insert("mcpServers".to_owned(), Json::Object(self.servers));
        if !self.own.is_empty() {
            file.insert("sluice".to_owned(), Json::Object(self.own));
        }
        let text = match syntax {
            Syntax::Toml => toml::to_string_pretty(&file).unwrap_or_default(),
            Syntax::Json => format!("{:#}\n", Json::Object(file)),
        };
        (text, self.notes)
    }
}
