#!/usr/bin/env python3
"""Tasks in all four pairings of eras: a client of the wire, Sluice, and servers that nobody here wrote.

    tasks.py --bin target/debug/sluice

npm server-everything has the tasks of 2025-11-25, the Rust SDK those of the extension of 2026-07-28. Each is asked by a client of
each era: one that wants a task, and one that knows none. It ends with "N passed, N failed".
"""

import argparse
import contextlib
import json
import shutil
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "conformance"))

import parts
from clients import WORK
from servers import Servers

HERE = Path(__file__).resolve().parent
EXTENSION = {"io.modelcontextprotocol/tasks": {}}
RESEARCH, COMPUTE, CONFIRM = "simulate-research-query", "slow_compute", "confirm_delete"
ANSWER = {"action": "accept", "content": {"interpretation": "technical", "confirm": True}}
ENDS = {"completed", "failed", "cancelled"}
SECONDS = 30


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path, required=True, help="the Sluice binary")
    parser.add_argument("--rmcp", type=Path, help="the conformance-rmcp binary; built when absent")
    wanted = parser.parse_args()
    with contextlib.ExitStack() as running:
        results = [parts.attempt(name, check) for name, check in conversations(*start(wanted, running))]
    passed = sum(results)
    print(f"{passed} passed, {len(results) - passed} failed")
    return 0 if passed == len(results) else 1


def conversations(reach, restarted):
    yield "modern, wants a task, of a legacy server", lambda: modern_task(reach, RESEARCH, {"topic": "x"})
    yield "modern, is asked by the task of a legacy server", lambda: modern_task(reach, RESEARCH, {"topic": "x", "ambiguous": True}, asked=1)
    yield "modern, knows no tasks, of a legacy server", lambda: plain(Modern(reach, {}), RESEARCH, {"topic": "x"})
    yield "modern, wants a task, of a modern server", lambda: modern_task(reach, COMPUTE, {"seconds": 1})
    yield "modern, is asked by the task of a modern server", lambda: modern_task(reach, CONFIRM, {}, asked=1)
    yield "modern, cancels the task of a modern server", lambda: cancelled(Modern(reach), COMPUTE, {"seconds": 60})
    yield "modern, finds its task again after a restart", lambda: found_again(Modern(reach), Modern(restarted), COMPUTE, {"seconds": 2})
    yield "legacy, wants a task, of a legacy server", lambda: legacy_task(reach, RESEARCH, {"topic": "x"})
    yield "legacy, is asked by the task of a legacy server", lambda: legacy_task(reach, RESEARCH, {"topic": "x", "ambiguous": True}, asked=1)
    yield "legacy, wants a task, of a modern server", lambda: legacy_task(reach, COMPUTE, {"seconds": 1})
    yield "legacy, is asked by the task of a modern server", lambda: legacy_task(reach, CONFIRM, {}, asked=1)
    yield "legacy, wants no task, of a modern server", lambda: plain(Legacy(reach), COMPUTE, {"seconds": 1})
    yield "legacy, cancels the task of a modern server", lambda: cancelled(Legacy(reach), COMPUTE, {"seconds": 60})


def start(wanted, running):
    """Sluice in front of both servers, without filters; and once more, as it is after a restart."""
    home = WORK / "tasks"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    parts.npm(HERE / "npm", WORK / "npm")
    rmcp = wanted.rmcp or parts.cargo_bins("conformance-rmcp", "conformance-rmcp")[0]
    modern = running.enter_context(parts.Process([rmcp.resolve(), "0"], home / "rmcp.log"))
    everything, *arguments = Servers(WORK, home / "no-python").everything_over_stdio()
    servers = {"everything": {"command": everything, "args": arguments}, "rmcp": {"type": "http", "url": modern.url}}
    own = {
        "chain": [],
        "auth": {"token_file": str(home / "token")},
        "admin": {"enabled": False},
        "audit": {"path": str(home / "audit.jsonl")},
        "upstreams": {"rmcp": {"era": "modern"}, "everything": {"era": "legacy"}},
    }
    config = home / "sluice.json"
    config.write_text(json.dumps({"mcpServers": servers, "sluice": own}, indent=2))
    serve = [wanted.bin.resolve(), "serve", "--config", config, "--listen", "127.0.0.1:0"]
    urls = [running.enter_context(parts.Process(serve, home / f"{name}.log", cwd=home)).url for name in ("sluice", "restarted")]
    token = (home / "token").read_text().strip()
    return [(url, token) for url in urls]


class Wire:
    """Requests over HTTP, and what a server asks meanwhile."""

    def __init__(self, reach):
        (self.url, self.token), self.last, self.asked = reach, 0, []

    def post(self, body, headers):
        """The messages of the answer, and its headers. A question is answered as it comes."""
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", **headers}
        headers["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(self.url, json.dumps(body).encode(), headers)
        try:
            response = urllib.request.urlopen(request, timeout=SECONDS)
        except urllib.error.HTTPError as refused:
            response = refused
        with response:
            if not response.headers.get("Content-Type", "").startswith("text/event-stream"):
                text = response.read()
                return json.loads(text) if text else None, response.headers
            for line in response:
                said = json.loads(line[6:]) if line.startswith(b"data: ") and line[6:].strip() else {}
                if said.get("id") == body.get("id") and "method" not in said:
                    return said, response.headers
                if "method" in said and "id" in said:
                    self.asked.append(said)
                    self.answer(said)
        raise AssertionError("the stream ended without an answer")

    def ask(self, method, params):
        self.last += 1
        return self.send({"jsonrpc": "2.0", "id": self.last, "method": method, "params": params})

    def result(self, method, params):
        answer = self.ask(method, params)
        assert "result" in answer, f"{method}: {answer}"
        return answer["result"]


class Modern(Wire):
    def __init__(self, reach, extensions=EXTENSION):
        super().__init__(reach)
        self.capabilities = {"elicitation": {}, "extensions": extensions}

    def send(self, body):
        params = body["params"]
        declared = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": self.capabilities}
        params["_meta"] = declared
        headers = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": body["method"]}
        if name := params.get("taskId") or params.get("name"):
            headers["Mcp-Name"] = name
        return self.post(body, headers)[0]

    def answer(self, question):
        raise AssertionError(f"a modern client was sent a request: {question}")

    def begin(self, tool, arguments):
        created = self.result("tools/call", {"name": tool, "arguments": arguments})
        assert created["resultType"] == "task", created
        return created["taskId"]


class Legacy(Wire):
    def __init__(self, reach):
        super().__init__(reach)
        self.headers = {}
        opening = {"protocolVersion": "2025-11-25", "capabilities": {"elicitation": {}}, "clientInfo": {"name": "wire", "version": "1"}}
        opened, headers = self.post({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": opening}, {})
        self.tasks = opened["result"]["capabilities"].get("tasks")
        self.headers = {"Mcp-Session-Id": headers["Mcp-Session-Id"], "MCP-Protocol-Version": "2025-11-25"}
        self.post({"jsonrpc": "2.0", "method": "notifications/initialized"}, self.headers)

    def send(self, body):
        return self.post(body, self.headers)[0]

    def answer(self, question):
        meta = question["params"].get("_meta", {})
        self.post({"jsonrpc": "2.0", "id": question["id"], "result": {**ANSWER, "_meta": meta}}, self.headers)

    def begin(self, tool, arguments):
        created = self.result("tools/call", {"name": tool, "arguments": arguments, "task": {"ttl": 60000}})
        return created["task"]["taskId"]


def modern_task(reach, tool, arguments, asked=0):
    """Begun, polled, asked and answered, and its result stands in its state."""
    client = Modern(reach)
    task = client.begin(tool, arguments)
    seen = set()
    for state in polled(client, task):
        assert state["taskId"] == task, state
        new = set(state.get("inputRequests", {})) - seen
        if new:
            seen |= new
            client.result("tasks/update", {"taskId": task, "inputResponses": {key: ANSWER for key in new}})
    assert state["status"] == "completed" and state["result"]["content"], state
    assert len(seen) == asked, f"asked {seen}"
    return f"{tool}: {state['status']}, {len(seen)} questions"


def legacy_task(reach, tool, arguments, asked=0):
    """Begun, polled, and its result is waited for, on whose stream it asks."""
    client = Legacy(reach)
    assert client.tasks["requests"] == {"tools": {"call": {}}}, client.tasks
    task = client.begin(tool, arguments)
    assert client.result("tasks/get", {"taskId": task})["status"] in {"working", "input_required"}
    result = client.result("tasks/result", {"taskId": task})
    related = {"io.modelcontextprotocol/related-task": {"taskId": task}}
    assert result["content"] and result["_meta"] == related, result
    assert len(client.asked) == asked and all(question["params"]["_meta"] == related for question in client.asked), client.asked
    assert client.result("tasks/get", {"taskId": task})["status"] == "completed"
    assert client.ask("tasks/cancel", {"taskId": task})["error"]["code"] == -32602
    return f"{tool}: completed, {len(client.asked)} questions"


def plain(client, tool, arguments):
    result = client.result("tools/call", {"name": tool, "arguments": arguments})
    assert result["content"] and not result.get("isError") and "task" not in result and "taskId" not in result, result
    return f"{tool}: answered"


def cancelled(client, tool, arguments):
    task = client.begin(tool, arguments)
    client.result("tasks/cancel", {"taskId": task})
    *_, state = polled(client, task)
    assert state["status"] == "cancelled", state
    return f"{tool}: {state['status']}"


def found_again(client, restarted, tool, arguments):
    task = client.begin(tool, arguments)
    *_, state = polled(restarted, task)
    assert (state["taskId"], state["status"]) == (task, "completed"), state
    return f"{tool}: {state['status']}"


def polled(client, task):
    """The states of a task until it ends."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        state = client.result("tasks/get", {"taskId": task})
        yield state
        if state["status"] in ENDS:
            return
        time.sleep(0.2)
    raise AssertionError(f"not over in {SECONDS} s: {state}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except parts.Missing as missing:
        sys.exit(str(missing))
