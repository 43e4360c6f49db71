"""Lets nothing be sent that a tool of another server finds fault with."""

from sluice import NEXT, Config, Exchange, Head, Hook, HostError, Manifest, Need, OnRequest, Plugin, Selector, Verdict, reject, upstream


class Example(Plugin, OnRequest):
    manifest = Manifest(
        "example-upstream",
        "0.1.0",
        "Lets nothing be sent that a tool of another server finds fault with.",
        needs=[Need("upstream:scanner check", "to have arguments checked")],
        selectors=[Selector(Hook.ON_REQUEST, ["tools/call"])],
        stateless=True,
    )

    def __init__(self, config: Config) -> None:
        pass

    def on_request(self, head: Head, x: Exchange) -> Verdict:
        try:
            result = upstream.call_tool(x, "scanner", "check", x.get("/params/arguments", {}), timeout_ms=2_000)
        except HostError:
            # In doubt it does not pass.
            return reject(4031, "the scanner cannot be asked just now")
        return reject(4030, "the scanner does not let this pass") if result.get("isError") else NEXT
