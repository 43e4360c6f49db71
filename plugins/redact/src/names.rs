//! Names of members. Two of one object must never become the same: most parsers would then lose one.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::policy::Part;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

/// Names beside each other, from the JSON text of their object.
pub(crate) fn of_object(json: &str) -> Option<BTreeSet<String>> {
    serde_json::from_str::<Names>(json).ok().map(|names| names.0)
}

/// The wanted name, or the first free one made of it with a number.
pub(crate) fn unique(wanted: String, taken: &mut BTreeSet<String>) -> String {
    let mut name = wanted.clone();
    let mut number = 2;
    while !taken.insert(name.clone()) {
        name = format!("{wanted}#{number}");
        number += 1;
    }
    name
}

/// The object and the decoded name that a member's pointer means.
pub(crate) fn split(pointer: &str) -> Option<(&str, String)> {
    let (object, name) = pointer.rsplit_once('/')?;
    Some((object, name.replace("~1", "/").replace("~0", "~")))
}

/// Reads names and skips everything else without keeping it.
struct Names(BTreeSet<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Names;

    fn expecting(&self, f: &mut core::fmt::Formatter) -> core::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
        let mut names = BTreeSet::new();
        while let Some((name, IgnoredAny)) = map.next_entry()? {
            names.insert(name);
        }
        Ok(Names(names))
    }
}

/// Splices texts into a name, the last one first so that places stay.
pub(crate) fn splice(name: &str, parts: &[Part]) -> Option<String> {
    let mut out = String::from(name);
    let mut parts: Vec<_> = parts.iter().collect();
    parts.sort_by_key(|part| core::cmp::Reverse(part.start));
    for part in parts {
        let range = part.start as usize..part.end as usize;
        out.get(range.clone())?;
        out.replace_range(range, &part.text);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_name_gets_a_number() {
        let mut taken = of_object(r#"{"a":{"b":[1]},"[R]":2,"\u0061\u0062":3}"#).unwrap();
        assert!(taken.contains("ab"));
        assert_eq!(unique("[R]".into(), &mut taken), "[R]#2");
        assert_eq!(unique("[R]".into(), &mut taken), "[R]#3");
        assert_eq!(unique("new".into(), &mut taken), "new");
    }

    #[test]
    fn only_objects_have_names() {
        assert!(of_object("[1]").is_none());
        assert!(of_object("{").is_none());
    }

    #[test]
    fn pointers_are_unescaped_in_the_right_order() {
        assert_eq!(split("/a/b~1c~01"), Some(("/a", "b/c~1".into())));
    }
}
