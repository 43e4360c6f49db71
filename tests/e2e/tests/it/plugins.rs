//! The standard plugins where they will stand: in the binary, between a client and a server, in both eras.

mod anomaly;
mod approve;
mod auth;
mod auth_mtls;
mod auth_proxy;
mod cache;
mod compose;
mod guard;
mod jwt;
mod namespace;
mod oauth_client;
mod openapi;
mod pin;
mod quota;
mod rate_limit;
mod rbac;
mod read_only;
mod redact;
mod residency;
mod search;
mod shape;
mod sigv4;
mod static_header;
mod token_exchange;

use crate::{folder::Folder, gateway::Gateway};
use serde_json::{Value, json};

/// A gateway with one `builtin:` plugin under these settings.
async fn with(folder: &Folder, plugin: &str, config: Value, servers: Value) -> Gateway {
    let mut settings = json!({});
    settings[plugin] = json!({"config": config});
    let chain = json!([format!("builtin:{plugin}")]);
    Gateway::start(folder, json!({"mcpServers": servers, "sluice": {"chain": chain, "plugins": {"settings": settings}}})).await
}
