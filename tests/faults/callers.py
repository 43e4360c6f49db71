"""Clients of either era that make calls, answer or do not answer what they are asked, and behave badly when their plan says so."""

import asyncio
import contextlib
import json
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "parity"))

from client import CAPABILITIES, INFO, LEGACY, META, MODERN
from upstream import MEANT_FOR
from wire import Lost, Wire

HUNG_SECONDS = 30
# Two share what a principal has: children, sessions of modern clients, and the doubt about which of them is asked.
CALLERS_A_PRINCIPAL = 2
ROUNDS_MAX = 12
TOOLS = {"plain": 30, "form": 25, "url": 15, "sample": 15, "roots": 15}
ANSWERS = {"accept": 70, "decline": 15, "cancel": 15}
# What a client does: to any call, and to one that asks it something.
ANY = {"patient": 85, "leaves": 15}
ASKED = {
    "modern": {
        "patient": 40,
        "leaves": 8,
        "twice": 10,
        "again": 8,
        "tampers": 8,
        "changes": 6,
        "late": 3,
        "never": 7,
        "after-restart": 10,
    },
    "legacy": {"patient": 46, "leaves": 10, "twice": 14, "refuses": 10, "resumes": 12, "never": 8},
}
# The server's: the chance of one, in a hundred calls, and which.
FAULTY = 30
FAULTS = {
    "any": {"drop-before": 4, "drop-after": 6, "half-after": 6, "delay-before": 8, "delay-after": 8, "stall-after": 1},
    # The one behind a URL is everybody's.
    "stdio": {"die-before": 2, "die-after": 3},
    "http": {"die-before": 0.5, "die-after": 1},
    "legacy": {"die-asking": 1},
    ("legacy", "http"): {"forget": 5},
    ("modern", "http"): {"headers": 5},
}
# What is said before anything goes to the server.
NOT_SENT = ("upstream_unavailable", "upstream_busy", "unknown_name", "session")
# After one of these nobody learns what became of the call from the same client.
SILENT = ("never", "late", "after-restart")


def pick(dice, weights):
    return dice.choices(list(weights), list(weights.values()))[0]


class Call:
    """One call: what is planned, and what its client saw of it."""

    def __init__(self, caller):
        self.caller, stage, dice = caller, caller.stage, caller.dice
        down, up, kind = stage.down, stage.up, stage.kind
        self.nonce = f"{dice.getrandbits(64):016x}"
        self.tool = pick(dice, TOOLS)
        self.way = pick(dice, ANY if self.tool == "plain" else ASKED[down])
        self.answer = pick(dice, ANSWERS) if self.tool in ("form", "url") else "accept"
        self.fault = None
        if dice.random() * 100 < FAULTY:
            self.fault = pick(dice, FAULTS["any"] | FAULTS[kind] | FAULTS.get(up, {}) | FAULTS.get((up, kind), {}))
        self.patience = dice.uniform(0, 0.06)
        self.arguments = {"nonce": self.nonce}
        if self.fault:
            self.arguments |= {"fault": self.fault, "seconds": round(dice.uniform(0.01, 0.3), 3)}
        self.outcomes, self.was_asked, self.said_yes, self.did, self.wrong = [], False, False, False, []

    def __str__(self):
        return f"{self.nonce} {self.tool}, client {self.way}, {self.answer}, server {self.fault}: {self.outcomes}"

    def say(self, question):
        """The answer to a question, or none: a refusal that is no result."""
        self.was_asked = True
        if self.way == "refuses" and self.tool in ("sample", "roots"):
            return None
        method, meta = question["method"], {"_meta": {MEANT_FOR: self.nonce}}
        self.said_yes = self.answer == "accept"
        if method == "roots/list":
            return {"roots": [{"uri": "file:///home/ada"}]} | meta
        if method == "sampling/createMessage":
            return {"role": "assistant", "model": "m", "content": {"type": "text", "text": "yes"}} | meta
        content = {"content": {"name": "Ada"}} if (self.tool, self.answer) == ("form", "accept") else {}
        return {"action": self.answer} | content | meta

    def about(self, question):
        """The call a question is about. A client of the legacy era hears all of its session's, wherever they are put."""
        params = question.get("params", {})
        name = params.get("message") or "".join(said["content"]["text"] for said in params.get("messages", []))
        asked = self.caller.stage.calls.get(name, self)
        if asked is self or (asked.caller is self.caller and self.caller.stage.down == "legacy"):
            return asked
        self.wrong.append(f"was asked about {asked}")
        return self

    def ended(self, message):
        """Notes an answer."""
        if "error" in message:
            reason = message["error"].get("data", {}).get("reason")
            self.outcomes.append(reason or f"untyped {json.dumps(message['error'])}")
        elif message["result"].get("isError"):
            self.outcomes.append("tool_error")
        else:
            said = json.loads(message["result"]["content"][0]["text"])
            if said["nonce"] != self.nonce:
                self.wrong.append(f"got the answer of {said['nonce']}")
            self.outcomes.append("result")
            self.did = said["does"]


class Caller:
    """A client that makes one call after the other. `stage` is the cell it plays in."""

    def __init__(self, stage, number):
        self.stage, self.dice = stage, random.Random(f"{stage.seed} {stage.name} {number}")
        self.token = stage.tokens[number // CALLERS_A_PRINCIPAL]
        self.wire, self.last = self.fresh(), 0

    def fresh(self):
        return Wire(self.stage.port, self.token)

    def message(self, method, params):
        self.last += 1
        return {"jsonrpc": "2.0", "id": self.last, "method": method, "params": params}

    async def run(self, calls):
        for _ in range(calls):
            call = Call(self)
            self.stage.calls[call.nonce] = call
            await self.watched(call, self.make(call))
            if call.outcomes[-1:] == ["upstream_unavailable"]:
                await asyncio.sleep(self.dice.uniform(0.3, 1.2))
            await self.stage.is_up.wait()

    async def watched(self, call, making):
        """Whatever becomes of it is an outcome."""
        try:
            async with asyncio.timeout(HUNG_SECONDS):
                await making
        except TimeoutError:
            call.outcomes.append("hung")
        except Lost as lost:
            call.outcomes.append("lost" if self.stage.was_down_since(lost.since) else "cut")
        if not call.outcomes:
            call.outcomes.append("silence")

    async def leaving(self, call, making):
        """Makes the call, and goes away in the middle of it."""
        task = asyncio.ensure_future(making)
        done, _ = await asyncio.wait([task], timeout=call.patience)
        if done:
            return await task
        call.outcomes.append("left")
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class Modern(Caller):
    async def make(self, call):
        if call.way == "leaves":
            return await self.leaving(call, self.rounds(call))
        await self.rounds(call)

    async def rounds(self, call):
        params = {"name": call.tool, "arguments": call.arguments}
        answer = await self.post(params)
        for _ in range(ROUNDS_MAX):
            if answer.get("result", {}).get("resultType") != "input_required":
                return call.ended(answer)
            asked = answer["result"]
            given = {key: call.about(question).say(question) for key, question in asked["inputRequests"].items()}
            answer = await self.retry(call, params | {"inputResponses": given, "requestState": asked["requestState"]})
            if answer is None:
                return
        call.outcomes.append("endless")

    async def retry(self, call, params):
        """The next round, in this client's way; the answer to go on with."""
        state, way = params["requestState"], call.way
        if way == "never":
            return call.outcomes.append("never came back")
        if way == "after-restart":
            call.outcomes.append("kept")
            return self.stage.kept.append((self, call, params))
        if way == "late":
            await asyncio.sleep(self.stage.ttl_seconds + 0.2)
        if way == "tampers":
            at = self.dice.randrange(len(state))
            altered = state[:at] + ("A" if state[at] != "A" else "B") + state[at + 1 :]
            self.expect(call, await self.post(params | {"requestState": altered}), "round_unknown")
        if way == "changes":
            other = params["arguments"] | {"nonce": "another"}
            self.expect(call, await self.post(params | {"arguments": other}), "round_other")
        if way == "twice":
            return await self.twice(call, params)
        answer = await self.post(params)
        if way == "again":
            self.expect(call, await self.post(params), "round_used", "round_expired")
        if way == "late":
            self.expect(call, answer, "round_expired", "round_used", "round_unknown")
        return answer

    async def twice(self, call, params):
        """The same retry over two connections at once. One is the retry, whichever it is."""
        aside = self.fresh()
        both = await asyncio.gather(self.post(params), self.post(params, aside), return_exceptions=True)
        aside.close()
        for failed in (one for one in both if isinstance(one, BaseException)):
            raise failed
        lost = [one for one in both if one.get("error", {}).get("data", {}).get("reason") == "round_used"]
        if len(lost) != 1 and not self.stage.was_down_since(self.wire.since):
            call.wrong.append(f"{len(lost)} of two retries at once were refused as used")
        call.outcomes.extend("round_used" for _ in lost)
        return next((one for one in both if one not in lost), None)

    def expect(self, call, answer, *reasons):
        """A retry that must get nowhere."""
        reason = answer.get("error", {}).get("data", {}).get("reason")
        if reason not in (*reasons, *NOT_SENT) and not self.stage.was_down_since(self.wire.since):
            call.wrong.append(f"a client that {call.way} was told {json.dumps(answer)[:200]}")
        if reason:
            call.outcomes.append(reason)

    async def post(self, params, wire=None):
        meta = {META + "protocolVersion": MODERN, META + "clientInfo": INFO, META + "clientCapabilities": CAPABILITIES}
        message = self.message("tools/call", params | {"_meta": meta})
        headers = {"mcp-protocol-version": MODERN, "mcp-method": "tools/call", "mcp-name": params["name"]}
        wire = wire or self.wire
        async for came in wire.request("POST", headers, json.dumps(message).encode()):
            if came.get("id") == message["id"]:
                answer = came
        return answer


class Legacy(Caller):
    session = None

    async def make(self, call):
        if self.session is None:
            await self.open()
        if call.way == "leaves":
            await self.leaving(call, self.call(call))
        else:
            await self.call(call)
        if call.outcomes[-1:] == ["session"]:
            self.session = None

    async def open(self):
        opening = {"protocolVersion": LEGACY, "capabilities": CAPABILITIES, "clientInfo": INFO}
        async for came in self.wire.request("POST", {}, json.dumps(self.message("initialize", opening)).encode()):
            assert "result" in came, came
        self.session = {"mcp-session-id": self.wire.headers["mcp-session-id"], "mcp-protocol-version": LEGACY}
        await self.tell({"method": "notifications/initialized"})

    async def tell(self, message, wire=None):
        aside = wire or self.fresh()
        async for _ in aside.request("POST", self.session, json.dumps({"jsonrpc": "2.0"} | message).encode()):
            pass
        aside.close()

    async def call(self, call):
        message = self.message("tools/call", {"name": call.tool, "arguments": call.arguments})
        stream = self.wire.request("POST", self.session, json.dumps(message).encode())
        if await self.listen(call, message, stream, lets_go=call.way == "resumes"):
            return
        # It let go of the stream, and comes back for the rest of it.
        self.wire.close()
        if self.wire.last_event is None:
            return call.outcomes.append("left")
        back = self.wire.request("GET", self.session | {"last-event-id": self.wire.last_event})
        await self.listen(call, message, back)
        self.wire.close()

    async def listen(self, call, message, stream, lets_go=False):
        """Until the answer. False when the client let go of the stream on purpose."""
        async with contextlib.aclosing(stream):
            async for came in stream:
                if "method" not in came:
                    call.ended(came)
                    return True
                if "id" in came:
                    await self.answer(call, came, message["id"])
                    if call.outcomes:
                        return True
                    if lets_go:
                        return False
        call.outcomes.append("session" if self.wire.status == 404 else "no answer")
        return True

    async def answer(self, call, question, asked_by):
        whose = call.about(question)
        said = whose.say(question)
        if whose is call and call.way == "never":
            gives_up = self.dice.random() < 0.5
            if gives_up:
                await self.tell({"method": "notifications/cancelled", "params": {"requestId": asked_by}})
            return call.outcomes.append("never answered")
        error = {"code": -1, "message": "no"}
        response = {"id": question["id"]} | ({"error": error} if said is None else {"result": said})
        if call.way == "twice":
            await asyncio.gather(self.tell(response), self.tell(response))
        else:
            await self.tell(response)
