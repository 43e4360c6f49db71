"""What `on_catalog` sees and answers."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sluice_contract.exports import on_catalog as contract
from sluice_contract.exports.on_catalog import Change as Change
from sluice_contract.exports.on_catalog import Entry as Entry
from sluice_contract.exports.on_catalog import ListKind as ListKind
from sluice_contract.imports import catalog

CatalogAnswer = contract.Answer
KEEP: Change = contract.Change_Keep()
HIDE: Change = contract.Change_Hide()


class Viewer:
    """Who is looking. Reading an attribute makes the answer specific to its value."""

    __slots__ = ("raw",)

    def __init__(self, raw: catalog.Viewer) -> None:
        self.raw = raw

    def attr(self, key: str) -> str | None:
        return self.raw.attr(key)

    def attrs(self, prefix: str) -> dict[str, str]:
        return dict(self.raw.attrs(prefix))

    @property
    def upstreams(self) -> int:
        """How many upstreams the endpoint has."""
        return self.raw.upstreams()

    def definition(self, index: int) -> Any:
        """The definition of the entry at this place; none if there is no such entry."""
        text = self.raw.definition(index)
        return None if text is None else json.loads(text)


def rename(name: str) -> Change:
    return contract.Change_Rename(name)


def patch(merge: Mapping[str, Any]) -> Change:
    """JSON merge patch (RFC 7386) on the definition."""
    return contract.Change_Patch(json.dumps(merge))


def rename_and_patch(name: str, merge: Mapping[str, Any]) -> Change:
    return contract.Change_RenameAndPatch((name, json.dumps(merge)))


def answer(changes: Sequence[Change] = (), added: Sequence[Mapping[str, Any]] = ()) -> CatalogAnswer:
    """One change an entry, in their order, or none to keep all; and definitions that this plugin adds and answers itself."""
    return CatalogAnswer(list(changes), [json.dumps(definition) for definition in added])
