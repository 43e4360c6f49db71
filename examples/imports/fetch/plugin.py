"""Asks a service of the operator whether a tool may be called."""

import json

from sluice import NEXT, Config, Exchange, Head, Hook, HostError, Manifest, Need, OnRequest, Plugin, Selector, Verdict, fetch, reject


class Example(Plugin, OnRequest):
    manifest = Manifest(
        "example-fetch",
        "0.1.0",
        "Asks a service of the operator whether a tool may be called.",
        config_schema={"type": "object", "properties": {"url": {"type": "string"}}, "required": ["url"]},
        needs=[Need("fetch", "to ask it")],
        selectors=[Selector(Hook.ON_REQUEST, ["tools/call"])],
        stateless=True,
    )

    def __init__(self, config: Config) -> None:
        self.url = config["url"]

    def on_request(self, head: Head, x: Exchange) -> Verdict:
        question = json.dumps({"tool": head.name}).encode()
        try:
            answer = fetch.send(x, "POST", self.url, headers={"content-type": "application/json"}, body=question, timeout_ms=2_000)
        except HostError:
            return reject(4031, "the policy cannot be asked just now")
        if answer.status == 403:
            return reject(4030, "the policy does not allow this call")
        # In doubt it does not pass.
        return NEXT if 200 <= answer.status <= 299 else reject(4031, "the policy cannot be asked just now")
