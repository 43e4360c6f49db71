"""Between the contract's exports and a plugin, in a component. `build` writes the few lines that call this."""

import gc
import json
import weakref
from collections.abc import Callable
from typing import Any

from componentize_py_types import Err
from sluice_contract.exports import describe

from .plugin import Plugin

_FINALIZE = weakref.finalize


class Finalizer:
    """What componentize-py's runtime needs of `weakref.finalize` for a handle. That one keeps a registry of all there are, which took half of a
    hook's time: a handle is lent, and taken back, in every call.
    """

    __slots__ = ("_call",)

    def __init__(self, of: object, function: Callable[..., object], *given: Any) -> None:
        self._call: tuple[Callable[..., object], tuple[Any, ...]] | None = (function, given)

    def detach(self) -> tuple[None, Callable[..., object], tuple[Any, ...], None] | None:
        """Not to be called any more; what would have been, as `weakref.finalize` says it."""
        call, self._call = self._call, None
        return None if call is None else (None, *call, None)

    def __del__(self) -> None:
        # The handle's own object holds this one and nothing else does, so they go together.
        if self._call is not None:
            function, given = self._call
            function(*given)


def lend_cheaply() -> None:
    """The last thing before the runtime starts: it looks `weakref.finalize` up once, then. A plugin finds the real one."""
    setattr(weakref, "finalize", Finalizer)


class Guest:
    """One instance's plugin."""

    def __init__(self, plugin: type[Plugin]) -> None:
        self._class = plugin
        self.plugin: Any = None

    def describe(self) -> describe.Manifest:
        setattr(weakref, "finalize", _FINALIZE)
        return self._class.manifest.lower()

    def init(self, config: str) -> None:
        setattr(weakref, "finalize", _FINALIZE)
        try:
            self.plugin = self._class(json.loads(config))
        except Exception as error:
            raise Err(f"{type(error).__name__}: {error}") from error
        # What is there now stays: a collection in a hook need not walk through the interpreter's modules.
        gc.collect()
        gc.freeze()
