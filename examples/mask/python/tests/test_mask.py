"""The filter in the SDK's fake host, on the corpus that all languages share."""

import json
import unittest
from pathlib import Path
from typing import Any

from mask import SCHEMA, Mask
from sluice import NEXT
from sluice import testing

CORPUS: list[dict[str, Any]] = json.loads((Path(__file__).parents[2] / "corpus.json").read_text())
DEFAULTS = {name: setting["default"] for name, setting in SCHEMA["properties"].items()}  # type: ignore[attr-defined]


def mask(config: dict[str, Any]) -> Mask:
    return testing.plugin(Mask, {**DEFAULTS, **config})


class MaskTest(unittest.TestCase):
    def test_requests_of_the_corpus(self) -> None:
        for line in CORPUS:
            with self.subTest(line["case"]):
                arguments = json.loads(line["raw"]) if "raw" in line else line["arguments"]
                x = testing.FakeExchange({"method": "tools/call", "params": {"name": "t", "arguments": arguments}})
                verdict = mask(line.get("config", {})).on_request(testing.head("tools/call", "t"), x)
                if "refused" in line:
                    self.assertEqual(getattr(verdict, "value").code, line["refused"])
                else:
                    self.assertEqual(verdict, NEXT)
                    self.assertEqual(x.edited()["params"]["arguments"], line["becomes"])
                    self.assertEqual(x.set_attrs.get("hits"), line.get("hits"))

    def test_answers_are_masked_too(self) -> None:
        x = testing.FakeExchange({"result": {"content": [{"type": "text", "text": "ada@example.com"}]}})
        self.assertEqual(mask({}).on_response(testing.answered(testing.head("tools/call", "t")), x), NEXT)
        self.assertEqual(x.edited()["result"]["content"][0]["text"], "[masked:email]")

    def test_what_cannot_be_examined_does_not_pass(self) -> None:
        x = testing.FakeExchange({"params": {"arguments": {"message": "a@b.de " * 10_001}}})
        verdict = mask({}).on_request(testing.head("tools/call", "t"), x)
        self.assertEqual(getattr(verdict, "value").code, 4033)


if __name__ == "__main__":
    unittest.main()
