//! The tools of the settings, with their schemas read.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::config::Definition;
use crate::schema::Schema;

/// By name.
pub struct Tools(BTreeMap<String, Tool>);

/// One tool.
pub struct Tool {
    /// Of its arguments.
    pub input: Schema,
    /// Of its structured result, if it has one.
    pub output: Option<Schema>,
}

/// As much of a listed definition as is compared.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    #[serde(default)]
    input_schema: Value,
    #[serde(default)]
    output_schema: Option<Value>,
}

impl Tools {
    /// Reads all schemas. The error names the tool, and what is wrong with which.
    pub fn new(definitions: Vec<Definition>) -> Result<Self, String> {
        let mut tools = BTreeMap::new();
        for Definition { name, input_schema, output_schema } in definitions {
            let wrong = |which: &str, what: String| format!("the {which} of tool `{name}` cannot be used: {what}");
            let input = Schema::read(input_schema).map_err(|what| wrong("inputSchema", what))?;
            let output = output_schema.map(Schema::read).transpose().map_err(|what| wrong("outputSchema", what))?;
            if tools.insert(name.clone(), Tool { input, output }).is_some() {
                return Err(format!("there are two tools `{name}`"));
            }
        }
        Ok(Tools(tools))
    }

    /// The one of this name.
    pub fn find(&self, name: &str) -> Option<&Tool> {
        self.0.get(name)
    }
}

impl Tool {
    /// Whether a tool is listed with just these schemas.
    pub fn is_listed_as(&self, definition: &str) -> bool {
        let Ok(listed) = serde_json::from_str::<Listed>(definition) else { return false };
        listed.input_schema == *self.input.value() && listed.output_schema.as_ref() == self.output.as_ref().map(Schema::value)
    }
}
