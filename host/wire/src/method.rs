//! Names of requests and notifications, and who may send which when (mcp-protocol §1.2).

use crate::meta;
use crate::revision::Revision;

macro_rules! names {
    ($($name:ident = $text:literal;)*) => {
        $(#[doc = concat!("`", $text, "`")] pub const $name: &str = $text;)*
    };
}

names! {
    INITIALIZE = "initialize";
    DISCOVER = "server/discover";
    PING = "ping";
    TOOLS_LIST = "tools/list";
    TOOLS_CALL = "tools/call";
    RESOURCES_LIST = "resources/list";
    RESOURCES_TEMPLATES_LIST = "resources/templates/list";
    RESOURCES_READ = "resources/read";
    RESOURCES_SUBSCRIBE = "resources/subscribe";
    RESOURCES_UNSUBSCRIBE = "resources/unsubscribe";
    PROMPTS_LIST = "prompts/list";
    PROMPTS_GET = "prompts/get";
    COMPLETION_COMPLETE = "completion/complete";
    LOGGING_SET_LEVEL = "logging/setLevel";
    SUBSCRIPTIONS_LISTEN = "subscriptions/listen";
    SAMPLING_CREATE_MESSAGE = "sampling/createMessage";
    ROOTS_LIST = "roots/list";
    ELICITATION_CREATE = "elicitation/create";
    TASKS_GET = "tasks/get";
    TASKS_CANCEL = "tasks/cancel";
    TASKS_RESULT = "tasks/result";
    TASKS_LIST = "tasks/list";
    TASKS_UPDATE = "tasks/update";
    NOTIFY_INITIALIZED = "notifications/initialized";
    NOTIFY_CANCELLED = "notifications/cancelled";
    NOTIFY_PROGRESS = "notifications/progress";
    NOTIFY_MESSAGE = "notifications/message";
    NOTIFY_ROOTS_LIST_CHANGED = "notifications/roots/list_changed";
    NOTIFY_TOOLS_LIST_CHANGED = "notifications/tools/list_changed";
    NOTIFY_PROMPTS_LIST_CHANGED = "notifications/prompts/list_changed";
    NOTIFY_RESOURCES_LIST_CHANGED = "notifications/resources/list_changed";
    NOTIFY_RESOURCES_UPDATED = "notifications/resources/updated";
    NOTIFY_SUBSCRIPTIONS_ACKNOWLEDGED = "notifications/subscriptions/acknowledged";
    NOTIFY_ELICITATION_COMPLETE = "notifications/elicitation/complete";
    NOTIFY_TASKS_STATUS = "notifications/tasks/status";
    NOTIFY_TASKS = "notifications/tasks";
}

/// Of a draft, and in no revision: who serves them does so by its operator's wish (ADR 34).
const DRAFTS: [&str; 2] = [INTERCEPTORS_LIST, INTERCEPTOR_INVOKE];
/// `interceptors/list`
pub const INTERCEPTORS_LIST: &str = "interceptors/list";
/// `interceptor/invoke`
pub const INTERCEPTOR_INVOKE: &str = "interceptor/invoke";

/// The name of a draft's method, if it is one.
pub fn draft(method: &str) -> Option<&'static str> {
    DRAFTS.into_iter().find(|known| *known == method)
}

/// Who may send a method in one revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Presence {
    /// Nobody: the revision does not know it.
    Absent,
    /// The client, to the server.
    Client,
    /// The server, to the client.
    Server,
    /// Either side.
    Both,
    /// Nobody on its own; it travels inside an `InputRequiredResult` (2026-07-28).
    Embedded,
}

impl Presence {
    /// Whether a client may send it to a server.
    pub fn from_client(self) -> bool {
        matches!(self, Presence::Client | Presence::Both)
    }

    /// Whether a server may send it to a client.
    pub fn from_server(self) -> bool {
        matches!(self, Presence::Server | Presence::Both)
    }
}

/// One row of the table: a method and who may send it, by revision, oldest first.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The method's name on the wire.
    pub name: &'static str,
    /// Who may send it, in the order of [`Revision::ALL`].
    pub presence: [Presence; 5],
}

const fn row(name: &'static str, presence: [Presence; 5]) -> Row {
    Row { name, presence }
}

use Presence::{Absent as O, Both as B, Client as C, Embedded as E, Server as S};

/// Every method and notification of every revision.
///
/// 2026-07-28 `notifications/cancelled` is `Both`: the client sends it on stdio only, the
/// server only to end a listen. The modern `tasks/…` rows belong to [`extension`].
pub const TABLE: &[Row] = &[
    row(INITIALIZE, [C, C, C, C, O]),
    row(DISCOVER, [O, O, O, O, C]),
    row(PING, [B, B, B, B, O]),
    row(TOOLS_LIST, [C; 5]),
    row(TOOLS_CALL, [C; 5]),
    row(RESOURCES_LIST, [C; 5]),
    row(RESOURCES_TEMPLATES_LIST, [C; 5]),
    row(RESOURCES_READ, [C; 5]),
    row(RESOURCES_SUBSCRIBE, [C, C, C, C, O]),
    row(RESOURCES_UNSUBSCRIBE, [C, C, C, C, O]),
    row(PROMPTS_LIST, [C; 5]),
    row(PROMPTS_GET, [C; 5]),
    row(COMPLETION_COMPLETE, [C; 5]),
    row(LOGGING_SET_LEVEL, [C, C, C, C, O]),
    row(SUBSCRIPTIONS_LISTEN, [O, O, O, O, C]),
    row(SAMPLING_CREATE_MESSAGE, [S, S, S, S, E]),
    row(ROOTS_LIST, [S, S, S, S, E]),
    row(ELICITATION_CREATE, [O, O, S, S, E]),
    row(TASKS_GET, [O, O, O, B, C]),
    row(TASKS_CANCEL, [O, O, O, B, C]),
    row(TASKS_RESULT, [O, O, O, B, O]),
    row(TASKS_LIST, [O, O, O, B, O]),
    row(TASKS_UPDATE, [O, O, O, O, C]),
    row(NOTIFY_INITIALIZED, [C, C, C, C, O]),
    row(NOTIFY_CANCELLED, [B; 5]),
    row(NOTIFY_PROGRESS, [B, B, B, B, S]),
    row(NOTIFY_MESSAGE, [S; 5]),
    row(NOTIFY_ROOTS_LIST_CHANGED, [C, C, C, C, O]),
    row(NOTIFY_TOOLS_LIST_CHANGED, [S; 5]),
    row(NOTIFY_PROMPTS_LIST_CHANGED, [S; 5]),
    row(NOTIFY_RESOURCES_LIST_CHANGED, [S; 5]),
    row(NOTIFY_RESOURCES_UPDATED, [S; 5]),
    row(NOTIFY_SUBSCRIPTIONS_ACKNOWLEDGED, [O, O, O, O, S]),
    row(NOTIFY_ELICITATION_COMPLETE, [O, O, O, S, O]),
    row(NOTIFY_TASKS_STATUS, [O, O, O, B, O]),
    row(NOTIFY_TASKS, [O, O, O, O, S]),
];

/// Who may send `method` in `revision`; `Absent` for a name no revision knows.
pub fn presence(revision: Revision, method: &str) -> Presence {
    TABLE.iter().find(|row| row.name == method).map_or(Presence::Absent, |row| row.presence[revision as usize])
}

/// Whether `method` is a request a client may send in `revision`; extensions count.
pub fn exists(revision: Revision, method: &str) -> bool {
    !is_notification(method) && presence(revision, method).from_client()
}

/// Whether the name is in the namespace of notifications.
pub fn is_notification(method: &str) -> bool {
    method.starts_with("notifications/")
}

/// The extension a method belongs to in `revision`; `None` for core and unknown methods.
pub fn extension(revision: Revision, method: &str) -> Option<&'static str> {
    let tasks = [TASKS_GET, TASKS_CANCEL, TASKS_UPDATE, NOTIFY_TASKS];
    (revision >= Revision::V2026_07_28 && tasks.contains(&method)).then_some(meta::EXTENSION_TASKS)
}

/// Which member of `params` names what the request is about; `None` when nothing does.
///
/// `ref` of `completion/complete` is an object, the others are strings.
pub fn target(method: &str) -> Option<&'static str> {
    match method {
        TOOLS_CALL | PROMPTS_GET => Some("name"),
        RESOURCES_READ | RESOURCES_SUBSCRIBE | RESOURCES_UNSUBSCRIBE => Some("uri"),
        COMPLETION_COMPLETE => Some("ref"),
        TASKS_GET | TASKS_CANCEL | TASKS_RESULT | TASKS_UPDATE => Some("taskId"),
        _ => None,
    }
}

/// Which member of `params` the `Mcp-Name` header mirrors (2026-07-28, mcp-protocol §2.4).
pub fn mirrored_name(method: &str) -> Option<&'static str> {
    match method {
        TOOLS_CALL | PROMPTS_GET => Some("name"),
        RESOURCES_READ => Some("uri"),
        TASKS_GET | TASKS_UPDATE | TASKS_CANCEL => Some("taskId"),
        _ => None,
    }
}

/// Whether an `InputRequiredResult` may answer the method (2026-07-28).
pub fn may_require_input(method: &str) -> bool {
    matches!(method, TOOLS_CALL | PROMPTS_GET | RESOURCES_READ)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_method_has_two_rows() {
        let names: HashSet<_> = TABLE.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), TABLE.len());
    }

    #[test]
    fn handshake_and_discovery_never_meet() {
        for revision in Revision::ALL {
            assert_ne!(exists(revision, INITIALIZE), exists(revision, DISCOVER));
        }
    }

    #[test]
    fn requests_exist_by_revision_and_direction() {
        use Revision::*;
        for (revision, method, expected) in [
            (V2026_07_28, PING, false),
            (V2026_07_28, TASKS_RESULT, false),
            (V2026_07_28, TASKS_UPDATE, true),
            (V2025_11_25, TASKS_UPDATE, false),
            (V2025_11_25, TASKS_RESULT, true),
            (V2025_06_18, TASKS_GET, false),
            (V2025_06_18, ELICITATION_CREATE, false),
            (V2024_11_05, LOGGING_SET_LEVEL, true),
            (V2025_11_25, NOTIFY_CANCELLED, false),
            (V2025_11_25, "tools/Call", false),
        ] {
            assert_eq!(exists(revision, method), expected, "{revision} {method}");
        }
    }

    #[test]
    fn tasks_are_an_extension_only_in_the_modern_era() {
        assert_eq!(extension(Revision::V2025_11_25, TASKS_GET), None);
        assert_eq!(extension(Revision::V2026_07_28, TASKS_GET), Some(meta::EXTENSION_TASKS));
        assert_eq!(extension(Revision::V2026_07_28, TOOLS_CALL), None);
    }

    #[test]
    fn what_a_header_mirrors_is_what_the_request_is_about() {
        for row in TABLE {
            if let Some(mirrored) = mirrored_name(row.name) {
                assert_eq!(target(row.name), Some(mirrored), "{}", row.name);
            }
        }
    }
}
