#!/usr/bin/env python3
"""The server of the fault run: the parity server with tools that write down what they did, and that break when their call says so.

    upstream.py legacy|modern stdio|http JOURNAL [PORT]

One line a fact, appended in one write: `begun` when a call arrives, `did` when it takes its effect, `fault` before one happens,
`mixed` when it is answered what another call's client said. A tool has its effect only if its question was answered with a yes, and
by its own client: each answer names the call it is meant for."""

import json
import os
import signal
import sys
import threading
import time
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "parity"))

import server as twin

STALL_SECONDS = 4.0
# In the `_meta` of an answer: the call it is meant for.
MEANT_FOR = "com.example/nonce"


class Journal:
    def __init__(self, path):
        self.file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, fact, nonce, **more):
        os.write(self.file, (json.dumps({"fact": fact, "nonce": nonce, "pid": os.getpid(), "time": round(time.time(), 3)} | more) + "\n").encode())


def tool(question, kind, journal):
    def run(arguments, _say):
        does = kind == "plain"
        if question:
            said = (yield {"q": about(arguments["nonce"], question)})["q"]
            meant_for = said.get("_meta", {}).get(MEANT_FOR)
            if meant_for not in (None, arguments["nonce"]):
                journal.note("mixed", arguments["nonce"], said=meant_for)
            does = meant_for == arguments["nonce"] and is_yes(kind, said)
        if does:
            journal.note("did", arguments["nonce"])
        strike(journal, arguments, "after")
        return twin.text({"nonce": arguments["nonce"], "does": does})

    return run


def about(nonce, question):
    """The question with the name of its call in it, where it has a place for one."""
    params = question["params"]
    if "message" in params:
        return question | {"params": params | {"message": nonce}}
    if "messages" in params:
        return question | {"params": params | {"messages": [{"role": "user", "content": {"type": "text", "text": nonce}}]}}
    return question


def is_yes(kind, said):
    if kind in ("form", "url"):
        return said.get("action") == "accept"
    return "error" not in said and {"sample": "content", "roots": "roots"}[kind] in said


def strike(journal, arguments, when):
    """The fault that a call brings with it, at its time."""
    fault = arguments.get("fault")
    if fault is None or not fault.endswith(when):
        return
    journal.note("fault", arguments["nonce"], fault=fault)
    if fault.startswith("die"):
        os.kill(os.getpid(), signal.SIGKILL)
    if fault.startswith("drop"):
        raise twin.Cut()
    if fault.startswith("half"):
        raise twin.Cut(b'{"jsonrpc":"2.0","id":')
    if fault.startswith("delay"):
        time.sleep(arguments["seconds"])
    if fault.startswith("stall"):
        time.sleep(STALL_SECONDS)


class Faulty(twin.Server):
    def __init__(self, era, journal):
        super().__init__(era)
        self.journal = journal
        self.lock, self.sessions, self.refused = threading.Lock(), set(), set()

    def session(self):
        with self.lock:
            fresh = uuid.uuid4().hex
            self.sessions.add(fresh)
        return fresh

    def turned_away(self, message, headers):
        """Sessions of before a restart are unknown; and what a call wants to be refused for, once, it is refused for."""
        arguments = message.get("params", {}).get("arguments", {})
        fault, nonce, session = arguments.get("fault"), arguments.get("nonce"), headers.get("mcp-session-id")
        with self.lock:
            is_first = fault in ("forget", "headers") and nonce not in self.refused
            if is_first:
                self.refused.add(nonce)
                self.sessions.discard(session)
                self.journal.note("fault", nonce, fault=fault)
            is_known = session in self.sessions or message.get("method") == "initialize"
        if self.era == "legacy":
            return None if is_known else (404, None)
        if is_first:
            error = {"code": -32020, "message": "the headers differ"}
            return 400, {"jsonrpc": "2.0", "id": message["id"], "error": error}
        return None

    def rounds(self, run, params, say, ask):
        arguments = params.get("arguments", {})
        if "requestState" not in params:
            strike(self.journal, arguments, "before")
            self.journal.note("begun", arguments["nonce"])

        def ask_and_strike(questions):
            if arguments.get("fault") == "die-asking":
                self.journal.note("fault", arguments["nonce"], fault="die-asking")
                threading.Timer(arguments["seconds"], os.kill, (os.getpid(), signal.SIGKILL)).start()
            return ask(questions)

        return super().rounds(run, params, say, ask_and_strike)


def main():
    era, kind, path = sys.argv[1:4]
    journal = Journal(path)
    questions = {"plain": None, "form": twin.elicit(), "url": twin.elicit_url(), "sample": twin.sample(), "roots": twin.roots()}
    twin.TOOLS = {name: tool(question, name, journal) for name, question in questions.items()}
    server = Faulty(era, journal)
    if kind == "stdio":
        twin.stdio(server)
    else:
        twin.http(server, int(sys.argv[4]))


if __name__ == "__main__":
    main()
