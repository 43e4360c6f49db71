//! One declaration for a key that takes one of a few words: the enum the host uses, what a file may
//! say, and what the JSON Schema and the reference page say about each word.

use serde_json::{Value as Json, json};

use super::reader::Reader;
use super::section::paragraph;
use super::tree::Node;

/// Declares an enum whose variants are words.
macro_rules! choice {
    (
        $(#[doc = $about:literal])+
        pub enum $Name:ident {
            $(
                $(#[doc = $line:literal])+
                $Variant:ident = $word:literal,
            )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $Name {
            $(
                $(#[doc = $line])+
                $Variant,
            )+
        }

        impl $Name {
            /// The word in the file.
            pub fn as_str(self) -> &'static str {
                match self {
                    $($Name::$Variant => $word,)+
                }
            }
        }

        impl $crate::config::setting::Setting for $Name {
            fn schema() -> serde_json::Value {
                $crate::config::choice::words(&[$(($word, &[$($line),+])),+])
            }

            fn read(
                node: &$crate::config::tree::Node,
                reader: &mut $crate::config::reader::Reader,
            ) -> Option<Self> {
                match $crate::config::choice::word(node, &[$($word),+], reader)? {
                    $($word => Some($Name::$Variant),)+
                    _ => None,
                }
            }

            fn show(&self) -> serde_json::Value {
                serde_json::Value::String(self.as_str().to_owned())
            }
        }
    };
}
pub(super) use choice;

pub(super) fn words(words: &[(&str, &[&str])]) -> Json {
    let each = words.iter().map(|(word, lines)| json!({"const": word, "description": paragraph(lines)}));
    json!({"type": "string", "oneOf": each.collect::<Vec<_>>()})
}

/// The written word, if it is a known one.
pub(super) fn word<'w>(node: &Node, words: &[&'w str], reader: &mut Reader) -> Option<&'w str> {
    let text = reader.text(node)?;
    let found = words.iter().find(|word| **word == text.value()).copied();
    if found.is_none() {
        let wanted = words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" or ");
        let meant = super::problem::nearest(text.value(), words.iter().copied());
        reader.mismatch(node, &wanted, meant.map(|word| format!("did you mean \"{word}\"?")));
    }
    found
}
