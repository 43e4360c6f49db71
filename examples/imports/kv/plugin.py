"""Lets each caller call tools three times a minute."""

from sluice import NEXT, Config, Exchange, Head, Hook, HostError, Manifest, OnRequest, Plugin, Selector, Verdict, log, reject
from sluice.kv import Bucket


class Example(Plugin, OnRequest):
    manifest = Manifest(
        "example-kv",
        "0.1.0",
        "Lets each caller call tools three times a minute.",
        selectors=[Selector(Hook.ON_REQUEST, ["tools/call"])],
        stateless=True,
    )

    def __init__(self, config: Config) -> None:
        pass

    def on_request(self, head: Head, x: Exchange) -> Verdict:
        # One text for who asks, which no two callers share.
        caller = x.attr("principal.id") or ""
        try:
            calls = Bucket("calls").incr(caller, 1, 60_000)
        except HostError:
            log.warn("calls cannot be counted")
            return reject(4291, "calls cannot be counted just now")
        return NEXT if calls <= 3 else reject(4290, "not more than three times a minute")
