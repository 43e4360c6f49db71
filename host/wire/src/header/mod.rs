//! HTTP headers of the protocol: names, value encoding, comparison with the body
//! (mcp-protocol §2.4).

mod annotation;
mod scalar;
mod value;

pub use annotation::{Annotation, AnnotationError, Scalar, annotations};
pub use scalar::{matches_scalar, scalar_value};
pub use value::{ValueError, decode_value, encode_value};

/// Legacy session id.
pub const SESSION_ID: &str = "mcp-session-id";
/// Protocol revision.
pub const PROTOCOL_VERSION: &str = "mcp-protocol-version";
/// Mirrors `method` (2026-07-28).
pub const METHOD: &str = "mcp-method";
/// Mirrors what [`mirrored_name`](crate::method::mirrored_name) names (2026-07-28).
pub const NAME: &str = "mcp-name";
/// Starts the name of a header that mirrors a tool argument (2026-07-28).
pub const PARAM_PREFIX: &str = "mcp-param-";
/// Resumes a legacy event stream.
pub const LAST_EVENT_ID: &str = "last-event-id";
/// Media types the client takes.
pub const ACCEPT: &str = "accept";
/// Media type of the body.
pub const CONTENT_TYPE: &str = "content-type";
/// Where a browser's request comes from.
pub const ORIGIN: &str = "origin";
/// Credentials; never passed on.
pub const AUTHORIZATION: &str = "authorization";
/// Authentication challenge.
pub const WWW_AUTHENTICATE: &str = "www-authenticate";
/// Tells buffering proxies to let an event stream through.
pub const ACCEL_BUFFERING: &str = "x-accel-buffering";
/// Media type of one JSON message.
pub const JSON: &str = "application/json";
/// Media type of an event stream.
pub const EVENT_STREAM: &str = "text/event-stream";

#[cfg(test)]
mod tests;
