//! What is read of a tool's definition. A server wrote it, so anything may be wrong in it; what is, is left out.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// One tool that may be called, as the host's attribute `host.tool.<name>` says it.
#[derive(Debug, serde::Deserialize)]
pub struct Listed<'a> {
    /// The operator's name of the server that has it.
    #[serde(borrow)]
    pub upstream: Cow<'a, str>,
    /// What that server calls it.
    #[serde(borrow)]
    pub tool: Cow<'a, str>,
    /// As the principal would see it.
    #[serde(borrow)]
    pub definition: &'a RawValue,
}

impl<'a> Listed<'a> {
    /// None: no such text, which the host does not write.
    pub fn read(json: &'a str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }
}

/// What says what a tool is for.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Definition<'a> {
    /// For people.
    #[serde(borrow, deserialize_with = "text")]
    pub title: Cow<'a, str>,
    /// For models.
    #[serde(borrow, deserialize_with = "text")]
    pub description: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) annotations: Annotations<'a>,
    #[serde(borrow, rename = "inputSchema")]
    input_schema: Schema<'a>,
}

#[derive(Debug, Default)]
pub(crate) struct Annotations<'a> {
    pub(crate) title: Cow<'a, str>,
}

#[derive(Debug, Default)]
struct Schema<'a> {
    properties: Vec<Cow<'a, str>>,
}

impl<'a> Definition<'a> {
    /// Nothing of what is no JSON object.
    pub fn read(json: &'a str) -> Self {
        serde_json::from_str(json).unwrap_or_default()
    }

    /// Names of its arguments, in order.
    pub fn arguments(&self) -> impl Iterator<Item = &str> {
        self.input_schema.properties.iter().map(|name| &**name)
    }
}

/// Names of members that are looked at.
const ARGUMENTS_MAX: usize = 64;

/// A value that is taken if it is of the wanted kind, and passed over if it is not.
trait Wanted<'de>: Default {
    fn text(self, _: Cow<'de, str>) -> Self {
        self
    }
    fn members<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(self)
    }
}

struct Any<T>(T);

impl<'de, T: Wanted<'de>> Visitor<'de> for Any<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_bool<E>(self, _: bool) -> Result<T, E> {
        Ok(self.0)
    }
    fn visit_i64<E>(self, _: i64) -> Result<T, E> {
        Ok(self.0)
    }
    fn visit_u64<E>(self, _: u64) -> Result<T, E> {
        Ok(self.0)
    }
    fn visit_f64<E>(self, _: f64) -> Result<T, E> {
        Ok(self.0)
    }
    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(self.0)
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<T, E> {
        Ok(self.0.text(Cow::Borrowed(text)))
    }
    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok(self.0.text(Cow::Owned(text.into())))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<T, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self.0)
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        self.0.members(map)
    }
}

impl<'de: 'a, 'a> Wanted<'de> for Cow<'a, str> {
    fn text(self, text: Cow<'de, str>) -> Self {
        text
    }
}

fn text<'de: 'a, 'a, D: Deserializer<'de>>(from: D) -> Result<Cow<'a, str>, D::Error> {
    from.deserialize_any(Any(Cow::default()))
}

/// A text that may be escaped, as the name of a member.
struct Key<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        text(from).map(Key)
    }
}

impl<'de: 'a, 'a> Wanted<'de> for Annotations<'a> {
    fn members<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some(Key(name)) = map.next_key()? {
            if name == "title" {
                self.title = map.next_value::<Key<'_>>()?.0;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(self)
    }
}

impl<'de: 'a, 'a> Wanted<'de> for Schema<'a> {
    fn members<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some(Key(name)) = map.next_key()? {
            if name == "properties" {
                self.properties = map.next_value::<Names<'_>>()?.0;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(self)
    }
}

#[derive(Default)]
struct Names<'a>(Vec<Cow<'a, str>>);

impl<'de: 'a, 'a> Wanted<'de> for Names<'a> {
    fn members<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some((Key(name), _)) = map.next_entry::<Key<'_>, IgnoredAny>()? {
            if self.0.len() < ARGUMENTS_MAX {
                self.0.push(name);
            }
        }
        Ok(self)
    }
}

macro_rules! read_if_wanted {
    ($($kind:ident),*) => {$(
        impl<'de: 'a, 'a> Deserialize<'de> for $kind<'a> {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                from.deserialize_any(Any($kind::default()))
            }
        }
    )*};
}

read_if_wanted!(Annotations, Schema, Names);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_left_out_and_the_rest_is_read() {
        let read = |json| {
            let read = Definition::read(json);
            let arguments: Vec<_> = read.arguments().collect();
            alloc::format!("{}|{}|{}|{}", read.title, read.annotations.title, read.description, arguments.join(","))
        };
        for (json, expected) in [
            (
                r#"{"name":"n","title":"T","description":"a \"b\"","annotations":{"title":"A","x":1},"inputSchema":{"type":"object","properties":{"one":{"type":"string"},"tw\u006f":true}}}"#,
                "T|A|a \"b\"|one,two",
            ),
            (r#"{"title":1,"description":["x"],"annotations":null,"inputSchema":true}"#, "|||"),
            (r#"{"description":"d","annotations":{"title":{}},"inputSchema":{"properties":[1]}}"#, "||d|"),
            (r#"{"description":"d","description":"e"}"#, "|||"),
            ("[]", "|||"),
            ("", "|||"),
        ] {
            assert_eq!(read(json), expected, "{json}");
        }
    }

    #[test]
    fn what_the_host_says_of_a_tool_is_read() {
        let listed = Listed::read(r#"{"upstream":"git","tool":"l\u006fg","definition":{"name": "git_log"}}"#).unwrap();
        assert_eq!((&*listed.upstream, &*listed.tool, listed.definition.get()), ("git", "log", r#"{"name": "git_log"}"#));
        assert!(Listed::read("{}").is_none());
    }
}
