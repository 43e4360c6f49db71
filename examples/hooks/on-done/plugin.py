"""Counts calls by how they ended."""

from sluice import Config, Exchange, Head, Hook, Manifest, OnDone, Plugin, Selector, metrics
from sluice.done import Done, Outcome


class Example(Plugin, OnDone):
    manifest = Manifest(
        "example-on-done",
        "0.1.0",
        "Counts calls by how they ended.",
        selectors=[Selector(Hook.ON_DONE, ["tools/call"])],
        stateless=True,
    )

    def __init__(self, config: Config) -> None:
        pass

    def on_done(self, head: Head, done: Done, x: Exchange) -> None:
        metrics.add("calls", ended="well" if done.outcome == Outcome.ANSWERED else "badly")
