//! Calls of tools that the operator granted (`upstream:github search_*,get_issue`). Imports `sluice:filter/upstream`.
//!
//! ```
//! use sluice_sdk::upstream;
//! # use sluice_sdk::testing::{self, FakeExchange};
//! # testing::answer_calls(|upstream, tool, arguments| Ok(format!(r#"{{"structuredContent":["{upstream}","{tool}",{arguments}]}}"#)));
//! # let x = &FakeExchange::default();
//! let result = upstream::call_tool(x, "github", "get_issue", r#"{"number":1}"#, None).unwrap();
//! assert!(result.contains("structuredContent"));
//! ```

use crate::exchange::Exchange;
use crate::json::Json;

pub use crate::bindings::base::sluice::filter::upstream::Error;

/// The `result` of a `tools/call`, as the upstream wrote it. The tool by the upstream's own name; `arguments` are an object.
pub fn call_tool(x: &Exchange, upstream: &str, tool: &str, arguments: &str, timeout_ms: Option<u32>) -> Result<Json, Error> {
    #[cfg(target_family = "wasm")]
    return crate::bindings::base::sluice::filter::upstream::call_tool(x, upstream, tool, arguments, timeout_ms);
    #[cfg(not(target_family = "wasm"))]
    {
        let _ = (x, timeout_ms);
        crate::testing::call_tool(upstream, tool, arguments)
    }
}
