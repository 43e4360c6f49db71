"""Between the contract's exports and a plugin, in a component. `build` writes the few lines that call this."""

import dataclasses
import enum
import gc
import json
import sys
import weakref
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

from componentize_py_types import Err
from sluice_contract.exports import describe
from sluice_contract.imports import types

from . import head
from .plugin import Plugin


class Guest:
    """One instance's plugin. It stands for each of the exports, and has the plugin's hooks as its own once there is a plugin."""

    def __init__(self, plugin: type[Plugin], hooks: Iterable[str]) -> None:
        self._class = plugin
        self._hooks = hooks

    def describe(self) -> describe.Manifest:
        step_back()
        return self._class.manifest.lower()

    def init(self, config: str) -> None:
        step_back()
        try:
            plugin = self._class(json.loads(config))
        except Exception as error:
            raise Err(f"{type(error).__name__}: {error}") from error
        for hook in self._hooks:
            setattr(self, hook, getattr(plugin, hook))
        # What is there now stays: a collection in a hook need not walk through the interpreter's modules.
        gc.collect()
        gc.freeze()


# componentize-py's runtime looks up once, right after the glue was read, what it makes the contract's values with in every call. It finds what makes
# the same for less, or makes at once what a hook is given. A plugin finds the real ones.

_replaced: list[tuple[ModuleType, str, Any]] = []


def stand_in(module: ModuleType, name: str, made_by: object) -> None:
    """Until `step_back`, the runtime finds this under that name."""
    _replaced.append((module, name, getattr(module, name)))
    setattr(module, name, made_by)


def step_back() -> None:
    """The runtime has looked up what it needs."""
    while _replaced:
        setattr(*_replaced.pop())


def lend(contract: ModuleType, view: type) -> None:
    """The contract's resource with this view's name is lent to hooks, never kept: the runtime makes the view at once. What the contract's
    functions take is made when they are called.
    """
    handle = type(view.__name__, (getattr(contract, view.__name__),), {"detach": lambda self: delattr(self, "handle")})

    def raw(lent: Any) -> Any:
        found = lent.finalizer
        if found is LENT:
            # Goes together with the view's own handle.
            found = lent.finalizer = handle()
            found.handle = lent.handle
        return found

    lent = type(view.__name__, (view,), {"__slots__": ("handle", "finalizer"), "__module__": view.__module__, "raw": property(raw)})
    LENT_VIEWS.add(lent)
    stand_in(contract, view.__name__, lent)


def make_cheaply() -> None:
    """The last thing before the runtime starts."""
    stand_in(weakref, "finalize", finalizer)
    stand_in(types, "Head", head.made)
    for method, name in head.METHODS.items():
        # A text gives itself.
        stand_in(types, method.__name__, name.__str__)
    stand_in(types, types.Method_Other.__name__, str)
    for module in [module for name, module in sys.modules.items() if name.startswith("sluice_contract.")]:
        for name, one in list(vars(module).items()):
            if isinstance(one, enum.EnumType) and enum.Flag not in one.__mro__ and one.__module__ == module.__name__:
                stand_in(module, name, by_value(one))
            elif dataclasses.is_dataclass(one) and not dataclasses.fields(one) and "__init__" in vars(one):
                # It does nothing, in Python.
                delattr(one, "__init__")


def by_value(enumeration: enum.EnumType) -> Callable[[int], enum.Enum]:
    """Its case with this value."""
    cases: Mapping[str, enum.Enum] = enumeration.__members__
    return {case.value: case for case in cases.values()}.__getitem__


def finalizer(of: object, function: Callable[..., object], drop: int, handle: int) -> "Finalizer | Lent":
    """What the runtime needs of `weakref.finalize` for a handle. That one keeps a registry of all there are, which took half of a hook's
    time: a handle is lent, and taken back, in every call.
    """
    return LENT if type(of) in LENT_VIEWS else Finalizer(function, (drop, handle))


class Lent:
    """Of a handle that the runtime gives back when the call ends."""

    __slots__ = ()
    # Whatever can be called with nothing.
    detach = bool


LENT = Lent()
LENT_VIEWS: set[type] = set()


class Finalizer:
    """Of a handle that is kept."""

    __slots__ = ("_call",)

    def __init__(self, function: Callable[..., object], given: tuple[Any, ...]) -> None:
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
