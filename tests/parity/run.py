#!/usr/bin/env python3
"""One corpus through every path: downstream era x transport, upstream era x transport, each with the same chain of real
plugins. What filters saw, what the server got, what the client got, labels and errors have to be the same.

    run.py --bin target/debug/sluice --guests target/components/wasm32-wasip2/plugin [--every N] [--control]

`corpus.json` holds the exchanges, `differences.json` what a path cannot carry, with the clause that says so. `--every N` runs
each Nth exchange. `--control` adds a filter that decides by the client's era: the run has to find that.
Ends with 1 when there is a difference that is not listed, and when a listed one does not occur."""

import argparse
import contextlib
import hashlib
import itertools
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from client import Client, Http, Pipe, Sse

HERE = Path(__file__).resolve().parent
KEY = "parity-key-0123456789"
# HTTP+SSE has no modern form.
ENDS = [(era, wire) for era in ("modern", "legacy") for wire in ("http", "stdio", "sse") if (era, wire) != ("modern", "sse")]
SHOWN_MAX = 20
# What belongs to a hop (docs/adr/0013): may be there or not, and means the same.
HOP_RESULT = ("resultType", "ttlMs", "cacheScope")
HOP_PARAMS = ("progressToken",)
PROTOCOL_META = "io.modelcontextprotocol/"
# Facts about the wire and the caller, not about the exchange.
FACTS = ("transport.", "client.", "principal.", "http.")


def main():
    wanted = arguments()
    corpus = expand(json.loads((HERE / "corpus.json").read_text()))[:: wanted.every]
    paths = [(*down, *up) for down in ENDS for up in ENDS]
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(wanted.jobs) as pool:
        done = list(pool.map(lambda path: run(path, corpus, wanted, Path(folder)), paths))
    found = compare(corpus, dict(zip(paths, done, strict=True)))
    return report(corpus, paths, found, wanted, time.monotonic() - began)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path, required=True, help="the Sluice binary")
    parser.add_argument("--guests", type=Path, required=True, help="the folder of built components")
    parser.add_argument("--every", type=int, default=1, help="take each Nth exchange")
    parser.add_argument("--jobs", type=int, default=2, help="paths at once")
    parser.add_argument("--control", action="store_true", help="with a filter that decides by era")
    return parser.parse_args()


def expand(groups):
    """`each` makes one exchange of every value, in the place of "$"."""
    exchanges = []
    for group in groups:
        group = dict(group)
        for value in group.pop("each", [None]):
            text = json.dumps(group)
            exchanges.append(json.loads(text if value is None else text.replace('"$"', json.dumps(value))))
    return exchanges


def run(path, corpus, wanted, folder):
    """All of it over one path. What is worth comparing, an item for each exchange."""
    down, wire, up, kind = path
    home = folder / "-".join(path)
    home.mkdir()
    with contextlib.ExitStack() as running:
        server = {"command": sys.executable, "args": [str(HERE / "server.py"), up, kind]}
        if kind != "stdio":
            child = running.enter_context(subprocess.Popen(list(server.values())[:1] + server["args"], stdout=subprocess.PIPE, text=True))
            running.callback(child.kill)
            place = f"http://127.0.0.1:{int(child.stdout.readline())}"
            server = {"url": f"{place}/mcp"} if kind == "http" else {"url": f"{place}/sse", "type": "sse"}
        config = home / "sluice.json"
        config.write_text(json.dumps(configuration(server, up, wire, home, wanted)))
        client = connect(down, wire, config, wanted.bin, running)
        # Recorded up to here: the handshake's own requests.
        client.exchange({"method": "tools/list"})
        recorded(client)
        observed = [observe(client, exchange) for exchange in corpus]
        if panics(config):
            raise SystemExit(f"sluice panicked over {home.name}: {panics(config)[0]}")
        return observed


def configuration(server, era, wire, home, wanted):
    plugins = home / "plugins"
    plugins.mkdir()
    guests = {"recorder": "guest_recorder", "confirm": "sluice_example_confirm", "verdict": "guest_verdict"}
    for name, file in guests.items():
        shutil.copyfile(wanted.guests / f"{file}.wasm", plugins / f"{name}.wasm")
    chain = ["recorder", "confirm", "verdict", "builtin:rate-limit", "builtin:redact", "builtin:namespace"]
    hashed = hashlib.sha256(KEY.encode()).hexdigest()
    settings = {
        "recorder": {"config": {"control": wanted.control}},
        "confirm": {"config": {"tools": ["danger"]}},
        "verdict": {"config": {"on": "request", "name": "danger", "verdict": {"suspend": {"message": "And once more?"}}}},
        "rate-limit": {"config": {"limits": [{"name": "few", "key": ["tool"], "names": ["broken"], "burst": 5, "per_minute": 0.001}]}},
        "redact": {},
        "auth-api-key": {"config": {"keys": [{"id": "k", "hash": f"sha256:{hashed}", "subject": "you"}]}},
    }
    for plugin in settings.values():
        # A slow machine is no difference between paths.
        plugin["limits"] = {"cpu_ms": 5000, "wall_ms": 20000, "wall_waiting_ms": 20000}
    if wire != "stdio":
        chain.insert(0, "builtin:auth-api-key")
    else:
        del settings["auth-api-key"]
    return {
        "mcpServers": {"fixture": server},
        "sluice": {
            "listen": "127.0.0.1:0",
            "chain": chain,
            "plugins": {"dir": str(plugins), "settings": settings},
            "upstreams": {"fixture": {"era": era}},
            "auth": {"token_file": str(home / "token")},
            "audit": {"path": str(home / "audit.jsonl")},
            "cache_dir": str(wanted.guests.parent / "parity-cache"),
            "admin": {"enabled": False},
        },
    }


def connect(era, wire, config, sluice, running, **more):
    if wire == "stdio":
        pipe = Pipe([sluice, "stdio", "--config", config])
        running.callback(pipe.close)
        return Client(era, pipe, **more)
    log = running.enter_context(open(config.with_suffix(".log"), "w"))
    child = running.enter_context(subprocess.Popen([sluice, "serve", "--config", config], stdout=subprocess.PIPE, stderr=log, text=True))
    running.callback(child.terminate)
    ready = child.stdout.readline()
    url = next((word for word in ready.split() if word.startswith("http://")), None)
    if url is None:
        raise SystemExit(f"sluice did not start: {ready}{config.with_suffix('.log').read_text()}")
    return Client(era, {"http": Http, "sse": Sse}[wire](url, KEY), **more)


def panics(config):
    """A panic that a runtime swallows may show in no answer."""
    log = config.with_suffix(".log")
    said = log.read_text(errors="replace") if log.exists() else ""
    return [line for line in said.splitlines() if line.startswith("thread '") and "panicked at" in line]


def observe(client, exchange):
    try:
        heard = client.exchange(exchange)
    except Exception as error:
        raise SystemExit(f"{client.era} over {type(client.wire).__name__}: {json.dumps(exchange)}: {error!r}") from error
    observed = {
        "answer": canonical(heard.answer),
        "notifications": [canonical(said) for said in heard.notifications],
        "questions": [canonical(question) for question in heard.questions],
        "seen": recorded(client),
    }
    return unordered(observed) if exchange.get("parallel") else observed


def unordered(observed):
    """Questions that a server puts at once have an order in one era only, and of a legacy client's answers the first begins the
    next round, whether or not the last question has come: what was asked and said counts, not in which order and round."""
    asked = [item for item in observed["seen"] if item["kind"].startswith("input-")]
    bare = [{key: value for key, value in item.items() if key not in ("round", "labels")} for item in asked]
    first, *_, last = observed["seen"]
    ends = [{key: value for key, value in item.items() if key not in ("round", "labels")} for item in (first, last)]
    ordered = {"questions": sorted(observed["questions"], key=json.dumps), "seen": ends[:1] + sorted(bare, key=json.dumps) + ends[1:]}
    return observed | ordered


def recorded(client):
    result = client.exchange({"method": "tools/call", "params": {"name": "recorded"}}).answer
    if "result" not in result:
        raise SystemExit(f"nothing was recorded: {result}")
    seen = result["result"]["structuredContent"]["seen"]
    exchanges = {}
    for item in seen:
        item["message"] = canonical(item["message"])
        item["labels"] = {key: value for key, value in item["labels"].items() if not key.startswith(FACTS)}
        # One exchange has one id, however many rounds it has.
        item["exchange"] = exchanges.setdefault(item["exchange"], len(exchanges))
    return seen


def canonical(value):
    """Without what belongs to a hop."""
    if isinstance(value, list):
        return [canonical(item) for item in value]
    if not isinstance(value, dict):
        return scrub(value)
    kept = {}
    for key, item in value.items():
        if key in ("id", "requestId", "elicitationId", "retryAfterMs", *HOP_RESULT, *HOP_PARAMS):
            continue
        if key == "_meta":
            item = {name: inner for name, inner in item.items() if not name.startswith(PROTOCOL_META) and name not in HOP_PARAMS}
            if not item:
                continue
        if key == "mode" and item == "form":
            continue
        kept[key] = canonical(item)
    return kept


def scrub(value):
    """Ids and waits differ from run to run."""
    if not isinstance(value, str):
        return value
    return re.sub(r"again in \d+ s\b", "again in N s", re.sub(r"\b[0-9a-f]{16}\b", "ID", value))


def compare(corpus, done):
    """Every aspect of every exchange over every path against the first path."""
    reference = done[("modern", "http", "modern", "http")]
    found = []
    for path, observed in done.items():
        for exchange, expected, got in zip(corpus, reference, observed, strict=True):
            for aspect in expected:
                if expected[aspect] != got[aspect]:
                    found.append((path, exchange, aspect, expected[aspect], got[aspect]))
            # That all are alike does not say that they are right.
            if exchange.get("expect", "") not in json.dumps(got["answer"]):
                found.append((path, exchange, "expect", exchange["expect"], got["answer"]))
    return found


def report(corpus, paths, found, wanted, seconds):
    listed = json.loads((HERE / "differences.json").read_text())
    seen, counted, where = set(), Counter(), Counter()
    for path, exchange, aspect, expected, got in found:
        rule = next((at for at, rule in enumerate(listed) if allows(rule, path, exchange, aspect, expected, got)), None)
        if rule is not None:
            seen.add(rule)
            continue
        counted["all"] += 1
        where[(" ".join(path), exchange["kind"], aspect)] += 1
        if counted["all"] <= SHOWN_MAX:
            print(f"DIFFERENCE {' '.join(path)}: {aspect} of {json.dumps(exchange)}\n    {json.dumps(expected)}\n    {json.dumps(got)}")
    for (path, kind, aspect), count in sorted(where.items()):
        print(f"{count:5} {path}: {aspect} of {kind}")
    kinds = Counter(exchange["kind"] for exchange in corpus)
    print(", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())))
    print(f"{len(corpus)} exchanges x {len(paths)} paths in {seconds:.0f} s: {counted['all']} differences, {len(found) - counted['all']} listed")
    if wanted.control:
        print("the control was found" if counted["all"] else "THE CONTROL WAS NOT FOUND")
        return 0 if counted["all"] else 1
    stale = [rule["why"] for at, rule in enumerate(listed) if at not in seen and wanted.every == 1]
    for why in stale:
        print(f"listed and did not occur: {why}")
    return 1 if counted["all"] or stale else 0


def allows(rule, path, exchange, aspect, expected, got):
    """Whether a rule covers a difference: in its place, and where it names codes in nothing but them."""
    names = ("downstream", "downstream_wire", "upstream", "upstream_wire")
    place = all(rule.get(name) in (None, value) for name, value in zip(names, path, strict=True))
    if not place or aspect not in rule["aspects"] or exchange["kind"] not in rule["kinds"]:
        return False
    return "codes" not in rule or translated(expected, rule["codes"]) == translated(got, {})


def translated(value, codes):
    """With other error codes, and without the note of what the code was."""
    if isinstance(value, list):
        return [translated(item, codes) for item in value]
    if not isinstance(value, dict):
        return value
    value = {key: translated(item, codes) for key, item in value.items()}
    if "error" in value and isinstance(value["error"], dict):
        error = value["error"] = dict(value["error"])
        error["code"] = codes.get(str(error["code"]), error["code"])
        if isinstance(error.get("data"), dict):
            error["data"] = {key: item for key, item in error["data"].items() if key != "upstreamCode"}
        if not error.get("data"):
            error.pop("data", None)
    return value


if __name__ == "__main__":
    sys.exit(main())
