#!/usr/bin/env python3
"""The official conformance suite, direct and through Sluice, side by side. Its server scenarios run against two fixture
servers, its client scenarios with a reference client. Through Sluice each runs twice: with the fixture spoken to, or the
client speaking, in the suite's own era, and in the other one.

    run.py --bin target/debug/sluice [--every N] [--leg server|client|both] [--server rmcp|python|both] [--requirements 2025-11-25|2026-07-28|both]
    run.py --control        a TCP relay in Sluice's place, which has to score the same
    run.py --direct         the fixtures alone

Everything it needs is pinned and installed under target/conformance on the first run. It ends with the figures, and
with 1 when a scenario scores differently through the proxy and is not listed in not-carried.txt.
"""

import argparse
import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import oauth
import parts
import proxy
from score import JUDGED_UNSCORED, Exemptions, Requirements, compare, read

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
    if wanted.leg in ("server", "both"):
        for server in chosen(wanted.server, ["rmcp", "python"]):
            rows += server_leg(server, suite, exemptions, wanted)
    if wanted.leg in ("client", "both"):
        rows += client_leg(suite, exemptions, wanted)
    print_table(rows)
    report(rows, wanted)
    return finish(rows, exemptions, wanted)


def server_leg(server, suite, exemptions, wanted):
    """The suite as a client, in front of a fixture server."""
    rows = []
    with contextlib.ExitStack() as running:
        # One for each run: some scenarios change what it offers, and that is told to everybody who listens to it.
        fixture, *others = [running.enter_context(start_fixture(server, wanted, run)) for run in ["direct", *eras(wanted)]]
        proxies = {
            era: running.enter_context(start_proxy(other.url, server, wanted, era)) for era, other in zip(eras(wanted), others)
        }
        for revision in chosen(wanted.requirements, REVISIONS):
            print(f"running {revision} against {server} ...", flush=True)
            requirements = Requirements(suite / "requirements" / f"{revision}.yaml", revision)
            cells = {era: revision if era in (None, ERA[revision]) else f"{revision}>{era}" for era in proxies}
            # At once: each waits for most of its time.
            with ThreadPoolExecutor() as pool:
                direct = pool.submit(run_server, suite, fixture.url, revision, f"{server}-{revision}-direct")
                through = {
                    era: pool.submit(run_server, suite, proxy.url, revision, f"{server}-{cells[era].replace('>', '-to-')}-through")
                    for era, proxy in proxies.items()
                }
            if wanted.direct:
                rows += compare(server, requirements, revision, direct.result(), direct.result(), exemptions)
            for era, cell in cells.items():
                rows += compare(server, requirements, cell, direct.result(), through[era].result(), exemptions)
    return rows


def run_server(suite, url, revision, name):
    return run_suite(suite, "server", ["--url", url, "--requirements", revision], name)


def client_leg(suite, exemptions, wanted):
    """The suite as a server, behind a reference client: what reaches it through the proxy is the proxy's own."""
    rows = []
    python = parts.venv(HERE / "python" / "requirements.txt", WORK / "venv")
    if wanted.bin:
        oauth.compile_once(wanted.bin, WORK / "home")
    for revision in chosen(wanted.requirements, REVISIONS):
        print(f"running {revision} with a client ...", flush=True)
        requirements = Requirements(suite / "requirements" / f"{revision}.yaml", revision, "client")
        requirements.unscored = [scenario for scenario in requirements.unscored if scenario in JUDGED_UNSCORED]
        scenarios = requirements.scored + requirements.unscored
        scenarios = scenarios[:: wanted.every]
        requirements.scored = [scenario for scenario in requirements.scored if scenario in scenarios]
        requirements.unscored = [scenario for scenario in requirements.unscored if scenario in scenarios]
        direct = run_clients(suite, client(python, ERA[revision]), revision, f"client-{revision}-direct", scenarios)
        if wanted.direct:
            rows += compare("client", requirements, f"{ERA[revision]}>{revision}", direct, direct, exemptions)
        for era in [ERA[revision]] if wanted.control else eras(wanted):
            cell = f"{era}>{revision}"
            name = f"client-{cell.replace('>', '-to-')}-through"
            tried = [scenario for scenario in scenarios if not exemptions.of(cell, scenario)]
            command = [*through(wanted, name, era, revision), *client(python, era)]
            rows += compare("client", requirements, cell, direct, run_clients(suite, command, revision, name, tried), exemptions)
    return rows


def client(python, era):
    return [python, HERE / "python" / "client.py", "--mode", {"legacy": "legacy", "modern": "auto"}[era]]


def through(wanted, name, era, revision):
    """The program that puts the proxy in front. Some of the suite's servers answer in both eras: where the client's is not
    the revision's, the proxy is told which to speak."""
    command = [sys.executable, HERE / "through.py", "--work", WORK / "home" / name]
    if wanted.bin:
        command += ["--bin", wanted.bin.resolve()]
    return command if era == ERA[revision] else [*command, "--era", ERA[revision]]


def run_clients(suite, command, revision, name, scenarios):
    """One run for each scenario, a few at a time: the suite itself would start them all at once, and time would tell."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        # Extensions are on no revision's timeline, and run only where that is overruled.
        peers = [["--command", words(command), "--scenario", scenario, "--spec-version", revision, "--force"] for scenario in scenarios]
        outs = [f"{name}/{scenario.replace('/', '-')}" for scenario in scenarios]
        found = pool.map(lambda peer, out: run_suite(suite, "client", peer, out), peers, outs)
        return {scenario: checks for one in found for scenario, checks in one.items()}


def words(command):
    """As the suite wants a command: it splits the line at spaces, whatever is quoted, and gives it to a shell."""
    spelled = [str(part) for part in command]
    if any(shlex.quote(part) != part for part in spelled):
        raise parts.Missing(f"the suite runs no client from a path with special characters: {spelled}")
    return " ".join(spelled)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    proxy = parser.add_mutually_exclusive_group(required=True)
    proxy.add_argument("--bin", type=Path, help="the Sluice binary")
    proxy.add_argument("--control", action="store_true", help="a TCP relay instead of Sluice")
    proxy.add_argument("--direct", action="store_true", help="no proxy")
    parser.add_argument("--leg", choices=["server", "client", "both"], default="both")
    parser.add_argument("--server", choices=["rmcp", "python", "both"], default="both")
    parser.add_argument("--requirements", choices=[*REVISIONS, "both"], default="both")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="of the client scenarios only every Nth")
    parser.add_argument("--rmcp", type=Path, help="the conformance-rmcp binary; built when absent")
    return parser.parse_args()


def eras(wanted):
    """In which eras the fixture is spoken to, a proxy each. A relay has nothing to choose."""
    if wanted.direct:
        return []
    return [None] if wanted.control else ["legacy", "modern"]


def chosen(word, everything):
    return everything if word == "both" else [word]


def start_fixture(server, wanted, run):
    log = WORK / "logs" / f"fixture-{server}-{run}.log"
    if server == "rmcp":
        binary = wanted.rmcp or parts.cargo_bins("conformance-rmcp", "conformance-rmcp")[0]
        return parts.Process([binary, "0"], log)
    python = parts.venv(HERE / "python" / "requirements.txt", WORK / "venv")
    return parts.Process([python, HERE / "python" / "server.py", "0"], log)


def start_proxy(upstream, server, wanted, era):
    log = WORK / "logs" / f"sluice-{server}-{era}.log"
    return proxy.start(wanted.bin, upstream, WORK / "home" / f"{server}-{era}", log, era)


def run_suite(suite, leg, arguments, name):
    """One run of the suite. What it says stays in a log; its verdicts are read from its files."""
    out = WORK / "out" / name
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    command = ["node", "--import", str(HERE / "fs-glob.mjs"), str(suite / "dist" / "index.js"), leg, *arguments]
    command += ["-o", str(out), "--timeout", str(SCENARIO_MS)]
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
    for stale in exemptions.stale(rows) if wanted.bin and wanted.every == 1 else []:
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
