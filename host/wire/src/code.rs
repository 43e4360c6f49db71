//! JSON-RPC error codes (mcp-protocol §1.5).

use crate::method;

/// The text is not JSON, or not the strict JSON this host accepts.
pub const PARSE_ERROR: i64 = -32700;
/// JSON, but not a JSON-RPC 2.0 message.
pub const INVALID_REQUEST: i64 = -32600;
/// No such method, or one that was not advertised.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// Bad parameters; in 2026-07-28 also unknown resource, tool or prompt, and malformed `_meta`.
pub const INVALID_PARAMS: i64 = -32602;
/// Anything that went wrong inside.
pub const INTERNAL_ERROR: i64 = -32603;
/// 2026-07-28: a header and the body disagree. HTTP 400.
pub const HEADER_MISMATCH: i64 = -32020;
/// 2026-07-28: a client capability is missing; `data.requiredCapabilities`. HTTP 400.
pub const MISSING_CAPABILITY: i64 = -32021;
/// 2026-07-28: version not served; `data.supported`, `data.requested`. HTTP 400.
pub const UNSUPPORTED_VERSION: i64 = -32022;
/// Legacy: resource not found. Must not be sent to a modern client.
pub const RESOURCE_NOT_FOUND_LEGACY: i64 = -32002;
/// 2025-11-25 only: URL elicitation required; `data.elicitations[]`.
pub const URL_ELICITATION: i64 = -32042;
/// Legacy: the user refused a sampling request.
pub const SAMPLING_REFUSED: i64 = -1;

/// Whether JSON-RPC or MCP reserve the code: -32768 to -32000. Own codes stay outside.
pub fn is_reserved(code: i64) -> bool {
    (-32768..=-32000).contains(&code)
}

/// A legacy server's code in the words of the modern era: filters see it so, and modern clients.
pub fn raised(code: i64, method: &str) -> i64 {
    match code {
        RESOURCE_NOT_FOUND_LEGACY => INVALID_PARAMS,
        // Modern clients may give these a meaning they never had, or take 404 for the endpoint's.
        METHOD_NOT_FOUND if method == method::TOOLS_CALL => INTERNAL_ERROR,
        -32099..=-32020 => INTERNAL_ERROR,
        code => code,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserved_range_has_both_ends() {
        for (code, reserved) in
            [(-32769, false), (-32768, true), (PARSE_ERROR, true), (-32000, true), (-31999, false), (SAMPLING_REFUSED, false)]
        {
            assert_eq!(is_reserved(code), reserved, "{code}");
        }
    }
}
