"""Takes the structured part out of results for callers without the scope `raw`."""

from sluice import NEXT, Config, Exchange, Head, Hook, Manifest, OnResponse, Plugin, Selector, Verdict


class Example(Plugin, OnResponse):
    manifest = Manifest(
        "example-on-response",
        "0.1.0",
        "Takes the structured part out of results for callers without the scope raw.",
        selectors=[Selector(Hook.ON_RESPONSE, ["tools/call"])],
        edits=["/result/structuredContent"],
        stateless=True,
    )

    def __init__(self, config: Config) -> None:
        pass

    def on_response(self, head: Head, x: Exchange) -> Verdict:
        scopes = (x.attr("principal.scopes") or "").split()
        if "raw" not in scopes and x.get("/result/structuredContent") is not None:
            x.remove("/result/structuredContent")
        return NEXT
