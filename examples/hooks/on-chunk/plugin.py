"""Hides account numbers in long results."""

from sluice import Config, Exchange, Head, Hook, HostError, Manifest, OnChunk, Plugin, Selector, patterns
from sluice.chunk import Batch, ChunkVerdict, edit, reject, splice
from sluice.verdict import rejection


class Example(Plugin, OnChunk):
    manifest = Manifest(
        "example-on-chunk",
        "0.1.0",
        "Hides account numbers in long results.",
        selectors=[Selector(Hook.ON_CHUNK, ["tools/call"])],
        edits=["/result/**"],
        overlap=64,
        stateless=True,
    )

    def __init__(self, config: Config) -> None:
        patterns.define("accounts", ["ACC-[0-9]{6,60}"])

    def on_chunk(self, head: Head, batch: Batch, x: Exchange) -> ChunkVerdict:
        try:
            hits = batch.scan("accounts")
        except HostError:
            return reject(rejection(4032, "this result cannot be looked through"))
        if any(hit.key for hit in hits):
            return reject(rejection(4031, "this result holds account numbers where they cannot be hidden"))
        return edit([splice(hit.chunk, hit.start, hit.end, "ACC-***") for hit in hits])
