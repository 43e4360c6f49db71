#!/usr/bin/env python3
"""No call runs twice, whatever breaks: real upstreams, the real binary, and faults on both sides of it.

    run.py --bin target/debug/sluice [--calls N] [--seed S] [--control]

Eight cells: client era x server era x stdio and HTTP upstream. In each, clients make calls with a name of their own each, of tools
that ask (a form, a link, a model, roots) and of one that does not. The server dies, drops, forgets, stalls; the clients leave, come
back late, twice, with another state; server and Sluice are killed with -9 and started again. Every server appends to one journal
what it does. Then, of every call:

- it began and had its effect at most once;
- nobody was asked about another's call or answered for it, and who was told a result was told its own, of a call that had exactly
  the effect it speaks of;
- what nobody consented to had no effect, nor had a call that is said not to have reached its server; what its client consented to had;
- a client whose call came to a result had its question, but for a few of those that a legacy server puts without saying whose they are;
- its client heard a result or an error with a reason of docs/errors.md, or left, or Sluice was killed under it.

`--control` puts a client in front that repeats what it is told may have run. That must be found out in every cell, for which each
needs some 200 calls.
Ends with 1 when something was wrong, or when the control was not found."""

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import random
import re
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from callers import CALLERS_A_PRINCIPAL, NOT_SENT, SILENT, Legacy, Modern
from wire import Lost

HERE = Path(__file__).resolve().parent
CALLERS = 8
TTL_SECONDS = 1.0
RESTARTS_MAX = 3
CALLS_A_RESTART = 300
SHOWN_MAX = 20
# Of legacy servers' questions, at most so many in a hundred are refused since nobody can tell whose they are (ADR 11). Of all of the
# run's: a cell of a short run has a dozen, of which one is more.
NOBODYS_PERCENT = 5
CELLS = [(down, up, kind) for down in ("modern", "legacy") for up in ("modern", "legacy") for kind in ("stdio", "http")]
OWN_WAYS = ("left", "never came back", "never answered", "kept", "lost", "tool_error", "result")


def main():
    wanted = arguments()
    began = time.monotonic()
    print(f"seed {wanted.seed}, {wanted.calls} calls over {len(CELLS)} cells, {CALLERS} clients a cell, {machine()}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        cells = asyncio.run(run(wanted, Path(folder)))
        return report(cells, wanted, time.monotonic() - began)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path, required=True, help="the Sluice binary")
    parser.add_argument("--calls", type=int, default=10_000, help="calls in all cells together")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32), help="of all dice")
    parser.add_argument("--jobs", type=int, default=3, help="cells at once")
    parser.add_argument("--only", default="", help="part of the name of the cells to run")
    parser.add_argument("--keep", type=Path, help="a folder for journals and logs")
    parser.add_argument("--control", action="store_true", help="with clients that repeat what may have run")
    return parser.parse_args()


def machine():
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return f"{os.cpu_count()} x {model[1] if model else os.uname().machine}, Linux {os.uname().release}"


async def run(wanted, folder):
    turns = asyncio.Semaphore(wanted.jobs)
    cells = [Cell(*cell, wanted, folder) for cell in CELLS if wanted.only in "-".join(cell)]

    async def one(cell):
        async with turns:
            await cell.run(shares(wanted.calls, len(CELLS))[CELLS.index((cell.down, cell.up, cell.kind))])

    await asyncio.gather(*(one(cell) for cell in cells))
    return cells


def shares(whole, parts):
    return [whole * (at + 1) // parts - whole * at // parts for at in range(parts)]


class Cell:
    """One pairing of eras over one transport to the server."""

    ttl_seconds = TTL_SECONDS

    def __init__(self, down, up, kind, wanted, folder):
        self.down, self.up, self.kind, self.name = down, up, kind, f"{down}-{up}-{kind}"
        self.sluice, self.seed, self.control = wanted.bin.resolve(), wanted.seed, wanted.control
        self.home = (wanted.keep or folder) / self.name
        self.home.mkdir(parents=True)
        self.journal = self.home / "journal.jsonl"
        self.tokens = [f"faults-key-{number:04}" for number in range(CALLERS // CALLERS_A_PRINCIPAL)]
        self.calls, self.kept, self.down_at, self.is_up = {}, [], [], asyncio.Event()
        self.child = self.server = None
        self.kills = Counter()

    def was_down_since(self, moment):
        """Whether Sluice was killed or not back yet at any time since."""
        return any(ended >= moment for _, ended in self.down_at)

    async def run(self, calls):
        self.port, self.server_port = free_port(), free_port()
        self.write_configuration()
        dice = random.Random(f"{self.seed} {self.name}")
        async with contextlib.AsyncExitStack() as running:
            if self.kind == "http":
                running.push_async_callback(self.stop, asyncio.create_task(self.keep_server()))
                await self.server_is_up()
            await self.start()
            running.push_async_callback(self.end)
            killer = asyncio.create_task(self.kill_servers(dice))
            running.push_async_callback(self.stop, killer)
            callers = [(Modern if self.down == "modern" else Legacy)(self, number) for number in range(CALLERS)]
            if self.control:
                for caller in callers:
                    caller.make = repeating(caller, caller.make)
            restarter = asyncio.create_task(self.restart_sluice(calls))
            await asyncio.gather(*(caller.run(share) for caller, share in zip(callers, shares(calls, CALLERS), strict=True)))
            restarter.cancel()
            killer.cancel()
            # Whatever was left waiting ends by now; a server that was told twice had the time to do it twice.
            await asyncio.sleep(TTL_SECONDS + 1.5)
        # A panic that a runtime swallows may show in no answer.
        said = (self.home / "sluice.log").read_text(errors="replace").splitlines()
        if any(line.startswith("thread '") and "panicked at" in line for line in said):
            raise SystemExit(f"sluice panicked: {self.home / 'sluice.log'}")

    async def stop(self, task):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    def write_configuration(self):
        server = {"command": sys.executable, "args": [str(HERE / "upstream.py"), self.up, "stdio", str(self.journal)]}
        if self.kind == "http":
            server = {"url": f"http://127.0.0.1:{self.server_port}/mcp"}
        keys = [{"id": key, "hash": f"sha256:{hashlib.sha256(key.encode()).hexdigest()}", "subject": key} for key in self.tokens]
        # A slow machine is no fault.
        auth = {"config": {"keys": keys}, "limits": {"cpu_ms": 5000, "wall_ms": 20000}}
        (self.home / "plugins").mkdir()
        own = {
            "listen": f"127.0.0.1:{self.port}",
            "chain": ["builtin:auth-api-key"],
            "plugins": {"dir": str(self.home / "plugins"), "settings": {"auth-api-key": auth}},
            "upstreams": {"faulty": {"era": self.up}},
            "limits": {
                "call_timeout_ms": 3000,
                "parked_call_ttl_ms": int(TTL_SECONDS * 1000),
                "parked_calls_per_principal_max": 256,
                "children_per_upstream_max": 64,
            },
            "auth": {"token_file": str(self.home / "token")},
            "audit": {"path": str(self.home / "audit.jsonl")},
            "cache_dir": str(self.home.parent / "cache"),
            "admin": {"enabled": False},
        }
        self.config = self.home / "sluice.json"
        self.config.write_text(json.dumps({"mcpServers": {"faulty": server}, "sluice": own}))

    async def start(self):
        with open(self.home / "sluice.log", "ab") as log:
            command = [self.sluice, "serve", "--config", self.config]
            self.child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=log)
        ready = await asyncio.wait_for(self.child.stdout.readline(), 60)
        if b"http://" not in ready:
            raise SystemExit(f"sluice did not start: {(self.home / 'sluice.log').read_text()[-2000:]}")
        self.is_up.set()

    async def end(self):
        self.child.terminate()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.child.wait(), 5)
        if self.child.returncode is None:
            self.child.kill()
            await self.child.wait()

    async def restart_sluice(self, calls):
        """Killed now and then; then the states from before are presented."""
        loop = asyncio.get_running_loop()
        times = min(RESTARTS_MAX, 1 + calls // CALLS_A_RESTART)
        for part in range(1, times + 1):
            while len(self.calls) < calls * part / (times + 1):
                await asyncio.sleep(0.02)
            self.kills["sluice killed"] += 1
            self.is_up.clear()
            self.down_at.append([loop.time(), float("inf")])
            self.child.kill()
            await self.child.wait()
            await self.start()
            self.down_at[-1][1] = loop.time()
            kept, self.kept = self.kept, []
            for caller, call, params in kept:
                await self.present(caller, call, params)

    async def present(self, caller, call, params):
        wire = caller.fresh()
        try:
            caller.expect(call, await caller.post(params, wire), "round_unknown")
        except Lost:
            call.outcomes.append("lost")
        wire.close()

    async def keep_server(self):
        """The server behind a URL is started again whenever it has died."""
        while True:
            command = [sys.executable, HERE / "upstream.py", self.up, "http", self.journal, str(self.server_port)]
            nowhere = asyncio.subprocess.DEVNULL
            self.server = await asyncio.create_subprocess_exec(*command, stdout=nowhere, stderr=nowhere)
            try:
                await self.server.wait()
            finally:
                if self.server.returncode is None:
                    self.server.kill()
                    await self.server.wait()

    async def server_is_up(self):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self.server_port)
                return writer.close()
            await asyncio.sleep(0.05)

    async def kill_servers(self, dice):
        """Now and then, whatever it does at the time."""
        while True:
            await asyncio.sleep(dice.uniform(0.5, 3))
            found = [self.server.pid] if self.kind == "http" and self.server.returncode is None else children(self.child.pid)
            if found:
                self.kills["server killed"] += 1
                with contextlib.suppress(ProcessLookupError):
                    os.kill(dice.choice(found), signal.SIGKILL)


def repeating(caller, make):
    """The control: as a client or a proxy does that takes a call for lost and makes it again."""

    async def twice(call):
        await make(call)
        if call.outcomes[-1:] == ["outcome_unknown"]:
            call.arguments = {"nonce": call.nonce}
            await make(call)

    return twice


def free_port():
    """Below those that the system takes for outgoing connections: it has to be free again after each kill."""
    below = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.SystemRandom().randrange(10_000, below)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def children(pid):
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(child) for child in task.read_text().split()]
    return found


def judge(cell, typed):
    """What is wrong, in words; how many calls ran more than once; what the journal holds; and the faults that struck."""
    facts = {"begun": Counter(), "did": Counter(), "fault": Counter(), "mixed": Counter(), "elsewhere": Counter()}
    struck, mixed = Counter(), []
    for line in cell.journal.read_text().splitlines():
        fact = json.loads(line)
        facts[fact["fact"]][fact["nonce"]] += 1
        if fact["fact"] == "mixed":
            mixed.append((cell.calls.get(fact["nonce"]), cell.calls.get(fact["said"])))
        if fact["fact"] == "fault":
            struck[fact["fault"]] += 1
    wrong, doubled = [], 0
    for nonce in set(facts["begun"]) | set(facts["did"]):
        begun, did = facts["begun"][nonce], facts["did"][nonce]
        if begun > 1 or did > 1:
            doubled += 1
            wrong.append(f"ran more than once ({begun} begun, {did} done): {cell.calls.get(nonce, nonce)}")
        elif nonce not in cell.calls:
            wrong.append(f"nobody made the call {nonce}")
    for asking, said in mixed:
        # `roots/list` is of a client and names no call (2025-11-25 client/roots), and a legacy client hears all of its session's questions
        # wherever they are put (ADR 11): one that has left a call answers it within its next. Its roots are the same.
        if asking and said and asking.tool == "roots" and asking.caller is said.caller and cell.down == "legacy":
            facts["elsewhere"][asking.nonce] += 1
            continue
        whose = "of the same client" if asking and said and asking.caller is said.caller else "of another client"
        wrong.append(f"was answered what was said for another call, {whose}: {asking}; {said}")
    for call in cell.calls.values():
        did = facts["did"][call.nonce]
        wrong.extend(f"{what}: {call}" for what in judge_call(call, did, facts["begun"][call.nonce], typed))
    return wrong, doubled, facts, struck


def judge_questions(cells, up):
    """Whether those whose call came to a result had their question, at all servers of one era."""
    asking = [(cell, call) for cell in cells if cell.up == up for call in cell.calls.values() if call.tool != "plain" and "result" in call.outcomes]
    unasked = [f"{cell.name}: was never asked: {call}" for cell, call in asking if not call.was_asked]
    print(f"{len(unasked)} of {len(asking)} clients of {up} servers heard a result and were never asked")
    too_many = len(unasked) * 100 > len(asking) * (NOBODYS_PERCENT if up == "legacy" else 0)
    return unasked if too_many else []


def judge_call(call, did, begun, typed):
    yield from call.wrong
    results = call.outcomes.count("result")
    if results > 1:
        yield "several results"
    if results == 1 and (did != int(call.did) or begun != 1):
        yield f"was told {'done' if call.did else 'not done'}, and it was done {did} times"
    if results == 1 and call.said_yes and call.way not in SILENT and not did:
        yield "its client said yes, and it was not done"
    if did and call.tool in ("form", "url") and call.answer != "accept":
        yield "done without consent"
    if did and call.way in SILENT and call.tool != "plain":
        yield "done without an answer"
    if call.outcomes and call.outcomes[-1] in NOT_SENT and not results and (did or begun and not call.was_asked):
        yield "said not to have reached the server, and did"
    yield from (f"no typed outcome: {outcome}" for outcome in call.outcomes if outcome not in typed and outcome not in OWN_WAYS)


def documented():
    """Every reason of docs/errors.md."""
    page = (HERE.parents[1] / "docs" / "errors.md").read_text()
    rows = [line.split("|")[-2] for line in page.splitlines() if line.startswith("| ")]
    return {reason for cell in rows for reason in re.findall(r"`([a-z_]+)`", cell)}


def report(cells, wanted, seconds):
    typed = documented()
    outcomes, faults, ways, wrong, doubled, unnoticed = Counter(), Counter(), Counter(), [], 0, []
    print(f"{'cell':24}{'calls':>7}{'begun':>7}{'done':>7}{'results':>9}{'twice':>7}{'wrong':>7}")
    for cell in cells:
        found, twice, facts, struck = judge(cell, typed)
        outcomes.update(outcome for call in cell.calls.values() for outcome in call.outcomes)
        ways.update(f"client {call.way}" for call in cell.calls.values() if call.way != "patient")
        ways["client tells its roots within its next call"] += len(facts["elsewhere"])
        faults += struck + cell.kills
        results = sum("result" in call.outcomes for call in cell.calls.values())
        print(f"{cell.name:24}{len(cell.calls):7}{len(facts['begun']):7}{len(facts['did']):7}{results:9}{twice:7}{len(found):7}")
        wrong += [f"{cell.name}: {what}" for what in found]
        doubled += twice
        unnoticed += [] if twice else [cell.name]
        # In a short run one server that was killed may be most of a cell.
        if results * 3 < len(cell.calls) and len(cell.calls) >= CALLS_A_RESTART:
            wrong.append(f"{cell.name}: only {results} of {len(cell.calls)} calls came to a result, which shows too little")
    made = sum(len(cell.calls) for cell in cells)
    if outcomes["result"] * 3 < made:
        wrong.append(f"only {outcomes['result']} of {made} calls came to a result, which shows too little")
    for title, counts in (("what clients saw", outcomes), ("faults of servers, and kills", faults), ("what clients did", ways)):
        print(f"{title}: " + ", ".join(f"{count} {name}" for name, count in counts.most_common()))
    for up in ("modern", "legacy"):
        wrong += judge_questions(cells, up)
    for what in wrong[:SHOWN_MAX]:
        print(f"WRONG {what}")
    print(f"{doubled} double executions of {made} calls, {len(wrong)} wrong, seed {wanted.seed}, {seconds:.0f} s, {machine()}")
    if wanted.control:
        print(f"THE CONTROL WAS NOT FOUND IN {', '.join(unnoticed)}" if unnoticed else "the control was found in every cell")
        return 1 if unnoticed else 0
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
