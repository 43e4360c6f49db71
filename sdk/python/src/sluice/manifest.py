"""What a plugin says about itself."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sluice_contract.exports import describe
from sluice_contract.exports.describe import Hook as Hook


@dataclass(frozen=True)
class Need:
    """A capability: a name of the contract such as `kv:shared-bucket`, and for what."""

    capability: str
    reason: str
    optional: bool = False


@dataclass(frozen=True)
class Selector:
    """Narrows a hook to methods and names: globs with `*`; none means all. What does not match never enters the plugin."""

    hook: Hook
    methods: Sequence[str] = ()
    names: Sequence[str] = ()


@dataclass(frozen=True)
class Route:
    """Where `on_http` answers: below `/.well-known/` or `/-/<plugin's name>/`, with `*` at its end for all that begins so."""

    path: str
    methods: Sequence[str] = ("GET",)


@dataclass(frozen=True)
class Manifest:
    """Name (lower-case letters, digits, `-`), semantic version, one line, and what the host has to know before it runs it."""

    name: str
    version: str
    summary: str
    config_schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "object", "additionalProperties": False})
    """JSON Schema 2020-12 of the settings; the host fills in its defaults."""
    needs: Sequence[Need] = ()
    selectors: Sequence[Selector] = ()
    routes: Sequence[Route] = ()
    edits: Sequence[str] = ()
    """Paths the plugin edits, as globs over JSON pointers (`/params/arguments/**`)."""
    stateless: bool = False
    """Nothing of one principal is kept between calls, so the operator may choose scope `all`."""
    overlap: int = 0
    """Of `on_chunk`: how many bytes at the end of a window come again with the next one. At most 16,384."""
    more: Mapping[str, Any] = field(default_factory=dict)

    def lower(self) -> describe.Manifest:
        """As the contract's own record."""
        return describe.Manifest(
            name=self.name,
            version=self.version,
            summary=self.summary,
            config_schema=json.dumps(self.config_schema),
            needs=[describe.Need(need.capability, need.reason, need.optional) for need in self.needs],
            selectors=[describe.Selector(one.hook, list(one.methods), list(one.names)) for one in self.selectors],
            routes=[describe.Route(route.path, list(route.methods)) for route in self.routes],
            edits=list(self.edits),
            stateless=self.stateless,
            overlap=self.overlap,
            more=[(key, json.dumps(value)) for key, value in self.more.items()],
        )
