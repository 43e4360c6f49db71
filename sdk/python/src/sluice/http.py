"""Requests to a plugin's own routes, and their answers."""

import json
from collections.abc import Mapping
from typing import Any

from sluice_contract.exports.on_http import Request as Request
from sluice_contract.exports.on_http import Response as Response


def header(request: Request, name: str) -> str | None:
    """The first header of this name, in lower case."""
    return next((value for own, value in request.headers if own == name), None)


def respond(body: bytes, media_type: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A body of this media type; the contract says which headers are a plugin's."""
    return Response(status, [("content-type", media_type), *(headers or {}).items()], body)


def respond_json(value: Any, status: int = 200) -> Response:
    """A value as JSON."""
    return respond(json.dumps(value).encode(), "application/json", status)


def empty(status: int, headers: Mapping[str, str] | None = None) -> Response:
    """A status without a body."""
    return Response(status, list((headers or {}).items()), b"")


def see_other(location: str) -> Response:
    """To another place, which is read with GET (303)."""
    return empty(303, {"location": location})
