"""Requests that are about to leave for an upstream, and what they leave with: `on_outbound`."""

from collections.abc import Mapping

from sluice_contract.exports import on_outbound as contract
from sluice_contract.exports.on_outbound import OutboundVerdict as OutboundVerdict
from sluice_contract.exports.on_outbound import Value as Value
from sluice_contract.imports import outbound
from sluice_contract.imports.outbound import Challenge as Challenge
from sluice_contract.imports.types import Rejection, Suspension

from .secrets import Secret


class Departure:
    """One HTTP request that is about to leave."""

    __slots__ = ("raw",)

    def __init__(self, raw: outbound.Departure) -> None:
        self.raw = raw

    @property
    def upstream(self) -> str:
        """The operator's id of the upstream."""
        return self.raw.upstream()

    @property
    def url(self) -> str:
        return self.raw.url()

    @property
    def method(self) -> str:
        """Of HTTP, upper case."""
        return self.raw.method()

    def headers(self) -> list[tuple[str, str]]:
        """What is set so far. The values of secrets, and of what the operator configured, are empty."""
        return self.raw.headers()

    def body_sha256(self) -> bytes:
        return self.raw.body_sha256()

    def challenge(self) -> Challenge | None:
        """How the upstream answered this request a moment ago; none when it was not sent yet."""
        return self.raw.challenge()

    def refused(self, value: Secret) -> bool:
        """Of a request with a challenge: it was sent with this secret. If it was not, somebody has got another one since."""
        return self.raw.refused(value.raw)


def secret(value: Secret, prefix: str = "") -> Value:
    """A secret behind this text, such as `Bearer `. It is used up: open it anew for another header."""
    return contract.Value_Secret((prefix, value.raw))


def leave(headers: Mapping[str, str | Value] | None = None) -> OutboundVerdict:
    """Go on, with these headers set."""
    values = [(name, contract.Value_Text(value) if isinstance(value, str) else value) for name, value in (headers or {}).items()]
    return contract.OutboundVerdict_Next(values)


def reject(no: Rejection) -> OutboundVerdict:
    """The request does not leave; `sluice.verdict.rejection` makes one."""
    return contract.OutboundVerdict_Reject(no)


def suspend(asks: Suspension) -> OutboundVerdict:
    """Ask the person first; `sluice.open_url` makes one."""
    return contract.OutboundVerdict_Suspend(asks)
