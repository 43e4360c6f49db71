//! Methods and their names in the protocol.

use alloc::string::ToString;
use core::fmt;

pub use crate::bindings::base::sluice::filter::types::Method;

macro_rules! methods {
    ($($case:ident = $name:literal,)*) => {
        impl Method {
            /// Its name in the protocol: `tools/call`.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Method::$case => $name,)*
                    Method::Other(name) => name,
                }
            }
        }

        /// By its name in the protocol.
        impl From<&str> for Method {
            fn from(name: &str) -> Self {
                match name {
                    $($name => Method::$case,)*
                    other => Method::Other(other.to_string()),
                }
            }
        }
    };
}

methods! {
    ToolsList = "tools/list",
    ToolsCall = "tools/call",
    ResourcesList = "resources/list",
    ResourcesTemplatesList = "resources/templates/list",
    ResourcesRead = "resources/read",
    ResourcesSubscribe = "resources/subscribe",
    ResourcesUnsubscribe = "resources/unsubscribe",
    PromptsList = "prompts/list",
    PromptsGet = "prompts/get",
    CompletionComplete = "completion/complete",
    SubscriptionsListen = "subscriptions/listen",
    SamplingCreateMessage = "sampling/createMessage",
    RootsList = "roots/list",
    ElicitationCreate = "elicitation/create",
    TasksGet = "tasks/get",
    TasksCancel = "tasks/cancel",
    TasksResult = "tasks/result",
    TasksList = "tasks/list",
    TasksUpdate = "tasks/update",
    NotificationsCancelled = "notifications/cancelled",
    NotificationsProgress = "notifications/progress",
    NotificationsMessage = "notifications/message",
    NotificationsRootsListChanged = "notifications/roots/list_changed",
    NotificationsToolsListChanged = "notifications/tools/list_changed",
    NotificationsPromptsListChanged = "notifications/prompts/list_changed",
    NotificationsResourcesListChanged = "notifications/resources/list_changed",
    NotificationsResourcesUpdated = "notifications/resources/updated",
    NotificationsElicitationComplete = "notifications/elicitation/complete",
    NotificationsTasksStatus = "notifications/tasks/status",
    NotificationsTasks = "notifications/tasks",
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_its_method_and_back() {
        for name in ["tools/call", "resources/templates/list", "notifications/resources/list_changed", "sampling/createMessage"] {
            assert!(!matches!(Method::from(name), Method::Other(_)), "{name}");
            assert_eq!(Method::from(name).as_str(), name);
        }
        assert_eq!(Method::from("x/y"), Method::Other("x/y".into()));
    }
}
