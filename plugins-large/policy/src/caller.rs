//! Who asks, as policies see it.

use std::collections::{HashMap, HashSet};

use cedar_policy::{Entity, EntityUid, RestrictedExpression as Expression};

use crate::mentions::Mentions;
use crate::weigh::Types;

/// What facts say of who asks, as far as policies mention it.
pub struct Caller {
    /// The entity's name.
    pub uid: EntityUid,
    /// It, with what it is in.
    pub entity: Entity,
}

impl Caller {
    /// `attr` reads one attribute and `attrs` all that begin so.
    pub fn new(
        types: &Types,
        mentions: Mentions,
        role_claim: &str,
        attr: impl Fn(&str) -> Option<String>,
        attrs: impl Fn(&str) -> Vec<(String, String)>,
    ) -> Result<Self, String> {
        let asked = |is_mentioned: bool, key: &str| is_mentioned.then(|| attr(key)).flatten();
        let subject = asked(mentions.subject, "principal.subject");
        let authority = asked(mentions.authority, "principal.authority");
        let tenant = asked(mentions.tenant, "principal.tenant");
        let roles = asked(mentions.roles, &format!("principal.claim.{role_claim}")).unwrap_or_default();
        let scopes = asked(mentions.scopes, "principal.scopes").unwrap_or_default();
        let claims = if mentions.claims { attrs("principal.claim.") } else { Vec::new() };

        let uid = types.principal(subject.as_deref().unwrap_or_default());
        let parents: HashSet<_> =
            each(&roles, '\n').map(|role| types.role(role)).chain(tenant.as_deref().map(|t| types.tenant(t))).collect();
        let mut members = HashMap::new();
        if mentions.roles {
            members.insert("roles".to_string(), set(&roles, '\n'));
        }
        if mentions.scopes {
            members.insert("scopes".to_string(), set(&scopes, ' '));
        }
        for (name, value) in [("subject", subject), ("authority", authority), ("tenant", tenant)] {
            members.extend(value.map(|value| (name.to_string(), Expression::new_string(value))));
        }
        let tags = claims.iter().filter_map(|(key, values)| Some((key.strip_prefix("principal.claim.")?.to_string(), set(values, '\n'))));
        let entity = Entity::new_with_tags(uid.clone(), members, parents, tags).map_err(|error| error.to_string())?;
        Ok(Caller { uid, entity })
    }
}

/// A claim that repeats is one attribute, with line feeds between its values; scopes have spaces between them.
fn each(values: &str, between: char) -> impl Iterator<Item = &str> {
    values.split(between).filter(|value| !value.is_empty())
}

fn set(values: &str, between: char) -> Expression {
    Expression::new_set(each(values, between).map(|value| Expression::new_string(value.to_string())))
}
