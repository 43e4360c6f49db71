//! Where a find is not ours to change: what the protocol reads there, or somebody sends back as it is.

const ROUTING: &[&str] = &[
    "/result/nextCursor",
    "/result/requestState",
    "/result/resultType",
    "/result/taskId",
    "/params/requestId",
    "/params/requestState",
    "/params/progressToken",
    "/params/taskId",
];

/// The same with everything below.
const ROUTING_BELOW: &[&str] =
    &["/params/_meta/io.modelcontextprotocol~1", "/result/_meta/io.modelcontextprotocol~1", "/params/_meta/progressToken"];

/// Members named by the sender of a question and repeated in the answer to it.
const PAIRED: &str = "/result/inputRequests/";

/// Whether a string, or the name of the member, at this pointer is the protocol's.
pub(crate) fn is_protocol(pointer: &str, in_key: bool) -> bool {
    if ROUTING_BELOW.iter().any(|place| pointer.starts_with(place)) {
        return true;
    }
    if in_key { pointer.strip_prefix(PAIRED).is_some_and(|rest| !rest.contains('/')) } else { ROUTING.contains(&pointer) }
}
