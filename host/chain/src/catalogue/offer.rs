//! One list as it goes through the filters' `on-catalog`.

use crate::{attributes::Attributes, upstream::TaskSupport};
use bytes::Bytes;
use std::sync::{Arc, Mutex};

/// The four lists of MCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ListKind {
    /// `tools/list`
    Tools,
    /// `prompts/list`
    Prompts,
    /// `resources/list`
    Resources,
    /// `resources/templates/list`
    ResourceTemplates,
}

impl ListKind {
    /// All four.
    pub const ALL: [Self; 4] = [Self::Tools, Self::Prompts, Self::Resources, Self::ResourceTemplates];

    /// The method that asks for it.
    pub fn method(self) -> &'static str {
        match self {
            Self::Tools => "tools/list",
            Self::Prompts => "prompts/list",
            Self::Resources => "resources/list",
            Self::ResourceTemplates => "resources/templates/list",
        }
    }

    /// The result member that holds it.
    pub fn member(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
            Self::ResourceTemplates => "resourceTemplates",
        }
    }

    /// The member of an entry that names it: what `Entry::name` holds.
    pub fn key(self) -> &'static str {
        match self {
            Self::Tools | Self::Prompts => "name",
            Self::Resources => "uri",
            Self::ResourceTemplates => "uriTemplate",
        }
    }
}

/// One definition, raw from its upstream until a filter changes it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// As earlier filters left it: tool or prompt name, URI, or URI template.
    pub name: Arc<str>,
    /// Where calls go: the index into the host's upstreams; `None` for an entry a filter made.
    pub upstream: Option<usize>,
    /// The upstream's configured name, or the plugin's.
    pub owner: Arc<str>,
    /// What the owner calls it.
    pub original: Arc<str>,
    /// The definition, JSON text of an object, the sender's bytes unless patched.
    pub definition: Bytes,
    /// sha256 of the definition as the owner sent it, in canonical form, hex: order of members, white space and escapes do not count.
    pub digest: Arc<str>,
    /// Of a tool whose server is of the other era than its client: whether its calls can be tasks.
    pub task: Option<TaskSupport>,
}

/// What a filter decides about one entry.
#[derive(Clone, Debug)]
pub enum Change {
    /// Leave it.
    Keep,
    /// Take it out: it is neither listed nor callable.
    Hide,
    /// Show and call it under this name.
    Rename(String),
    /// JSON merge patch (RFC 7386) on the definition, as JSON text.
    Patch(String),
    /// Both.
    RenameAndPatch(String, String),
}

/// One list offered to one filter.
pub struct Offer {
    /// Which list.
    pub kind: ListKind,
    /// The entries as earlier filters left them.
    pub entries: Arc<Vec<Entry>>,
    /// How many upstreams the endpoint has.
    pub upstreams: u32,
    /// Who is looking.
    pub viewer: Viewer,
    /// The filter's answer: empty (keep all) or one per entry.
    pub changes: Vec<Change>,
    /// Definitions the filter adds, JSON objects.
    pub own: Vec<Bytes>,
}

/// The facts of who is looking, and a note of which were read: views are cached by those.
#[derive(Clone, Default)]
pub struct Viewer {
    attributes: Attributes,
    reads: Arc<Mutex<Vec<Read>>>,
}

/// One read of a viewer's attributes, with what it gave.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Read {
    /// One key.
    Key(Box<str>),
    /// All keys with a prefix.
    Prefix(Box<str>),
}

impl Viewer {
    /// A viewer with these facts.
    pub fn new(attributes: Attributes) -> Self {
        Self { attributes, reads: Arc::default() }
    }

    /// The value of one key; recorded.
    pub fn attr(&self, key: &str) -> Option<String> {
        self.note(Read::Key(key.into()));
        self.attributes.find(key).map(str::to_owned)
    }

    /// All keys with a prefix; recorded.
    pub fn attrs(&self, prefix: &str) -> Vec<(String, String)> {
        self.note(Read::Prefix(prefix.into()));
        self.attributes.with_prefix(prefix).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    }

    /// What was read so far, each once.
    pub fn reads(&self) -> Vec<Read> {
        self.reads.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn note(&self, read: Read) {
        let mut reads = self.reads.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !reads.contains(&read) {
            reads.push(read);
        }
    }
}
