//! The reference page and the schema files say what the declarations say. `SLUICE_BLESS=1` rewrites
//! them; without it a difference fails.

use std::fmt::Write;
use std::path::PathBuf;

use serde_json::Value as Json;

use crate::config::{file_schema, sidecar_schema};

const BEGIN: &str = "<!-- reference: written by the test `the_page_is_in_step`; SLUICE_BLESS=1 renews it -->\n";
const END: &str = "<!-- end of reference -->\n";

fn docs(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
}

fn check(name: &str, expected: &str) {
    let path = docs(name);
    if std::env::var_os("SLUICE_BLESS").is_some() {
        // In one step: another test may be reading the page.
        let fresh = path.with_extension("fresh");
        std::fs::write(&fresh, expected).unwrap();
        std::fs::rename(&fresh, &path).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "docs/{name} is not in step: run the tests once with SLUICE_BLESS=1");
}

#[test]
fn the_schemas_are_in_step() {
    let text = |schema: Json| serde_json::to_string_pretty(&schema).unwrap() + "\n";
    check("schema/sluice.schema.json", &text(file_schema()));
    check("schema/plugin.schema.json", &text(sidecar_schema()));
}

#[test]
fn the_page_is_in_step() {
    let page = std::fs::read_to_string(docs("config.md")).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("docs/config.md has lost its first mark");
    let (_, after) = rest.split_once(END).expect("docs/config.md has lost its last mark");
    check("config.md", &format!("{before}{BEGIN}\n{}{END}{after}", reference()));
}

/// The examples on the page are files that work.
#[test]
fn the_examples_on_the_page_work() {
    let page = std::fs::read_to_string(docs("config.md")).unwrap();
    let room = super::Room::new();
    room.put("plugins/x.wasm", "");
    room.certificate("server", |_| {});
    room.certificate("clients", |_| {});
    let variables = [("GITHUB_TOKEN", "a"), ("SLUICE_ADMIN_TOKEN", "b")];
    let mut examples = 0;
    for block in page.split("```").skip(1).step_by(2) {
        let (language, text) = block.split_once('\n').unwrap();
        let file = match language {
            "jsonc" => "sluice.json",
            "toml" => "sluice.toml",
            "yaml" => "sluice.yaml",
            "toml sidecar" => {
                let read = super::super::Sidecar::read(text, "10-auth.toml".as_ref(), &room.source(&[]).surroundings);
                read.unwrap_or_else(|report| panic!("{text}\n{report}"));
                continue;
            }
            _ => continue,
        };
        let loaded = room.read(file, text, &variables).unwrap_or_else(|report| panic!("{text}\n{report}"));
        assert!(loaded.warnings.is_empty(), "{:#?}", loaded.warnings);
        examples += 1;
    }
    assert!(examples >= 3);
}

fn reference() -> String {
    let mut page = String::new();
    section(&file_schema()["properties"]["sluice"], "sluice", &mut page);
    page
}

fn section(schema: &Json, path: &str, page: &mut String) {
    let (short, object) = match schema["anyOf"].as_array() {
        Some(both) => (Some(&both[0]), &both[1]),
        None => (None, schema),
    };
    let Some(keys) = object["properties"].as_object() else { return };
    writeln!(page, "### `{path}`\n\n{}\n", object["description"].as_str().unwrap_or_default()).unwrap();
    if let Some(short) = short {
        writeln!(page, "Also {} alone.\n", kind(short)).unwrap();
    }
    writeln!(page, "| key | value | default | |\n|---|---|---|---|").unwrap();
    for (key, schema) in keys {
        let required = object["required"].as_array().is_some_and(|all| all.iter().any(|one| one == key));
        let default = match &schema["default"] {
            Json::Null if required => "required".to_owned(),
            Json::Null => String::new(),
            default => format!("`{default}`"),
        };
        let about = schema["description"].as_str().unwrap_or_default().replace('|', "\\|");
        writeln!(page, "| `{key}` | {} | {default} | {about}{} |", kind(schema), meanings(schema)).unwrap();
    }
    page.push('\n');
    for (key, schema) in keys {
        match schema["additionalProperties"].as_object() {
            Some(_) => section(&schema["additionalProperties"], &format!("{path}.{key}.<name>"), page),
            None => section(schema, &format!("{path}.{key}"), page),
        }
    }
}

fn kind(schema: &Json) -> String {
    if let Some(words) = schema["oneOf"].as_array() {
        return words.iter().map(|word| format!("`{}`", word["const"])).collect::<Vec<_>>().join(", ");
    }
    if let Some(both) = schema["anyOf"].as_array() {
        return both.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    match schema["type"].as_str().unwrap_or_default() {
        "integer" => format!("{} to {}", schema["minimum"], schema["maximum"]),
        "boolean" => "`true`, `false`".to_owned(),
        "array" => format!("list of {}", kind(&schema["items"])),
        "object" if schema["additionalProperties"].is_object() => "object by name".to_owned(),
        "string" => "text".to_owned(),
        other => other.to_owned(),
    }
}

fn meanings(schema: &Json) -> String {
    let words = schema["oneOf"].as_array().or_else(|| schema["items"]["oneOf"].as_array());
    let Some(words) = words else { return String::new() };
    let each = words.iter().map(|word| format!("`{}`: {}", word["const"], word["description"].as_str().unwrap_or("")));
    format!(" {}", each.collect::<Vec<_>>().join(" "))
}
