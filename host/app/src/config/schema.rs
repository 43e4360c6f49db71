//! What may be written, for editors and for the reference page. Both come from the declarations of
//! the types, so they say what the reader does.

use serde_json::{Value as Json, json};

use super::setting::Setting;
use super::settings::{PluginSettings, Settings};

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The JSON Schema of the file. The client's part is open: other keys belong to other programs.
pub fn file_schema() -> Json {
    json!({
        "$schema": DIALECT,
        "title": "Sluice configuration",
        "type": "object",
        "properties": {
            "mcpServers": servers("Servers as Claude Desktop, Cursor, mcp-proxy and FastMCP have them."),
            "servers": servers("Servers as VS Code has them."),
            "inputs": {
                "type": "array",
                "description": "VS Code's inputs. `${input:id}` is read from `SLUICE_INPUT_<ID>`, else the default.",
                "items": {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]},
            },
            "sluice": Settings::schema(),
        },
    })
}

/// The JSON Schema of the file beside a plugin.
pub fn sidecar_schema() -> Json {
    let mut schema = json!({"$schema": DIALECT, "title": "Settings of a Sluice plugin"});
    if let (Some(whole), Json::Object(settings)) = (schema.as_object_mut(), PluginSettings::schema()) {
        whole.extend(settings);
    }
    schema
}

fn servers(about: &str) -> Json {
    let text = |about: &str| json!({"type": "string", "description": about});
    let texts = json!({"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}});
    json!({
        "type": "object",
        "description": about,
        "additionalProperties": {
            "type": "object",
            "properties": {
                "command": text("The program of a stdio server. No shell reads it."),
                "args": {"type": "array", "items": {"type": ["string", "number", "boolean"]}},
                "env": texts,
                "cwd": text("Where the program runs; absent: where Sluice was started."),
                "url": text("Where a Streamable HTTP server is, or `builtin:<name>` for a demo server."),
                "headers": texts,
                "type": {"type": "string"},
                "disabled": {"type": "boolean", "description": "Whether the server is left out."},
            },
        },
    })
}
