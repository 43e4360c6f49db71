//! Every string and every member's name of JSON text, with its place, keeping none.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Where something is.
#[derive(Debug, Default)]
pub(crate) struct Path(Vec<Step>);

#[derive(Debug)]
enum Step {
    Member(String),
    Item(usize),
}

impl Path {
    /// A JSON pointer.
    pub(crate) fn pointer(&self) -> String {
        let step = |step: &Step| match step {
            Step::Member(name) => format!("/{}", name.replace('~', "~0").replace('/', "~1")),
            Step::Item(at) => format!("/{at}"),
        };
        self.0.iter().map(step).collect()
    }

    /// The outermost member that it is in.
    pub(crate) fn first(&self) -> Option<&str> {
        self.names().next()
    }

    /// The innermost member that it is in.
    pub(crate) fn last(&self) -> Option<&str> {
        self.names().next_back()
    }

    /// How many members and elements it is in.
    pub(crate) fn depth(&self) -> usize {
        self.0.len()
    }

    fn names(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.iter().filter_map(|step| if let Step::Member(name) = step { Some(name.as_str()) } else { None })
    }
}

/// Calls back with each text, where it is, and whether it is the name of the last member of that path.
///
/// # Errors
/// What cannot be read, such as a number of a size that the host does not mind. What comes behind it was not seen.
pub(crate) fn each_text(json: &str, mut each: impl FnMut(&str, &Path, bool)) -> Result<(), String> {
    let mut path = Path::default();
    let mut reader = serde_json::Deserializer::from_str(json);
    let walk = Walk { each: &mut each, path: &mut path };
    walk.deserialize(&mut reader).and_then(|()| reader.end()).map_err(|error| error.to_string())
}

struct Walk<'w, F> {
    each: &'w mut F,
    path: &'w mut Path,
}

impl<'de, F: FnMut(&str, &Path, bool)> DeserializeSeed<'de> for Walk<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de, F: FnMut(&str, &Path, bool)> Visitor<'de> for Walk<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        (self.each)(text, self.path, false);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        for at in 0.. {
            self.path.0.push(Step::Item(at));
            let more = items.next_element_seed(Walk { each: &mut *self.each, path: &mut *self.path })?;
            self.path.0.pop();
            if more.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<String>()? {
            self.path.0.push(Step::Member(name.clone()));
            (self.each)(&name, self.path, true);
            members.next_value_seed(Walk { each: &mut *self.each, path: &mut *self.path })?;
            self.path.0.pop();
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
}
