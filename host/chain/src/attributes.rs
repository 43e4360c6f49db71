//! Facts about an exchange and the labels that filters put on it.

use std::sync::Arc;

/// Most labels one filter may set, and most bytes of one.
pub const LABELS_MAX: usize = 64;
/// Most bytes of one label.
pub const LABEL_BYTES_MAX: usize = 4096;

/// Key and value, in no order.
pub type Facts = Vec<(Box<str>, Box<str>)>;

/// Facts are shared by all exchanges of a client and never change; labels belong to one exchange.
/// Cloning is two pointer copies and one small vector.
#[derive(Clone, Debug, Default)]
pub struct Attributes {
    facts: Option<Arc<Facts>>,
    labels: Vec<(Arc<str>, Arc<str>)>,
}

impl Attributes {
    /// Attributes with these facts and no label. `facts` need not be sorted; a name may not repeat.
    pub fn new(facts: Arc<Vec<(Box<str>, Box<str>)>>) -> Self {
        Self { facts: Some(facts), labels: Vec::new() }
    }

    /// The value of `key`: a fact, or a label as `<plugin>.<key>`.
    pub fn find(&self, key: &str) -> Option<&str> {
        self.labels.iter().find(|(k, _)| &**k == key).map(|(_, v)| &**v).or_else(|| self.facts().find(|(k, _)| *k == key).map(|(_, v)| v))
    }

    /// The value of a label, by its whole key.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.iter().find(|(k, _)| &**k == key).map(|(_, v)| &**v)
    }

    fn facts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.facts.iter().flat_map(|facts| facts.iter()).map(|(k, v)| (&**k, &**v))
    }

    /// All whose key starts with `prefix`.
    pub fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> + 'a {
        self.facts().chain(self.labels()).filter(move |(k, _)| k.starts_with(prefix))
    }

    /// Set `<plugin>.<key>`. False if that would be one too many or too long.
    pub fn set_label(&mut self, plugin: &str, key: &str, value: &str) -> bool {
        if value.len() > LABEL_BYTES_MAX || key.is_empty() || key.len() > 256 {
            return false;
        }
        let full = format!("{plugin}.{key}");
        if let Some(slot) = self.labels.iter_mut().find(|(k, _)| **k == *full) {
            slot.1 = value.into();
            return true;
        }
        let own = self.labels.iter().filter(|(k, _)| k.strip_prefix(plugin).is_some_and(|r| r.starts_with('.'))).count();
        if own >= LABELS_MAX {
            return false;
        }
        self.labels.push((full.into(), value.into()));
        true
    }

    /// The labels alone, as audit shows them.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.labels.iter().map(|(k, v)| (&**k, &**v))
    }
}
