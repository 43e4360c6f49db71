#!/usr/bin/env python3
"""The official conformance suite against two fixture servers: direct, and through Sluice, side by side. Through Sluice it
runs twice: with the fixture spoken to in the suite's own era, and in the other one.

    run.py --bin target/debug/sluice [--server rmcp|python|both] [--requirements 2025-11-25|2026-07-28|both]
    run.py --control        a TCP relay in Sluice's place, which has to score the same
    run.py --direct         the fixture servers alone

Everything it needs is pinned and installed under target/conformance on the first run. It ends with the figures, and
with 1 when a scenario scores differently through the proxy and is not listed in not-carried.txt.
"""

import argparse
import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import parts
from relay import Relay
from score import Exemptions, Requirements, compare, read

HERE = Path(__file__).resolve().parent
WORK = parts.ROOT / "target" / "conformance"
ERA = {"2025-11-25": "legacy", "2026-07-28": "modern"}
REVISIONS = list(ERA)
SUITE = "@modelcontextprotocol/conformance"
SCENARIO_MS = 15000
RUN_SECONDS = 300


def main():
    wanted = arguments()
    suite = parts.npm(HERE / "npm", WORK / "npm") / SUITE
    exemptions = Exemptions(HERE / "not-carried.txt")
    rows = []
    for server in chosen(wanted.server, ["rmcp", "python"]):
        with contextlib.ExitStack() as running:
            fixture = running.enter_context(start_fixture(server, wanted))
            proxies = {era: running.enter_context(start_proxy(fixture.url, server, wanted, era)) for era in eras(wanted)}
            for revision in chosen(wanted.requirements, REVISIONS):
                print(f"running {revision} against {server} ...", flush=True)
                requirements = Requirements(suite / "requirements" / f"{revision}.yaml", revision)
                direct = run_suite(suite, fixture.url, revision, WORK / "out" / f"{server}-{revision}-direct")
                if wanted.direct:
                    rows += compare(server, requirements, revision, direct, direct, exemptions)
                for era, proxy in proxies.items():
                    cell = revision if era in (None, ERA[revision]) else f"{revision}>{era}"
                    through = run_suite(suite, proxy.url, revision, WORK / "out" / f"{server}-{cell.replace('>', '-to-')}-through")
                    rows += compare(server, requirements, cell, direct, through, exemptions)
    print_table(rows)
    report(rows, wanted)
    return finish(rows, exemptions, wanted)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    proxy = parser.add_mutually_exclusive_group(required=True)
    proxy.add_argument("--bin", type=Path, help="the Sluice binary")
    proxy.add_argument("--control", action="store_true", help="a TCP relay instead of Sluice")
    proxy.add_argument("--direct", action="store_true", help="no proxy")
    parser.add_argument("--server", choices=["rmcp", "python", "both"], default="both")
    parser.add_argument("--requirements", choices=[*REVISIONS, "both"], default="both")
    parser.add_argument("--rmcp", type=Path, help="the conformance-rmcp binary; built when absent")
    return parser.parse_args()


def eras(wanted):
    """In which eras the fixture is spoken to, a proxy each. A relay has nothing to choose."""
    if wanted.direct:
        return []
    return [None] if wanted.control else ["legacy", "modern"]


def chosen(word, everything):
    return everything if word == "both" else [word]


def start_fixture(server, wanted):
    log = WORK / "logs" / f"fixture-{server}.log"
    if server == "rmcp":
        binary = wanted.rmcp or parts.cargo_bins("conformance-rmcp", "conformance-rmcp")[0]
        return parts.Process([binary, "0"], log)
    python = parts.venv(HERE / "python" / "requirements.txt", WORK / "venv")
    return parts.Process([python, HERE / "python" / "server.py", "0"], log)


def start_proxy(upstream, server, wanted, era):
    if wanted.control:
        return Relay(upstream)
    home = WORK / "home" / f"{server}-{era}"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    config = home / "sluice.json"
    config.write_text(json.dumps(sluice_config(upstream, home, era), indent=2))
    command = [wanted.bin.resolve(), "serve", "--config", config, "--listen", "127.0.0.1:0"]
    return parts.Process(command, WORK / "logs" / f"sluice-{server}-{era}.log", cwd=home)


def sluice_config(upstream, home, era):
    """One upstream, no filters, no key to show: what is left is the proxy itself."""
    return {
        "mcpServers": {"fixture": {"type": "http", "url": upstream}},
        "sluice": {
            "chain": [],
            "upstreams": {"fixture": {"era": era}},
            "auth": {"allow_anonymous": True},
            "admin": {"enabled": False},
            "cache_dir": str(home / "cache"),
            "audit": {"path": str(home / "audit.jsonl")},
        },
    }


def run_suite(suite, url, revision, out):
    """One run of a requirement set. What the suite says stays in a log; its verdicts are read from its files."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    command = ["node", "--import", str(HERE / "fs-glob.mjs"), str(suite / "dist" / "index.js"), "server"]
    command += ["--url", url, "--requirements", revision, "-o", str(out), "--timeout", str(SCENARIO_MS)]
    with (out / "suite.log").open("wb") as log:
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=RUN_SECONDS)
    return read(out)


def print_table(rows):
    width = max(len(row.scenario) for row in rows)
    for server, cell in dict.fromkeys((row.server, row.cell) for row in rows):
        print(f"\n{server}, {cell}\n  {'scenario':{width}}  direct  through  same?")
        for row in rows:
            if (row.server, row.cell) == (server, cell):
                print(f"  {row.scenario:{width}}  {row.direct:6}  {row.through:7}  {row.said()}")
                for note in row.notes:
                    print(f"  {'':{width}}    {note}")


def report(rows, wanted):
    file = WORK / "report.json"
    file.write_text(json.dumps([row.as_json() for row in rows], indent=1))
    print(f"\nevery check: {file.relative_to(parts.ROOT)}; the suite's own output: target/conformance/out")


def finish(rows, exemptions, wanted):
    scored = [row for row in rows if row.scored]
    failing = [row for row in rows if row.judged and row.direct != "pass"]
    for server, cell in dict.fromkeys((row.server, row.cell) for row in scored):
        mine = [row for row in scored if (row.server, row.cell) == (server, cell)]
        counts = [sum(getattr(row, side) == "pass" for row in mine) for side in ("direct", "through")]
        print(f"{server} {cell}: {len(mine)} scored, {counts[0]} pass direct, {counts[1]} pass through")
    for stale in exemptions.stale(rows) if wanted.bin else []:
        print(f"no longer needed in not-carried.txt: {stale}")
    if failing:
        print(f"the fixtures themselves fail: {names(failing)}")
    if wanted.direct:
        return 1 if failing else 0
    judged = [row for row in rows if row.judged and not row.exempt]
    later = [row for row in rows if row.exempt]
    different = [row for row in judged if not row.same]
    print(f"{len(later)} scenarios are not carried yet: {sum(row.same for row in later)} same already")
    print(f"{len(judged)} scenarios: {len(judged) - len(different)} same, {len(different)} different{names(different)}")
    return 1 if different or failing else 0


def names(rows):
    return "".join(f"\n  {row.server} {row.cell} {row.scenario}" for row in rows)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except parts.Missing as missing:
        sys.exit(str(missing))
