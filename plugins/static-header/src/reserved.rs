//! Headers that are not an operator's to set here. The host has the last word, and faults a plugin that sets one: so it is told at load.

/// Of the connection, of the body as it is, or of the host.
const OWNED: [&str; 24] = [
    "accept",
    "accept-encoding",
    "accept-transfer-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "last-event-id",
    "max-forwards",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// Of MCP, or taken by servers for another method or path than the request's, or for what a proxy knows.
const BEGINNINGS: [&str; 6] = ["mcp-", "proxy-", "x-forwarded-", "x-http-method", "x-original-", "x-rewrite-"];

/// Whose values are always credentials.
const CREDENTIALS: [&str; 2] = ["authorization", "cookie"];

/// Is it not a plugin's to set? `name` is in lower case. A server that speaks CGI reads `_` as `-`.
pub(crate) fn is_reserved(name: &str) -> bool {
    OWNED.contains(&name) || name.contains('_') || name == "x-method-override" || BEGINNINGS.iter().any(|start| name.starts_with(start))
}

/// May it hold a secret only?
pub(crate) fn is_credential(name: &str) -> bool {
    CREDENTIALS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_the_connection_or_of_mcp_is_reserved() {
        for owned in ["host", "content-type", "mcp-session-id", "proxy-x", "x-forwarded-for", "x-http-method-override", "x_user", "range"] {
            assert!(is_reserved(owned), "{owned}");
        }
        for free in ["authorization", "cookie", "x-api-key", "x-original", "user-agent", "x-mcp-readonly", "x-mcp-toolsets"] {
            assert!(!is_reserved(free), "{free}");
        }
    }
}
