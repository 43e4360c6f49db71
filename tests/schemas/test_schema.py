"""The judge has to find what is wrong, or its silence says nothing."""

import unittest

from schema import REVISIONS, wrong

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "n", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


def response(result):
    return {"jsonrpc": "2.0", "id": 1, "result": result}


class Judge(unittest.TestCase):
    def test_all_five_revisions_are_there(self):
        self.assertEqual(REVISIONS, ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"])

    def test_what_is_right_passes_in_every_revision(self):
        for revision in REVISIONS:
            modern = revision == "2026-07-28"
            result = {"content": [{"type": "text", "text": "t"}]} | ({"resultType": "complete"} if modern else {})
            self.assertIsNone(wrong(response(result), revision, "client", "tools/call"), revision)
            params = {"name": "t", "arguments": {}} | ({"_meta": META} if modern else {})
            call = {"jsonrpc": "2.0", "id": "1", "method": "tools/call", "params": params}
            self.assertIsNone(wrong(call, revision, "server"), revision)

    def test_what_is_wrong_is_found_in_every_revision(self):
        for revision in REVISIONS:
            self.assertIn("content", wrong(response({"content": "t"}), revision, "client", "tools/call"))
            self.assertIn("jsonrpc", wrong({"id": 1, "error": {"code": 1, "message": "m"}}, revision, "client"))
            self.assertTrue(wrong({"jsonrpc": "2.0", "id": 1, "error": {"code": "x", "message": "m"}}, revision, "client"))
            self.assertTrue(wrong({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {}}, revision, "server"))
            self.assertTrue(wrong({"jsonrpc": "2.0", "method": "notifications/progress", "params": {}}, revision, "client"))

    def test_what_a_revision_does_not_have_is_found(self):
        question = {"jsonrpc": "2.0", "id": 1, "method": "elicitation/create"}
        self.assertIn("has no elicitation/create", wrong(question, "2025-03-26", "client"))
        self.assertIn("has no elicitation/create", wrong(question, "2026-07-28", "client"))
        self.assertIn("has no ping", wrong({"jsonrpc": "2.0", "id": 1, "method": "ping"}, "2026-07-28", "server"))

    def test_a_modern_result_may_be_a_round(self):
        asked = {"method": "roots/list", "params": {}}
        round_ = {"resultType": "input_required", "inputRequests": {"r": asked}, "requestState": "s"}
        self.assertIsNone(wrong(response(round_), "2026-07-28", "client", "tools/call"))
        self.assertTrue(wrong(response(round_ | {"inputRequests": {"r": {"method": "nonsense"}}}), "2026-07-28", "client", "tools/call"))


if __name__ == "__main__":
    unittest.main()
