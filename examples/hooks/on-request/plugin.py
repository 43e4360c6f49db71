"""Refuses one tool."""

from sluice import NEXT, Config, Exchange, Head, Hook, Manifest, OnRequest, Plugin, Selector, Verdict, reject


class Example(Plugin, OnRequest):
    manifest = Manifest(
        "example-on-request",
        "0.1.0",
        "Refuses one tool.",
        config_schema={"type": "object", "properties": {"tool": {"type": "string"}}, "required": ["tool"]},
        selectors=[Selector(Hook.ON_REQUEST, ["tools/call"])],
        stateless=True,
    )

    def __init__(self, config: Config) -> None:
        self.tool = config["tool"]

    def on_request(self, head: Head, x: Exchange) -> Verdict:
        return reject(4030, "this tool is switched off") if head.name == self.tool else NEXT
