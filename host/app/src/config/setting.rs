//! A type that can be read from a file, described in a JSON Schema, and shown again.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde_json::{Map, Value as Json, json};

use super::reader::Reader;
use super::tree::{Node, Value};

/// What every setting can do. The struct, its keys, the schema and the reference page come from the
/// one declaration that `section!` and `choice!` take.
pub(super) trait Setting: Sized {
    /// Its JSON Schema.
    fn schema() -> Json;
    /// Reads it. `None`: it is wrong, and the reader has noted why.
    fn read(node: &Node, reader: &mut Reader) -> Option<Self>;
    /// As it could be written. A secret shows where it comes from.
    fn show(&self) -> Json;
}

impl Setting for bool {
    fn schema() -> Json {
        json!({"type": "boolean"})
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<bool> {
        reader.flag(node)
    }
    fn show(&self) -> Json {
        json!(self)
    }
}

impl Setting for u64 {
    fn schema() -> Json {
        json!({"type": "integer", "minimum": 0})
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<u64> {
        if let Value::Number(number) = &node.value
            && let Ok(whole) = number.parse()
        {
            return Some(whole);
        }
        let suggestion = match &node.value {
            Value::Text(text) => super::units::suggest(&reader.path(), text),
            _ => None,
        };
        reader.mismatch(node, "a whole number", suggestion);
        None
    }
    fn show(&self) -> Json {
        json!(self)
    }
}

impl Setting for String {
    fn schema() -> Json {
        json!({"type": "string"})
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<String> {
        let text = reader.text(node)?;
        if text.value().is_empty() {
            reader.mismatch(node, "a text that is not empty", None);
            return None;
        }
        Some(text.value().to_owned())
    }
    fn show(&self) -> Json {
        json!(self)
    }
}

/// A relative path starts at the directory of the file it stands in.
impl Setting for PathBuf {
    fn schema() -> Json {
        json!({"type": "string", "minLength": 1})
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<PathBuf> {
        let text = String::read(node, reader)?;
        if text.contains('\0') {
            reader.mismatch(node, "a path", None);
            return None;
        }
        if text.starts_with('~') {
            let suggestion = node.is_literal().then(|| format!("write ${{HOME}}{}", text.trim_start_matches('~')));
            reader.mismatch(node, "a path (no shell reads the ~)", suggestion);
            return None;
        }
        Some(reader.base.join(text))
    }
    fn show(&self) -> Json {
        json!(self.to_string_lossy())
    }
}

impl Setting for SocketAddr {
    fn schema() -> Json {
        json!({"type": "string"})
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<SocketAddr> {
        const WANTED: &str = "an address and a port";
        if let Value::Number(port) = &node.value {
            reader.mismatch(node, WANTED, Some(format!("write \"127.0.0.1:{port}\"")));
            return None;
        }
        let text = reader.text(node)?;
        match socket(text.value()) {
            Ok(address) => Some(address),
            Err(suggestion) => {
                reader.mismatch(node, WANTED, Some(suggestion));
                None
            }
        }
    }
    fn show(&self) -> Json {
        json!(self.to_string())
    }
}

/// `127.0.0.1:7411`, `[::1]:0`, `localhost:7411`; otherwise what to write.
pub(super) fn socket(text: &str) -> Result<SocketAddr, String> {
    let local = Ipv4Addr::LOCALHOST;
    if let Some(port) = text.strip_prefix("localhost:") {
        return port.parse().map(|port| (local, port).into()).map_err(|_| "a port is 0 to 65535".to_owned());
    }
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let port = text.strip_prefix(':').unwrap_or(text).parse::<u16>();
    let ip = text.trim_matches(['[', ']']).parse::<IpAddr>();
    Err(match (port, ip) {
        (Ok(port), _) => format!("write \"127.0.0.1:{port}\""),
        (_, Ok(ip)) => format!("write \"{}\"", SocketAddr::new(ip, 7411)),
        _ => "write \"127.0.0.1:7411\", or port 0 for a free one".to_owned(),
    })
}

impl Setting for http::HeaderName {
    fn schema() -> Json {
        json!({"type": "string", "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"})
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<http::HeaderName> {
        let text = String::read(node, reader)?;
        let name = http::HeaderName::from_bytes(text.as_bytes()).ok();
        if name.is_none() {
            reader.mismatch(node, "a name of a header", None);
        }
        name
    }
    fn show(&self) -> Json {
        json!(self.as_str())
    }
}

impl<T: Setting> Setting for Option<T> {
    fn schema() -> Json {
        T::schema()
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<Option<T>> {
        T::read(node, reader).map(Some)
    }
    fn show(&self) -> Json {
        self.as_ref().map_or(Json::Null, T::show)
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn schema() -> Json {
        json!({"type": "array", "items": T::schema()})
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<Vec<T>> {
        let items = reader.list(node)?;
        let each = items.iter().enumerate();
        Some(each.filter_map(|(at, item)| reader.below(&format!("[{at}]"), |reader| T::read(item, reader))).collect())
    }
    fn show(&self) -> Json {
        self.iter().map(T::show).collect()
    }
}

impl<T: Setting> Setting for BTreeMap<String, T> {
    fn schema() -> Json {
        json!({"type": "object", "additionalProperties": T::schema()})
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<BTreeMap<String, T>> {
        let table = reader.table(node)?;
        let read = |entry: &super::tree::Entry, reader: &mut Reader| {
            let value = reader.below(&entry.key, |reader| T::read(&entry.node, reader))?;
            Some((entry.key.clone(), value))
        };
        Some(table.iter().filter_map(|entry| read(entry, reader)).collect())
    }
    fn show(&self) -> Json {
        self.iter().map(|(key, value)| (key.clone(), value.show())).collect::<Map<_, _>>().into()
    }
}

/// A JSON object that we pass on and do not understand.
impl Setting for Map<String, Json> {
    fn schema() -> Json {
        json!({"type": "object"})
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<Map<String, Json>> {
        reader.table(node)?;
        match json(node, reader)? {
            Json::Object(map) => Some(map),
            _ => None,
        }
    }
    fn show(&self) -> Json {
        Json::Object(self.clone())
    }
}

fn json(node: &Node, reader: &mut Reader) -> Option<Json> {
    Some(match &node.value {
        Value::Null => Json::Null,
        Value::Bool(flag) => Json::Bool(*flag),
        Value::Text(_) => Json::String(reader.text(node)?.value().to_owned()),
        Value::Number(number) => return number_as_json(number, node, reader),
        Value::List(items) => {
            let each = items.iter().enumerate();
            let read: Vec<_> = each.map(|(at, item)| reader.below(&format!("[{at}]"), |reader| json(item, reader))).collect();
            Json::Array(read.into_iter().collect::<Option<_>>()?)
        }
        Value::Table(table) => {
            let read: Vec<_> = table
                .iter()
                .map(|entry| Some((entry.key.clone(), reader.below(&entry.key, |reader| json(&entry.node, reader))?)))
                .collect();
            Json::Object(read.into_iter().collect::<Option<_>>()?)
        }
    })
}

fn number_as_json(number: &str, node: &Node, reader: &mut Reader) -> Option<Json> {
    let exact = serde_json::from_str::<serde_json::Number>(number).ok();
    // `.5` and `1.` are numbers in YAML only.
    let rounded = || number.parse().ok().and_then(serde_json::Number::from_f64);
    let number = exact.or_else(rounded);
    if number.is_none() {
        reader.mismatch(node, "a number that JSON has", None);
    }
    number.map(Json::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_or_put_right() {
        assert_eq!(socket("localhost:0"), Ok(SocketAddr::from(([127, 0, 0, 1], 0))));
        assert_eq!(socket("[::1]:80").unwrap().to_string(), "[::1]:80");
        assert_eq!(socket(":8080").unwrap_err(), "write \"127.0.0.1:8080\"");
        assert_eq!(socket("8080").unwrap_err(), "write \"127.0.0.1:8080\"");
        assert_eq!(socket("::1").unwrap_err(), "write \"[::1]:7411\"");
        assert!(socket("localhost:99999").is_err());
        assert!(socket("example.com:80").is_err());
    }
}
