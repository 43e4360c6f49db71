//! One declaration for a group of keys: the struct the host uses, what a file may say, the JSON
//! Schema and the reference page all come from it, so they cannot drift apart.

use serde_json::{Map, Value as Json, json};

use super::reader::Reader;
use super::tree::Node;

/// Declares a struct whose fields are keys: `/// what it does`, name, type, default and, for
/// numbers, the range. `or T as f` lets a plain `T` stand for the whole section.
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        pub struct $Name:ident $(or $Short:ty as $from:path)? {
            $(
                $(#[doc = $line:literal])+
                pub $field:ident: $Type:ty = $default:expr $(, within $min:literal ..= $max:literal)?;
            )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq)]
        pub struct $Name {
            $(
                $(#[doc = $line])+
                pub $field: $Type,
            )+
        }

        impl Default for $Name {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }

        impl $crate::config::setting::Setting for $Name {
            fn schema() -> serde_json::Value {
                use $crate::config::section;
                let shown = Self::default();
                let mut keys = serde_json::Map::new();
                $(
                    let schema = <$Type as $crate::config::setting::Setting>::schema();
                    let default = $crate::config::setting::Setting::show(&shown.$field);
                    #[allow(unused_mut, reason = "only a key with a range changes it")]
                    let mut key = section::key(schema, &[$($line),+], default);
                    $(section::limit(&mut key, $min, $max);)?
                    keys.insert(stringify!($field).to_owned(), key);
                )+
                let object = section::object(&[$($about),+], keys);
                $(let object = section::either(<$Short as $crate::config::setting::Setting>::schema(), object);)?
                object
            }

            fn read(
                node: &$crate::config::tree::Node,
                reader: &mut $crate::config::reader::Reader,
            ) -> Option<Self> {
                use $crate::config::setting::Setting;
                $(
                    if !matches!(node.value, $crate::config::tree::Value::Table(_)) {
                        return <$Short as Setting>::read(node, reader).map($from);
                    }
                )?
                let table = reader.table(node)?;
                let known = [$(stringify!($field)),+];
                for entry in table.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
                    reader.unknown_key(entry, &known);
                }
                let mut section = Self::default();
                $(
                    if let Some(node) = table.get(stringify!($field)) {
                        let value = reader.below(stringify!($field), |reader| {
                            let value = <$Type as Setting>::read(node, reader)?;
                            $($crate::config::section::within(&value, $min, $max, node, reader)?;)?
                            Some(value)
                        });
                        if let Some(value) = value {
                            section.$field = value;
                        }
                    }
                )+
                Some(section)
            }

            fn show(&self) -> serde_json::Value {
                let mut keys = serde_json::Map::new();
                $(keys.insert(
                    stringify!($field).to_owned(),
                    $crate::config::setting::Setting::show(&self.$field),
                );)+
                serde_json::Value::Object(keys)
            }
        }
    };
}
pub(super) use section;

/// Doc lines as one paragraph.
pub(super) fn paragraph(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

/// One key of a section.
pub(super) fn key(mut schema: Json, lines: &[&str], default: Json) -> Json {
    schema["description"] = json!(paragraph(lines));
    // A section says its defaults key by key.
    let is_section = schema.get("properties").is_some() || schema.get("anyOf").is_some();
    if !default.is_null() && !is_section {
        schema["default"] = default;
    }
    schema
}

pub(super) fn limit(key: &mut Json, min: u64, max: u64) {
    key["minimum"] = json!(min);
    key["maximum"] = json!(max);
}

pub(super) fn object(about: &[&str], keys: Map<String, Json>) -> Json {
    json!({
        "type": "object",
        "description": paragraph(about),
        "additionalProperties": false,
        "properties": keys,
    })
}

pub(super) fn either(short: Json, object: Json) -> Json {
    json!({"anyOf": [short, object]})
}

/// A number that may have a range.
pub(super) trait Bounded {
    fn number(&self) -> Option<u64>;
}

impl Bounded for u64 {
    fn number(&self) -> Option<u64> {
        Some(*self)
    }
}

impl Bounded for Option<u64> {
    fn number(&self) -> Option<u64> {
        *self
    }
}

pub(super) fn within<N: Bounded>(value: &N, min: u64, max: u64, node: &Node, reader: &mut Reader) -> Option<()> {
    match value.number() {
        Some(number) if number < min || number > max => {
            reader.mismatch(node, &format!("from {} to {}", min, max), None);
            None
        }
        _ => Some(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::expand::Scope;
    use crate::config::inputs::Inputs;
    use crate::config::setting::Setting;
    use crate::config::surroundings::{Builtin, Surroundings};
    use crate::config::syntax::{Syntax, parse};

    crate::config::choice::choice! {
        /// A colour.
        pub enum Colour {
            /// Like blood.
            Red = "red",
            /// Like grass.
            Green = "green",
        }
    }

    section! {
        /// A shape,
        /// drawn.
        pub struct Shape or Colour as Shape::of {
            /// Its colour.
            pub colour: Colour = Colour::Red;
            /// How wide it is.
            pub width_max: u64 = 3, within 1..=10;
            /// Its name.
            pub name: Option<String> = None;
        }
    }

    impl Shape {
        fn of(colour: Colour) -> Shape {
            Shape { colour, ..Shape::default() }
        }
    }

    fn read(text: &str) -> (Option<Shape>, Vec<String>) {
        let (surroundings, inputs) = (Surroundings::default(), Inputs::default());
        let scope = Scope { surroundings: &surroundings, inputs: &inputs, builtin: Builtin::default() };
        let mut reader = Reader::new("f".into(), "/".into(), scope);
        let shape = Shape::read(&parse(text, Syntax::Json).root.unwrap(), &mut reader);
        (shape, reader.report.problems.iter().map(|p| p.to_string()).collect())
    }

    #[test]
    fn a_section_reads_its_keys_and_keeps_its_defaults() {
        let (shape, problems) = read("{\"colour\": \"green\"}");
        let shape = shape.unwrap();
        assert_eq!((shape.colour, shape.width_max, shape.name), (Colour::Green, 3, None));
        assert!(problems.is_empty());
        assert_eq!(read("\"green\"").0.unwrap().colour, Colour::Green);
    }

    #[test]
    fn every_mistake_is_noted() {
        let (_, problems) = read("{\"color\": 1,\n\"colour\": \"gren\", \"width_max\": 11, \"name\": 3}");
        assert_eq!(
            problems,
            [
                "f:1:2: unknown key \"color\"; did you mean \"colour\"?",
                "f:2:11: colour must be \"red\" or \"green\", not \"gren\"; did you mean \"green\"?",
                "f:2:32: width_max must be from 1 to 10, not 11",
                "f:2:44: name must be a text, not 3; put it in quotes",
            ]
        );
    }

    #[test]
    fn the_schema_says_the_same() {
        let schema = Shape::schema();
        let object = &schema["anyOf"][1];
        assert_eq!(object["description"], "A shape, drawn.");
        assert_eq!(object["properties"]["width_max"]["maximum"], 10);
        assert_eq!(object["properties"]["colour"]["default"], "red");
        assert_eq!(object["properties"]["colour"]["oneOf"][1]["const"], "green");
        assert!(object["properties"]["name"].get("default").is_none());
    }
}
