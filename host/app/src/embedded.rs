//! What the binary carries: the standard plugins as components, and the names of the demo servers.

/// Names for `builtin:<name>` in a chain.
pub const PLUGIN_NAMES: &[&str] = &[
    "approve",
    "auth-api-key",
    "auth-jwt",
    "guard",
    "interceptor",
    "namespace",
    "oauth-client",
    "pin",
    "rate-limit",
    "rbac",
    "read-only",
    "redact",
    "shape",
    "sigv4",
    "static-header",
];

/// Names for `{"url": "builtin:<name>"}`.
pub const SERVERS: &[&str] = sluice_transport::upstream::BUILTIN_NAMES;

/// The component behind a name.
pub fn plugin(name: &str) -> Option<&'static [u8]> {
    Some(match name {
        "approve" => include_bytes!(concat!(env!("OUT_DIR"), "/approve.wasm")),
        "auth-api-key" => include_bytes!(concat!(env!("OUT_DIR"), "/auth-api-key.wasm")),
        "auth-jwt" => include_bytes!(concat!(env!("OUT_DIR"), "/auth-jwt.wasm")),
        "guard" => include_bytes!(concat!(env!("OUT_DIR"), "/guard.wasm")),
        "interceptor" => include_bytes!(concat!(env!("OUT_DIR"), "/interceptor.wasm")),
        "namespace" => include_bytes!(concat!(env!("OUT_DIR"), "/namespace.wasm")),
        "oauth-client" => include_bytes!(concat!(env!("OUT_DIR"), "/oauth-client.wasm")),
        "pin" => include_bytes!(concat!(env!("OUT_DIR"), "/pin.wasm")),
        "rate-limit" => include_bytes!(concat!(env!("OUT_DIR"), "/rate-limit.wasm")),
        "rbac" => include_bytes!(concat!(env!("OUT_DIR"), "/rbac.wasm")),
        "read-only" => include_bytes!(concat!(env!("OUT_DIR"), "/read-only.wasm")),
        "redact" => include_bytes!(concat!(env!("OUT_DIR"), "/redact.wasm")),
        "shape" => include_bytes!(concat!(env!("OUT_DIR"), "/shape.wasm")),
        "sigv4" => include_bytes!(concat!(env!("OUT_DIR"), "/sigv4.wasm")),
        "static-header" => include_bytes!(concat!(env!("OUT_DIR"), "/static-header.wasm")),
        _ => return None,
    })
}

/// What each plugin is made of, as the build found it: the compiler, then a line for each crate.
const TREES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/trees.rs"));

/// What the plugin of this name is made of.
pub fn made_of(name: &str) -> Option<&'static str> {
    TREES.iter().find(|(known, _)| *known == name).map(|(_, tree)| *tree)
}
