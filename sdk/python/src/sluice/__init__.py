"""Write Sluice plugins in Python.

A plugin is a class with the hooks it wants among its bases::

    from sluice import NEXT, Config, Exchange, Head, Manifest, OnRequest, Plugin, Verdict, reject

    class Deny(Plugin, OnRequest):
        manifest = Manifest("deny", "0.1.0", "Refuses one tool.")

        def __init__(self, config: Config) -> None:
            self.tool = config["tool"]

        def on_request(self, head: Head, x: Exchange) -> Verdict:
            return reject(4030, "this tool is switched off") if head.name == self.tool else NEXT

`sluice-python build` makes a component of it. It imports what `[tool.sluice]` in pyproject.toml names, and log.

Modules, in reading order: `plugin`, `manifest`, `hooks`, `head`, `exchange`, `verdict`; of single hooks `notification`,
`chunk`, `catalog`, `identity`, `http`, `outbound`, `done`; of powers `log`, `metrics`, `patterns`, `kv`, `secrets`, `fetch`, `upstream`; natively `testing`. Beneath them is
`sluice_contract`, which componentize-py generates from the contract: whatever has no view here is used from there.
"""

from . import log
from .errors import HostError, NotImported
from .exchange import Answer, Edit, Exchange, Hit
from .head import Direction, Head, Kind
from .hooks import Authenticate, OnCatalog, OnChunk, OnDone, OnHttp, OnNotification, OnOutbound, OnRequest, OnResponse
from .manifest import Hook, Manifest, Need, Route, Selector
from .plugin import Config, Plugin
from .verdict import NEXT, Rejection, Suspension, Verdict, confirm, form, open_url, reject, reply, suspend

__all__ = [
    "Answer",
    "Authenticate",
    "Config",
    "Direction",
    "Edit",
    "Exchange",
    "Head",
    "Hit",
    "Hook",
    "HostError",
    "Kind",
    "Manifest",
    "NEXT",
    "Need",
    "NotImported",
    "OnCatalog",
    "OnChunk",
    "OnDone",
    "OnHttp",
    "OnNotification",
    "OnOutbound",
    "OnRequest",
    "OnResponse",
    "Plugin",
    "Rejection",
    "Route",
    "Selector",
    "Suspension",
    "Verdict",
    "confirm",
    "form",
    "log",
    "open_url",
    "reject",
    "reply",
    "suspend",
]
