"""Regular expressions that the host runs, over decoded strings and member names. Imports "patterns"."""

from collections.abc import Iterable

from componentize_py_types import Err
from sluice_contract.imports import patterns as contract

from .errors import HostError


def define(name: str, regexes: Iterable[str], case_insensitive: bool = False) -> None:
    """Defines a set, to be scanned with `Exchange.scan`. In `__init__`; the host keeps it, so a repeat is free.

    The syntax is that of the Rust crate `regex`, with Unicode on: no look-around, no back references.
    """
    try:
        contract.define(name, [contract.Pattern(regex, case_insensitive) for regex in regexes])
    except Err as error:
        raise HostError("bad-pattern", str(error.value)) from None
