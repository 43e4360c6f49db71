"""Reads the head and lets everything pass: what the Rust guest `facts-only` does, in Python."""

from sluice import NEXT, Config, Exchange, Head, Manifest, OnRequest, Plugin, Verdict, reject


class Example(Plugin, OnRequest):
    manifest = Manifest("facts-python", "0.1.0", "Reads the head, changes nothing.", stateless=True)

    def __init__(self, config: Config) -> None:
        pass

    def on_request(self, head: Head, x: Exchange) -> Verdict:
        return reject(4000, "no tool has this name") if head.name == "\0" else NEXT
