#!/usr/bin/env python3
"""Servers that ask their client, in all four pairings of eras: official clients, Sluice, servers on official SDKs.

    asking.py --bin target/debug/sluice

A form, a link to open, a sampling request and the list of roots, over HTTP and stdio on both sides; accepted, declined,
cancelled, given up on, and asked of a client that dies. No call may run twice: every effect is in a journal.
It ends with "N passed, N failed".
"""

import argparse
import collections
import contextlib
import json
import shutil
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "conformance"))

import clients
import parts
from clients import WORK
from servers import Servers

HERE = Path(__file__).resolve().parent
TOOLS = ("form", "url", "sample", "roots")
FORM = {"name": "Ada", "age": 36}
# What the client's user does with a question, and what they say to a sampling request.
ANSWERS = {
    "accept": {"elicitation": "accept", "sampling": "accept"},
    "decline": {"elicitation": "decline", "sampling": "refuse"},
    "cancel": {"elicitation": "cancel", "sampling": "accept"},
}
# How many seconds a client waits for its call.
PATIENCE = 2
EVERYTHING = {
    "everything_trigger-elicitation-request": {},
    "everything_trigger-url-elicitation": {"url": "https://example.com/sign-in"},
    "everything_trigger-sampling-request": {"prompt": "Say something", "maxTokens": 16},
    "everything_get-roots-list": {},
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path, required=True, help="the Sluice binary")
    parser.add_argument("--rmcp-client", type=Path, help="the conformance-rmcp-client binary; built when absent")
    parser.add_argument("--jobs", type=int, default=2, help="conversations at once")
    parser.add_argument("--slice", action="store_true", help="two conversations of each client over each road, not all five")
    parser.add_argument("--only", default="", help="part of the name of the conversations to hold")
    wanted = parser.parse_args()
    fronts = [front for front in clients.install(wanted.rmcp_client) if front.name != "rmcp" and front.mode != "auto"]
    with contextlib.ExitStack() as running:
        stage = Stage(wanted.bin.resolve(), running)
        held = [(name, check) for name, check in conversations(stage, fronts, wanted.slice) if wanted.only in name]
        # They mostly wait: for a client to start, or to lose its patience.
        with ThreadPoolExecutor(wanted.jobs) as pool:
            results = list(pool.map(lambda conversation: parts.attempt(*conversation), held))
        results.append(parts.attempt("no call ran twice", stage.journal.ran_once))
    passed = sum(results)
    print(f"{passed} passed, {len(results) - passed} failed")
    return 0 if passed == len(results) else 1


def conversations(stage, fronts, is_slice):
    """Each client over each road in every way; in a slice with a yes, and over HTTP with one of the other ways by turns: over stdio each
    conversation starts six servers, and a slow machine takes long for that."""
    ways = {what: partial(answered, what=what) for what in ANSWERS} | {"gives up": gives_up, "dies": dies}
    others = [way for way in ways if way != "accept"]
    pairs = [(road, front) for road in stage.roads for front in fronts]
    for at, (road, front) in enumerate(pairs):
        some = ("accept", others[at % len(others)]) if road == "http" else ("accept",)
        for way in some if is_slice else ways:
            yield f"{front.name} {front.mode}, {road}, {way}", partial(ways[way], stage, front, road)


class Journal:
    """What the tools did, by the nonce of the call."""

    def __init__(self, file):
        self.file = file
        file.unlink(missing_ok=True)

    def lines(self):
        return [json.loads(line) for line in self.file.read_text().splitlines()] if self.file.exists() else []

    def effects(self, nonce):
        return sum("effect" in line for line in self.lines() if line["nonce"] == nonce)

    def consented(self, nonce):
        """Whether something took effect because a user said yes; a tool may also go on with a no."""
        return any("effect" in line and line["action"] == "accept" for line in self.lines() if line["nonce"] == nonce)

    def was_asked(self, nonce):
        return any("asked" in line for line in self.lines() if line["nonce"] == nonce)

    def ran_once(self):
        counted = collections.Counter(line["nonce"] for line in self.lines() if "effect" in line)
        twice = [nonce for nonce, times in counted.items() if times > 1]
        assert not twice, f"ran more than once: {twice}"
        return f"{len(counted)} effects, each once"


class Stage:
    """Sluice in front of one server in each era over each transport, and of one that nobody here wrote."""

    def __init__(self, sluice, running):
        home = WORK / "asking"
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        self.journal = Journal(home / "journal.jsonl")
        python = WORK / "python-modern" / "bin" / "python"
        command = [str(python), str(HERE / "asking_server.py"), "--journal", str(self.journal.file)]
        remote = running.enter_context(parts.Process([*command, "--http"], home / "remote.log"))
        everything, *arguments = Servers(WORK, python).everything_over_stdio()
        servers, eras = {"everything": {"command": everything, "args": arguments}}, {}
        for era in ("legacy", "modern"):
            servers[f"stdio-{era}"] = {"command": command[0], "args": command[1:]}
            servers[f"http-{era}"] = {"type": "http", "url": remote.url}
            eras |= {f"stdio-{era}": {"era": era}, f"http-{era}": {"era": era}}
        self.asking = list(eras)
        own = {
            "chain": ["builtin:namespace"],
            "auth": {"allow_anonymous": True},
            "admin": {"enabled": False},
            "audit": {"path": str(home / "audit.jsonl")},
            "cache_dir": str(home / "cache"),
            # Each client is a principal of its own here, and those that died keep their child for a while.
            "limits": {"children_per_upstream_max": 64, "children_max": 256},
            "upstreams": eras,
        }
        config = home / "sluice.json"
        config.write_text(json.dumps({"mcpServers": servers, "sluice": own}, indent=2))
        serve = [sluice, "serve", "--config", config, "--listen", "127.0.0.1:0"]
        endpoint = running.enter_context(parts.Process(serve, home / "sluice.log", cwd=home))
        self.roads = {
            "http": {"url": endpoint.url},
            "stdio": {"command": [str(sluice), "stdio", "--config", str(config)]},
        }

    def calls(self, tools=TOOLS):
        """One call of each tool of each server of ours, each with a nonce of its own."""
        return {f"{server}_{tool}": {"nonce": uuid.uuid4().hex} for server in self.asking for tool in tools}


def answered(stage, front, road, what):
    """Every question of every server comes, and every answer arrives as it was given."""
    calls = stage.calls()
    report = front.run({**stage.roads[road], "answers": ANSWERS[what], "calls": {**calls, **EVERYTHING}})
    for name, given in calls.items():
        expect_answer(name, name.rpartition("_")[2], report["results"][name], what)
        is_refused = what == "decline" and name.endswith("_sample")
        times = stage.journal.effects(given["nonce"])
        assert times == (0 if is_refused else 1), f"{name} had its effect {times} times"
    for name in EVERYTHING:
        expect_everything(name, report["results"][name], what)
    return f"{report['protocolVersion']}, {len(calls) + len(EVERYTHING)} questions"


def expect_answer(name, tool, result, what):
    if tool == "sample" and what == "decline":
        assert "error" in result or result.get("isError"), f"{name}: a refusal became {result}"
        return
    assert "error" not in result and not result.get("isError"), f"{name}: {result}"
    said = json.loads("".join(block["text"] for block in result["content"]))
    if tool in ("form", "url"):
        assert said["action"] == what, f"{name}: {said}"
        assert said.get("content") == (FORM if (tool, what) == ("form", "accept") else None), f"{name}: {said}"
    elif tool == "sample":
        assert said["content"]["text"] == "Something", f"{name}: {said}"
    else:
        assert said["roots"] == [{"uri": "file:///home/ada", "name": "home"}], f"{name}: {said}"


def expect_everything(name, result, what):
    said = json.dumps(result)
    if name.endswith("sampling-request") and what == "decline":
        assert "error" in result or result.get("isError"), f"{name}: a refusal became {said}"
        return
    assert "error" not in result and not result.get("isError"), f"{name}: {said}"
    wanted = {"everything_trigger-sampling-request": "Something", "everything_get-roots-list": "file:///home/ada"}
    assert wanted.get(name, what) in said, f"{name}: {said}"


def gives_up(stage, front, road):
    """The user never answers and the client gives up on its call: nobody has said yes, and Sluice is none the worse."""
    calls = stage.calls(("form",))
    job = {"answers": {"elicitation": "hang", "sampling": "accept"}, "patience": PATIENCE, "calls": calls}
    report = run_or_die({**stage.roads[road], **job}, front)
    for name, given in calls.items():
        if report is not None:
            assert "error" in report["results"][name], f"{name}: {report['results'][name]}"
        assert not stage.journal.consented(given["nonce"]), f"{name} took effect"
    return healthy(stage, front, road)


def dies(stage, front, road):
    """The client is gone while its user is asked."""
    for server in stage.asking:
        given = {"nonce": uuid.uuid4().hex}
        job = {"answers": {"elicitation": "die", "sampling": "accept"}, "calls": {f"{server}_form": given}}
        assert run_or_die({**stage.roads[road], **job}, front) is None, "the client did not die"
        assert stage.journal.was_asked(given["nonce"]), f"{server} was never called"
        time.sleep(0.2)
        assert not stage.journal.consented(given["nonce"]), f"{server} took effect"
    return healthy(stage, front, road)


def run_or_die(job, front):
    """The report, or nothing when the client did not live to tell."""
    try:
        return front.run(job)
    except (AssertionError, subprocess.TimeoutExpired):
        return None


def healthy(stage, front, road):
    """The same client asks again, and every server asks back."""
    calls = stage.calls(("form",))
    report = front.run({**stage.roads[road], "answers": ANSWERS["accept"], "calls": calls})
    for name in calls:
        expect_answer(name, "form", report["results"][name], "accept")
    return f"{report['protocolVersion']}, {len(calls)} servers well"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except parts.Missing as missing:
        sys.exit(str(missing))
