#!/usr/bin/env python3
"""Official clients, Sluice with its four plugins, and servers that nobody here wrote.

    run.py --bin target/debug/sluice    everything, over HTTP and over stdio
    run.py --control                    every client straight to a server: the parts work without Sluice

Each client lists the merged catalogue and calls a tool of every upstream. Everything is pinned and installed under
target/interop on the first run. It ends with "N passed, N failed".
"""

import argparse
import contextlib
import hashlib
import json
import shutil
import sys
import urllib.error
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "conformance"))

import clients
import parts
from servers import Servers

WORK = clients.WORK
KEY = "interop-key-that-opens-nothing-else"
ADDRESS = "alice@example.com"
ECHO = {"message": f"write to {ADDRESS}, please"}
CALLS = {"everything_echo": ECHO, "remote_echo": ECHO, "time_get_current_time": {"timezone": "Europe/Berlin"}}


def main():
    wanted = arguments()
    fronts = clients.install(wanted.rmcp_client)
    servers = Servers(WORK, WORK / "python-modern" / "bin" / "python")
    print("behind:", *servers.versions(), sep="\n  ")
    with contextlib.ExitStack() as running:
        remote = running.enter_context(servers.everything_over_http(WORK / "logs" / "remote.log"))
        results = control(fronts, servers, remote) if wanted.control else through(wanted, fronts, servers, remote, running)
    passed = sum(results)
    print(f"{passed} passed, {len(results) - passed} failed")
    return 0 if passed == len(results) else 1


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--bin", type=Path, help="the Sluice binary")
    kind.add_argument("--control", action="store_true", help="no Sluice")
    parser.add_argument("--rmcp-client", type=Path, help="the conformance-rmcp-client binary; built when absent")
    return parser.parse_args()


def through(wanted, fronts, servers, remote, running):
    """Every client over both transports, and what a stranger is told."""
    sluice = wanted.bin.resolve()
    config = write_config(servers.as_configured(remote.url))
    command = [sluice, "serve", "--config", config, "--listen", "127.0.0.1:0"]
    endpoint = running.enter_context(parts.Process(command, WORK / "logs" / "sluice.log", cwd=config.parent))
    roads = {
        "http": {"url": endpoint.url, "bearer": KEY},
        "stdio": {"command": [str(sluice), "stdio", "--config", str(config)]},
    }
    print("in front, through auth-api-key, redact, rate-limit and namespace:")
    results = [parts.attempt("a stranger, http", lambda: stranger(endpoint.url))]
    for road, reach in roads.items():
        for front in fronts:
            results.append(parts.attempt(f"{front.name} {front.mode}, {road}", lambda: merged(front, reach)))
    return results


def control(fronts, servers, remote):
    """Every client straight to a server of the legacy era, in the modes that such a server can be reached in."""
    roads = {"http": {"url": remote.url}, "stdio": {"command": servers.everything_over_stdio()}}
    print("in front, with nothing between:")
    results = []
    for road, reach in roads.items():
        for front in (front for front in fronts if front.mode != "modern"):
            results.append(parts.attempt(f"{front.name} {front.mode}, {road}", lambda: straight(front, reach)))
    return results


def write_config(upstreams):
    """A client's file with Sluice's own section: the four plugins, and one key."""
    home = WORK / "home"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    key = {"id": "interop", "hash": f"sha256:{digest}", "roles": ["tester"]}
    settings = {
        "auth-api-key": {"config": {"keys": [key]}},
        "rate-limit": {"config": {"limits": [{"name": "calls", "key": ["principal", "tool"], "per_minute": 600}]}},
    }
    own = {
        "chain": [f"builtin:{name}" for name in ("auth-api-key", "redact", "rate-limit", "namespace")],
        "admin": {"enabled": False},
        "cache_dir": str(home / "cache"),
        "audit": {"path": str(home / "audit.jsonl")},
        "plugins": {"settings": settings},
    }
    config = home / "sluice.json"
    config.write_text(json.dumps({"mcpServers": upstreams, "sluice": own}, indent=2))
    return config


def merged(front, reach):
    """The catalogue is merged under prefixes, every upstream answers, and the address never comes back."""
    report = front.run({**reach, "calls": CALLS})
    assert report["protocolVersion"] == front.expects, f"agreed on {report['protocolVersion']}, not {front.expects}"
    tools = report["tools"]
    missing = {*CALLS, "time_convert_time"} - set(tools)
    assert not missing, f"not in the catalogue: {sorted(missing)} (there: {tools})"
    bare = [name for name in tools if not name.startswith(("everything_", "time_", "remote_"))]
    assert not bare, f"without a prefix: {bare}"
    for tool in ("everything_echo", "remote_echo"):
        answer = text_of(report, tool)
        assert ADDRESS not in json.dumps(report["results"][tool]), f"{tool} leaked the address: {answer}"
        assert answer == "Echo: write to [REDACTED:email], please", f"{tool} said {answer!r}"
    now = text_of(report, "time_get_current_time")
    assert "Europe/Berlin" in now and "datetime" in now, f"time_get_current_time said {now!r}"
    return described(report)


def straight(front, reach):
    report = front.run({**reach, "calls": {"echo": ECHO}})
    assert report["protocolVersion"] == clients.LEGACY, f"agreed on {report['protocolVersion']}"
    assert text_of(report, "echo") == f"Echo: {ECHO['message']}", report["results"]
    return described(report)


def text_of(report, tool):
    result = report["results"][tool]
    assert not result.get("isError") and "content" in result, f"{tool} failed: {json.dumps(result)[:500]}"
    return "".join(block.get("text", "") for block in result["content"])


def described(report):
    sdk = report.get("sdk") or clients.rmcp_version()
    return f"{sdk}, {report['protocolVersion']}, {len(report['tools'])} tools, {len(report['results'])} calls"


def stranger(url):
    """Without a key there is a challenge, and nothing about what is behind."""
    params = {"protocolVersion": clients.LEGACY, "capabilities": {}, "clientInfo": {"name": "x", "version": "0"}}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}).encode()
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30) as response:
            raise AssertionError(f"let in with {response.status}")
    except urllib.error.HTTPError as refused:
        challenge = refused.headers.get("WWW-Authenticate", "")
        assert refused.code == 401 and challenge.startswith("Bearer"), f"{refused.code}, challenge {challenge!r}"
        return f"401, {challenge}"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except parts.Missing as missing:
        sys.exit(str(missing))
