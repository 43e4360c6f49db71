//! Request ids, exactly as their sender wrote them.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::json::{Kind, Value, decode_str, quote};
use crate::message::EnvelopeError;

/// Longest token kept without allocating: every integer, and short strings.
const INLINE_MAX: usize = 22;

#[derive(Clone)]
enum Token {
    Inline(u8, [u8; INLINE_MAX]),
    Heap(Arc<str>),
}

impl Token {
    /// A token kept whole in place; `None` when it is too long. `token` comes from a str.
    fn inline(token: &[u8]) -> Option<Token> {
        let mut inline = [0; INLINE_MAX];
        inline.get_mut(..token.len())?.copy_from_slice(token);
        Some(Token::Inline(token.len() as u8, inline))
    }
}

/// A JSON-RPC request id: a string, or an integer from -2⁶³ up to 2⁶⁴ - 1.
///
/// Keeps its exact token, so that an answer echoes `"a\u0041"` or `9007199254740993` as it
/// came. Equality and hash go by the typed value: `"aA"` equals `"a\u0041"`, and `1` never
/// equals `"1"`.
#[derive(Clone)]
pub struct RequestId(Token);

impl RequestId {
    /// Takes an id out of a message.
    ///
    /// # Errors
    /// [`EnvelopeError::BadId`] for anything but a string or an integer in range; a fraction
    /// or exponent is refused even when the value is whole (`1.0`, `1e0`).
    pub fn from_value(value: Value<'_>) -> Result<RequestId, EnvelopeError> {
        let accepted = match value.kind() {
            Kind::String => true,
            Kind::Number => integer(value.raw_bytes()).is_some(),
            _ => false,
        };
        if !accepted {
            return Err(EnvelopeError::BadId);
        }
        let inline = Token::inline(value.raw_bytes());
        let token = inline.unwrap_or_else(|| Token::Heap(value.raw().into()));
        Ok(RequestId(token))
    }

    /// An id of our own making: a decimal integer.
    pub fn from_u64(id: u64) -> RequestId {
        let mut digits = [0; INLINE_MAX];
        let mut at = digits.len();
        let mut rest = id;
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        let len = digits.len() - at;
        digits.copy_within(at.., 0);
        RequestId(Token::Inline(len as u8, digits))
    }

    /// An id of our own making: a string.
    pub fn from_text(id: &str) -> RequestId {
        let token = quote(id);
        let inline = Token::inline(token.as_bytes());
        RequestId(inline.unwrap_or_else(|| Token::Heap(token.into())))
    }

    /// The JSON token as its sender wrote it; a string keeps its quotes and escapes.
    pub fn token(&self) -> &str {
        match &self.0 {
            Token::Inline(len, bytes) => std::str::from_utf8(&bytes[..*len as usize]).expect("copied whole from a str"),
            Token::Heap(token) => token,
        }
    }

    /// The token's bytes, without the cost of checking UTF-8 again.
    pub fn token_bytes(&self) -> &[u8] {
        match &self.0 {
            Token::Inline(len, bytes) => &bytes[..*len as usize],
            Token::Heap(token) => token.as_bytes(),
        }
    }

    /// Whether it is a string rather than an integer.
    pub fn is_string(&self) -> bool {
        self.token_bytes().first() == Some(&b'"')
    }

    /// The integer; `None` for a string.
    pub fn as_integer(&self) -> Option<i128> {
        integer(self.token_bytes())
    }

    /// The integer when it is one of ours to look up; `None` for strings and negatives.
    pub fn as_u64(&self) -> Option<u64> {
        self.as_integer()?.try_into().ok()
    }

    /// The decoded string; `None` for an integer.
    pub fn as_str(&self) -> Option<Cow<'_, str>> {
        self.is_string().then(|| decode_str(self.token()))
    }
}

/// The value of an integer token in range.
fn integer(token: &[u8]) -> Option<i128> {
    let (is_negative, digits) = match token {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    // 20 digits hold every accepted integer; longer ones are not worth reading.
    if digits.is_empty() || digits.len() > 20 {
        return None;
    }
    let value = digits.iter().try_fold(0i128, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| byte - b'0')?;
        Some(value * 10 + digit as i128)
    })?;
    let value = if is_negative { -value } else { value };
    (i64::MIN as i128..=u64::MAX as i128).contains(&value).then_some(value)
}

impl PartialEq for RequestId {
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (self.token_bytes(), other.token_bytes());
        match (self.is_string(), other.is_string()) {
            (true, true) => a == b || self.as_str() == other.as_str(),
            // `-0` and `0` are the one integer with two tokens.
            (false, false) => a == b || integer(a) == integer(b),
            _ => false,
        }
    }
}

impl Eq for RequestId {}

impl Hash for RequestId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.as_str() {
            Some(text) => (true, text).hash(state),
            None => (false, self.as_integer()).hash(state),
        }
    }
}

impl fmt::Debug for RequestId {
    /// Integers in full; strings by length only, since a peer chose them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_string() {
            write!(f, "RequestId(string, {} bytes)", self.token().len())
        } else {
            write!(f, "RequestId({})", self.token())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Document, IndexDepth, Limits};
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn read(token: &str) -> Result<RequestId, EnvelopeError> {
        let bytes = token.to_owned().into();
        let doc = Document::parse(bytes, &Limits::REQUEST, IndexDepth::Full).unwrap();
        RequestId::from_value(doc.root())
    }

    #[test]
    fn only_strings_and_integers_in_range_are_ids() {
        for (token, accepted) in [
            ("1", true),
            ("-1", true),
            ("-0", true),
            ("9007199254740993", true),
            ("18446744073709551615", true),
            ("18446744073709551616", false),
            ("-9223372036854775808", true),
            ("-9223372036854775809", false),
            ("100000000000000000000000000000000000000000", false),
            ("1.0", false),
            ("1e0", false),
            ("null", false),
            ("true", false),
            ("[1]", false),
            ("{}", false),
            ("\"\"", true),
            ("\"a\\u0041\"", true),
            ("\"a string of more than twenty-two bytes\"", true),
        ] {
            let id = read(token);
            assert_eq!(id.is_ok(), accepted, "{token}");
            assert!(id.is_err() || id.unwrap().token() == token);
        }
    }

    #[test]
    fn equality_goes_by_type_and_value() {
        let ids = |tokens: &[&str]| tokens.iter().map(|t| read(t).unwrap()).collect::<HashSet<_>>();
        assert_eq!(ids(&["\"aA\"", "\"a\\u0041\"", "\"\\u0061A\""]).len(), 1);
        assert_eq!(ids(&["0", "-0"]).len(), 1);
        assert_eq!(ids(&["1", "\"1\"", "-1", "\"\\u0031 \""]).len(), 4);
        assert_eq!(ids(&["9007199254740993", "9007199254740992"]).len(), 2);
    }

    #[test]
    fn ids_stay_small_and_quiet() {
        assert!(size_of::<RequestId>() <= 24);
        assert_eq!(format!("{:?}", read("\"s3cret\"").unwrap()), "RequestId(string, 8 bytes)");
    }

    proptest! {
        #[test]
        fn our_own_ids_round_trip(number in any::<u64>(), text in any::<String>()) {
            let id = RequestId::from_u64(number);
            prop_assert_eq!(id.token(), number.to_string());
            prop_assert_eq!(id.as_u64(), Some(number));
            prop_assert_eq!(&read(id.token()).unwrap(), &id);
            let id = RequestId::from_text(&text);
            prop_assert_eq!(id.as_str().unwrap(), text.as_str());
            prop_assert_eq!(&read(id.token()).unwrap(), &id);
        }
    }
}
