"""The policy in the SDK's fake host. Run: .venv/bin/python -m unittest discover -s tests"""

import unittest

from plugin import ForbiddenWords
from sluice import NEXT, testing


class ForbiddenWordsTest(unittest.TestCase):
    def test_a_forbidden_word_is_refused_and_others_are_not(self) -> None:
        plugin = testing.plugin(ForbiddenWords, {"words": ["forbidden"]})

        def call(text: str) -> object:
            x = testing.FakeExchange({"params": {"arguments": {"text": text}}})
            return plugin.on_request(testing.head("tools/call", "send"), x)

        self.assertEqual(call("good morning"), NEXT)
        self.assertNotEqual(call("this is Forbidden"), NEXT)


if __name__ == "__main__":
    unittest.main()
