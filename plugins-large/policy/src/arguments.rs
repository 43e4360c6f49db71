//! JSON as Cedar has it.
//!
//! Records, sets, strings, booleans and whole numbers of 64 bits are what they are. Cedar has no `null` and no other numbers; they become
//! `Json::"null"` and `Json::"0.5"`, which equal nothing but themselves and cannot be compared by size. So a policy that does is not
//! evaluated, and what cannot be evaluated never lets anything through.

use cedar_policy::{EntityId, EntityTypeName, EntityUid, RestrictedExpression as Expression};
use serde_json::{Number, Value};

/// Most values, members' included: beyond that a call costs more than it is allowed to.
pub const VALUES_MAX: usize = 10_000;
/// Most levels, since an expression is walked by recursion.
pub const LEVELS_MAX: usize = 32;

/// The largest whole number up to which each is a double of its own.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// They are more, or deeper, than can be weighed.
#[derive(Debug, PartialEq, Eq)]
pub struct TooLarge;

/// Turns values into expressions, as many as there is room for.
#[derive(Debug)]
pub struct Arguments {
    json: EntityTypeName,
    left: usize,
}

impl Arguments {
    /// `json` is the type of what Cedar has no value for.
    pub fn new(json: EntityTypeName) -> Self {
        Arguments { json, left: VALUES_MAX }
    }

    /// One value.
    pub fn expression(&mut self, value: &Value) -> Result<Expression, TooLarge> {
        self.at_level(value, 1)
    }

    fn at_level(&mut self, value: &Value, level: usize) -> Result<Expression, TooLarge> {
        self.left = self.left.checked_sub(1).ok_or(TooLarge)?;
        if level > LEVELS_MAX {
            return Err(TooLarge);
        }
        Ok(match value {
            Value::Null => self.entity("null".to_string()),
            Value::Bool(is) => Expression::new_bool(*is),
            Value::String(text) => Expression::new_string(text.clone()),
            Value::Number(number) => match whole(number) {
                Some(whole) => Expression::new_long(whole),
                None => self.entity(number.to_string()),
            },
            Value::Array(items) => {
                Expression::new_set(items.iter().map(|item| self.at_level(item, level + 1)).collect::<Result<Vec<_>, _>>()?)
            }
            Value::Object(members) => {
                let members: Result<Vec<_>, _> =
                    members.iter().map(|(name, member)| Ok((name.clone(), self.at_level(member, level + 1)?))).collect();
                // Names of a parsed object are each there once, and nothing else can be wrong with a record.
                Expression::new_record(members?).map_err(|_| TooLarge)?
            }
        })
    }

    fn entity(&self, text: String) -> Expression {
        Expression::new_entity_uid(EntityUid::from_type_name_and_id(self.json.clone(), EntityId::new(text)))
    }
}

/// A number as Cedar has it. `100.0` and `1e2` are 100, as they are for whoever is called.
fn whole(number: &Number) -> Option<i64> {
    if let Some(whole) = number.as_i64() {
        return Some(whole);
    }
    let double = number.as_f64().filter(|double| !number.is_u64() && double.fract() == 0.0 && double.abs() <= EXACT_MAX)?;
    Some(double as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cedar_policy::{Context, EvalResult};
    use serde_json::json;

    fn mapped(value: &Value) -> Result<EvalResult, TooLarge> {
        let expression = Arguments::new("Json".parse().unwrap()).expression(value)?;
        Ok(Context::from_pairs([("it".to_string(), expression)]).unwrap().get("it").unwrap())
    }

    #[test]
    fn numbers_are_whole_or_none_of_cedars() {
        let long = |text: &str| match mapped(&serde_json::from_str(text).unwrap()).unwrap() {
            EvalResult::Long(whole) => Ok(whole),
            other => Err(other.to_string()),
        };
        for (text, whole) in [
            ("0", 0),
            ("-0", 0),
            ("1e2", 100),
            ("100.0", 100),
            ("-3.0", -3),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(long(text), Ok(whole), "{text}");
        }
        for text in ["0.5", "9223372036854775808", "18446744073709551615", "1e30", "-1e19", "9007199254740994.0"] {
            assert!(long(text).unwrap_err().starts_with("Json::\""), "{text}: {:?}", long(text));
        }
        assert_eq!(long("0.5"), Err("Json::\"0.5\"".to_string()));
        assert_eq!(long("null"), Err("Json::\"null\"".to_string()));
    }

    #[test]
    fn everything_else_is_what_it_is() {
        let mapped = mapped(&json!({"a": [1, "x", true], "b": {"__entity": {"type": "Role", "id": "admin"}}})).unwrap();
        let EvalResult::Record(record) = mapped else { panic!("{mapped:?}") };
        assert!(matches!(record.get("a"), Some(EvalResult::Set(set)) if set.len() == 3));
        // A name that means something in Cedar's JSON means nothing here, so nobody can say to be somebody.
        assert!(matches!(record.get("b"), Some(EvalResult::Record(inner)) if matches!(inner.get("__entity"), Some(EvalResult::Record(_)))));
    }

    #[test]
    fn there_are_bounds() {
        let nested = |levels: usize| (1..levels).fold(json!(1), |value, _| json!([value]));
        assert!(mapped(&nested(LEVELS_MAX)).is_ok());
        assert_eq!(mapped(&nested(LEVELS_MAX + 1)).unwrap_err(), TooLarge);
        assert!(mapped(&json!(vec![0; VALUES_MAX - 1])).is_ok());
        assert_eq!(mapped(&json!(vec![0; VALUES_MAX])).unwrap_err(), TooLarge);
    }
}
