"""Calls of tools that the operator granted (`upstream:github search_*,get_issue`). Imports "upstream"."""

import json
from collections.abc import Mapping
from typing import Any

from componentize_py_types import Err
from sluice_contract.imports import upstream as contract

from .errors import host_error
from .exchange import Exchange


def call_tool(x: Exchange, upstream: str, tool: str, arguments: Mapping[str, Any] | None = None, timeout_ms: int | None = None) -> Any:
    """The `result` of a `tools/call`, `isError` and all; the tool by the upstream's own name.

    Raises `HostError`: `denied`, `unknown`, `failed`, `timeout`, `too-large`.
    """
    try:
        return json.loads(contract.call_tool(x.raw, upstream, tool, json.dumps(arguments or {}), timeout_ms))
    except Err as error:
        raise host_error(error) from None
