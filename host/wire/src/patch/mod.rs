//! Edits spliced onto the original bytes, so that what no edit touches stays as sent.

mod apply;
mod splice;

use bytes::Bytes;

use crate::json::{DecodeError, Document, IndexDepth, Key, Kind, Limits, Value, quote_into};

/// Edits on one document, applied all at once.
///
/// Positions always mean the original document. Raw values must each be one valid JSON value
/// and are written as they are; [`validate`](crate::json::validate) them when someone else
/// wrote them, or finish with [`apply_document`](Patch::apply_document).
#[derive(Debug)]
pub struct Patch<'d> {
    document: &'d Document,
    edits: Vec<Edit>,
    /// First mistake in a call that returns nothing; reported when applied.
    mistake: Option<PatchError>,
    cursor: splice::Cursor,
}

/// One edit and the node it concerns.
#[derive(Debug)]
struct Edit {
    node: u32,
    op: Op,
}

#[derive(Debug)]
enum Op {
    Replace(Bytes),
    Remove,
    /// A whole member `"key":value` or item, to go after the last child.
    Add {
        key: Option<String>,
        text: Bytes,
    },
    /// Raw offsets into the document.
    Splice {
        start: usize,
        end: usize,
        text: Vec<u8>,
    },
}

/// A patch cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatchError {
    /// Two edits touch the same bytes, or one lies inside a value another removes or replaces.
    #[error("edits overlap at offset {offset}")]
    Overlap {
        /// Where in the original text, in bytes.
        offset: usize,
    },
    /// A splice reaches past its string, is reversed, or cuts a character.
    #[error("splice is out of bounds or cuts a character")]
    Bounds,
    /// The root value cannot be removed.
    #[error("the root value cannot be removed")]
    Root,
    /// The edit does not suit the value's type.
    #[error("edit does not suit the type of the value at offset {offset}")]
    WrongKind {
        /// Where in the original text, in bytes.
        offset: usize,
    },
    /// Adding a member whose key the object holds already, or renaming one to such a key.
    #[error("object at offset {offset} would hold a key twice")]
    DuplicateKey {
        /// Where the object starts in the original text, in bytes.
        offset: usize,
    },
    /// The object is indexed too shallowly to tell whether a key is taken.
    #[error("object at offset {offset} is below the indexed depth")]
    Shallow {
        /// Where in the original text, in bytes.
        offset: usize,
    },
    /// The value is part of another document.
    #[error("value belongs to another document")]
    Foreign,
    /// The edited text was checked and refused.
    #[error("edited text was refused")]
    Decode(#[source] DecodeError),
}

impl<'d> Patch<'d> {
    /// A patch without edits.
    pub fn new(document: &'d Document) -> Patch<'d> {
        Patch { document, edits: Vec::new(), mistake: None, cursor: splice::Cursor::default() }
    }

    /// The document the patch edits.
    pub fn document(&self) -> &'d Document {
        self.document
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty() && self.mistake.is_none()
    }

    fn note(&mut self, mistake: PatchError) {
        self.mistake.get_or_insert(mistake);
    }

    fn edit(&mut self, value: Value<'_>, op: Op) {
        if !std::ptr::eq(value.document(), self.document) {
            return self.note(PatchError::Foreign);
        }
        let node = value.node().index();
        self.edits.push(Edit { node, op });
    }

    /// Writes `raw` in place of a value; the root may be replaced too.
    pub fn replace(&mut self, value: Value<'_>, raw: impl Into<Bytes>) {
        self.edit(value, Op::Replace(raw.into()));
    }

    /// Adds a member to the `data` of a JSON-RPC error, making it an object where there is none. Nothing changes when the member
    /// is there already, or `data` is something other than an object.
    pub fn add_data(&mut self, error: Value<'_>, key: &str, raw: String) {
        match error.get("data") {
            None => self.insert(error, "data", format!(r#"{{"{key}":{raw}}}"#)),
            Some(data) if data.kind() == Kind::Null => self.replace(data, format!(r#"{{"{key}":{raw}}}"#)),
            Some(data) if data.kind() == Kind::Object && data.get(key).is_none() => self.insert(data, key, raw),
            Some(_) => {}
        }
    }

    /// Adds a member after the last one. Several go in the order of the calls.
    ///
    /// Applying fails with [`PatchError::DuplicateKey`] when the object holds the key and it
    /// is not removed by this patch, and with [`PatchError::Shallow`] when the index does not
    /// reach into the object.
    pub fn insert(&mut self, object: Value<'_>, key: &str, raw: impl Into<Bytes>) {
        let offset = object.span().start;
        if object.kind() != Kind::Object {
            return self.note(PatchError::WrongKind { offset });
        }
        if object.is_shallow() {
            return self.note(PatchError::Shallow { offset });
        }
        let raw = raw.into();
        let mut text = Vec::with_capacity(key.len() + raw.len() + 3);
        quote_into(&mut text, key);
        text.push(b':');
        text.extend_from_slice(&raw);
        let key = Some(key.to_owned());
        let text = text.into();
        self.edit(object, Op::Add { key, text });
    }

    /// Replaces the member's value, or adds the member when the object has none.
    pub fn set(&mut self, object: Value<'_>, key: &str, raw: impl Into<Bytes>) {
        match object.get(key) {
            Some(value) => self.replace(value, raw),
            None => self.insert(object, key, raw),
        }
    }

    /// Adds an item after the last one. Several go in the order of the calls.
    pub fn append(&mut self, array: Value<'_>, raw: impl Into<Bytes>) {
        if array.kind() != Kind::Array {
            let offset = array.span().start;
            return self.note(PatchError::WrongKind { offset });
        }
        let text = raw.into();
        self.edit(array, Op::Add { key: None, text });
    }

    /// Removes a member (with its key) or an item, and the comma that goes with it.
    /// Removing the same value twice is once.
    pub fn remove(&mut self, value: Value<'_>) {
        if value.node().index() == 0 {
            return self.note(PatchError::Root);
        }
        self.edit(value, Op::Remove);
    }

    /// Replaces bytes `a..b` of a *decoded* string by `replacement`, which is plain text.
    ///
    /// Only the touched span is written anew; other escapes stay as sent. Several splices of
    /// one string must not overlap; two insertions at one place go in the order of the calls.
    ///
    /// # Errors
    /// [`PatchError::Bounds`] when `a..b` is reversed, reaches past the string or cuts a
    /// character; [`PatchError::WrongKind`] when the value is no string.
    pub fn splice_str(&mut self, value: Value<'_>, a: usize, b: usize, replacement: &str) -> Result<(), PatchError> {
        let offset = value.span().start;
        if value.kind() != Kind::String {
            return Err(PatchError::WrongKind { offset });
        }
        if !std::ptr::eq(value.document(), self.document) {
            return Err(PatchError::Foreign);
        }
        self.splice(value.node().index(), a, b, replacement)
    }

    /// Replaces bytes `a..b` of a *decoded* key; as [`splice_str`](Patch::splice_str).
    ///
    /// Applying fails with [`PatchError::DuplicateKey`] when the new key is taken.
    ///
    /// # Errors
    /// [`PatchError::Bounds`] as for [`splice_str`](Patch::splice_str).
    pub fn splice_key(&mut self, key: Key<'_>, a: usize, b: usize, replacement: &str) -> Result<(), PatchError> {
        if !std::ptr::eq(key.document(), self.document) {
            return Err(PatchError::Foreign);
        }
        self.splice(key.node().index(), a, b, replacement)
    }

    /// Writes the edited text. Without edits that is the original, shared and not copied.
    ///
    /// # Errors
    /// [`PatchError`]; nothing is half applied.
    pub fn apply(self) -> Result<Bytes, PatchError> {
        if let Some(mistake) = self.mistake {
            return Err(mistake);
        }
        if self.edits.is_empty() {
            return Ok(self.document.bytes().clone());
        }
        apply::apply(self.document, self.edits)
    }

    /// Writes the edited text and puts it through the strict pass again.
    ///
    /// # Errors
    /// Those of [`apply`](Patch::apply), and [`PatchError::Decode`] when a raw value made the
    /// text invalid or too large.
    pub fn apply_document(self, limits: &Limits, depth: IndexDepth) -> Result<Document, PatchError> {
        let bytes = self.apply()?;
        Document::parse(bytes, limits, depth).map_err(PatchError::Decode)
    }
}

#[cfg(test)]
mod tests;
