"""What a hook decides."""

import json
from collections.abc import Mapping
from typing import Any

from sluice_contract.imports import types
from sluice_contract.imports.types import Rejection as Rejection
from sluice_contract.imports.types import Suspension as Suspension
from sluice_contract.imports.types import Verdict as Verdict

NEXT: Verdict = types.Verdict_Next()
"""Go on, with the staged edits applied."""


def reply(result: Mapping[str, Any]) -> Verdict:
    """Answer with this `result` object; of a request: the upstream is never called."""
    return types.Verdict_Reply(json.dumps(result))


def rejection(
    code: int,
    message: str,
    *,
    data: Any = None,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
    tool_result: bool = False,
) -> Rejection:
    """A policy's no. `code` lies outside -32768..-32000, which belong to the protocol; `message` is for the client and
    never holds the data that was the reason. `status` and `headers` are of the HTTP answer, where the transport can still
    set them. With `tool_result` a `tools/call` is answered with an `isError` result, which models can read.
    """
    text = None if data is None else json.dumps(data)
    return Rejection(code, message, text, status, list((headers or {}).items()), tool_result)


def reject(
    code: int,
    message: str,
    *,
    data: Any = None,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
    tool_result: bool = False,
) -> Verdict:
    """A verdict that is a `rejection`."""
    return types.Verdict_Reject(rejection(code, message, data=data, status=status, headers=headers, tool_result=tool_result))


def confirm(message: str, within_ms: int = 0) -> Suspension:
    """A yes or no. `message` says what is about to happen, and what a yes means. 0 ms: what the operator allows."""
    return form(message, {"type": "object", "properties": {}}, within_ms)


def form(message: str, schema: Mapping[str, Any], within_ms: int = 0) -> Suspension:
    """A form, given as the JSON Schema of an object with members of primitive types."""
    return Suspension(message, types.Ask_Form(json.dumps(schema)), within_ms)


def open_url(message: str, url: str, within_ms: int = 0) -> Suspension:
    """Something to be opened in a browser. Accepting says that it was opened, not that anything was done there."""
    return Suspension(message, types.Ask_Url(url), within_ms)


def suspend(question: Suspension) -> Verdict:
    """Of a request: ask the person behind the client. With the answer the whole request chain runs again, and finds it by
    `Exchange.elicited`.
    """
    return types.Verdict_Suspend(question)
