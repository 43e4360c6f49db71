//! Comparing a mirrored header with the argument it mirrors.

use super::{decode_value, encode_value};
use crate::json::{Kind, Value};

/// Whether a header value says what the argument says.
///
/// Strings compare after decoding, booleans as `true` and `false`, numbers by value (`42.0`
/// is `42`, exactly, however large). A null argument must have no header, so it matches
/// none; arrays and objects cannot be mirrored.
pub fn matches_scalar(header: &str, value: Value<'_>) -> bool {
    let Ok(header) = decode_value(header) else {
        return false;
    };
    match value.kind() {
        Kind::String => value.is_str(&header),
        Kind::Bool => value.raw() == header,
        Kind::Number => {
            let sent = Decimal::parse(&header);
            sent.is_some() && sent == Decimal::parse(value.raw())
        }
        Kind::Null | Kind::Array | Kind::Object => false,
    }
}

/// The header value that mirrors an argument; `None` when there must be none: null, arrays,
/// objects, and numbers that are not integers within ±(2⁵³ - 1).
pub fn scalar_value(value: Value<'_>) -> Option<String> {
    match value.kind() {
        Kind::String => Some(encode_value(&value.as_str()?).into_owned()),
        Kind::Bool => Some(value.raw().to_owned()),
        Kind::Number => Some(Decimal::parse(value.raw())?.to_safe_integer()?.to_string()),
        Kind::Null | Kind::Array | Kind::Object => None,
    }
}

/// A decimal number by value: digits without leading or trailing zeros, times a power of ten.
#[derive(PartialEq, Eq)]
struct Decimal {
    is_negative: bool,
    digits: String,
    exponent: i64,
}

/// Exponents beyond this say nothing a header could mean, and would overflow sums.
const EXPONENT_MAX: i64 = 1 << 32;

impl Decimal {
    /// Reads a JSON number token.
    fn parse(token: &str) -> Option<Decimal> {
        let (is_negative, unsigned) = match token.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, token),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (mantissa, ""),
        };
        let all = || whole.bytes().chain(fraction.bytes());
        let has_leading_zero = whole.len() > 1 && whole.starts_with('0');
        if whole.is_empty() || has_leading_zero || !all().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        if exponent.abs() > EXPONENT_MAX {
            return None;
        }
        let joined = format!("{whole}{fraction}");
        let kept = joined.trim_end_matches('0');
        let dropped = (joined.len() - kept.len()) as i64;
        let digits = kept.trim_start_matches('0').to_owned();
        let is_zero = digits.is_empty();
        Some(Decimal {
            // One zero only: `-0`, `0.0` and `0e5` are equal.
            is_negative: is_negative && !is_zero,
            exponent: if is_zero { 0 } else { exponent - fraction.len() as i64 + dropped },
            digits,
        })
    }

    /// The integer, when it is one that every peer can hold.
    fn to_safe_integer(&self) -> Option<i64> {
        const SAFE_MAX: i64 = (1 << 53) - 1;
        if self.digits.is_empty() {
            return Some(0);
        }
        let zeros = u32::try_from(self.exponent).ok().filter(|&zeros| zeros < 17)?;
        let magnitude = self.digits.parse::<i64>().ok()?.checked_mul(10_i64.checked_pow(zeros)?)?;
        (magnitude <= SAFE_MAX).then_some(if self.is_negative { -magnitude } else { magnitude })
    }
}
