"""The hooks a plugin may have: put the classes among its bases. A hook that is not there costs nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .catalog import CatalogAnswer, Entry, ListKind, Viewer
    from .chunk import Batch, ChunkVerdict
    from .done import Done
    from .exchange import Exchange
    from .head import Head
    from .http import Request, Response
    from .identity import Credential, Outcome
    from .notification import NotificationVerdict
    from .outbound import Departure, OutboundVerdict
    from .verdict import Verdict


class Authenticate(ABC):
    """Turns a caller's credential into a principal. The only hook that sees one; always a fresh instance."""

    @abstractmethod
    def authenticate(self, credential: Credential, x: Exchange) -> Outcome: ...


class OnHttp(ABC):
    """Answers HTTP at the routes of the manifest, before anybody has said who they are. A fresh instance, unless the scope is `all`."""

    @abstractmethod
    def on_http(self, request: Request, x: Exchange) -> Response: ...


class OnRequest(ABC):
    """Sees a request before the upstream does."""

    @abstractmethod
    def on_request(self, head: Head, x: Exchange) -> Verdict: ...


class OnOutbound(ABC):
    """Gives the HTTP requests toward granted upstreams (`outbound:<upstream>`) what they leave with."""

    @abstractmethod
    def on_outbound(self, departure: Departure, x: Exchange) -> OutboundVerdict: ...


class OnResponse(ABC):
    """Sees what ends each exchange whose request it let pass, errors included."""

    @abstractmethod
    def on_response(self, head: Head, x: Exchange) -> Verdict: ...


class OnChunk(ABC):
    """Sees, piece by piece, answers that are too long to be held: instead of `OnResponse`."""

    @abstractmethod
    def on_chunk(self, head: Head, batch: Batch, x: Exchange) -> ChunkVerdict: ...


class OnNotification(ABC):
    """Sees one notification of a running exchange, a question of a server, or its answer."""

    @abstractmethod
    def on_notification(self, head: Head, x: Exchange) -> NotificationVerdict: ...


class OnCatalog(ABC):
    """Shapes one list as one principal sees it. Without kv, clock and payload: the host remembers the answer."""

    @abstractmethod
    def on_catalog(self, viewer: Viewer, kind: ListKind, entries: Sequence[Entry]) -> CatalogAnswer: ...


class OnDone(ABC):
    """Is told once that an exchange has ended."""

    @abstractmethod
    def on_done(self, head: Head, done: Done, x: Exchange) -> None: ...


HOOKS: dict[str, type] = {
    "authenticate": Authenticate,
    "on-http": OnHttp,
    "on-request": OnRequest,
    "on-outbound": OnOutbound,
    "on-response": OnResponse,
    "on-chunk": OnChunk,
    "on-notification": OnNotification,
    "on-catalog": OnCatalog,
    "on-done": OnDone,
}
"""By the name of the contract."""
