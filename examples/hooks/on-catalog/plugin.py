"""Hides destructive tools from callers without the scope `admin`."""

from collections.abc import Sequence

from sluice import Config, Manifest, OnCatalog, Plugin
from sluice.catalog import HIDE, KEEP, CatalogAnswer, Change, Entry, ListKind, Viewer, answer


class Example(Plugin, OnCatalog):
    manifest = Manifest("example-on-catalog", "0.1.0", "Hides destructive tools from callers without the scope admin.", stateless=True)

    def __init__(self, config: Config) -> None:
        pass

    def on_catalog(self, viewer: Viewer, kind: ListKind, entries: Sequence[Entry]) -> CatalogAnswer:
        scopes = (viewer.attr("principal.scopes") or "").split()
        if kind != ListKind.TOOLS or "admin" in scopes:
            return answer()

        def change(at: int) -> Change:
            hints = (viewer.definition(at) or {}).get("annotations", {})
            return HIDE if hints.get("destructiveHint") is True else KEEP

        return answer([change(at) for at in range(len(entries))])
