"""What is lent for one hook call."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from componentize_py_types import Err
from sluice_contract.imports import types

from .errors import Absent, host_error

if TYPE_CHECKING:
    from sluice_contract.imports import patterns, payload
    from sluice_contract.imports.patterns import Hit as Hit
    from sluice_contract.imports.payload import Edit as Edit
else:
    try:
        from sluice_contract.imports import payload
        from sluice_contract.imports.payload import Edit
    except ImportError:
        payload = Absent("payload")
        Edit = Absent("payload")
    try:
        from sluice_contract.imports import patterns
        from sluice_contract.imports.patterns import Hit
    except ImportError:
        patterns = Absent("patterns")
        Hit = Absent("patterns")


@dataclass(frozen=True)
class Answer:
    """What a person said: `accept` with the form filled in, `decline`, or `cancel` (closed, or not answered in time)."""

    action: str
    content: Mapping[str, Any]


class Exchange:
    """One request with its notifications and its answer, as a hook sees it. Pointers are JSON pointers (RFC 6901) into the
    JSON-RPC message: `/params/arguments/x`, `/result/content/0/text`. Each call of the host costs about 6 µs here.
    """

    __slots__ = ("raw",)

    def __init__(self, raw: types.Exchange) -> None:
        self.raw = raw
        """As the contract's functions take it."""

    # Facts

    @property
    def upstream(self) -> str | None:
        """The operator's id of the server this goes to or comes from, once known."""
        return self.raw.upstream()

    @property
    def protocol(self) -> str:
        """Revision of the client's side, such as `2026-07-28`. Empty in `authenticate`."""
        return self.raw.protocol()

    def attr(self, key: str) -> str | None:
        """By its whole key: `principal.subject`, `http.header.user-agent`, `guard.score`."""
        return self.raw.attr(key)

    def attrs(self, prefix: str) -> dict[str, str]:
        """All whose key starts so."""
        return dict(self.raw.attrs(prefix))

    def set_attr(self, key: str, value: str) -> None:
        """Sets `<this plugin>.<key>`. At most 64 of 4 KiB."""
        try:
            self.raw.set_attr(key, value)
        except Err as error:
            raise host_error(error) from None

    def elicited(self, plugin: str) -> Answer | None:
        """What the person behind the client said to the plugin of this name, if it has asked."""
        action = self.attr(f"{plugin}.answer.action")
        if action is None:
            return None
        return Answer(action, json.loads(self.attr(f"{plugin}.answer.content") or "{}"))

    # The message: imports "payload"

    def get(self, pointer: str, default: Any = None) -> Any:
        """The value at a pointer."""
        text = payload.get(self.raw, pointer)
        return default if text is None else json.loads(text)

    def get_many(self, pointers: Iterable[str], default: Any = None) -> list[Any]:
        """Several at once, cheaper than one by one."""
        texts = payload.get_many(self.raw, list(pointers))
        return [default if text is None else json.loads(text) for text in texts]

    def text(self) -> str:
        """The whole message, as JSON text."""
        try:
            return payload.text(self.raw)
        except Err as error:
            raise host_error(error) from None

    def asked(self, pointer: str, default: Any = None) -> Any:
        """In `on_response` and `on_notification`: part of the request as this filter left it."""
        text = payload.asked(self.raw, pointer)
        return default if text is None else json.loads(text)

    def stage(self, edits: Iterable[Edit]) -> None:
        """Stages edits (see `edits`), all against the message as this hook received it. They apply together with `NEXT`;
        overlap is a fault. Several at once are cheaper than one by one.
        """
        try:
            payload.stage(self.raw, list(edits))
        except Err as error:
            raise host_error(error) from None

    def set(self, pointer: str, value: Any) -> None:
        """Stages: replaces the value, or adds the member (its parent must exist; `/-` appends to an array)."""
        self.stage([set_(pointer, value)])

    def remove(self, pointer: str) -> None:
        """Stages: removes the member or element."""
        self.stage([remove(pointer)])

    # Search: imports "patterns"

    def scan(self, name: str, roots: Iterable[str] = ()) -> list[Hit]:
        """All hits of a set (`patterns.define`) at or below the roots; none: the whole message but its envelope."""
        try:
            return patterns.scan(self.raw, name, list(roots))
        except Err as error:
            raise host_error(error) from None


def set_(pointer: str, value: Any) -> Edit:
    """Replaces the value at the pointer, or adds the member."""
    return payload.Edit_Set((pointer, json.dumps(value)))


def remove(pointer: str) -> Edit:
    """Removes the member or element."""
    return payload.Edit_Remove(pointer)


def splice(pointer: str, start: int, end: int, text: str) -> Edit:
    """Replaces bytes [start, end) of the UTF-8 of the string at the pointer."""
    return payload.Edit_Splice((pointer, start, end, text))


def splice_key(pointer: str, start: int, end: int, text: str) -> Edit:
    """Replaces bytes [start, end) of the UTF-8 of the member name that the pointer ends in."""
    return payload.Edit_SpliceKey((pointer, start, end, text))
