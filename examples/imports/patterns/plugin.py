"""Masks mail addresses in results."""

from sluice import NEXT, Config, Exchange, Head, Hit, Hook, HostError, Manifest, OnResponse, Plugin, Selector, Verdict, patterns, reject
from sluice.exchange import Edit, splice, splice_key

ADDRESS = r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"


class Example(Plugin, OnResponse):
    manifest = Manifest(
        "example-patterns",
        "0.1.0",
        "Masks mail addresses in results.",
        selectors=[Selector(Hook.ON_RESPONSE, ["tools/call"])],
        edits=["/result/**"],
        stateless=True,
    )

    def __init__(self, config: Config) -> None:
        patterns.define("addresses", [ADDRESS])

    def on_response(self, head: Head, x: Exchange) -> Verdict:
        try:
            x.stage(masked(hit) for hit in x.scan("addresses", ["/result"]))
        except HostError:
            # What cannot be examined does not pass.
            return reject(4033, "this result cannot be examined")
        return NEXT


def masked(hit: Hit) -> Edit:
    """What was found is replaced where it stands, in a text or in the name of a member."""
    return (splice_key if hit.in_key else splice)(hit.pointer, hit.start, hit.end, "[address]")
