//! Where a hit is not ours to change: what the protocol itself reads there.

/// Changing these would change what is asked for, or break the thread between two messages. Their values are
/// routing, not content: what may be called and read is an access rule's business.
const ROUTING: &[&str] = &[
    "/params/name",
    "/params/uri",
    "/params/cursor",
    "/params/requestState",
    "/params/requestId",
    "/params/progressToken",
    "/params/taskId",
    "/params/level",
    "/result/nextCursor",
    "/result/requestState",
    "/result/resultType",
    "/result/taskId",
];

/// The same with everything below.
const ROUTING_BELOW: &[&str] = &[
    "/params/ref/",
    "/params/_meta/io.modelcontextprotocol~1",
    "/result/_meta/io.modelcontextprotocol~1",
    "/params/_meta/progressToken",
    "/params/_meta/traceparent",
    "/params/_meta/tracestate",
    "/params/_meta/baggage",
];

/// Members named by the sender of a question and repeated in the answer to it.
const PAIRED: &[&str] = &["/result/inputRequests/", "/params/inputResponses/"];

/// Where all names are the user's.
const FREE: &[&str] = &["/params/arguments/", "/result/structuredContent/", "/error/data/"];

/// Elsewhere these names are the protocol's. Only an operator's own pattern can match one of them.
const PROTOCOL_NAMES: &[&str] = &[
    "_meta",
    "action",
    "annotations",
    "arguments",
    "argument",
    "blob",
    "code",
    "completion",
    "content",
    "contents",
    "context",
    "cursor",
    "data",
    "description",
    "error",
    "isError",
    "inputRequests",
    "inputResponses",
    "level",
    "logger",
    "message",
    "messages",
    "method",
    "mimeType",
    "model",
    "name",
    "nextCursor",
    "params",
    "progress",
    "progressToken",
    "ref",
    "requestState",
    "requestedSchema",
    "resource",
    "result",
    "resultType",
    "role",
    "roots",
    "size",
    "status",
    "stopReason",
    "structuredContent",
    "systemPrompt",
    "taskId",
    "text",
    "title",
    "total",
    "type",
    "uri",
    "url",
    "values",
];

/// Whether a string, or the name of the member, at this pointer is the protocol's.
pub(crate) fn is_protocol(pointer: &str, in_key: bool) -> bool {
    if ROUTING_BELOW.iter().any(|place| pointer.starts_with(place)) {
        return true;
    }
    if !in_key {
        return ROUTING.contains(&pointer);
    }
    let direct = |place: &str| pointer.strip_prefix(place).is_some_and(|rest| !rest.contains('/'));
    if PAIRED.iter().any(|place| direct(place)) {
        return true;
    }
    let free = FREE.iter().any(|place| pointer.starts_with(place));
    let name = pointer.rsplit('/').next().unwrap_or_default();
    !free && PROTOCOL_NAMES.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routing_stays_and_content_does_not() {
        for pointer in ["/params/name", "/params/uri", "/params/ref/uri", "/params/_meta/progressToken"] {
            assert!(is_protocol(pointer, false), "{pointer}");
        }
        for pointer in ["/params/arguments/name", "/result/content/0/text", "/params/_meta/note", "/error/message"] {
            assert!(!is_protocol(pointer, false), "{pointer}");
        }
    }

    #[test]
    fn names_are_the_users_where_the_user_names() {
        for pointer in ["/result/content", "/result/content/0/text", "/result/inputRequests/k1", "/params/arguments"] {
            assert!(is_protocol(pointer, true), "{pointer}");
        }
        for pointer in ["/params/arguments/text", "/result/structuredContent/a/text", "/result/joe", "/params/inputResponses/k/joe"] {
            assert!(!is_protocol(pointer, true), "{pointer}");
        }
    }
}
