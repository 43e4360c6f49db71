"""A fake host in the process, so that a plugin is tested like any other code.

Importing this module puts the fake behind the contract's functions. What hangs on an exchange is `FakeExchange`; log,
metrics, patterns, kv and the clock are those of `host`, which `reset()` empties.

Regular expressions are Python's here and Rust's in the real host: keep to what both read alike.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Self, TypeVar

from componentize_py_types import Err, Ok, Result
from sluice_contract.imports import catalog, chunks, kv, log, metrics, outbound, patterns, payload, secrets, types

from .chunk import Chunk
from .chunk import Hit as ChunkHit
from .document import MISSING, Fault, apply, each_text, permit, value_at
from .exchange import Exchange
from .fake_secrets import Vault, install
from .head import Direction, Head, Kind
from .plugin import Plugin

HITS_MAX = 10_000
"""The real host's bound on what one scan may find."""

P = TypeVar("P", bound=Plugin)


@dataclass
class Host:
    """What the real host keeps outside of exchanges."""

    clock_ms: int = 0
    lines: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    """Level, text, fields of each line that was logged."""
    counts: list[tuple[str, int, dict[str, str]]] = field(default_factory=list)
    timings: list[tuple[str, float]] = field(default_factory=list)
    sets: dict[str, list[re.Pattern[str]]] = field(default_factory=dict)
    values: dict[tuple[str, str], tuple[bytes, int | None]] = field(default_factory=dict)
    tokens: dict[tuple[str, str], tuple[float, int]] = field(default_factory=dict)
    vault: Vault = field(default_factory=Vault)
    """Secrets, and what `fetch` is answered with (nothing is captured here: the answer is given as the plugin gets it)."""
    kv_broken: str | None = None
    """If set, kv answers `unavailable` with it."""


host = Host()


def reset() -> None:
    """Forgets everything."""
    host.__dict__.update(Host().__dict__)


def plugin(of: type[P], config: Mapping[str, Any] | None = None) -> P:
    """Makes a plugin from settings. Defaults of the schema are not filled in here: give them."""
    return of(dict(config or {}))


def head(method: str, name: str | None = None) -> Head:
    """The head of a request with this method, from a modern client; `answered` makes it that of the answer."""
    return Head(method, name)


def answered(request: Head) -> Head:
    """The head of the answer to a request."""
    return Head(request.method, request.name, Kind.RESPONSE, Direction.TO_CLIENT, request.exchange, request.round, request.body_bytes)


class FakeExchange(Exchange):
    """An exchange with its message, the request it answers, and attributes."""

    __slots__ = ()
    raw: "_RawExchange"

    def __init__(
        self,
        message: Any = None,
        *,
        asked: Any = None,
        upstream: str | None = None,
        attrs: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(_RawExchange(message, asked, upstream, dict(attrs or {})))

    @property
    def staged(self) -> list[payload.Edit]:
        """What the plugin staged."""
        return self.raw.staged

    @property
    def set_attrs(self) -> dict[str, str]:
        """What the plugin set, without the prefix of its name."""
        return self.raw.own

    def edited(self) -> Any:
        """The message with everything staged applied. Raises `Fault` where the real host would call it one."""
        return apply(self.raw.message, self.raw.staged)


class _RawExchange(types.Exchange):
    def __init__(self, message: Any, asked: Any, upstream: str | None, held: dict[str, str]) -> None:
        self.message, self.request, self.server, self.held = message, asked, upstream, held
        self.own: dict[str, str] = {}
        self.staged: list[payload.Edit] = []

    def upstream(self) -> str | None:
        return self.server

    def protocol(self) -> str:
        return "2026-07-28"

    def attr(self, key: str) -> str | None:
        return self.held.get(key)

    def attrs(self, prefix: str) -> list[tuple[str, str]]:
        return [(key, value) for key, value in sorted(self.held.items()) if key.startswith(prefix)]

    def set_attr(self, key: str, value: str) -> None:
        if len(value.encode()) > 4096 or (len(self.own) == 64 and key not in self.own):
            raise Err(types.AccessError_TooLarge())
        self.own[key] = value


class FakeViewer(catalog.Viewer):
    """Who looks at a list; `sluice.catalog.Viewer(FakeViewer(...))` is what a hook is given."""

    def __init__(self, upstreams: int = 1, attrs: Mapping[str, str] | None = None, definitions: list[Any] | None = None) -> None:
        self._upstreams, self._attrs, self._definitions = upstreams, dict(attrs or {}), list(definitions or [])

    def attr(self, key: str) -> str | None:
        return self._attrs.get(key)

    def attrs(self, prefix: str) -> list[tuple[str, str]]:
        return [(key, value) for key, value in sorted(self._attrs.items()) if key.startswith(prefix)]

    def upstreams(self) -> int:
        return self._upstreams

    def definition(self, index: int) -> str | None:
        return json.dumps(self._definitions[index]) if index < len(self._definitions) else None


class FakeDeparture(outbound.Departure):
    """A request that is about to leave; `sluice.outbound.Departure(FakeDeparture(...))` is what a hook is given."""

    def __init__(self, upstream: str, url: str, method: str = "POST", body: bytes = b"", challenge: outbound.Challenge | None = None) -> None:
        self._upstream, self._url, self._method, self._body, self._challenge = upstream, url, method, body, challenge
        self.given: list[tuple[str, str]] = []
        """What is set so far."""
        self.sent: list[bytes] = []
        """Secrets that the refused request was sent with."""

    def upstream(self) -> str:
        return self._upstream

    def url(self) -> str:
        return self._url

    def method(self) -> str:
        return self._method

    def headers(self) -> list[tuple[str, str]]:
        return list(self.given)

    def body_sha256(self) -> bytes:
        return hashlib.sha256(self._body).digest()

    def challenge(self) -> outbound.Challenge | None:
        return self._challenge

    def refused(self, s: secrets.Secret) -> bool:
        return self._challenge is not None and any(s.equals(sent) for sent in self.sent)


class FakeBatch(chunks.Batch):
    """Texts of a long answer; `sluice.chunk.Batch(FakeBatch(...))` is what a hook is given."""

    def __init__(self, *given: Chunk, ends: bool = False) -> None:
        self._given, self._ends = list(given), ends

    def chunks(self) -> list[Chunk]:
        return list(self._given)

    def scan(self, set: str) -> list[ChunkHit]:
        if set not in host.sets:
            raise Err(types.AccessError_Denied(f"no set {set}"))
        hits = []
        for at, chunk in enumerate(self._given):
            size = len(chunk.text.encode())
            for pattern, regex in enumerate(host.sets[set]):
                for found in regex.finditer(chunk.text):
                    start, end = len(chunk.text[: found.start()].encode()), len(chunk.text[: found.end()].encode())
                    if chunk.last or start < size - chunk.held:
                        cut = not chunk.last and end == size
                        hits.append(ChunkHit(at, chunk.pointer, chunk.key, start, end, pattern, found.group(), cut))
        if len(hits) > HITS_MAX:
            raise Err(types.AccessError_TooLarge())
        return hits

    def ends(self) -> bool:
        return self._ends


def whole(pointer: str, text: str) -> Chunk:
    """A string that is a chunk of its own."""
    return Chunk(pointer, False, 0, text, 0, True)


def window(pointer: str, offset: int, text: str, held: int) -> Chunk:
    """A window that is not the last of its string, of which so many bytes come again."""
    return Chunk(pointer, False, offset, text, held, False)


def _of(x: types.Exchange) -> _RawExchange:
    assert isinstance(x, _RawExchange), "the fake host knows the exchanges of FakeExchange only"
    return x


def _text(value: Any) -> str | None:
    return None if value is MISSING else json.dumps(value, ensure_ascii=False)


def _get(x: types.Exchange, pointer: str) -> str | None:
    return _text(value_at(_of(x).message, pointer))


def _stage(x: types.Exchange, edits: list[payload.Edit]) -> None:
    for edit in edits:
        permit(edit)
    _of(x).staged += edits


def _scan(x: types.Exchange, name: str, roots: list[str]) -> list[patterns.Hit]:
    if name not in host.sets:
        raise Err(types.AccessError_Denied(f"no set {name}"))
    hits = []
    for root in roots or ["/params", "/result", "/error"]:
        for pointer, in_key, text in each_text(root, value_at(_of(x).message, root)):
            for number, regex in enumerate(host.sets[name]):
                for found in regex.finditer(text):
                    start = len(text[: found.start()].encode())
                    end = start + len(found.group().encode())
                    hits.append(patterns.Hit(pointer, in_key, start, end, number, found.group()))
    if len(hits) > HITS_MAX:
        raise Err(types.AccessError_TooLarge())
    return hits


def _define(name: str, given: list[patterns.Pattern]) -> None:
    if not 1 <= len(given) <= 1000:
        raise Err(f"a set has 1 to 1000 patterns, not {len(given)}")
    try:
        host.sets[name] = [re.compile(one.regex, re.IGNORECASE if one.case_insensitive else 0) for one in given]
    except re.error as error:
        raise Err(str(error)) from None


class _Bucket(kv.Bucket):
    def __init__(self, name: str) -> None:
        self._name = name

    @classmethod
    def open(cls, name: str) -> Self:
        return _available(cls(name))

    def get(self, key: str) -> bytes | None:
        value, ends_ms = _available(host.values.get((self._name, key), (None, None)))
        return value if ends_ms is None or host.clock_ms < ends_ms else None

    def set(self, key: str, value: bytes, ttl_ms: int | None) -> None:
        host.values[_available((self._name, key))] = (value, None if ttl_ms is None else host.clock_ms + ttl_ms)

    def delete(self, key: str) -> None:
        host.values.pop(_available((self._name, key)), None)

    def incr(self, key: str, by: int, ttl_ms: int) -> int:
        old = self.get(key)
        if old is None:
            self.set(key, by.to_bytes(8, "little", signed=True), ttl_ms)
            return by
        new = int.from_bytes(old, "little", signed=True) + by
        host.values[self._name, key] = (new.to_bytes(8, "little", signed=True), host.values[self._name, key][1])
        return new

    def take(self, key: str, cost: int, burst: int, per_second: float) -> int:
        left, at_ms = _available(host.tokens.get((self._name, key), (float(burst), host.clock_ms)))
        left = min(left + (host.clock_ms - at_ms) * per_second / 1000, burst)
        is_enough = left >= cost
        host.tokens[self._name, key] = (left - cost if is_enough else left, host.clock_ms)
        # A millionth of a millisecond is rounding, not waiting.
        return 0 if is_enough else max(1, -int(-((cost - left) / per_second * 1000 - 1e-6) // 1))

    def swap(self, key: str, expect: bytes | None, value: bytes, ttl_ms: int | None) -> bool:
        fits = self.get(key) == expect
        if fits:
            self.set(key, value, ttl_ms)
        return fits


    def batch(self, ops: list[kv.Op]) -> list[Result[kv.Outcome, kv.Error]]:
        _available(None)
        if len(ops) > 256:
            raise Err(kv.Error_TooLarge())
        return [Ok(self._one(op)) for op in ops]

    def _one(self, op: kv.Op) -> kv.Outcome:
        match op:
            case kv.Op_Get(key):
                return kv.Outcome_Value(self.get(key))
            case kv.Op_Set((key, value, ttl_ms)):
                self.set(key, value, ttl_ms)
            case kv.Op_Delete(key):
                self.delete(key)
            case kv.Op_Incr((key, by, ttl)):
                return kv.Outcome_Count(self.incr(key, by, ttl))
            case kv.Op_Take((key, cost, burst, per_second)):
                return kv.Outcome_WaitMs(self.take(key, cost, burst, per_second))
            case kv.Op_Swap((key, expect, new, ttl_ms)):
                return kv.Outcome_Swapped(self.swap(key, expect, new, ttl_ms))
        return kv.Outcome_Done()


T = TypeVar("T")


def _available(value: T) -> T:
    if host.kv_broken is not None:
        raise Err(kv.Error_Unavailable(host.kv_broken))
    return value


def _note(level: log.Level, message: str, fields: list[tuple[str, str]]) -> None:
    host.lines.append((level.name.lower(), message, dict(fields)))


def _install() -> None:
    fakes: list[tuple[ModuleType, dict[str, Any]]] = [
        (
            payload,
            {
                "get": _get,
                "get_many": lambda x, pointers: [_get(x, pointer) for pointer in pointers],
                "text": lambda x: json.dumps(_of(x).message, ensure_ascii=False),
                "stage": _stage,
                "asked": lambda x, pointer: _text(value_at(_of(x).request, pointer)),
            },
        ),
        (patterns, {"define": _define, "scan": _scan}),
        (log, {"log": _note}),
        (
            metrics,
            {
                "add": lambda name, by, labels: host.counts.append((name, by, dict(labels))),
                "record_ms": lambda name, ms: host.timings.append((name, ms)),
            },
        ),
        (kv, {"Bucket": _Bucket}),
    ]
    for module, functions in fakes:
        for name, function in functions.items():
            setattr(module, name, function)
    install(lambda: host.vault)


_install()

__all__ = ["Fault", "FakeBatch", "FakeDeparture", "FakeExchange", "FakeViewer", "Host", "answered", "head", "host", "plugin", "reset", "whole", "window"]
