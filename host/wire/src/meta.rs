//! Keys of `_meta` that the protocol defines, and extension ids.

/// Version of this request (2026-07-28, mandatory).
pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// What the client can do (2026-07-28, mandatory).
pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// Who the client says it is; unverified.
pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
/// Least severity of log notifications wanted on this request's stream.
pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
/// Who the server says it is, in results; unverified.
pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
/// Id of the `subscriptions/listen` request a message belongs to.
pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
/// Task a message belongs to (2025-11-25).
pub const RELATED_TASK: &str = "io.modelcontextprotocol/related-task";
/// Token that progress notifications repeat.
pub const PROGRESS_TOKEN: &str = "progressToken";
/// W3C trace context: trace and parent id.
pub const TRACEPARENT: &str = "traceparent";
/// W3C trace context: vendor state.
pub const TRACESTATE: &str = "tracestate";
/// W3C baggage.
pub const BAGGAGE: &str = "baggage";

/// Extension id of tasks (2026-07-28).
pub const EXTENSION_TASKS: &str = "io.modelcontextprotocol/tasks";
/// Extension id of the draft of interceptors (SEP-2624).
pub const EXTENSION_INTERCEPTORS: &str = "io.modelcontextprotocol/interceptors";
/// Extension id of MCP Apps.
pub const EXTENSION_UI: &str = "io.modelcontextprotocol/ui";

/// Whether a `_meta` key prefix is reserved to the protocol: second label
/// `modelcontextprotocol` or `mcp` (`basic/index`, 2026-07-28).
pub fn is_reserved(key: &str) -> bool {
    let Some((prefix, _)) = key.split_once('/') else {
        return false;
    };
    matches!(prefix.split('.').nth(1), Some("modelcontextprotocol" | "mcp"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_prefixes_are_known_by_their_second_label() {
        for (key, reserved) in [
            (PROTOCOL_VERSION, true),
            ("dev.mcp/x", true),
            ("org.modelcontextprotocol.api/x", true),
            ("com.example.mcp/x", false),
            ("mcp/x", false),
            (PROGRESS_TOKEN, false),
        ] {
            assert_eq!(is_reserved(key), reserved, "{key}");
        }
    }
}
