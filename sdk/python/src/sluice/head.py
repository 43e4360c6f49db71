"""The cheap facts of a message."""

from typing import Any, Final

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


class Head:
    """What most filters need of a message; the rest is asked of the exchange."""

    __slots__ = ("method", "name", "kind", "direction", "exchange", "round", "body_bytes")

    method: Final[str]
    """By its name in the protocol: `tools/call`. Of a response: the method it answers."""
    name: Final[str | None]
    """Tool or prompt name, or resource URI, as the client sees it."""
    kind: Final[Kind]
    direction: Final[Direction]
    exchange: Final[int]
    """Host-wide id, the same from the request to `on_done`, over all its rounds."""
    round: Final[int]
    """How often the client has come back with answers."""
    body_bytes: Final[int]
    """Size of the message as this filter received it."""

    def __init__(
        self,
        method: str,
        name: str | None = None,
        kind: Kind = Kind.REQUEST,
        direction: Direction = Direction.TO_SERVER,
        exchange: int = 1,
        round: int = 0,
        body_bytes: int = 0,
    ) -> None:
        self.method = method
        self.name = name
        self.kind = kind
        self.direction = direction
        self.exchange = exchange
        self.round = round
        self.body_bytes = body_bytes

    @property
    def raw(self) -> types.Head:
        """The contract's own record."""
        return types.Head(self.exchange, self.round, self.direction, self.kind, method_of(self.method), self.name, self.body_bytes)

    def __eq__(self, other: object) -> bool:
        return self.raw == other.raw if isinstance(other, Head) else NotImplemented

    def __repr__(self) -> str:
        return repr(self.raw)


def made(exchange: int, round: int, direction: Direction, kind: Kind, method: str, name: str | None, body_bytes: int) -> object:
    """A head, of the parts of the contract's own record, in their order. From outside of Python a function is called for less than a class is."""
    head: Any = Made()
    head.method = method
    head.name = name
    head.kind = kind
    head.direction = direction
    head.exchange = exchange
    head.round = round
    head.body_bytes = body_bytes
    return head


class Made(Head):
    """Without its `__init__`, made at once."""

    __slots__ = ()
    __init__ = object.__init__


def method_of(name: str) -> types.Method:
    """The contract's own method, by the protocol's name."""
    found = BY_NAME.get(name)
    return types.Method_Other(name) if found is None else found()


BY_NAME = {name: method for method, name in METHODS.items()}
