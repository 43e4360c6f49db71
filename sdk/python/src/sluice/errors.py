"""What goes wrong between a plugin and its host."""

from typing import Any, NoReturn

from componentize_py_types import Err


class HostError(Exception):
    """The host says no. `case` is the contract's word for why: `denied`, `bad-pointer`, `too-large`, `unavailable`, …"""

    def __init__(self, case: str, detail: str = "") -> None:
        super().__init__(f"{case}: {detail}" if detail else case)
        self.case = case
        self.detail = detail


class NotImported(Exception):
    """The component was built without an import that it uses now."""

    def __init__(self, interface: str) -> None:
        super().__init__(f'this component does not import {interface}: add "{interface}" to imports under [tool.sluice] in pyproject.toml')


class Absent:
    """Stands where a module of the contract would be that was not imported."""

    def __init__(self, interface: str) -> None:
        self._interface = interface

    def __getattr__(self, name: str) -> NoReturn:
        raise NotImported(self._interface)


def host_error(error: Err[Any]) -> HostError:
    """The contract's error as an exception: `AccessError_BadPointer("/x")` is `HostError("bad-pointer", "/x")`."""
    word = type(error.value).__name__.rpartition("_")[2]
    case = "".join(f"-{c.lower()}" if c.isupper() else c for c in word).lstrip("-")
    return HostError(case, str(getattr(error.value, "value", "")))
