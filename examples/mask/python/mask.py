"""Masks addresses, card numbers and tokens, and refuses private keys. The same filter as its neighbours in other languages."""

import re
from collections.abc import Iterable, Iterator
from itertools import groupby

from sluice import NEXT, Config, Exchange, Head, Hit, Hook, HostError, Manifest, OnRequest, OnResponse, Plugin, Selector, Verdict, reject
from sluice import patterns
from sluice.exchange import splice

DETECTORS = {
    "email": r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+",
    "card": r"\b[0-9]{4}(?:[ -]?[0-9]{4}){3}\b",
    "token": r"\b(?:ghp|sk)_[A-Za-z0-9]{16,}",
    "private-key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
}

SCHEMA = {
    "type": "object",
    "properties": {
        "detectors": {"type": "array", "items": {"enum": list(DETECTORS)}, "default": list(DETECTORS), "minItems": 1, "uniqueItems": True},
        "hooks": {"type": "array", "items": {"enum": ["on-request", "on-response"]}, "default": ["on-request", "on-response"]},
        "mark": {"type": "string", "default": "masked"},
    },
    "additionalProperties": False,
}


class Mask(Plugin, OnRequest, OnResponse):
    manifest = Manifest(
        "mask-python",
        "0.1.0",
        "Masks addresses, card numbers and tokens; refuses private keys.",
        config_schema=SCHEMA,
        selectors=[Selector(Hook.ON_REQUEST, ["tools/call"]), Selector(Hook.ON_RESPONSE, ["tools/call"])],
        edits=["/params/arguments/**", "/result/**"],
        stateless=True,
    )

    def __init__(self, config: Config) -> None:
        self.detectors: list[str] = config["detectors"]
        self.hooks: list[str] = config["hooks"]
        self.mark: str = config["mark"]
        patterns.define("mask", [DETECTORS[name] for name in self.detectors])

    def on_request(self, head: Head, x: Exchange) -> Verdict:
        return self.look(x, "/params/arguments") if "on-request" in self.hooks else NEXT

    def on_response(self, head: Head, x: Exchange) -> Verdict:
        return self.look(x, "/result") if "on-response" in self.hooks else NEXT

    def look(self, x: Exchange, root: str) -> Verdict:
        try:
            hits = [hit for hit in x.scan("mask", [root]) if self.counts(hit)]
        except HostError as error:
            return reject(4033, f"this message cannot be examined ({error.case})")
        if any(self.detectors[hit.pattern] == "private-key" for hit in hits):
            return reject(4031, "a private key may not pass here")
        if any(hit.in_key for hit in hits):
            return reject(4032, "the name of a member holds what may not pass here")
        if hits:
            x.stage([splice(pointer, start, end, f"[{self.mark}:{name}]") for pointer, start, end, name in self.spans(hits)])
            x.set_attr("hits", str(len(hits)))
        return NEXT

    def counts(self, hit: Hit) -> bool:
        return self.detectors[hit.pattern] != "card" or luhn(hit.text)

    def spans(self, hits: Iterable[Hit]) -> Iterator[tuple[str, int, int, str]]:
        """What is to go, string by string; hits that overlap go together, under the name of the first."""
        ordered = sorted(hits, key=lambda hit: (hit.pointer, hit.start, -hit.end, hit.pattern))
        for pointer, of_one in groupby(ordered, key=lambda hit: hit.pointer):
            first = next(of_one)
            start, end, name = first.start, first.end, self.detectors[first.pattern]
            for hit in of_one:
                if hit.start >= end:
                    yield pointer, start, end, name
                    start, end, name = hit.start, hit.end, self.detectors[hit.pattern]
                end = max(end, hit.end)
            yield pointer, start, end, name


def luhn(text: str) -> bool:
    """Is this the number of a card?"""
    digits = [int(digit) for digit in reversed(re.sub(r"[^0-9]", "", text))]
    return sum(digit if place % 2 == 0 else digit * 2 - 9 * (digit > 4) for place, digit in enumerate(digits)) % 10 == 0
