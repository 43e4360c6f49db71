//! The documents that tell clients whose tokens are believed here (RFC 9728 §3).

use serde_json::{Value, json};
use sluice_sdk::prelude::*;

use crate::METADATA_PATH;
use crate::config::Config;

/// Documents by the path they are at.
pub(crate) struct Documents(Vec<(String, String)>);

impl Documents {
    /// One for each resource; the only one is at the bare path as well.
    pub(crate) fn new(config: &Config) -> Self {
        let mut documents: Vec<_> = config.resources().map(|resource| (path(resource), document(config, resource))).collect();
        if let [(_, only)] = &documents[..] {
            let only = only.clone();
            documents.push((METADATA_PATH.to_string(), only));
        }
        Documents(documents)
    }

    pub(crate) fn at(&self, path: &str) -> HttpResponse {
        match self.0.iter().find(|(own, _)| own == path) {
            // Public, and read by clients that run in a browser.
            Some((_, document)) => {
                HttpResponse::json(document.clone()).header("access-control-allow-origin", "*").header("cache-control", "max-age=60")
            }
            None => HttpResponse::empty(404),
        }
    }
}

/// Where the metadata of a resource is: the well-known part goes between host and path.
pub(crate) fn url(resource: &str) -> String {
    let start = resource.find("://").map_or(0, |at| at + 3);
    let origin = resource[start..].find('/').map_or(resource, |at| &resource[..start + at]);
    format!("{origin}{}", path(resource))
}

fn path(resource: &str) -> String {
    let start = resource.find("://").map_or(0, |at| at + 3);
    let path = resource[start..].find('/').map_or("", |at| &resource[start + at..]);
    format!("{METADATA_PATH}{path}")
}

fn document(config: &Config, resource: &str) -> String {
    let issuers: Vec<&str> = config.issuers.iter().map(|issuer| issuer.issuer.as_str()).collect();
    let mut document = json!({
        "resource": resource,
        "authorization_servers": issuers,
        "bearer_methods_supported": ["header"],
    });
    let scopes = (!config.scopes.is_empty()).then(|| json!(config.scopes));
    let text = |text: &Option<String>| text.clone().map(Value::String);
    for (name, value) in [
        ("scopes_supported", scopes),
        ("resource_name", text(&config.resource_name)),
        ("resource_documentation", text(&config.resource_documentation)),
    ] {
        if let Some(value) = value {
            document[name] = value;
        }
    }
    document.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_well_known_part_goes_before_the_path() {
        assert_eq!(url("https://h:1/a/b"), "https://h:1/.well-known/oauth-protected-resource/a/b");
        assert_eq!(url("https://h"), "https://h/.well-known/oauth-protected-resource");
    }
}
