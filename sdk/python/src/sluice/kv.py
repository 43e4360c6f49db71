"""The plugin's own key-value buckets; others by grant. Imports "kv".

A bucket belongs to the plugin, not to a principal: put whoever it concerns into the key.
"""

from collections.abc import Iterable

from componentize_py_types import Err
from sluice_contract.imports import kv as contract
from sluice_contract.imports.kv import Op as Op
from sluice_contract.imports.kv import Outcome as Outcome

from .errors import HostError, host_error


class Bucket:
    """An open bucket. Every call may raise `HostError`: `denied`, `unavailable`, `conflict`, `too-large`."""

    def __init__(self, name: str) -> None:
        try:
            self.raw = contract.Bucket.open(name)
        except Err as error:
            raise host_error(error) from None

    def get(self, key: str) -> bytes | None:
        try:
            return self.raw.get(key)
        except Err as error:
            raise host_error(error) from None

    def set(self, key: str, value: bytes, ttl_ms: int | None = None) -> None:
        try:
            self.raw.set(key, value, ttl_ms)
        except Err as error:
            raise host_error(error) from None

    def delete(self, key: str) -> None:
        try:
            self.raw.delete(key)
        except Err as error:
            raise host_error(error) from None

    def incr(self, key: str, by: int, ttl_ms: int) -> int:
        """Adds and returns the new value; the time to live counts from the key's creation. An exchange counts once."""
        try:
            return self.raw.incr(key, by, ttl_ms)
        except Err as error:
            raise host_error(error) from None

    def take(self, key: str, cost: int, burst: int, per_second: float) -> int:
        """Token bucket: 0 means taken, otherwise milliseconds until there is enough. An exchange counts once."""
        try:
            return self.raw.take(key, cost, burst, per_second)
        except Err as error:
            raise host_error(error) from None

    def swap(self, key: str, expect: bytes | None, value: bytes, ttl_ms: int | None = None) -> bool:
        """Sets only if the value is `expect` (none: absent). Says whether it was set."""
        try:
            return self.raw.swap(key, expect, value, ttl_ms)
        except Err as error:
            raise host_error(error) from None

    def batch(self, ops: Iterable[Op]) -> list[Outcome | HostError]:
        """At most 256 operations (`sluice_contract.imports.kv.Op_Get("k")`, …) in one call: in order, each atomic, the batch not.
        One outcome each; one that fails stops none.
        """
        try:
            results = self.raw.batch(list(ops))
        except Err as error:
            raise host_error(error) from None
        return [host_error(one) if isinstance(one, Err) else one.value for one in results]
