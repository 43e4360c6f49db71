//! Who may reach the listener, and under which names.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Value as Json, json};

use crate::config::reader::Reader;
use crate::config::section::section;
use crate::config::setting::Setting;
use crate::config::tree::{Node, Value};

/// A proxy in front that terminates TLS and is believed about who the client is.
#[derive(Clone, Debug, PartialEq)]
pub struct TrustedProxy {
    /// Where it connects from.
    pub addresses: Vec<Network>,
    /// What clients call us.
    pub public_url: PublicUrl,
}

section! {
    /// A proxy in front that terminates TLS and is believed about who the client is.
    pub struct WrittenProxy {
        /// Where it connects from: addresses or networks such as `10.0.0.0/8`. Required.
        pub addresses: Vec<Network> = Vec::new();
        /// What clients call us, e.g. `https://mcp.example.com`. Required.
        pub public_url: Option<PublicUrl> = None;
    }
}

impl Setting for TrustedProxy {
    fn schema() -> Json {
        let mut schema = WrittenProxy::schema();
        schema["required"] = json!(["addresses", "public_url"]);
        // An empty list is only where its reading starts.
        if let Some(addresses) = schema["properties"]["addresses"].as_object_mut() {
            addresses.remove("default");
            addresses.insert("minItems".to_owned(), json!(1));
        }
        schema
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<TrustedProxy> {
        let WrittenProxy { addresses, public_url } = WrittenProxy::read(node, reader)?;
        // A key that is there and wrong has been reported already.
        for (key, example) in [("addresses", "[\"10.0.0.0/8\"]"), ("public_url", "\"https://mcp.example.com\"")] {
            if node.find(&[key]).is_none() {
                let what = format!("{} needs {key}", reader.path());
                reader.wrong(node.at, what, Some(format!("add \"{key}\": {example}")));
            }
        }
        if let Some(Node { at, value: Value::List(items) }) = node.find(&["addresses"])
            && items.is_empty()
        {
            let what = format!("{}.addresses names nobody", reader.path());
            reader.wrong(*at, what, Some("add the address that the proxy connects from".to_owned()));
        }
        Some(TrustedProxy { addresses, public_url: public_url? })
    }

    fn show(&self) -> Json {
        json!({"addresses": self.addresses.show(), "public_url": self.public_url.show()})
    }
}

/// A range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// Whether an address is in it. An IPv4 address that arrived on an IPv6 socket is still itself.
    ///
    /// The same as [`IpNet::contains`] of [`Network::net`] but for that.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// The network itself.
    pub fn net(&self) -> IpNet {
        self.0
    }
}

impl Setting for Network {
    fn schema() -> Json {
        json!({"type": "string"})
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Network> {
        let text = String::read(node, reader)?;
        let single = text.parse::<IpAddr>().map(IpNet::from);
        let Ok(network) = single.or_else(|_| text.parse::<IpNet>()) else {
            reader.mismatch(node, "an address or a network such as \"10.0.0.0/8\"", None);
            return None;
        };
        if network.prefix_len() == 0 {
            let why = "everybody would be believed about who they are; name the proxy's own addresses";
            reader.mismatch(node, "the addresses of a proxy", Some(why.to_owned()));
            return None;
        }
        if network.trunc() != network {
            reader.mismatch(node, "a network", Some(format!("write \"{}\"", network.trunc())));
            return None;
        }
        Some(Network(network))
    }

    fn show(&self) -> Json {
        json!(self.0.to_string())
    }
}

/// What clients call us from outside: `https`, and nothing behind the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(http::Uri);

impl PublicUrl {
    /// The URL.
    pub fn uri(&self) -> &http::Uri {
        &self.0
    }
}

impl Setting for PublicUrl {
    fn schema() -> Json {
        json!({"type": "string", "pattern": "^https://"})
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<PublicUrl> {
        let text = String::read(node, reader)?;
        let fits = |uri: &http::Uri| {
            uri.scheme_str() == Some("https")
                && uri.authority().is_some_and(|a| !a.as_str().contains('@'))
                && uri.query().is_none()
                && !text.contains('#')
        };
        let uri = text.parse().ok().filter(fits);
        if uri.is_none() {
            reader.mismatch(node, "a URL that begins with https:// and has no user, query or fragment", None);
        }
        uri.map(PublicUrl)
    }

    fn show(&self) -> Json {
        json!(self.0.to_string())
    }
}

/// A name in a `Host` header, with a port or for all ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName(String);

impl HostName {
    /// In lower case, as `name` or `name:port`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Setting for HostName {
    fn schema() -> Json {
        json!({"type": "string", "minLength": 1})
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<HostName> {
        let text = String::read(node, reader)?;
        const WANTED: &str = "a host name, with or without a port";
        let bare = text.split_once("://").map_or(text.as_str(), |(_, rest)| rest).trim_end_matches('/');
        if bare != text {
            reader.mismatch(node, WANTED, node.is_literal().then(|| format!("write {bare:?}")));
            return None;
        }
        if text.contains('*') {
            let why = "name each host: any name at all is what a DNS rebinding attack sends";
            reader.mismatch(node, WANTED, Some(why.to_owned()));
            return None;
        }
        let fits = is_authority(&text);
        if !fits {
            reader.mismatch(node, WANTED, None);
        }
        fits.then(|| HostName(text.to_ascii_lowercase()))
    }

    fn show(&self) -> Json {
        json!(self.0)
    }
}

/// Host and port, where the port may be missing: no user, no wildcard, no trailing dot, no empty port.
fn is_authority(text: &str) -> bool {
    text.parse::<http::uri::Authority>().is_ok_and(|authority| {
        let host = authority.host();
        let bare = host.len() == text.len();
        !host.is_empty() && !host.ends_with('.') && !text.contains(['@', '*']) && (bare || authority.port_u16().is_some())
    })
}

/// A value of an `Origin` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// In lower case, as `scheme://host` or `scheme://host:port`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Setting for Origin {
    fn schema() -> Json {
        json!({"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9+.-]*://[^/?#@*\\s]+$"})
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Origin> {
        let text = String::read(node, reader)?;
        const WANTED: &str = "an origin such as \"https://app.example.com\"";
        if matches!(text.as_str(), "*" | "null") {
            let why = "name each origin: any page in a browser could reach your tools otherwise";
            reader.mismatch(node, WANTED, Some(why.to_owned()));
            return None;
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            let whole = node.is_literal().then(|| format!("write {:?}", format!("https://{text}")));
            reader.mismatch(node, WANTED, whole);
            return None;
        };
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let fits = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+.-".contains(&b))
            && is_authority(host);
        if !fits || host != rest {
            let bare = (fits && node.is_literal()).then(|| format!("write {:?}", format!("{scheme}://{host}")));
            reader.mismatch(node, WANTED, bare);
            return None;
        }
        Some(Origin(text.to_ascii_lowercase()))
    }

    fn show(&self) -> Json {
        json!(self.0)
    }
}
