//! An OpenAPI document, and what its references point to.
//!
//! A place in it is a JSON pointer as a URI fragment, `#/paths/~1pets/get`: what a reference says, and what messages name.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use crate::json::{self, Value};

/// References that may point one to another.
const HOPS_MAX: usize = 16;

/// A document.
#[derive(Debug)]
pub struct Document<'a> {
    root: Value<'a>,
    /// Its schemas are those of OpenAPI 3.0, which are no JSON Schema of 2020-12.
    pub is_3_0: bool,
}

impl<'a> Document<'a> {
    /// Reads one of OpenAPI 3.0 or 3.1.
    pub fn read(text: &'a str) -> Result<Self, String> {
        let root = json::read(text).ok_or_else(|| format!("it is nested deeper than {} levels", json::DEPTH_MAX))?;
        let version = json::text_of(&root, "openapi").unwrap_or_default().to_string();
        let is = |minor: &str| version.strip_prefix(minor).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        let is_3_0 = is("3.0");
        if is_3_0 || is("3.1") {
            return Ok(Document { root, is_3_0 });
        }
        if json::member(&root, "swagger").is_some() {
            return Err("it is a Swagger document; convert it to OpenAPI 3.0 or 3.1".to_string());
        }
        Err(format!("its \"openapi\" is {version:?}, and 3.0 and 3.1 are read here"))
    }

    /// The member of the root.
    pub fn member(&self, name: &str) -> Option<&Value<'a>> {
        json::member(&self.root, name)
    }

    /// What a reference points to. None: nothing there.
    pub fn at(&self, place: &str) -> Option<&Value<'a>> {
        let pointer = place.strip_prefix('#')?;
        if pointer.is_empty() {
            return Some(&self.root);
        }
        let mut value = &self.root;
        for token in pointer.strip_prefix('/')?.split('/') {
            let token = decode(token)?;
            value = match value {
                Value::Object(_) => json::member(value, &token)?,
                Value::Array(items) if token == "0" || !token.starts_with(['0', '+']) => items.get(token.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        Some(value)
    }

    /// The value itself, or what it refers to in the end, with its place.
    pub fn follow<'d>(&'d self, mut value: &'d Value<'a>, place: &str) -> Result<(&'d Value<'a>, String), String> {
        let mut at = place.to_string();
        for _ in 0..HOPS_MAX {
            let Some(to) = reference(value) else { return Ok((value, at)) };
            value = self.at(to).ok_or_else(|| dangling(&at, to))?;
            at = to.to_string();
        }
        Err(format!("{place}: more than {HOPS_MAX} references point one to another from here"))
    }
}

/// What is wrong with a reference that leads nowhere.
pub fn dangling(place: &str, to: &str) -> String {
    let shown: String = to.chars().take(200).collect();
    match to.starts_with('#') {
        true => format!("{place}: {shown:?} is not in the document"),
        false => format!("{place}: {shown:?} is in another document; put what it refers to into this one"),
    }
}

/// Where a value refers to.
pub fn reference<'v>(value: &'v Value<'_>) -> Option<&'v str> {
    json::text_of(value, "$ref")
}

/// A place that is being looked at: written only if something is wrong there.
#[derive(Debug, Clone, Copy)]
pub enum At<'p> {
    /// As it is.
    Place(&'p str),
    /// Of a member.
    Member(&'p At<'p>, &'p str),
    /// Of an item.
    Item(&'p At<'p>, usize),
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Place(place) => f.write_str(place),
            At::Member(of, name) => write!(f, "{}", below(&of.to_string(), name)),
            At::Item(of, index) => write!(f, "{of}/{index}"),
        }
    }
}

/// The place of a member.
pub fn below(place: &str, name: &str) -> String {
    format!("{place}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// A token of a JSON pointer in a fragment (RFC 6901 §6).
fn decode(token: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(token.len());
    let mut rest = token.bytes();
    while let Some(byte) = rest.next() {
        let hex = |digit: Option<u8>| char::from(digit?).to_digit(16);
        bytes.push(if byte == b'%' { (hex(rest.next())? * 16 + hex(rest.next())?) as u8 } else { byte });
    }
    let text = String::from_utf8(bytes).ok()?;
    Some(text.replace("~1", "/").replace("~0", "~"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_however_they_are_spelt() {
        let document = Document::read(r#"{"openapi":"3.1.0","paths":{"/a/{b}":{"x~y":[1,2]}},"é":3}"#).unwrap();
        assert!(!document.is_3_0);
        let at = |place: &str| document.at(place).map(json::write);
        assert_eq!(at("#/paths/~1a~1{b}/x~0y/1").as_deref(), Some("2"));
        assert_eq!(at("#/paths/~1a~1%7Bb%7D/x~0y/0").as_deref(), Some("1"));
        assert_eq!(at("#/%C3%A9").as_deref(), Some("3"));
        assert!(at("#").is_some());
        for nowhere in [
            "",
            "#paths",
            "#/nothing",
            "#/paths/~1a~1{b}/x~0y/2",
            "#/paths/~1a~1{b}/x~0y/-1",
            "#/paths/~1a~1{b}/x~0y/01",
            "#/%",
            "#/%zz",
            "#/%ff",
            "#/é/a",
        ] {
            assert_eq!(at(nowhere), None, "{nowhere}");
        }
        assert_eq!(document.at(&below("#/paths", "/a/{b}")).map(json::write).as_deref(), Some(r#"{"x~y":[1,2]}"#));
    }

    #[test]
    fn references_end_somewhere_or_are_named() {
        let document = Document::read(
            r##"{"openapi":"3.0.3","a":{"$ref":"#/b"},"b":{"$ref":"#/c"},"c":{"x":1},"loop":{"$ref":"#/loop"},"out":{"$ref":"other.json#/x"},"gone":{"$ref":"#/d"}}"##,
        )
        .unwrap();
        let follow = |name: &str| document.follow(document.member(name).unwrap(), &format!("#/{name}"));
        let (value, place) = follow("a").unwrap();
        assert_eq!((json::write(value).as_str(), place.as_str()), (r#"{"x":1}"#, "#/c"));
        assert!(follow("loop").unwrap_err().starts_with("#/loop: more than 16"));
        assert_eq!(follow("gone").unwrap_err(), "#/gone: \"#/d\" is not in the document");
        assert!(follow("out").unwrap_err().contains("another document"));
    }

    #[test]
    fn other_documents_are_refused() {
        for (text, says) in [
            (r#"{"swagger":"2.0"}"#, "Swagger"),
            (r#"{"openapi":"3.2.0"}"#, "3.2.0"),
            (r#"{"openapi":"3.01"}"#, "3.01"),
            (r#"{"openapi":3.0}"#, "3.0 and 3.1"),
            ("{}", "3.0 and 3.1"),
            (&format!("{}{}", "[".repeat(60), "]".repeat(60)), "nested deeper"),
        ] {
            let error = Document::read(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
