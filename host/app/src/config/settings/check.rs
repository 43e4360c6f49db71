//! What one key cannot know alone.

use std::collections::HashSet;

use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};

use sluice_registry::reference::is_this_machine;
use sluice_transport::tls::ServerTls;

use super::{Link, Listen, Settings, Signatures, StateKind};
use crate::config::problem::{Whose, quoted};
use crate::config::reader::Reader;
use crate::config::tree::{Node, Position, Value};

/// Looks at settings together. `node` is the value of `sluice`; a flag that replaced a key has been
/// judged by its own check.
pub(in crate::config) fn check(settings: &Settings, node: &Node, reader: &mut Reader) {
    let at = |keys: &[&str]| node.find(keys).map(|node| node.at);
    if let Some(at) = at(&["listen"]) {
        // A trusted proxy that is there and wrong has been reported already.
        let proxied = node.find(&["trusted_proxy"]).is_some();
        let encrypted = node.find(&["tls"]).is_some();
        if let Some((what, suggestion)) = exposed(&settings.listen, proxied, encrypted) {
            reader.wrong(at, format!("{}.listen: {what}", reader.path()), Some(suggestion));
        }
    }
    tls(settings, at(&["tls"]), reader);
    if let Some(at) = at(&["auth", "allow_anonymous"]).filter(|_| is_open_to_strangers(settings)) {
        let what = format!("{}.auth.allow_anonymous lets anybody who reaches the proxy in", reader.path());
        reader.warn(at, what, None);
    }
    admin(settings, at(&["admin", "listen"]), reader);
    facts(settings, node, reader);
    limits(settings, node, reader);
    idempotent(node, reader);
    upstream_tls(settings, node, reader);
    secrets(settings, node, reader);
    chain(settings, node, reader);
    signatures(settings, at(&["plugins", "signatures"]), reader);
    registries(settings, node, reader);
    state(settings, node, reader);
}

/// Redis has an address, and an address means Redis.
fn state(settings: &Settings, node: &Node, reader: &mut Reader) {
    let (state, path) = (&settings.state, reader.path().to_string());
    let Some(at) = node.find(&["state"]).map(|node| node.at) else { return };
    let written = |key: &str| node.find(&["state", key]).map(|node| node.at);
    if state.kind == StateKind::Redis && written("url").is_none() {
        let suggestion = "add url = \"env:REDIS_URL\", or file:PATH";
        reader.wrong(at, format!("{path}.state is kept in Redis and has no url"), Some(suggestion.to_owned()));
    }
    let address = state.url.as_ref().and_then(|url| url.reveal().parse::<http::Uri>().ok());
    let is_plain = address.as_ref().is_some_and(|uri| uri.scheme_str() == Some("redis") && !uri.host().is_some_and(is_this_machine));
    if let (Some(at), true) = (written("url"), is_plain) {
        let what = format!("{path}.state.url: what plugins keep, and the password if there is one, travel without encryption");
        reader.warn(at, what, Some("use rediss://".to_owned()));
    }
    // A path may stay while another kind is tried; whoever writes these means to share.
    for key in ["url", "degrade"] {
        if let Some(at) = written(key).filter(|_| state.kind != StateKind::Redis) {
            reader.wrong(at, format!("{path}.state.{key} means something with kind = \"redis\" alone"), None);
        }
    }
    if let (Some(at), true) = (written("prefix"), state.prefix.is_empty() || state.prefix.contains(['{', '}'])) {
        reader.wrong(at, format!("{path}.state.prefix is empty or has a brace, which Redis Cluster reads as its own"), None);
    }
}

/// A login is whole, and nothing goes without TLS unseen.
fn registries(settings: &Settings, node: &Node, reader: &mut Reader) {
    let hosts = &settings.plugins.registries;
    for host in hosts.keys() {
        let Some(written) = node.find(&["plugins", "registries", host]) else { continue };
        let path = format!("{}.plugins.registries.{}", reader.path(), quoted(host));
        if host.contains('/') || host.is_empty() {
            reader.wrong(written.at, format!("{path} is no host"), Some("write \"ghcr.io\" or \"registry.example.com:5000\"".to_owned()));
        }
        if written.find(&["username"]).is_some() && written.find(&["password"]).is_none() {
            reader.wrong(written.at, format!("{path} has a username and no password"), None);
        }
    }
    for (path, links) in chains(settings, node) {
        for (link, item) in links {
            let Link::Fetched(reference) = link else { continue };
            let host = reference.host();
            let may_be_plain = is_this_machine(&host) || hosts.get(&host).is_some_and(|host| host.plain_http);
            if reference.is_plain() && !may_be_plain {
                let suggestion = format!("write https://, or plugins.registries.{}.plain_http = true", quoted(&host));
                reader.wrong(item.at, format!("{}.{path}: {reference} goes without TLS", reader.path()), Some(suggestion));
            }
        }
    }
}

/// Every chain that is written, with its place and, for each link, where that stands.
fn chains<'c>(settings: &'c Settings, node: &'c Node) -> Vec<(String, Vec<(&'c Link, &'c Node)>)> {
    let of_groups = settings.groups.iter().map(|(name, group)| (vec!["groups", name, "chain"], &group.chain));
    let all = [(vec!["chain"], &settings.chain)].into_iter().chain(of_groups);
    let written = all.filter_map(|(keys, chain)| {
        let (Some(links), Some(Value::List(items))) = (chain, node.find(&keys).map(|chain| &chain.value)) else { return None };
        // With one item misread the two lists no longer stand side by side.
        (links.len() == items.len()).then(|| (keys.join("."), links.iter().zip(items).collect()))
    });
    written.collect()
}

/// With no key, nothing counts.
fn signatures(settings: &Settings, at: Option<Position>, reader: &mut Reader) {
    let plugins = &settings.plugins;
    if let (Signatures::Required, true, Some(at)) = (plugins.signatures, plugins.keys.is_empty(), at) {
        let what = format!("{}.plugins.signatures is \"required\", and there is no key that could have made one", reader.path());
        reader.wrong(at, what, Some("pin the public keys of those who publish your plugins under plugins.keys".to_owned()));
    }
}

/// Why this listener may not be opened.
pub(in crate::config) fn exposed(listen: &Listen, proxied: bool, encrypted: bool) -> Option<(String, String)> {
    let address = listen.tcp()?;
    if address.ip().to_canonical().is_loopback() || proxied || encrypted {
        return None;
    }
    let what = format!("{address} is not loopback, and nothing encrypts the way");
    let suggestion =
        format!("listen on 127.0.0.1:{}, set tls, or declare the TLS-terminating proxy in front as trusted_proxy", address.port());
    Some((what, suggestion))
}

/// The files are judged as the listener will judge them.
fn tls(settings: &Settings, at: Option<Position>, reader: &mut Reader) {
    let (Some(tls), Some(at)) = (&settings.tls, at) else { return };
    let path = reader.path();
    if matches!(settings.listen, Listen::Unix(_)) {
        let suggestion = "take one of the two away: what passes through the socket never leaves this machine".to_owned();
        reader.wrong(at, format!("{path}.tls has no place on a unix socket"), Some(suggestion));
        return;
    }
    match ServerTls::open(tls.files()) {
        Ok(tls) => tls.concerns().into_iter().for_each(|concern| reader.warn(at, format!("{path}.tls: {concern}"), None)),
        Err(error) => reader.wrong_of(Whose::Disk, at, format!("{path}.tls: {error}"), None),
    }
    let is_reached = settings.listen.tcp().is_some_and(|address| !address.ip().to_canonical().is_loopback());
    if is_reached && settings.allowed_hosts.is_empty() && settings.trusted_proxy.is_none() {
        let what = format!("{path}.allowed_hosts is empty: only requests for localhost are answered");
        reader.warn(at, what, Some("add the name that clients connect to".to_owned()));
    }
}

fn is_open_to_strangers(settings: &Settings) -> bool {
    let is_reached = settings.listen.tcp().is_some_and(|address| !address.ip().to_canonical().is_loopback());
    settings.auth.allow_anonymous && (settings.trusted_proxy.is_some() || is_reached)
}

fn admin(settings: &Settings, at: Option<Position>, reader: &mut Reader) {
    let (Some(at), true) = (at, settings.admin.enabled) else { return };
    let listen = settings.admin.listen;
    let path = reader.path();
    if !listen.ip().to_canonical().is_loopback() {
        let what = format!("{path}.admin.listen: {listen} is not loopback; administration never leaves this machine");
        reader.wrong(at, what, Some(format!("listen on 127.0.0.1:{}", listen.port())));
    } else if settings.listen.tcp() == Some(listen) && listen.port() != 0 {
        let what = format!("{path}.admin.listen is the address of {path}.listen");
        reader.wrong(at, what, Some("give it a port of its own, or 0 for a free one".to_owned()));
    }
}

/// What proves who somebody is goes to the filter that authenticates, and to no other.
fn facts(settings: &Settings, node: &Node, reader: &mut Reader) {
    let Some(written) = node.find(&["fact_headers"]) else { return };
    let secret = [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE];
    let credentials = settings.auth.credential_headers.iter().chain(&secret);
    for name in credentials.filter(|name| settings.fact_headers.contains(name)) {
        let what = format!("{}.fact_headers: {name} carries a credential, which filters do not see", reader.path());
        reader.wrong(written.at, what, Some("leave it away".to_owned()));
    }
}

/// Which call may run twice is said tool by tool: a pattern would take in tools that come later.
fn idempotent(node: &Node, reader: &mut Reader) {
    let Some(Value::Table(upstreams)) = node.find(&["upstreams"]).map(|node| &node.value) else { return };
    for entry in upstreams.iter() {
        let Some(Value::List(tools)) = entry.node.find(&["idempotent_tools"]).map(|node| &node.value) else { continue };
        for tool in tools.iter().filter(|tool| matches!(&tool.value, Value::Text(name) if name.contains('*'))) {
            let what = format!("{}.upstreams: idempotent_tools takes no patterns", reader.path());
            reader.wrong(tool.at, what, Some("name each tool".to_owned()));
        }
    }
}

/// A certificate is of no use without its key. The files themselves are judged where the upstream is made.
fn upstream_tls(settings: &Settings, node: &Node, reader: &mut Reader) {
    for (name, upstream) in &settings.upstreams {
        let Some(tls) = &upstream.tls else { continue };
        let Some(written) = node.find(&["upstreams", name, "tls"]) else { continue };
        if tls.cert.is_some() != tls.key.is_some() {
            let what = format!("{}.upstreams.{name}.tls needs both cert and key, or neither", reader.path());
            reader.wrong(written.at, what, None);
        }
    }
}

/// A secret is granted by its name, so its name must be one that a grant can have.
fn secrets(settings: &Settings, node: &Node, reader: &mut Reader) {
    let unnamable = |name: &&String| format!("secret:{name}").parse::<sluice_plugin::Grant>().is_err();
    for name in settings.secrets.keys().filter(unnamable) {
        let Some(written) = node.find(&["secrets", name]) else { continue };
        let what = format!("{}.secrets: {} cannot be granted", reader.path(), quoted(name));
        reader.wrong(written.at, what, Some("name it with at most 64 letters, digits, '_', '.' and '-'".to_owned()));
    }
}

/// The smaller of two keys must not be larger than the other.
fn limits(settings: &Settings, node: &Node, reader: &mut Reader) {
    let limits = &settings.limits;
    let pairs = [
        (("call_timeout_ms", limits.call_timeout_ms), ("call_total_timeout_ms", limits.call_total_timeout_ms)),
        (("children_per_upstream_max", limits.children_per_upstream_max), ("children_max", limits.children_max)),
        (("sessions_per_principal_max", limits.sessions_per_principal_max), ("sessions_max", limits.sessions_max)),
        (("listens_per_principal_max", limits.listens_per_principal_max), ("listens_max", limits.listens_max)),
        (("parked_calls_per_principal_max", limits.parked_calls_per_principal_max), ("parked_calls_max", limits.parked_calls_max)),
    ];
    for ((small, low), (large, high)) in pairs.into_iter().filter(|((_, low), (_, high))| low > high) {
        let written = [small, large].into_iter().find_map(|key| node.find(&["limits", key]));
        if let Some(written) = written {
            let what = format!("{}.limits: {small} ({low}) is more than {large} ({high})", reader.path());
            reader.wrong(written.at, what, None);
        }
    }
}

fn chain(settings: &Settings, node: &Node, reader: &mut Reader) {
    for (path, links) in chains(settings, node) {
        let mut seen = HashSet::new();
        for (link, item) in links {
            if seen.insert(link) {
                continue;
            }
            let Value::Text(written) = &item.value else { continue };
            let what = format!("{}.{path} has {} a second time", reader.path(), quoted(written));
            reader.wrong(item.at, what, Some("a plugin has one place in a chain".to_owned()));
        }
    }
}
