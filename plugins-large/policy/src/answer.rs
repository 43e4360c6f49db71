//! What a client hears. Names of policies, and never what they say, nor what they looked at.

use sluice_sdk::prelude::*;

use crate::arguments::{LEVELS_MAX, VALUES_MAX};
use crate::weigh::Decided;

/// Policies say no.
pub const FORBIDDEN: i32 = 4030;
/// What cannot be weighed does not pass.
pub const UNCLEAR: i32 = 4031;

/// The verdict on a request.
pub fn of(decided: &Decided) -> Verdict {
    let (message, policies) = match decided {
        Decided::Permitted => return Verdict::Next,
        Decided::Forbidden(policies) => (format!("forbidden by {}", listed(policies)), policies),
        Decided::Unpermitted(policies) if policies.is_empty() => ("no policy permits this".to_string(), policies),
        Decided::Unpermitted(policies) => (format!("no policy permits this; {} could not be evaluated", listed(policies)), policies),
    };
    let data = serde_json::json!({ "policies": policies }).to_string();
    Rejection::new(FORBIDDEN, &message).data(data).status(403).into()
}

/// Arguments beyond what is weighed.
pub fn too_large() -> Verdict {
    let message = format!("policies decide on these arguments, and weigh at most {VALUES_MAX} values in {LEVELS_MAX} levels");
    Rejection::new(UNCLEAR, &message).status(403).into()
}

/// A request of which nobody can say what it is about.
pub fn unclear() -> Verdict {
    Rejection::new(UNCLEAR, "policies cannot tell what this request is about").status(403).into()
}

fn listed(policies: &[String]) -> String {
    let named: Vec<_> = policies.iter().map(|policy| format!("`{policy}`")).collect();
    let word = if named.len() == 1 { "policy" } else { "policies" };
    format!("{word} {}", named.join(", "))
}
