"""The views on the contract, in the fake host."""

import unittest
import weakref
from enum import EnumType
from pathlib import Path
from typing import Any
from unittest.mock import patch as replaced

from sluice import NEXT, Exchange, HostError, Kind, chunk, confirm, fetch, log, metrics, patterns, reply, secrets, suspend
from sluice.build import Project, glue
from sluice.verdict import rejection
from sluice.catalog import HIDE, Viewer, answer, patch, rename
from sluice.document import Fault
from sluice.exchange import remove, set_, splice, splice_key
from sluice.guest import Guest, finalizer, step_back
from sluice.head import METHODS, Head
from sluice.kv import Bucket
from sluice.http import header, respond_json, see_other
from sluice.outbound import Departure, leave, secret
from sluice.manifest import Hook, Manifest, Need, Route, Selector
from sluice.plugin import Config, Plugin
from sluice.testing import FakeBatch, FakeDeparture, FakeExchange, FakeViewer, answered, head, host, reset, whole, window
from sluice_contract.exports import on_chunk, on_http, on_outbound
from sluice_contract.imports import kv, outbound, types


class ViewsTest(unittest.TestCase):
    def setUp(self) -> None:
        reset()

    def test_values_are_pythons(self) -> None:
        x = FakeExchange({"params": {"a": [1, None], "n": None}}, asked={"params": {"q": "x"}})
        self.assertEqual(x.get("/params/a"), [1, None])
        self.assertEqual(x.get_many(["/params/n", "/params/none"], default=7), [None, 7])
        self.assertEqual(x.asked("/params/q"), "x")

    def test_attributes_and_what_a_person_said(self) -> None:
        x = FakeExchange(upstream="files", attrs={"p.answer.action": "accept", "p.answer.content": '{"a":1}'})
        said = x.elicited("p")
        assert said is not None
        self.assertEqual((said.action, said.content, x.upstream), ("accept", {"a": 1}, "files"))
        self.assertIsNone(x.elicited("other"))
        x.set_attr("score", "1")
        self.assertEqual(x.set_attrs, {"score": "1"})

    def test_errors_are_exceptions_with_the_contracts_word(self) -> None:
        with self.assertRaises(HostError) as raised:
            FakeExchange({"id": 1}).set("/id", 2)
        self.assertEqual((raised.exception.case, raised.exception.detail), ("denied", "/id"))
        with self.assertRaises(HostError) as raised:
            patterns.define("bad", ["("])
        self.assertEqual(raised.exception.case, "bad-pattern")
        with self.assertRaises(HostError) as raised:
            FakeExchange().set_attr("long", "x" * 4097)
        self.assertEqual(raised.exception.case, "too-large")

    def test_edits_speak_of_the_document_as_it_was(self) -> None:
        x = FakeExchange({"p": {"a": "one two", "k": [1, 2, 3]}})
        x.stage([splice("/p/a", 0, 3, "1"), splice("/p/a", 4, 7, "2"), splice_key("/p/a", 0, 1, "b"), remove("/p/k/0")])
        x.stage([remove("/p/k/2"), set_("/p/new", {})])
        self.assertEqual(x.edited(), {"p": {"b": "1 2", "k": [2], "new": {}}})

    def test_overlap_is_a_fault(self) -> None:
        for edits in (
            [splice("/p", 0, 2, ""), splice("/p", 1, 3, "")],
            [set_("/p", 1), splice("/p", 0, 1, "")],
        ):
            x = FakeExchange({"p": "one"})
            x.stage(edits)
            with self.assertRaises(Fault):
                x.edited()

    def test_a_bucket_refills_with_the_clock(self) -> None:
        bucket = Bucket("b")
        self.assertEqual([bucket.take("k", 2, 2, 1.0), bucket.take("k", 1, 2, 1.0)], [0, 1000])
        host.clock_ms += 999
        self.assertEqual(bucket.take("k", 1, 2, 1.0), 1)
        host.clock_ms += 1
        self.assertEqual(bucket.take("k", 1, 2, 1.0), 0)

    def test_values_end_and_numbers_count(self) -> None:
        bucket = Bucket("b")
        self.assertEqual([bucket.incr("n", 2, 100), bucket.incr("n", 3, 100)], [2, 5])
        host.clock_ms += 100
        self.assertEqual(bucket.incr("n", 1, 100), 1)
        self.assertTrue(bucket.swap("s", None, b"a"))
        self.assertFalse(bucket.swap("s", None, b"b"))
        self.assertEqual(bucket.get("s"), b"a")
        host.kv_broken = "down"
        with self.assertRaises(HostError) as raised:
            bucket.get("s")
        self.assertEqual((raised.exception.case, raised.exception.detail), ("unavailable", "down"))

    def test_a_batch_has_an_outcome_each(self) -> None:
        bucket = Bucket("b")
        said = bucket.batch([kv.Op_Incr(("n", 2, 100)), kv.Op_Set(("s", b"a", None)), kv.Op_Get("s"), kv.Op_Delete("s"), kv.Op_Get("s")])
        self.assertEqual(said, [kv.Outcome_Count(2), kv.Outcome_Done(), kv.Outcome_Value(b"a"), kv.Outcome_Done(), kv.Outcome_Value(None)])

    def test_secrets_are_used_unseen(self) -> None:
        x = FakeExchange()
        with self.assertRaises(HostError) as raised:
            secrets.open("token")
        self.assertEqual(raised.exception.case, "denied")
        host.vault.operators["token"] = b"s3cret"
        secret = secrets.open("token")
        self.assertTrue(secret.equals(b"s3cret"))
        with self.assertRaises(HostError) as raised:
            secret.reveal()
        self.assertEqual((raised.exception.case, raised.exception.detail), ("denied", "reveal:token"))
        secrets.put(x, secrets.Owner.PRINCIPAL, "mine", b"1")
        self.assertTrue(secrets.open_own(x, secrets.Owner.PRINCIPAL, "mine").equals(b"1"))
        with self.assertRaises(HostError) as raised:
            secrets.open_own(x, secrets.Owner.PLUGIN, "mine")
        self.assertEqual(raised.exception.case, "missing")

    def test_a_request_takes_a_secret_along(self) -> None:
        host.vault.operators["token"] = b"s3cret"
        seen: list[object] = []

        def answers(request: fetch.Request, given: list[tuple[fetch.Place, bytes]]) -> fetch.Response:
            seen.append((request.url, given))
            return fetch.Response(200, [], b"{}", [])

        x, url = FakeExchange(), "https://api.example.com/"
        with self.assertRaises(HostError):
            fetch.send(x, "GET", url)
        host.vault.answers = answers
        place = fetch.in_header("authorization", "Bearer ")
        self.assertEqual(fetch.send(x, "GET", url, secrets=[(place, secrets.open("token"))]).status, 200)
        self.assertEqual(seen, [(url, [(place, b"s3cret")])])

    def test_a_request_leaves_with_a_secret(self) -> None:
        host.vault.operators["token"] = b"s3cret"
        challenge = outbound.Challenge(401, ["Bearer"])
        fake = FakeDeparture("github", "https://api.example.com/mcp", body=b"{}", challenge=challenge)
        departure = Departure(fake)
        self.assertEqual((departure.upstream, departure.method, departure.challenge()), ("github", "POST", challenge))
        self.assertEqual(departure.body_sha256().hex()[:8], "44136fa3")
        self.assertFalse(departure.refused(secrets.open("token")))
        fake.sent.append(b"s3cret")
        self.assertTrue(departure.refused(secrets.open("token")))
        said = leave({"authorization": secret(secrets.open("token"), "Bearer "), "x-a": "1"})
        assert isinstance(said, on_outbound.OutboundVerdict_Next)
        self.assertEqual([name for name, _ in said.value], ["authorization", "x-a"])
        self.assertEqual(said.value[1][1], on_outbound.Value_Text("1"))

    def test_a_long_answer_comes_in_windows(self) -> None:
        patterns.define("set", ["a+b"])
        batch = chunk.Batch(FakeBatch(window("/result/a", 5, "éaab xaaa", 4), whole("/result/b", "ab"), ends=True))
        hits = [(hit.chunk, hit.start, hit.end, hit.cut) for hit in batch.scan("set")]
        self.assertEqual((hits, batch.ends), ([(0, 2, 5, False), (1, 0, 2, False)], True))
        self.assertEqual([one.offset for one in batch.chunks()], [5, 0])
        self.assertEqual(chunk.edit([]), chunk.NEXT)
        said = chunk.edit([chunk.splice(0, 2, 5, "-")])
        assert isinstance(said, on_chunk.ChunkVerdict_Edit)
        self.assertEqual(said.value[0].text, "-")
        with self.assertRaises(HostError):
            batch.scan("none")

    def test_the_rest_of_the_host_takes_note(self) -> None:
        log.warn("careful", tool="rm")
        metrics.add("calls", tool="rm")
        metrics.record_ms("took", 1.5)
        self.assertEqual(host.lines, [("warn", "careful", {"tool": "rm"})])
        self.assertEqual((host.counts, host.timings), ([("calls", 1, {"tool": "rm"})], [("took", 1.5)]))

    def test_a_list_is_shaped(self) -> None:
        viewer = Viewer(FakeViewer(2, {"principal.id": "a"}, [{"name": "rm"}]))
        self.assertEqual((viewer.upstreams, viewer.attr("principal.id"), viewer.definition(0), viewer.definition(1)), (2, "a", {"name": "rm"}, None))
        said = answer([HIDE, rename("x"), patch({"title": None})], added=[{"name": "own"}])
        self.assertEqual((len(said.changes), said.added), (3, ['{"name": "own"}']))


class Fussy(Plugin):
    manifest = Manifest(
        "fussy",
        "0.1.0",
        "x",
        needs=[Need("kv:shared", "to share")],
        selectors=[Selector(Hook.ON_REQUEST, ["tools/*"])],
        routes=[Route("/-/fussy/*")],
        more={"a": 1},
    )

    def __init__(self, config: Config) -> None:
        self.limit: int = config["limit"]

    def on_request(self, given: Head, x: Exchange) -> types.Verdict:
        return reply({"limit": self.limit, "method": given.method, "upstream": x.upstream})


class GuestTest(unittest.TestCase):
    def setUp(self) -> None:
        self.addCleanup(step_back)

    def glue(self) -> dict[str, Any]:
        lines: dict[str, Any] = {}
        exec(glue(Project(Path(), __name__, "Fussy", [], False), ["on-request"]), lines)
        return lines

    def test_the_runtime_makes_what_a_hook_is_given(self) -> None:
        real = types.Head, types.Exchange, types.Direction, types.Method_ToolsCall, weakref.finalize
        lines = self.glue()
        # What the runtime looks up, right after the glue was read ...
        names: Any = types
        finalize: Any = weakref.finalize
        head, exchange, direction, kind, method = names.Head, names.Exchange, names.Direction, names.Kind, names.Method_ToolsCall
        lines["Lifecycle"]().init('{"limit": 3}')
        # ... and what a plugin finds.
        self.assertEqual((types.Head, types.Exchange, types.Direction, types.Method_ToolsCall, weakref.finalize), real)
        # And so it calls a hook, and takes back what it lent.
        x, given_back = exchange.__new__(exchange), list[int]()
        x.handle = 5
        x.finalizer = finalize(x, given_back.append, 1, 5)
        with replaced.object(types.Exchange, "upstream", lambda raw: f"files {raw.handle}"):
            given = head(1, 0, direction(0), kind(0), method(), "t", 9)
            verdict = lines["OnRequest"]().on_request(given, x)
            raw = x.raw
            del x.handle
            x.finalizer.detach()
            self.assertEqual(verdict, reply({"limit": 3, "method": "tools/call", "upstream": "files 5"}))
            with self.assertRaises(AttributeError):
                raw.upstream()
        self.assertEqual((given, given.raw.method), (Head("tools/call", "t", body_bytes=9), types.Method_ToolsCall()))
        self.assertIsInstance(x, Exchange)
        self.assertEqual(given_back, [])

    def test_every_value_of_the_contract_is_made_as_before(self) -> None:
        before: dict[str, list[Any]] = {name: list(one) for name, one in vars(types).items() if isinstance(one, EnumType)}
        self.glue()
        for name, cases in before.items():
            self.assertEqual([getattr(types, name)(case.value) for case in cases], cases)
        for method, word in METHODS.items():
            self.assertEqual(getattr(types, method.__name__)(), word)
        self.assertEqual(types.Method_Other("x/y"), "x/y")
        self.assertEqual(types.Verdict_Next(), NEXT)
        self.assertEqual(types.Verdict_Reply("{}"), types.Verdict_Reply("{}"))

    def test_a_handle_is_given_back_once(self) -> None:
        given_back: list[tuple[int, int]] = []
        give_back = lambda drop, handle: given_back.append((drop, handle))
        kept, moved = finalizer(self, give_back, 1, 2), finalizer(self, give_back, 1, 3)
        self.assertEqual((moved.detach(), moved.detach()), ((None, give_back, (1, 3), None), None))
        del kept, moved
        self.assertEqual(given_back, [(1, 2)])

    def test_a_manifest_is_the_contracts_record(self) -> None:
        said = Guest(Fussy, []).describe()
        self.assertEqual((said.name, said.needs[0].capability, said.selectors[0].methods), ("fussy", "kv:shared", ["tools/*"]))
        self.assertEqual(said.more, [("a", "1")])

    def test_answers_of_a_route(self) -> None:
        self.assertEqual((respond_json({"a": 1}).status, respond_json({"a": 1}).body), (200, b'{"a": 1}'))
        self.assertEqual(see_other("/x").headers, [("location", "/x")])
        request = on_http.Request("GET", "/-/fussy/x", None, [("accept", "*/*")], b"", "https://mcp.example.com")
        self.assertEqual((header(request, "accept"), header(request, "cookie")), ("*/*", None))

    def test_what_init_raises_is_the_operators_message(self) -> None:
        with self.assertRaisesRegex(Exception, "KeyError"):
            Guest(Fussy, []).init("{}")

    def test_heads_and_verdicts(self) -> None:
        self.assertEqual(answered(head("tools/call", "t")).kind, Kind.RESPONSE)
        no = rejection(4030, "no", data={"a": 1}, status=403, headers={"x": "y"}, tool_result=True)
        self.assertEqual((no.data, no.http_headers), ('{"a": 1}', [("x", "y")]))
        self.assertNotEqual(suspend(confirm("Sure?")), NEXT)


if __name__ == "__main__":
    unittest.main()
