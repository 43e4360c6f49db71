"""HTTP to what the operator granted, with secrets put in unseen. Imports "fetch" (and "secrets" to have some)."""

from collections.abc import Iterable, Mapping

from componentize_py_types import Err
from sluice_contract.imports import fetch as contract
from sluice_contract.imports.fetch import Capture as Capture
from sluice_contract.imports.fetch import Place as Place
from sluice_contract.imports.fetch import Request as Request
from sluice_contract.imports.fetch import Response as Response

from .errors import host_error
from .exchange import Exchange
from .secrets import Secret


def in_header(name: str, prefix: str = "") -> Place:
    """A header of this name; before the secret stands this text."""
    return contract.Place_Header((name, prefix))


def as_basic(user: str) -> Place:
    """`authorization: Basic`, with this user and the secret as the password."""
    return contract.Place_Basic(user)


def in_form(member: str) -> Place:
    """A further member of this name in an `application/x-www-form-urlencoded` body."""
    return contract.Place_Form(member)


def send(
    x: Exchange,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    timeout_ms: int | None = None,
    secrets: Iterable[tuple[Place, Secret]] = (),
    captures: Iterable[Capture] = (),
) -> Response:
    """Sends a request and waits for its answer. What `captures` names is kept as a secret and not in the answer.

    Raises `HostError`: `denied`, `unreachable`, `timeout`, `too-large`.
    """
    request = Request(method, url, list((headers or {}).items()), body, timeout_ms)
    try:
        return contract.send(x.raw, request, [(place, secret.raw) for place, secret in secrets], list(captures))
    except Err as error:
        raise host_error(error) from None
