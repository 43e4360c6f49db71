"""Secrets that the plugin uses and does not see. Imports "secrets".

An operator's secret needs the grant `secret:<name>`, and `reveal:<name>` to be read; what a plugin keeps itself needs none.
"""

from componentize_py_types import Err
from sluice_contract.imports import secrets as contract
from sluice_contract.imports.secrets import Algorithm as Algorithm
from sluice_contract.imports.secrets import Owner as Owner

from .errors import host_error
from .exchange import Exchange


class Secret:
    """A handle; the bytes stay with the host. Calls may raise `HostError`: `denied`, `missing`, `unsuited`, `unavailable`."""

    def __init__(self, raw: contract.Secret) -> None:
        self.raw = raw
        """As the contract's functions take it, such as `fetch.send`."""

    def equals(self, value: bytes) -> bool:
        """In constant time."""
        return self.raw.equals(value)

    def hmac_sha256(self, data: bytes) -> bytes:
        return self.raw.hmac_sha256(data)

    def derive(self, prefix: str, data: bytes) -> "Secret":
        """A new secret: HMAC-SHA-256 of `data` under `prefix` and this one."""
        return Secret(self.raw.derive(prefix, data))

    def sign(self, algorithm: Algorithm, data: bytes) -> bytes:
        try:
            return self.raw.sign(algorithm, data)
        except Err as error:
            raise host_error(error) from None

    def reveal(self) -> bytes:
        try:
            return self.raw.reveal()
        except Err as error:
            raise host_error(error) from None

    def keep(self, x: Exchange, owner: Owner, name: str, ttl_ms: int | None = None) -> None:
        """Keeps what this one holds as `put` does. Not for the operator's, nor for what was derived from them."""
        try:
            self.raw.keep(x.raw, owner, name, ttl_ms)
        except Err as error:
            raise host_error(error) from None


def open(name: str) -> Secret:
    """One of the operator's."""
    try:
        return Secret(contract.Secret.open(name))
    except Err as error:
        raise host_error(error) from None


def open_own(x: Exchange, owner: Owner, name: str) -> Secret:
    """One that this plugin keeps."""
    try:
        return Secret(contract.open_own(x.raw, owner, name))
    except Err as error:
        raise host_error(error) from None


def put(x: Exchange, owner: Owner, name: str, value: bytes, ttl_ms: int | None = None) -> None:
    """Keeps a secret in the memory of the host until its time is over; without a time, as long as the host runs."""
    try:
        contract.put(x.raw, owner, name, value, ttl_ms)
    except Err as error:
        raise host_error(error) from None


def remove(x: Exchange, owner: Owner, name: str) -> None:
    """Removing what is not there is fine."""
    try:
        contract.remove(x.raw, owner, name)
    except Err as error:
        raise host_error(error) from None
