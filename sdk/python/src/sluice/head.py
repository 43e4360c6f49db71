"""The cheap facts of a message."""

from dataclasses import dataclass

from sluice_contract.imports import types
from sluice_contract.imports.types import Direction as Direction
from sluice_contract.imports.types import Kind as Kind

# The contract writes `-` for `/` and `_`, so the names of the protocol have to be told apart here.
METHODS: dict[type, str] = {
    types.Method_ToolsList: "tools/list",
    types.Method_ToolsCall: "tools/call",
    types.Method_ResourcesList: "resources/list",
    types.Method_ResourcesTemplatesList: "resources/templates/list",
    types.Method_ResourcesRead: "resources/read",
    types.Method_ResourcesSubscribe: "resources/subscribe",
    types.Method_ResourcesUnsubscribe: "resources/unsubscribe",
    types.Method_PromptsList: "prompts/list",
    types.Method_PromptsGet: "prompts/get",
    types.Method_CompletionComplete: "completion/complete",
    types.Method_SubscriptionsListen: "subscriptions/listen",
    types.Method_SamplingCreateMessage: "sampling/createMessage",
    types.Method_RootsList: "roots/list",
    types.Method_ElicitationCreate: "elicitation/create",
    types.Method_TasksGet: "tasks/get",
    types.Method_TasksCancel: "tasks/cancel",
    types.Method_TasksResult: "tasks/result",
    types.Method_TasksList: "tasks/list",
    types.Method_TasksUpdate: "tasks/update",
    types.Method_NotificationsCancelled: "notifications/cancelled",
    types.Method_NotificationsProgress: "notifications/progress",
    types.Method_NotificationsMessage: "notifications/message",
    types.Method_NotificationsRootsListChanged: "notifications/roots/list_changed",
    types.Method_NotificationsToolsListChanged: "notifications/tools/list_changed",
    types.Method_NotificationsPromptsListChanged: "notifications/prompts/list_changed",
    types.Method_NotificationsResourcesListChanged: "notifications/resources/list_changed",
    types.Method_NotificationsResourcesUpdated: "notifications/resources/updated",
    types.Method_NotificationsElicitationComplete: "notifications/elicitation/complete",
    types.Method_NotificationsTasksStatus: "notifications/tasks/status",
    types.Method_NotificationsTasks: "notifications/tasks",
}


@dataclass(slots=True)
class Head:
    """What most filters need of a message; the rest is asked of the exchange."""

    method: str
    """By its name in the protocol: `tools/call`. Of a response: the method it answers."""
    name: str | None = None
    """Tool or prompt name, or resource URI, as the client sees it."""
    kind: Kind = Kind.REQUEST
    direction: Direction = Direction.TO_SERVER
    exchange: int = 1
    """Host-wide id, the same from the request to `on_done`, over all its rounds."""
    round: int = 0
    """How often the client has come back with answers."""
    body_bytes: int = 0
    """Size of the message as this filter received it."""

    @classmethod
    def of(cls, raw: types.Head) -> "Head":
        """From the contract's own record."""
        return cls(method_name(raw.method), raw.name, raw.kind, raw.direction, raw.exchange, raw.round, raw.body_bytes)


def method_name(method: types.Method) -> str:
    """The protocol's name of a method."""
    if isinstance(method, types.Method_Other):
        return method.value
    return METHODS[type(method)]
