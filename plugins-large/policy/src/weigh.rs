//! One question to the policies, and what comes of it.

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision, Effect, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request,
    RestrictedExpression as Expression,
};

use crate::caller::Caller;
use crate::policies::Rules;

/// What something is, to policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    /// A tool, by its name.
    Tool,
    /// A prompt, by its name.
    Prompt,
    /// A resource, by its URI, or a template of some.
    Resource,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The method.
    pub method: &'a str,
    /// What it is about; nothing: about none of these.
    pub about: Option<(Thing, &'a str)>,
    /// Where it goes, if it goes to one.
    pub upstream: Option<&'a str>,
}

/// What policies say.
#[derive(Debug, PartialEq, Eq)]
pub enum Decided {
    /// Yes.
    Permitted,
    /// No, say these.
    Forbidden(Vec<String>),
    /// None says yes. These might have, and could not be evaluated.
    Unpermitted(Vec<String>),
}

/// The names of types, read once.
#[derive(Debug)]
pub struct Types {
    principal: EntityTypeName,
    role: EntityTypeName,
    tenant: EntityTypeName,
    action: EntityTypeName,
    tool: EntityTypeName,
    prompt: EntityTypeName,
    resource: EntityTypeName,
    upstream: EntityTypeName,
    gateway: EntityTypeName,
    /// Of what Cedar has no value for.
    pub json: EntityTypeName,
}

impl Types {
    /// Those of `gateway.cedarschema`.
    pub fn new() -> Result<Self, String> {
        let named = |name: &str| name.parse().map_err(|error: cedar_policy::ParseErrors| error.to_string());
        Ok(Types {
            principal: named("Principal")?,
            role: named("Role")?,
            tenant: named("Tenant")?,
            action: named("Action")?,
            tool: named("Tool")?,
            prompt: named("Prompt")?,
            resource: named("Resource")?,
            upstream: named("Upstream")?,
            gateway: named("Gateway")?,
            json: named("Json")?,
        })
    }

    /// Who asks.
    pub fn principal(&self, subject: &str) -> EntityUid {
        uid(&self.principal, subject)
    }

    /// A role that it has.
    pub fn role(&self, role: &str) -> EntityUid {
        uid(&self.role, role)
    }

    /// The tenant that it is of.
    pub fn tenant(&self, tenant: &str) -> EntityUid {
        uid(&self.tenant, tenant)
    }

    /// What is asked for, with the upstream that it is in.
    fn resource(&self, asked: Asked<'_>) -> Result<Entity, String> {
        let upstream = asked.upstream.map(|name| uid(&self.upstream, name));
        let Some((thing, name)) = asked.about else {
            return Ok(Entity::with_uid(upstream.unwrap_or_else(|| uid(&self.gateway, "sluice"))));
        };
        let kind = match thing {
            Thing::Tool => &self.tool,
            Thing::Prompt => &self.prompt,
            Thing::Resource => &self.resource,
        };
        let members = [("name", Some(name)), ("upstream", asked.upstream)];
        let members = members.into_iter().filter_map(|(key, value)| Some((key.to_string(), Expression::new_string(value?.to_string()))));
        Entity::new_with_tags(uid(kind, name), members, upstream, []).map_err(|error| error.to_string())
    }
}

fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

/// Asks. What cannot be put as a question is answered with an error, and is for nobody to let through.
pub fn weigh(types: &Types, rules: &Rules, caller: &Caller, asked: Asked<'_>, arguments: Option<Expression>) -> Result<Decided, String> {
    let resource = types.resource(asked)?;
    let context =
        Context::from_pairs(arguments.map(|arguments| ("arguments".to_string(), arguments))).map_err(|error| error.to_string())?;
    let request = Request::new(caller.uid.clone(), uid(&types.action, asked.method), resource.uid(), context, None);
    let request = request.map_err(|error| error.to_string())?;
    let entities = Entities::from_entities([caller.entity.clone(), resource], None).map_err(|error| error.to_string())?;
    let response = Authorizer::new().is_authorized(&request, &rules.set, &entities);

    let (mut forbid, mut permit) = (Vec::new(), Vec::new());
    for AuthorizationError::PolicyEvaluationError(error) in response.diagnostics().errors() {
        let id = error.policy_id();
        // Cedar skips what it cannot evaluate, which is right for a yes. A no that may have been meant is one.
        match rules.set.policy(id).map(|policy| policy.effect()) {
            Some(Effect::Permit) => permit.push(id.to_string()),
            _ => forbid.push(id.to_string()),
        }
    }
    if response.decision() == Decision::Allow && forbid.is_empty() {
        return Ok(Decided::Permitted);
    }
    if response.decision() == Decision::Deny {
        forbid.extend(response.diagnostics().reason().map(ToString::to_string));
    }
    let (mut named, decided): (_, fn(_) -> _) =
        if forbid.is_empty() { (permit, Decided::Unpermitted) } else { (forbid, Decided::Forbidden) };
    named.sort();
    Ok(decided(named))
}
