"""Between the contract's exports and a plugin, in a component. `build` writes the few lines that call this."""

import json
from typing import Any

from componentize_py_types import Err
from sluice_contract.exports import describe
from sluice_contract.imports import types

from .exchange import Exchange
from .head import Head
from .plugin import Plugin


class Guest:
    """One instance's plugin."""

    def __init__(self, plugin: type[Plugin]) -> None:
        self._class = plugin
        self._plugin: Plugin | None = None

    def describe(self) -> describe.Manifest:
        return self._class.manifest.lower()

    def init(self, config: str) -> None:
        try:
            self._plugin = self._class(json.loads(config))
        except Exception as error:
            raise Err(f"{type(error).__name__}: {error}") from error

    def call(self, hook: str, given: tuple[Any, ...]) -> Any:
        """Any hook of the contract, with the views of what it is given."""
        return getattr(self._plugin, hook)(*[VIEWS.get(type(one), _as_it_is)(one) for one in given])


def _as_it_is(value: Any) -> Any:
    return value


VIEWS: dict[type, Any] = {types.Head: Head.of, types.Exchange: Exchange}
try:
    from sluice_contract.imports.catalog import Viewer as RawViewer

    from .catalog import Viewer

    VIEWS[RawViewer] = Viewer
except ImportError:  # no on-catalog in this component
    pass
try:
    from sluice_contract.imports.chunks import Batch as RawBatch

    from .chunk import Batch

    VIEWS[RawBatch] = Batch
except ImportError:  # no on-chunk in this component
    pass
try:
    from sluice_contract.imports.outbound import Departure as RawDeparture

    from .outbound import Departure

    VIEWS[RawDeparture] = Departure
except ImportError:  # no on-outbound in this component
    pass
