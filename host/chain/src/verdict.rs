//! A policy's no, as it travels to the wire.

/// Why a filter refused and how the client is to see it.
#[derive(Clone, Debug, Default)]
pub struct Rejection {
    /// JSON-RPC code, outside -32768..=-32000.
    pub code: i64,
    /// For the client.
    pub message: String,
    /// JSON text for `error.data`.
    pub data: Option<String>,
    /// Where the transport can still set it.
    pub http_status: Option<u16>,
    /// Lower-case names; the downstream drops what it owns itself.
    pub http_headers: Vec<(String, String)>,
    /// For `tools/call`: an `isError` result instead of a JSON-RPC error.
    pub as_tool_result: bool,
}
