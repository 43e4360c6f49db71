"""Secrets and fetch in a test. Used by `testing` only."""

import hashlib
import hmac
from collections.abc import Callable
from typing import Self

from componentize_py_types import Err
from sluice_contract.imports import fetch, secrets, types

Kept = dict[tuple[secrets.Owner, str], bytes]
"""What the plugin keeps; there is one tenant and one principal in a test."""
Answers = Callable[[fetch.Request, list[tuple[fetch.Place, bytes]]], fetch.Response]
"""Gets a request and the secrets that went into it."""


class Vault:
    """What there is to be opened and asked."""

    def __init__(self) -> None:
        self.operators: dict[str, bytes] = {}
        self.revealed: set[str] = set()
        """Names with the grant `reveal:`."""
        self.kept: Kept = {}
        self.answers: Answers | None = None


def install(vault: Callable[[], Vault]) -> None:
    """Puts the fake behind the contract's functions; `vault` says what there is now."""

    class FakeSecret(secrets.Secret):
        def __init__(self, data: bytes, name: str, own: bool) -> None:
            self._data, self._name, self._own = data, name, own

        @classmethod
        def open(cls, name: str) -> Self:
            if name not in vault().operators:
                raise Err(secrets.Error_Denied(f"secret:{name}"))
            return cls(vault().operators[name], name, False)

        def equals(self, value: bytes) -> bool:
            return hmac.compare_digest(self._data, value)

        def hmac_sha256(self, data: bytes) -> bytes:
            return hmac.digest(self._data, data, hashlib.sha256)

        def derive(self, prefix: str, data: bytes) -> "FakeSecret":
            return FakeSecret(hmac.digest(prefix.encode() + self._data, data, hashlib.sha256), self._name, self._own)

        def sign(self, a: secrets.Algorithm, data: bytes) -> bytes:
            if a is not secrets.Algorithm.HS256:
                raise Err(secrets.Error_Unsuited("the fake host signs with hs256 only"))
            return self.hmac_sha256(data)

        def reveal(self) -> bytes:
            if self._name not in vault().revealed:
                raise Err(secrets.Error_Denied(f"reveal:{self._name}"))
            return self._data

        def keep(self, x: types.Exchange, o: secrets.Owner, name: str, ttl_ms: int | None) -> None:
            if not self._own:
                raise Err(secrets.Error_Denied("the operator's stay where they are"))
            vault().kept[o, name] = self._data

    def open_own(x: types.Exchange, o: secrets.Owner, name: str) -> secrets.Secret:
        if (o, name) not in vault().kept:
            raise Err(secrets.Error_Missing())
        return FakeSecret(vault().kept[o, name], name, True)

    def put(x: types.Exchange, o: secrets.Owner, name: str, value: bytes, ttl_ms: int | None) -> None:
        vault().kept[o, name] = value

    def send(
        x: types.Exchange, r: fetch.Request, given: list[tuple[fetch.Place, secrets.Secret]], captures: list[fetch.Capture]
    ) -> fetch.Response:
        answers = vault().answers
        if answers is None:
            raise Err(fetch.Error_Denied("no host.vault.answers in this test"))
        return answers(r, [(place, one._data) for place, one in given if isinstance(one, FakeSecret)])

    for name, fake in {"Secret": FakeSecret, "open_own": open_own, "put": put}.items():
        setattr(secrets, name, fake)
    setattr(secrets, "remove", lambda x, o, name: vault().kept.pop((o, name), None))
    setattr(fetch, "send", send)
