//! Powers beyond those that every plugin has: how they are written, and whether they cover what a plugin needs.

use sluice_chain::{
    fetch::{Origin, Url},
    selector::Glob,
};
use std::{fmt, str::FromStr};

/// One power, as the configuration gives it and as a manifest asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// `kv:<bucket>`: a bucket shared with other plugins.
    Kv(String),
    /// `secret:<name> [<place> …]`: to use one of the operator's secrets unseen; where places are named, to send it to those only.
    Secret(String, Vec<Place>),
    /// `reveal:<name>`: to see a secret, the operator's or a kept one.
    Reveal(String),
    /// `http:<path>`: to answer requests to a route of its own.
    Http(String),
    /// `fetch:<origin> [<METHOD>,…] [private]`: to send requests there.
    Fetch(Allowance),
    /// `outbound:<upstream>`: to give requests toward this upstream what they leave with; `*` is all.
    Outbound(String),
    /// `upstream:<upstream> <tool>,…`: to call these tools of it, or of all if it is `*`; by the upstream's own names, or globs with `*`.
    Upstream(String, Vec<String>),
}

/// Where a secret may be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// `fetch:<origin>`
    Fetch(Origin),
    /// `outbound:<upstream>`
    Outbound(String),
}

impl FromStr for Place {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        let known =
            || GrantError(format!("{text:?} is no place for a secret; known are \"outbound:<upstream>\" and \"fetch:https://<host>\""));
        match text.split_once(':').ok_or_else(known)? {
            ("outbound", upstream) if is_upstream(upstream) && upstream != "*" => Ok(Self::Outbound(upstream.into())),
            ("fetch", origin) => origin.parse().map(Self::Fetch).map_err(|_| known()),
            _ => Err(known()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fetch(origin) => write!(f, "fetch:{origin}"),
            Self::Outbound(upstream) => write!(f, "outbound:{upstream}"),
        }
    }
}

/// Where requests may go, and which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    /// Scheme, host and port.
    pub origin: Origin,
    /// Each at most once; never none.
    pub methods: Vec<String>,
    /// The host is one of the private network.
    pub is_private: bool,
}

/// What a request may be. `CONNECT` and `TRACE` are no requests to a server.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

impl FromStr for Allowance {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        let mut words = text.split(' ');
        let origin = words.next().unwrap_or_default();
        let origin = origin.parse().map_err(|error| GrantError(format!("{origin:?} is no scheme and host: {error}")))?;
        let mut words: Vec<&str> = words.collect();
        let is_private = words.last() == Some(&"private");
        if is_private {
            words.pop();
        }
        let methods: Vec<&str> = match words[..] {
            [] => vec!["GET"],
            [methods] => methods.split(',').collect(),
            _ => return Err(GrantError(FETCH.into())),
        };
        if let Some(unknown) = methods.iter().find(|method| !METHODS.contains(method)) {
            return Err(GrantError(format!("{unknown:?} is no method; known are {}", METHODS.join(", "))));
        }
        Ok(Self { origin, methods: methods.into_iter().map(str::to_owned).collect(), is_private })
    }
}

impl fmt::Display for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.origin, self.methods.join(","), if self.is_private { " private" } else { "" })
    }
}

impl Allowance {
    fn allows(&self, origin: &Origin, method: &str) -> bool {
        self.origin == *origin && self.methods.iter().any(|allowed| allowed == method)
    }
}

const FETCH: &str =
    "what can be granted is \"fetch:https://<host> <METHOD>,…\", with \" private\" behind it for a host of the private network";

/// A text that names no power; it says what would.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct GrantError(String);

/// Of buckets and secrets.
const NAME_BYTES_MAX: usize = 64;

impl Grant {
    /// A regular expression for JSON Schema: whatever matches is a grant, or nearly.
    pub const PATTERN: &str = "^((kv|reveal):[A-Za-z0-9_.-]{1,64}|secret:[A-Za-z0-9_.-]{1,64}( (outbound:[A-Za-z0-9_.-]{1,64}|fetch:https?://[^ /?#@]+))*|outbound:(\\*|[A-Za-z0-9_.-]{1,64})|upstream:(\\*|[A-Za-z0-9_.-]{1,64}) [A-Za-z0-9_./*,-]{1,400}|http:/(\\.well-known|-)/[A-Za-z0-9_./-]{1,200}\\*?|fetch:https?://[^ /?#@]+( [A-Z,]+)?( private)?)$";
}

impl FromStr for Grant {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        let known = "what can be granted is \"kv:<bucket>\", a bucket shared with other plugins, \"secret:<name>\", a secret to use \
                     unseen, \"reveal:<name>\", one to see, \"http:<path>\", a route of its own, \"fetch:https://<host> <METHOD>,…\", requests \
                     to send, \"outbound:<upstream>\", what requests to an upstream leave with, or \"upstream:<upstream> <tool>,…\", tools to call";
        let (kind, rest) = text.split_once(':').ok_or_else(|| GrantError(known.into()))?;
        match kind {
            "secret" => secret(rest),
            "upstream" => tools(rest),
            "outbound" if is_upstream(rest) => Ok(Self::Outbound(rest.into())),
            "outbound" => {
                Err(GrantError("what can be granted is \"outbound:<upstream>\", an upstream's name in the configuration, or `*`".into()))
            }
            "kv" | "reveal" if !is_name(rest) => Err(GrantError(format!(
                "what can be granted is \"{kind}:<name>\" with a name of 1 to {NAME_BYTES_MAX} letters, digits, '_', '.' and '-'"
            ))),
            "kv" => Ok(Self::Kv(rest.into())),
            "reveal" => Ok(Self::Reveal(rest.into())),
            "http" if is_route(rest) => Ok(Self::Http(rest.into())),
            "http" => Err(GrantError(
                "what can be granted is \"http:<path>\", a route of the plugin's own below /.well-known/ or /-/, with `*` at its end maybe"
                    .into(),
            )),
            "fetch" => rest.parse().map(Self::Fetch),
            _ => Err(GrantError(known.into())),
        }
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kv(name) => write!(f, "kv:{name}"),
            Self::Secret(name, places) => {
                write!(f, "secret:{name}")?;
                places.iter().try_for_each(|place| write!(f, " {place}"))
            }
            Self::Reveal(name) => write!(f, "reveal:{name}"),
            Self::Http(path) => write!(f, "http:{path}"),
            Self::Fetch(allowance) => write!(f, "fetch:{allowance}"),
            Self::Outbound(upstream) => write!(f, "outbound:{upstream}"),
            Self::Upstream(upstream, tools) => write!(f, "upstream:{upstream} {}", tools.join(",")),
        }
    }
}

/// As a manifest declares it; the finer rules are those of the manifest.
fn is_route(path: &str) -> bool {
    let stem = path.strip_suffix('*').unwrap_or(path);
    let plain = |rest: &str| (1..=200).contains(&rest.len()) && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-/".contains(&b));
    ["/.well-known/", "/-/"].into_iter().filter_map(|root| stem.strip_prefix(root)).any(plain)
}

fn secret(rest: &str) -> Result<Grant, GrantError> {
    let mut words = rest.split(' ');
    let name = words.next().unwrap_or_default();
    if !is_name(name) {
        return Err(GrantError(format!(
            "what can be granted is \"secret:<name>\" with a name of 1 to {NAME_BYTES_MAX} letters, digits, '_', '.' and '-', and behind \
             it the places where it may go, if not all"
        )));
    }
    Ok(Grant::Secret(name.into(), words.map(str::parse).collect::<Result<_, _>>()?))
}

fn tools(rest: &str) -> Result<Grant, GrantError> {
    let plain = |tool: &str| (1..=128).contains(&tool.len()) && tool.bytes().all(|b| b.is_ascii_alphanumeric() || b"_./*-".contains(&b));
    match rest.split_once(' ') {
        Some((upstream, tools)) if is_upstream(upstream) && tools.split(',').all(plain) => {
            Ok(Grant::Upstream(upstream.into(), tools.split(',').map(str::to_owned).collect()))
        }
        _ => Err(GrantError(
            "what can be granted is \"upstream:<upstream> <tool>,…\", with the upstream's own names of tools, or globs".into(),
        )),
    }
}

fn is_upstream(name: &str) -> bool {
    name == "*" || is_name(name)
}

fn is_name(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

/// What one plugin was given.
#[derive(Debug, Clone, Default)]
pub(crate) struct Grants(Vec<Grant>);

impl Grants {
    /// The error is the middle of a sentence: what is wrong.
    pub(crate) fn read(texts: &[String]) -> Result<Self, String> {
        let read = |text: &String| text.parse().map_err(|error| format!("is granted {text:?}, which is no power: {error}"));
        texts.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn buckets(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|grant| if let Grant::Kv(name) = grant { Some(name.as_str()) } else { None })
    }

    /// Names of the operator's secrets.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|grant| if let Grant::Secret(name, _) = grant { Some(name.as_str()) } else { None })
    }

    /// Where one of them may be sent; none: wherever requests may go.
    pub(crate) fn places(&self, secret: &str) -> Option<Vec<Place>> {
        let mut all = Vec::new();
        for grant in &self.0 {
            match grant {
                Grant::Secret(name, places) if name == secret && places.is_empty() => return None,
                Grant::Secret(name, places) if name == secret => all.extend(places.iter().cloned()),
                _ => {}
            }
        }
        Some(all)
    }

    /// Upstreams that it may act for; `*` is all.
    pub(crate) fn upstreams(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|grant| if let Grant::Outbound(name) = grant { Some(name.as_str()) } else { None })
    }

    fn tools_of<'g>(&'g self, upstream: &'g str) -> impl Iterator<Item = &'g String> {
        let of = move |grant: &'g Grant| match grant {
            Grant::Upstream(name, tools) if name == upstream || name == "*" => Some(tools),
            _ => None,
        };
        self.0.iter().filter_map(of).flatten()
    }

    /// May it call any tool at all?
    pub(crate) fn has_calls(&self) -> bool {
        self.0.iter().any(|grant| matches!(grant, Grant::Upstream(..)))
    }

    /// May it call this one?
    pub(crate) fn calls(&self, upstream: &str, tool: &str) -> bool {
        self.tools_of(upstream).any(|glob| Glob::new(glob).matches(tool))
    }

    pub(crate) fn reveals(&self, name: &str) -> bool {
        self.0.iter().any(|grant| matches!(grant, Grant::Reveal(granted) if granted == name))
    }

    pub(crate) fn answers_at(&self, path: &str) -> bool {
        self.0.iter().any(|grant| matches!(grant, Grant::Http(granted) if granted == path))
    }

    fn fetches(&self) -> impl Iterator<Item = &Allowance> {
        self.0.iter().filter_map(|grant| if let Grant::Fetch(allowance) = grant { Some(allowance) } else { None })
    }

    /// May it send any request at all?
    pub(crate) fn has_fetch(&self) -> bool {
        self.fetches().next().is_some()
    }

    /// May it send this one? If so, whether the host is named as private. One word for it is enough.
    pub(crate) fn allows(&self, url: &Url, method: &str) -> Option<bool> {
        let mut matching = self.fetches().filter(|allowance| allowance.allows(&url.origin, method)).peekable();
        matching.peek()?;
        Some(matching.any(|allowance| allowance.is_private))
    }

    /// Is this need met? A kind alone (`secret`) is met by any grant of it: which one, only the plugin's settings say.
    pub(crate) fn covers(&self, need: &str) -> bool {
        match need {
            "secret" => self.secrets().next().is_some(),
            "fetch" => self.has_fetch(),
            "outbound" => self.upstreams().next().is_some(),
            "upstream" => self.has_calls(),
            _ => match need.parse() {
                Ok(Grant::Fetch(need)) => {
                    let allowed = |method: &String| self.fetches().any(|given| given.allows(&need.origin, method));
                    need.methods.iter().all(allowed)
                }
                // A glob covers what it is, and what it matches.
                Ok(Grant::Upstream(upstream, tools)) => tools.iter().all(|tool| self.calls(&upstream, tool)),
                Ok(Grant::Secret(need, _)) => self.secrets().any(|name| name == need),
                Ok(Grant::Outbound(need)) => self.upstreams().any(|name| name == "*" || name == need),
                Ok(need) => self.0.contains(&need),
                Err(_) => false,
            },
        }
    }
}

/// What to write for a need that is not met; none if this host knows no such power.
pub(crate) fn line_for(need: &str) -> Option<String> {
    match need {
        "secret" => Some("secret:<name>".into()),
        "fetch" => Some("fetch:https://<host> GET".into()),
        "outbound" => Some("outbound:<upstream>".into()),
        "upstream" => Some("upstream:<upstream> <tool>".into()),
        _ => need.parse().ok().map(|grant: Grant| grant.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_written_as_it_is_read() {
        for text in [
            "kv:shared-bucket",
            "secret:github.token",
            "secret:key outbound:github fetch:https://api.example.com",
            "outbound:github",
            "outbound:*",
            "upstream:github search_*,get_issue",
            "upstream:* get_*",
            "reveal:x",
            "http:/-/connect/*",
            "fetch:https://api.example.com GET,POST",
            "fetch:http://h:8080 GET private",
        ] {
            assert_eq!(text.parse::<Grant>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "kv",
            "kv:",
            "kv:a b",
            "secret:é",
            "secret:a b",
            "secret:a outbound:*",
            "secret:a fetch:x",
            "secret:a kv:b",
            "outbound:",
            "outbound:a b",
            "upstream:a",
            "upstream:a ",
            "upstream:a* x",
            "upstream:a x,",
            "upstream:a x y",
            "net:example.com",
            &format!("reveal:{}", "x".repeat(65)),
        ] {
            assert!(text.parse::<Grant>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_request_is_allowed_by_origin_and_method() {
        let grants = Grants::read(&["fetch:https://a.example GET,POST".into(), "fetch:http://b.example:8080 private".into()]).unwrap();
        let allows = |url: &str, method| grants.allows(&url.parse().unwrap(), method);
        assert_eq!(allows("https://A.example:443/x?y", "POST"), Some(false));
        assert_eq!(allows("http://b.example:8080/", "GET"), Some(true));
        for (url, method) in [
            ("http://a.example/", "GET"),
            ("https://a.example:8443/", "GET"),
            ("https://b.a.example/", "GET"),
            ("https://a.example/", "PUT"),
            ("https://a.example/", "get"),
            ("http://b.example:8080/", "POST"),
        ] {
            assert_eq!(allows(url, method), None, "{method} {url}");
        }
        for met in ["fetch", "fetch:https://a.example", "fetch:https://a.example POST"] {
            assert!(grants.covers(met), "{met}");
        }
        for unmet in ["fetch:https://a.example GET,DELETE", "fetch:https://c.example"] {
            assert!(!grants.covers(unmet), "{unmet}");
        }
        for text in
            ["fetch:", "fetch:a.example", "fetch:https://a/x", "fetch:https://a get", "fetch:https://a GET POST", "fetch:https://*.a GET"]
        {
            assert!(text.parse::<Grant>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_secret_goes_where_its_grants_say_and_without_a_word_of_that_anywhere() {
        let places =
            |grants: &[&str]| Grants::read(&grants.iter().map(|grant| (*grant).to_owned()).collect::<Vec<_>>()).unwrap().places("a");
        let there = |name: &str| Place::Outbound(name.into());
        assert_eq!(places(&["secret:a outbound:one", "secret:b outbound:two"]), Some(vec![there("one")]));
        assert_eq!(places(&["secret:a outbound:one", "secret:a outbound:two"]), Some(vec![there("one"), there("two")]));
        assert_eq!(places(&["secret:a outbound:one", "secret:a"]), None);
        assert_eq!(places(&["secret:b"]), Some(Vec::new()), "what is not granted goes nowhere");
    }

    #[test]
    fn tools_are_called_by_the_upstreams_own_names() {
        let grants = Grants::read(&["upstream:github search_*,get".into(), "upstream:files read".into()]).unwrap();
        for (upstream, tool, expected) in [
            ("github", "search_code", true),
            ("github", "get", true),
            ("github", "get_all", false),
            ("github", "read", false),
            ("files", "read", true),
            ("other", "read", false),
        ] {
            assert_eq!(grants.calls(upstream, tool), expected, "{upstream} {tool}");
        }
        assert!(grants.covers("upstream") && grants.covers("upstream:github search_*,get") && !grants.covers("upstream:github *"));
        let all = Grants::read(&["upstream:* get*".into()]).unwrap();
        assert!(
            all.calls("any", "get_all")
                && !all.calls("any", "push")
                && all.covers("upstream:github get")
                && !grants.covers("upstream:* get")
        );
    }

    #[test]
    fn a_need_is_met_by_its_own_grant_and_a_kind_by_any() {
        let grants = Grants::read(&["kv:a".into(), "secret:b outbound:u".into(), "outbound:u".into()]).unwrap();
        for met in ["kv:a", "secret:b", "secret", "outbound:u", "outbound"] {
            assert!(grants.covers(met), "{met}");
        }
        for unmet in ["kv:b", "secret:a", "reveal:b", "net", "outbound:v", "outbound:*"] {
            assert!(!grants.covers(unmet), "{unmet}");
        }
        assert!(!grants.reveals("b") && Grants::read(&["nonsense".into()]).is_err());
    }
}
