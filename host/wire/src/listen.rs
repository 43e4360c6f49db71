//! What a client of 2026-07-28 asks to hear of: the filter of `subscriptions/listen` and of its acknowledgement
//! (basic/patterns/subscriptions).

use crate::{
    json::{Kind, Value, quote},
    method,
};
use std::{fmt::Write as _, sync::Arc};

/// A list whose changes a server announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum List {
    /// `tools/list`
    Tools,
    /// `prompts/list`
    Prompts,
    /// `resources/list` and `resources/templates/list`
    Resources,
}

impl List {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Tools, Self::Prompts, Self::Resources];

    /// The notification that announces a change.
    pub fn method(self) -> &'static str {
        match self {
            Self::Tools => method::NOTIFY_TOOLS_LIST_CHANGED,
            Self::Prompts => method::NOTIFY_PROMPTS_LIST_CHANGED,
            Self::Resources => method::NOTIFY_RESOURCES_LIST_CHANGED,
        }
    }

    /// The list that a notification is about.
    pub fn of_method(method: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|list| list.method() == method)
    }

    /// The member of the filter.
    pub fn member(self) -> &'static str {
        match self {
            Self::Tools => "toolsListChanged",
            Self::Prompts => "promptsListChanged",
            Self::Resources => "resourcesListChanged",
        }
    }

    /// The capability whose `listChanged` says that a server announces changes of it.
    pub fn capability(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
        }
    }
}

/// Some of the three lists.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lists(u8);

impl Lists {
    /// All three.
    pub const ALL: Self = Self(0b111);

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether this one is among them.
    pub fn contains(self, list: List) -> bool {
        self.0 & Self::from(list).0 != 0
    }

    /// Adds some.
    pub fn add(&mut self, lists: impl Into<Self>) {
        self.0 |= lists.into().0;
    }

    /// Takes some out.
    pub fn remove(&mut self, lists: impl Into<Self>) {
        self.0 &= !lists.into().0;
    }

    /// Those in both.
    pub fn both(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = List> {
        List::ALL.into_iter().filter(move |list| self.contains(*list))
    }
}

impl From<List> for Lists {
    fn from(list: List) -> Self {
        Self(1 << list as u8)
    }
}

impl FromIterator<List> for Lists {
    fn from_iter<I: IntoIterator<Item = List>>(lists: I) -> Self {
        lists.into_iter().fold(Self::default(), |mut all, list| {
            all.add(list);
            all
        })
    }
}

/// What is asked for, or granted. What is not known here is left out, as a server that does not know it does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Lists.
    pub lists: Lists,
    /// Resource URIs, each once.
    pub uris: Vec<Arc<str>>,
}

/// A filter is not what the schema says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("params.notifications{member} {problem}")]
pub struct BadFilter {
    /// Where, as a path below it.
    pub member: &'static str,
    /// What is wrong.
    pub problem: &'static str,
}

impl Filter {
    /// Reads `notifications` of a request or an acknowledgement.
    ///
    /// # Errors
    /// [`BadFilter`], which is answered with -32602.
    pub fn read(value: Option<Value<'_>>) -> Result<Self, BadFilter> {
        let bad = |member, problem| BadFilter { member, problem };
        let value = value.ok_or(bad("", "is missing"))?;
        if value.kind() != Kind::Object {
            return Err(bad("", "is not an object"));
        }
        let mut filter = Self::default();
        // What is null is not there.
        let find = |member: &str| value.get(member).filter(|found| found.kind() != Kind::Null);
        for list in List::ALL {
            match find(list.member()).map(|wanted| wanted.as_bool()) {
                Some(Some(true)) => filter.lists.add(list),
                Some(Some(false)) | None => {}
                Some(None) => return Err(bad(".*ListChanged", "is not a boolean")),
            }
        }
        let Some(uris) = find("resourceSubscriptions") else { return Ok(filter) };
        if uris.kind() != Kind::Array {
            return Err(bad(".resourceSubscriptions", "is not an array"));
        }
        let mut known = std::collections::HashSet::new();
        for uri in uris.items() {
            let uri: Arc<str> = uri.as_str().ok_or(bad(".resourceSubscriptions[]", "is not a string"))?.into();
            if known.insert(uri.clone()) {
                filter.uris.push(uri);
            }
        }
        Ok(filter)
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty() && self.uris.is_empty()
    }

    /// JSON text of an object.
    pub fn to_json(&self) -> String {
        let mut out = String::from("{");
        for list in self.lists.iter() {
            let comma = if out.len() > 1 { "," } else { "" };
            let _ = write!(out, r#"{comma}"{}":true"#, list.member());
        }
        if !self.uris.is_empty() {
            let comma = if out.len() > 1 { "," } else { "" };
            let uris: Vec<String> = self.uris.iter().map(|uri| quote(uri)).collect();
            let _ = write!(out, r#"{comma}"resourceSubscriptions":[{}]"#, uris.join(","));
        }
        out.push('}');
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Document, IndexDepth, Limits};

    fn read(text: &'static str) -> Result<Filter, String> {
        let document = Document::parse_value(text.as_bytes().into(), &Limits::REQUEST, IndexDepth::Full).expect("JSON");
        Filter::read(Some(document.root())).map_err(|bad| bad.to_string())
    }

    #[test]
    fn a_filter_reads_as_it_was_written_without_what_is_not_known() {
        let filter =
            read(r#"{"toolsListChanged":true,"promptsListChanged":false,"resourceSubscriptions":["a://\u0041","b","b"],"taskIds":["t"]}"#);
        let filter = filter.expect("a filter");
        assert_eq!(filter.lists.iter().collect::<Vec<_>>(), [List::Tools]);
        assert_eq!(filter.to_json(), r#"{"toolsListChanged":true,"resourceSubscriptions":["a://A","b"]}"#);
        for empty in ["{}", r#"{"toolsListChanged":null,"resourceSubscriptions":null}"#] {
            assert_eq!(read(empty).expect("an empty filter").to_json(), "{}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for text in ["[]", r#"{"toolsListChanged":1}"#, r#"{"resourceSubscriptions":"a"}"#, r#"{"resourceSubscriptions":[1]}"#] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(Filter::read(None).is_err());
    }
}
