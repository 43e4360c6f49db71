//! What is otherwise in another configuration, in words for whoever has to say yes to it.

use super::{Config, Http, Reach, Stdio, Upstream, UpstreamSettings, setting::Setting as _};
use serde_json::Value as Json;
use std::fmt;

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// A line without its end; values of secrets are not in it.
    pub what: String,
    /// A gateway that runs goes on without it until it is started again.
    pub needs_restart: bool,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let when = if self.needs_restart { " (with the next start)" } else { "" };
        write!(f, "{}{when}", self.what)
    }
}

/// Settings that a gateway takes up while it runs. `upstreams` are told of with their servers.
const TAKEN_UP: [&str; 5] = ["chain", "plugins.settings", "groups", "default_group", "server_paths"];
/// Longest value that is shown.
const SHOWN_MAX: usize = 100;

impl Config {
    /// What a gateway with this configuration would have to do to have that one; empty: nothing.
    pub fn changes(&self, to: &Self) -> Vec<Change> {
        let taken_up = |what| Change { what, needs_restart: false };
        let mut changes = Vec::new();
        for gone in self.upstreams.iter().filter(|u| to.server(&u.name).is_none()) {
            changes.push(taken_up(format!("takes the server {} away", gone.name)));
        }
        for server in &to.upstreams {
            match self.server(&server.name) {
                None => changes.push(taken_up(format!("adds the server {} ({})", server.name, server.reach))),
                Some(before) if before == server => {}
                Some(before) => {
                    let begins = if before.reaches_as(server) { "goes on" } else { "begins anew" };
                    let what = before.differences(server).join(", ");
                    changes.push(taken_up(format!("{begins} with the server {}: other {what}", server.name)));
                }
            }
        }
        let order = |of: &Self, with: &Self| -> Vec<String> {
            of.upstreams.iter().filter(|u| with.server(&u.name).is_some()).map(|u| u.name.clone()).collect()
        };
        if order(self, to) != order(to, self) {
            changes.push(taken_up(format!("puts the servers in another order: {}", order(to, self).join(", "))));
        }
        let (mut differing, before, after) = (Vec::new(), self.settings.show(), to.settings.show());
        differences("", &before, &after, &mut differing);
        for (path, before, after) in differing.into_iter().filter(|(path, ..)| !path.starts_with("upstreams.")) {
            let is_taken_up =
                TAKEN_UP.iter().any(|known| path.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')));
            changes.push(Change { what: said(&path, before, after), needs_restart: !is_taken_up });
        }
        for (name, secret) in &to.settings.secrets {
            // Where it comes from may be the same.
            let before = self.settings.secrets.get(name).filter(|before| before.origin() == secret.origin());
            if before.is_some_and(|before| before != secret) {
                changes.push(Change { what: format!("secrets.{name}: another value"), needs_restart: true });
            }
        }
        if self.is_read() != to.is_read() && !self.upstreams.is_empty() {
            changes.push(taken_up("begins anew with every server: answers are read otherwise where there are filters".to_owned()));
        }
        changes
    }

    /// This one, as far as a gateway that runs with `running` can take it up.
    pub(crate) fn taken_up_by(self, running: &Self) -> Self {
        let mut settings = running.settings.clone();
        settings.chain = self.settings.chain;
        settings.groups = self.settings.groups;
        settings.default_group = self.settings.default_group;
        settings.server_paths = self.settings.server_paths;
        settings.upstreams = self.settings.upstreams;
        settings.plugins.settings = self.settings.plugins.settings;
        Self { settings, upstreams: self.upstreams, disabled: self.disabled, file: self.file, places: running.places.clone() }
    }

    /// Whether a server that has this configuration goes on in that one. What only we do with it is no reason to begin anew.
    pub(crate) fn keeps(&self, to: &Self, server: &Upstream) -> bool {
        self.is_read() == to.is_read() && self.server(&server.name).is_some_and(|before| before.reaches_as(server))
    }

    /// Filters may read answers, so each is indexed whole in the one pass that it gets anyway.
    pub(crate) fn is_read(&self) -> bool {
        let is_empty = |chain: &Option<Vec<super::Link>>| chain.as_ref().is_some_and(Vec::is_empty);
        let reads = |group: &super::GroupSettings| group.chain.is_some() && !is_empty(&group.chain);
        !is_empty(&self.settings.chain) || self.settings.groups.values().any(reads)
    }

    fn server(&self, name: &str) -> Option<&Upstream> {
        self.upstreams.iter().find(|u| u.name == name)
    }
}

impl Upstream {
    fn reaches_as(&self, other: &Self) -> bool {
        let UpstreamSettings { optional, idempotent_tools, .. } = self.settings.clone();
        *self == Self { settings: UpstreamSettings { optional, idempotent_tools, ..other.settings.clone() }, ..other.clone() }
    }

    /// Keys that have another value, with the same name.
    fn differences(&self, to: &Self) -> Vec<String> {
        let mut keys: Vec<&str> = match (&self.reach, &to.reach) {
            (Reach::Stdio(a), Reach::Stdio(b)) => a.differences(b),
            (Reach::Http(a), Reach::Http(b)) => a.differences(b),
            (a, b) if a == b => Vec::new(),
            _ => vec!["way to reach it"],
        };
        if self.written_name != to.written_name {
            keys.push("spelling of its name");
        }
        let (mut differing, before, after) = (Vec::new(), self.settings.show(), to.settings.show());
        differences("", &before, &after, &mut differing);
        let mut keys: Vec<String> = keys.into_iter().map(str::to_owned).collect();
        keys.extend(differing.into_iter().map(|(path, ..)| path));
        if keys.is_empty() {
            // Something that is not shown, since it may be secret.
            keys.push("value of a secret".to_owned());
        }
        keys
    }
}

impl Stdio {
    fn differences<'k>(&self, to: &Self) -> Vec<&'k str> {
        let of = [
            ("command", self.command != to.command),
            ("args", self.args != to.args),
            ("env", self.env != to.env),
            ("cwd", self.cwd != to.cwd),
        ];
        of.into_iter().filter_map(|(key, is_other)| is_other.then_some(key)).collect()
    }
}

impl Http {
    fn differences<'k>(&self, to: &Self) -> Vec<&'k str> {
        let of = [("url", self.url != to.url), ("headers", self.headers != to.headers), ("type", self.sse != to.sse)];
        of.into_iter().filter_map(|(key, is_other)| is_other.then_some(key)).collect()
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdio(stdio) => write!(f, "a child process, {}", stdio.command),
            Self::Http(http) => write!(f, "{}", http.url),
            Self::Builtin(name) => write!(f, "builtin:{name}"),
        }
    }
}

/// Where two trees differ: the path of each smallest part, and what is there.
fn differences<'j>(path: &str, before: &'j Json, after: &'j Json, found: &mut Vec<(String, &'j Json, &'j Json)>) {
    match (before, after) {
        _ if before == after => {}
        (Json::Object(a), Json::Object(b)) => {
            let mut keys: Vec<&String> = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))).collect();
            keys.sort();
            for key in keys {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                differences(&path, a.get(key).unwrap_or(&Json::Null), b.get(key).unwrap_or(&Json::Null), found);
            }
        }
        _ => found.push((path.to_owned(), before, after)),
    }
}

/// With the values where they cannot be secret: a text may have come from the environment.
fn said(path: &str, before: &Json, after: &Json) -> String {
    let is_plain = |value: &Json| matches!(value, Json::Null | Json::Bool(_) | Json::Number(_));
    if matches!(path, "chain" | "listen") || (is_plain(before) && is_plain(after)) {
        return format!("{path}: {} becomes {}", shown(before), shown(after));
    }
    match (before, after) {
        (Json::Null, _) => format!("{path} is set"),
        (_, Json::Null) => format!("{path} is set no more"),
        _ => format!("{path} is otherwise"),
    }
}

fn shown(value: &Json) -> String {
    match value {
        Json::Null => "nothing".to_owned(),
        value => {
            let text = value.to_string();
            let end = text.floor_char_boundary(SHOWN_MAX);
            if end < text.len() { format!("{}…", &text[..end]) } else { text }
        }
    }
}
