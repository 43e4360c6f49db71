//! What policies look at, and what they say without it.
//!
//! Read from Cedar's JSON form of a policy, which names a variable `{"Var": "context"}` wherever it stands. What is not mentioned is not asked
//! of the host: arguments stay unread, and callers who differ in nothing that is mentioned share their lists.

use serde_json::{Map, Value};

/// What is mentioned of who asks, and whether arguments are.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Mentions {
    /// Who it is, as `Principal::"ada"` or as an attribute.
    pub subject: bool,
    /// Who vouches for it.
    pub authority: bool,
    /// Its tenant, as an attribute or as a group.
    pub tenant: bool,
    /// Its roles, as an attribute or as groups.
    pub roles: bool,
    /// Its scopes.
    pub scopes: bool,
    /// Its claims, which are tags.
    pub claims: bool,
    /// The context, in which arguments are.
    pub arguments: bool,
}

impl Mentions {
    /// What one policy mentions, in its JSON form.
    pub fn of(policy: &Value) -> Self {
        let mut found = Mentions::default();
        found.scope(&policy["principal"]);
        if let Some(conditions) = policy["conditions"].as_array() {
            conditions.iter().for_each(|condition| found.expression(&condition["body"]));
        }
        found
    }

    /// What either mentions.
    pub fn and(self, other: Self) -> Self {
        Mentions {
            subject: self.subject || other.subject,
            authority: self.authority || other.authority,
            tenant: self.tenant || other.tenant,
            roles: self.roles || other.roles,
            scopes: self.scopes || other.scopes,
            claims: self.claims || other.claims,
            arguments: self.arguments || other.arguments,
        }
    }

    /// A principal in a way that is none of those below may be about anything.
    fn whole_principal(&mut self) {
        *self =
            Mentions { arguments: self.arguments, subject: true, authority: true, tenant: true, roles: true, scopes: true, claims: true };
    }

    fn scope(&mut self, principal: &Value) {
        match principal["op"].as_str() {
            Some("All") => {}
            Some("==") => self.subject = true,
            Some("in") => self.group(&principal["entity"]),
            Some("is") if principal["in"].is_null() => {}
            Some("is") => self.group(&principal["in"]["entity"]),
            _ => self.whole_principal(),
        }
    }

    fn group(&mut self, entity: &Value) {
        match entity["type"].as_str() {
            Some("Role") => self.roles = true,
            Some("Tenant") => self.tenant = true,
            // Nobody is in anything else, but for oneself.
            _ => self.subject = true,
        }
    }

    fn expression(&mut self, at: &Value) {
        match at {
            Value::Array(items) => items.iter().for_each(|item| self.expression(item)),
            Value::Object(members) if !self.about_principal(members) => {
                members.iter().for_each(|(name, part)| match (name.as_str(), part) {
                    ("Var", Value::String(name)) if name == "context" => self.arguments = true,
                    ("Var", Value::String(name)) if name == "principal" => self.whole_principal(),
                    ("Value", _) => {}
                    (_, part) => self.expression(part),
                })
            }
            _ => {}
        }
    }

    /// The forms in which a part of the principal is meant. Says whether this was one; then nothing is left to look at.
    fn about_principal(&mut self, members: &Map<String, Value>) -> bool {
        let Some((form, parts)) = members.iter().next().filter(|_| members.len() == 1) else { return false };
        let is_principal = |part: &Value| part["Var"] == "principal";
        match form.as_str() {
            "." | "has" if is_principal(&parts["left"]) => match parts["attr"].as_str() {
                Some("subject") => self.subject = true,
                Some("authority") => self.authority = true,
                Some("tenant") => self.tenant = true,
                Some("roles") => self.roles = true,
                Some("scopes") => self.scopes = true,
                _ => return false,
            },
            "getTag" | "hasTag" if is_principal(&parts["left"]) => {
                self.claims = true;
                self.expression(&parts["right"]);
            }
            "==" | "!=" if is_principal(&parts["left"]) => {
                self.subject = true;
                self.expression(&parts["right"]);
            }
            "in" if is_principal(&parts["left"]) => match &parts["right"]["Value"]["__entity"] {
                Value::Null => return false,
                entity => self.group(entity),
            },
            "is" if is_principal(&parts["left"]) && parts["in"].is_null() => {}
            _ => return false,
        }
        true
    }
}

/// A permit without what it says of arguments: it holds wherever the whole may hold for some arguments. Nothing, if that is true of a forbid.
pub fn without_arguments(mut policy: Value) -> Option<Value> {
    if !Mentions::of(&policy).arguments {
        return Some(policy);
    }
    // What a forbid says of arguments, it may not say of others.
    if policy["effect"] == "forbid" {
        return None;
    }
    let conditions = policy["conditions"].as_array_mut()?;
    conditions.retain_mut(|condition| {
        // `unless { a || b }` is `when { !a && !b }`.
        let joined = if condition["kind"] == "when" { "&&" } else { "||" };
        match part_without_arguments(condition["body"].take(), joined) {
            Some(left) => condition["body"] = left,
            None => return false,
        }
        true
    });
    Some(policy)
}

/// Of parts that are all needed, those that do not mention arguments.
fn part_without_arguments(mut at: Value, joined: &str) -> Option<Value> {
    let mut seen = Mentions::default();
    seen.expression(&at);
    if !seen.arguments {
        return Some(at);
    }
    let parts = at.get_mut(joined)?;
    let [left, right] = ["left", "right"].map(|side| part_without_arguments(parts[side].take(), joined));
    match (left, right) {
        (Some(left), Some(right)) => {
            *parts = serde_json::json!({"left": left, "right": right});
            Some(at)
        }
        (left, right) => left.or(right),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cedar_policy::Policy;

    fn json(policy: &str) -> Value {
        Policy::parse(None, policy).unwrap().to_json().unwrap()
    }

    #[track_caller]
    fn check(policy: &str, expected: Mentions) {
        assert_eq!(Mentions::of(&json(policy)), expected, "{policy}");
    }

    const NONE: Mentions =
        Mentions { subject: false, authority: false, tenant: false, roles: false, scopes: false, claims: false, arguments: false };
    const WHO: Mentions = Mentions { subject: true, authority: true, tenant: true, roles: true, scopes: true, claims: true, ..NONE };

    #[test]
    fn what_is_mentioned_is_found() {
        check("permit(principal, action, resource);", NONE);
        check("permit(principal is Principal, action, resource);", NONE);
        check("permit(principal, action, resource in Upstream::\"git\") when { resource.name like \"get_*\" };", NONE);
        check("permit(principal == Principal::\"ada\", action, resource);", Mentions { subject: true, ..NONE });
        check("permit(principal in Role::\"dev\", action, resource);", Mentions { roles: true, ..NONE });
        check("permit(principal is Principal in Tenant::\"acme\", action, resource);", Mentions { tenant: true, ..NONE });
        let when = |condition: &str| format!("permit(principal, action, resource) when {{ {condition} }};");
        check(&when("principal.roles.contains(\"dev\")"), Mentions { roles: true, ..NONE });
        check(&when("principal has tenant && principal.tenant == \"a\""), Mentions { tenant: true, ..NONE });
        check(&when("principal.scopes.contains(principal.authority)"), Mentions { scopes: true, authority: true, ..NONE });
        check(&when("principal in Role::\"dev\" || principal == Principal::\"ada\""), Mentions { roles: true, subject: true, ..NONE });
        check(&when("principal.hasTag(\"groups\") && principal.getTag(\"groups\").contains(\"x\")"), Mentions { claims: true, ..NONE });
        check(&when("principal is Principal && context.arguments has x"), Mentions { arguments: true, ..NONE });
        check(&when("[1, {a: context}].isEmpty()"), Mentions { arguments: true, ..NONE });
    }

    #[test]
    fn what_cannot_be_told_is_everything() {
        let when = |condition: &str| format!("permit(principal, action, resource) when {{ {condition} }};");
        for condition in [
            "principal in [Role::\"dev\", Tenant::\"a\"]",
            "[principal].contains(principal)",
            "principal has other",
            "(if true then principal else principal).subject == \"ada\"",
            "principal is Principal in Role::\"dev\"",
            "Principal::\"a\" == principal",
        ] {
            check(&when(condition), WHO);
        }
        check(
            "permit(principal, action, resource) when { principal == context.arguments.x };",
            Mentions { subject: true, arguments: true, ..NONE },
        );
    }

    #[track_caller]
    fn left(policy: &str, expected: Option<&str>) {
        let left = without_arguments(json(policy));
        assert_eq!(left, expected.map(json), "{policy}");
    }

    #[test]
    fn what_is_said_of_arguments_is_left_out() {
        let plain = "permit(principal in Role::\"dev\", action, resource)";
        left(&format!("{plain};"), Some(&format!("{plain};")));
        left(&format!("{plain} when {{ context.arguments.a == 1 }};"), Some(&format!("{plain};")));
        left(
            &format!(
                "{plain} when {{ resource.name == \"a\" && (context.arguments has b && principal has tenant) }} unless {{ context.arguments has c }};"
            ),
            Some(&format!("{plain} when {{ resource.name == \"a\" && principal has tenant }};")),
        );
        left(
            &format!("{plain} unless {{ resource.name == \"a\" || context.arguments has c }};"),
            Some(&format!("{plain} unless {{ resource.name == \"a\" }};")),
        );
        // Of an `or`, either may do, and of a `not` the whole is needed.
        left(&format!("{plain} when {{ resource.name == \"a\" || context.arguments has c }};"), Some(&format!("{plain};")));
        left(&format!("{plain} unless {{ resource.name == \"a\" && context.arguments has c }};"), Some(&format!("{plain};")));
        left("forbid(principal, action, resource) when { resource.name == \"a\" && context.arguments has b };", None);
        let no = "forbid(principal, action, resource) when { resource.name == \"a\" };";
        left(no, Some(no));
    }
}
