//! `x-mcp-header`: which tool arguments a header mirrors.

use crate::json::{Kind, Member, Value};

const KEYWORD: &str = "x-mcp-header";
/// Most annotations one tool may carry.
const COUNT_MAX: usize = 64;

/// Type of a mirrored argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scalar {
    /// `"type": "string"`
    String,
    /// `"type": "integer"`
    Integer,
    /// `"type": "boolean"`
    Boolean,
}

/// One argument to be mirrored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// The annotation's name as written; the header is `Mcp-Param-` followed by it.
    pub header: String,
    /// Keys from `arguments` down to the value.
    pub path: Vec<String>,
    /// Type of the value.
    pub kind: Scalar,
}

impl Annotation {
    /// The full header name, in lower case.
    pub fn header_name(&self) -> String {
        format!("{}{}", super::PARAM_PREFIX, self.header.to_ascii_lowercase())
    }

    /// The value the header must mirror; `None` when the argument is absent.
    pub fn value_in<'a>(&self, arguments: Value<'a>) -> Option<Value<'a>> {
        self.path.iter().try_fold(arguments, |value, key| value.get(key))
    }
}

/// An annotation breaks the rules; the whole tool must be dropped (mcp-protocol §2.4).
///
/// `offset` is the place of the annotation's value in the document, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnnotationError {
    /// Not a string.
    #[error("x-mcp-header at offset {offset} is not a string")]
    NotString {
        /// Where.
        offset: usize,
    },
    /// Empty, or not an RFC 9110 token; covers CR, LF and controls.
    #[error("x-mcp-header at offset {offset} is not a token")]
    NotToken {
        /// Where.
        offset: usize,
    },
    /// Names a hop-by-hop or credential header.
    #[error("x-mcp-header at offset {offset} names a reserved header")]
    Forbidden {
        /// Where.
        offset: usize,
    },
    /// A second annotation with the same name, ignoring case.
    #[error("x-mcp-header at offset {offset} repeats a name")]
    Duplicate {
        /// Where.
        offset: usize,
    },
    /// The property is not a plain string, integer or boolean.
    #[error("x-mcp-header at offset {offset} is on a property of the wrong type")]
    WrongType {
        /// Where.
        offset: usize,
    },
    /// Not reached through `properties` alone.
    #[error("x-mcp-header at offset {offset} is not reached through properties alone")]
    Unreachable {
        /// Where.
        offset: usize,
    },
    /// More than 64 annotations.
    #[error("more than 64 x-mcp-header annotations")]
    TooMany {
        /// Where the first one too many stands.
        offset: usize,
    },
    /// The schema is not fully indexed, so annotations could hide.
    #[error("schema is deeper than the index")]
    Shallow,
}

/// The annotations of one tool, in the order of its schema.
///
/// `input_schema` is the value of `inputSchema`; the document must be indexed below it.
///
/// # Errors
/// [`AnnotationError`] for the first broken rule.
pub fn annotations(input_schema: Value<'_>) -> Result<Vec<Annotation>, AnnotationError> {
    let mut walk = Walk::default();
    walk.schema(input_schema, true)?;
    Ok(walk.found)
}

#[derive(Default)]
struct Walk {
    found: Vec<Annotation>,
    path: Vec<String>,
}

impl Walk {
    /// Visits a schema. Recursion is bounded by the document's depth limit.
    fn schema(&mut self, schema: Value<'_>, is_reachable: bool) -> Result<(), AnnotationError> {
        if schema.is_shallow() {
            return Err(AnnotationError::Shallow);
        }
        for item in schema.items() {
            self.schema(item, false)?;
        }
        for member in schema.members() {
            self.keyword(schema, member, is_reachable)?;
        }
        Ok(())
    }

    fn keyword(&mut self, schema: Value<'_>, member: Member<'_>, is_reachable: bool) -> Result<(), AnnotationError> {
        match member.key.decoded().as_ref() {
            KEYWORD => self.annotation(schema, member.value, is_reachable),
            "properties" => self.named_schemas(member.value, is_reachable),
            "$defs" | "definitions" | "patternProperties" | "dependentSchemas" | "dependencies" => self.named_schemas(member.value, false),
            // Data, not schemas: a member called like the keyword means nothing there.
            "default" | "const" | "enum" | "examples" => Ok(()),
            _ => self.schema(member.value, false),
        }
    }

    /// Visits the schemas in an object whose keys are names, not keywords.
    fn named_schemas(&mut self, map: Value<'_>, is_reachable: bool) -> Result<(), AnnotationError> {
        if map.is_shallow() {
            return Err(AnnotationError::Shallow);
        }
        for member in map.members() {
            self.path.push(member.key.decoded().into_owned());
            self.schema(member.value, is_reachable)?;
            self.path.pop();
        }
        Ok(())
    }

    fn annotation(&mut self, schema: Value<'_>, value: Value<'_>, is_reachable: bool) -> Result<(), AnnotationError> {
        let offset = value.span().start;
        // The root itself is the arguments object, which no header can mirror.
        if !is_reachable || self.path.is_empty() {
            return Err(AnnotationError::Unreachable { offset });
        }
        let header = value.as_str().ok_or(AnnotationError::NotString { offset })?;
        if header.is_empty() || !header.bytes().all(is_token) {
            return Err(AnnotationError::NotToken { offset });
        }
        if is_forbidden(&header) {
            return Err(AnnotationError::Forbidden { offset });
        }
        let is_same = |other: &Annotation| other.header.eq_ignore_ascii_case(&header);
        if self.found.iter().any(is_same) {
            return Err(AnnotationError::Duplicate { offset });
        }
        if self.found.len() == COUNT_MAX {
            return Err(AnnotationError::TooMany { offset });
        }
        let kind = scalar_type(schema).ok_or(AnnotationError::WrongType { offset })?;
        self.found.push(Annotation { header: header.into_owned(), path: self.path.clone(), kind });
        Ok(())
    }
}

fn scalar_type(schema: Value<'_>) -> Option<Scalar> {
    let name = schema.get("type").filter(|name| name.kind() == Kind::String)?;
    match name.as_str()?.as_ref() {
        "string" => Some(Scalar::String),
        "integer" => Some(Scalar::Integer),
        "boolean" => Some(Scalar::Boolean),
        _ => None,
    }
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Names that decide about connections or credentials. The prefix already keeps them apart
/// from the real headers; a tool that asks for one is up to no good all the same.
fn is_forbidden(header: &str) -> bool {
    const NAMES: &[&str] = &[
        "authorization",
        "connection",
        "content-length",
        "cookie",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "www-authenticate",
    ];
    NAMES.iter().any(|name| name.eq_ignore_ascii_case(header))
}
