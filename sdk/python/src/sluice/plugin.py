"""What every plugin is."""

from typing import Any, ClassVar

from .manifest import Manifest

Config = dict[str, Any]
"""The settings: a JSON object that fits the manifest's schema, with its defaults filled in."""


class Plugin:
    """A manifest, and an object made from settings, which lives as long as an instance: that may be one call.

    What must outlive a call belongs in `kv`, and what goes from a request to its answer in attributes of the exchange.
    """

    manifest: ClassVar[Manifest]
    """Read without any power: no log, no clock, no kv."""

    def __init__(self, config: Config) -> None:
        """An exception in here is the message that the operator gets."""
