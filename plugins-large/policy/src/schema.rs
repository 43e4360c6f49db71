//! What policies are checked against.
//!
//! The plugin says what it gives to policies (`gateway.cedarschema`); the settings say what arguments are. So no schema can promise what
//! is not there.

use cedar_policy::{ParseErrors, PolicySet, Schema, SchemaFragment, ValidationMode, Validator};
use miette::Diagnostic;

use crate::place;

/// What this plugin gives to policies.
pub const GATEWAY: &str = include_str!("gateway.cedarschema");

/// Makes sense if arguments are a record, whichever.
const PROBE: &str = r#"permit(principal, action == Action::"tools/call", resource) when { context.arguments has a };"#;

/// Checks policies, of which each is known by its id. `text` is the settings' part of the schema.
pub fn check(text: &str, policies: &PolicySet) -> Result<(), String> {
    let (own, _) = SchemaFragment::from_cedarschema_str(GATEWAY).map_err(|error| place::told("the plugin's own schema", &error))?;
    let (theirs, _) = SchemaFragment::from_cedarschema_str(text).map_err(|error| place::told("`schema`", &error))?;
    let schema = Schema::from_schema_fragments([own, theirs]).map_err(|error| unlinked(&error))?;
    let validator = Validator::new(schema);
    let probe: PolicySet = PROBE.parse().map_err(|error: ParseErrors| error.to_string())?;
    if !validator.validate(&probe, ValidationMode::Strict).validation_passed() {
        return Err("`schema`: `Arguments` must be a record, `type Arguments = {…};`: arguments have names".to_string());
    }
    let result = validator.validate(policies, ValidationMode::Strict);
    let errors: Vec<_> = result.validation_errors().map(|error| place::told(&format!("policy `{}`", error.policy_id()), error)).collect();
    match errors.is_empty() {
        true => Ok(()),
        false => Err(errors.join("; ")),
    }
}

fn unlinked(error: &dyn Diagnostic) -> String {
    let told = place::told("`schema`", error);
    format!("{told}. It must hold `type Arguments = {{…}};`, and is read beside the plugin's own, whose names it cannot have")
}
