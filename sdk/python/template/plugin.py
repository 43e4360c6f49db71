"""Refuses tool calls whose arguments hold a forbidden word."""

from sluice import NEXT, Config, Exchange, Head, Hook, HostError, Manifest, OnRequest, Plugin, Selector, Verdict, patterns, reject

SCHEMA = {
    "type": "object",
    "properties": {
        "words": {
            "description": "Regular expressions; upper and lower case are the same.",
            "type": "array",
            "items": {"type": "string", "minLength": 1},
            "minItems": 1,
            "default": ["forbidden"],
        }
    },
    "additionalProperties": False,
}


class ForbiddenWords(Plugin, OnRequest):
    manifest = Manifest(
        "my-plugin",
        "0.1.0",
        "Refuses tool calls whose arguments hold a forbidden word.",
        config_schema=SCHEMA,
        selectors=[Selector(Hook.ON_REQUEST, ["tools/call"])],
        stateless=True,
    )

    def __init__(self, config: Config) -> None:
        # Regular expressions, run by the host: the arguments never enter the plugin.
        patterns.define("words", config["words"], case_insensitive=True)

    def on_request(self, head: Head, x: Exchange) -> Verdict:
        try:
            hits = x.scan("words", ["/params/arguments"])
        except HostError:
            return reject(4001, "these arguments cannot be examined")
        if not hits:
            return NEXT
        # A label, for the audit log and for filters that come later.
        x.set_attr("hits", str(len(hits)))
        return reject(4000, "a word in these arguments is forbidden")
