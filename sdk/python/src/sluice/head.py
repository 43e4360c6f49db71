"""The cheap facts of a message."""

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
    """What most filters need of a message; the rest is asked of the exchange. A view of the contract's own record: a hook pays for what
    it reads.
    """

    __slots__ = ("raw",)

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
        self.raw = types.Head(exchange, round, direction, kind, method_of(method), name, body_bytes)
        """The contract's own record."""

    @classmethod
    def of(cls, raw: types.Head) -> "Head":
        """From the contract's own record."""
        head = cls.__new__(cls)
        head.raw = raw
        return head

    def __eq__(self, other: object) -> bool:
        return self.raw == other.raw if isinstance(other, Head) else NotImplemented

    def __repr__(self) -> str:
        return repr(self.raw)

    @property
    def method(self) -> str:
        """By its name in the protocol: `tools/call`. Of a response: the method it answers."""
        return method_name(self.raw.method)

    @property
    def name(self) -> str | None:
        """Tool or prompt name, or resource URI, as the client sees it."""
        return self.raw.name

    @property
    def kind(self) -> Kind:
        return self.raw.kind

    @property
    def direction(self) -> Direction:
        return self.raw.direction

    @property
    def exchange(self) -> int:
        """Host-wide id, the same from the request to `on_done`, over all its rounds."""
        return self.raw.exchange

    @property
    def round(self) -> int:
        """How often the client has come back with answers."""
        return self.raw.round

    @property
    def body_bytes(self) -> int:
        """Size of the message as this filter received it."""
        return self.raw.body_bytes


def method_name(method: types.Method) -> str:
    """The protocol's name of a method."""
    if isinstance(method, types.Method_Other):
        return method.value
    return METHODS[type(method)]


def method_of(name: str) -> types.Method:
    """The contract's own method, by the protocol's name."""
    found = BY_NAME.get(name)
    return types.Method_Other(name) if found is None else found()


BY_NAME = {name: method for method, name in METHODS.items()}
