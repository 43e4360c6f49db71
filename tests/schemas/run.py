#!/usr/bin/env python3
"""Every message that Sluice sends, against the official schema of its revision: clients of all five revisions before servers
of all five, with the corpus and the chain of real plugins of the parity run.

    run.py --bin target/debug/sluice --guests target/components/wasm32-wasip2/plugin [--every N] [--only TEXT]

`--every N` takes each Nth exchange. `defects.json` lists what a schema says in contradiction to its specification, each with
the reason; a line that is not needed is named. Ends with 1 when a message is wrong, or when a pair of revisions was silent."""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "parity"), str(HERE.parent / "conformance")]

import parts
import run as parity

SHOWN_MAX = 20
MODERN = "2026-07-28"
# The first revision that has a thing that a tool of the corpus asks for.
ASKS = {"elicitation/create": "2025-06-18", "link": "2025-11-25"}


def main():
    wanted = arguments()
    site = next((parts.venv(HERE / "requirements.txt", parts.TARGET / "schemas" / "python").parents[1] / "lib").glob("python*/site-packages"))
    sys.path.insert(0, str(site))
    from schema import REVISIONS

    judges = unittest.defaultTestLoader.loadTestsFromName("test_schema")
    if not unittest.TextTestRunner(verbosity=0).run(judges).wasSuccessful():
        return 1
    corpus = parity.expand(json.loads((HERE.parent / "parity" / "corpus.json").read_text()))[:: wanted.every]
    pairs = [(down, wire, up) for down in REVISIONS for up in REVISIONS for wire in ("stdio", "http")]
    # Streamable HTTP came after the first revision.
    pairs = [pair for pair in pairs if pair[1] == "stdio" or "2024-11-05" not in pair]
    pairs = [pair for pair in pairs if wanted.only in " ".join(pair)]
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda pair: converse(pair, corpus, wanted, Path(folder)), pairs))
    return report(pairs, found, len(corpus), time.monotonic() - began)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path, required=True, help="the Sluice binary")
    parser.add_argument("--guests", type=Path, required=True, help="the folder of built components")
    parser.add_argument("--every", type=int, default=1, help="take each Nth exchange")
    parser.add_argument("--only", default="", help="part of DOWNSTREAM WIRE UPSTREAM to run")
    # The parity run has a filter for its control; here it is off.
    return parser.parse_args(namespace=argparse.Namespace(control=False))


def converse(pair, corpus, wanted, folder):
    """What Sluice said to both sides, as (message, revision, to, the method it answers)."""
    down, wire, up = pair
    home = folder / "-".join(pair)
    home.mkdir()
    transcript, heard, lock = home / "server.jsonl", [], threading.Lock()

    def hear(came, asked):
        if "jsonrpc" in came:
            with lock:
                heard.append((came, down, "client", None if "method" in came else asked["method"]))

    era = {True: "modern", False: "legacy"}
    with contextlib.ExitStack() as running:
        command = [str(HERE.parent / "parity" / "server.py"), era[up == MODERN], wire, up, str(transcript)]
        server = {"command": sys.executable, "args": command}
        if wire == "http":
            child = running.enter_context(subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True))
            running.callback(child.kill)
            server = {"url": f"http://127.0.0.1:{int(child.stdout.readline())}/mcp"}
        config = home / "sluice.json"
        settled = parity.configuration(server, era[up == MODERN], wire, home, wanted)
        config.write_text(json.dumps(settled))
        client = parity.connect(era[down == MODERN], wire, config, wanted.bin, running, revision=down, hear=hear)
        client.exchange({"method": "tools/list"})
        for exchange in corpus:
            if is_of(exchange, up):
                try:
                    client.exchange(exchange)
                except Exception as error:
                    raise SystemExit(f"{' '.join(pair)}: {json.dumps(exchange)}: {error!r}") from error
    return heard + list(told(transcript, up))


def is_of(exchange, revision):
    """Whether a server of this revision can do what the exchange asks of it."""
    name = exchange.get("params", {}).get("name", "")
    if "link" in name:
        return revision >= ASKS["link"]
    return revision >= ASKS["elicitation/create"] or not any(step["to"] == "elicitation/create" for step in exchange.get("answers", []))


def told(transcript, revision):
    from schema import spoken

    for line in transcript.read_text().splitlines():
        said = json.loads(line)
        yield said["message"], spoken(said["message"], revision), "server", said["answers"]


def report(pairs, found, count, seconds):
    from schema import wrong

    listed = json.loads((HERE / "defects.json").read_text())
    used, counted, judged = set(), Counter(), Counter()
    for pair, said in zip(pairs, found, strict=True):
        for message, revision, to, answers in said:
            judged[(revision, to)] += 1
            what = wrong(message, revision, to, answers)
            if what is None:
                continue
            defect = next((at for at, line in enumerate(listed) if line["revision"] == revision and line["says"] in what), None)
            if defect is not None:
                used.add(defect)
                continue
            counted[(" ".join(pair), to, what)] += 1
    for (pair, to, what), times in sorted(counted.items())[:SHOWN_MAX]:
        print(f"WRONG {times} x, {pair}, to the {to}: {what[:600]}")
    for (revision, to), number in sorted(judged.items()):
        print(f"{revision} to {to}s: {number} messages")
    for at in set(range(len(listed))) - used:
        print(f"listed as a defect and not needed: {listed[at]['says']}")
    silent = [" ".join(pair) for pair, said in zip(pairs, found, strict=True) if len(said) < count]
    for pair in silent:
        print(f"SILENT: {pair} said less than there are exchanges")
    print(f"{sum(judged.values())} messages of {len(pairs)} pairs in {seconds:.0f} s: {sum(counted.values())} wrong")
    return 1 if counted or silent else 0


if __name__ == "__main__":
    sys.exit(main())
