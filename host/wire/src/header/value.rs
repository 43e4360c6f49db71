//! The Base64 sentinel for values a header cannot carry as they are.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const PREFIX: &str = "=?base64?";
const SUFFIX: &str = "?=";

/// A header value looked encoded but was not properly so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Between the markers stands no standard, padded Base64.
    #[error("header value holds invalid Base64")]
    Base64,
    /// The decoded bytes are not UTF-8.
    #[error("header value does not decode to UTF-8")]
    Utf8,
    /// A literal value holds a byte that is neither visible ASCII, space nor tab.
    #[error("header value holds a byte that must be encoded")]
    Literal,
}

/// What stands between the markers, when both are there.
fn payload(value: &str) -> Option<&str> {
    value.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~')
}

/// A string as a header value: as is, or in the sentinel when it could not travel literally.
pub fn encode_value(value: &str) -> Cow<'_, str> {
    let is_literal = value.bytes().all(is_plain) && value.trim_matches([' ', '\t']).len() == value.len() && payload(value).is_none();
    if is_literal {
        return Cow::Borrowed(value);
    }
    Cow::Owned(format!("{PREFIX}{}{SUFFIX}", STANDARD.encode(value)))
}

/// The string a header value stands for.
///
/// Markers count only when both are there, in lower case; surrounding white space is not
/// part of a value and is trimmed first.
///
/// # Errors
/// [`ValueError`]; the request must then be refused.
pub fn decode_value(value: &str) -> Result<Cow<'_, str>, ValueError> {
    let value = value.trim_matches([' ', '\t']);
    let Some(payload) = payload(value) else {
        let is_literal = value.bytes().all(is_plain);
        return is_literal.then_some(Cow::Borrowed(value)).ok_or(ValueError::Literal);
    };
    let bytes = STANDARD.decode(payload).map_err(|_| ValueError::Base64)?;
    let text = String::from_utf8(bytes).map_err(|_| ValueError::Utf8)?;
    Ok(Cow::Owned(text))
}
