#!/usr/bin/env python3
"""Interceptors (SEP-2624, a draft) with official SDKs on the other side, both ways.

    interceptors.py --bin target/debug/sluice [--rmcp-client target/debug/conformance-rmcp-client]

No SDK of the draft itself is in a registry. So the server that is asked is ours on the official Python SDK, which carries methods of extensions;
the server behind, and the clients in front, nobody here wrote. Then an official client asks a Sluice that serves its own filters.
"""

import argparse
import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "conformance"))

import clients
import parts
from servers import Servers

WORK = clients.WORK
SAID = "write to alice@example.com, please"
ASKED = [{"name": "mask", "type": "mutation"}, {"name": "words", "type": "validation", "phases": ["request"]}]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path, required=True, help="the Sluice binary")
    parser.add_argument("--rmcp-client", type=Path, help="the conformance-rmcp-client binary; built when absent")
    wanted = parser.parse_args()
    sluice, fronts = wanted.bin.resolve(), clients.install(wanted.rmcp_client)
    python = WORK / "python-modern" / "bin" / "python"
    servers = Servers(WORK, python)
    results = []
    with contextlib.ExitStack() as running:
        guard = running.enter_context(parts.Process([python, HERE / "interceptor_server.py"], WORK / "logs" / "guard.log"))
        for form in ("message", "params"):
            for front in fronts if form == "message" else fronts[:1]:
                what = f"{front.name} {front.mode}, payload {form}"
                results.append(parts.attempt(what, lambda front=front, form=form: through(sluice, servers, front, guard.url, form)))
        results.append(parts.attempt("the control: without interceptors", lambda: through(sluice, servers, fronts[0], None, "message")))
    results += [parts.attempt(f"an official client asks Sluice, {mode}", lambda mode=mode: asked(sluice, python, mode)) for mode in ("modern", "legacy")]
    passed = sum(results)
    print(f"{passed} passed, {len(results) - passed} failed")
    return 0 if all(results) else 1


def serve(running, sluice, name, upstreams, own):
    home = WORK / name
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    own = {
        "admin": {"enabled": False},
        "cache_dir": str(WORK / "interceptors-cache"),
        "audit": {"path": str(home / "audit.jsonl")},
        "auth": {"token_file": str(home / "token")},
        **own,
    }
    config = home / "sluice.json"
    config.write_text(json.dumps({"mcpServers": upstreams, "sluice": own}, indent=2))
    command = [sluice, "serve", "--config", config, "--listen", "127.0.0.1:0"]
    endpoint = running.enter_context(parts.Process(command, WORK / "logs" / f"{name}.log", cwd=home))
    return {"url": endpoint.url, "bearer": (home / "token").read_text().strip()}


def through(sluice, servers, front, guard, form):
    """What a client gets of the reference server's echo, with interceptors of another server between."""
    command, *rest = servers.everything_over_stdio()
    own = {"chain": []}
    if guard is not None:
        origin = guard.removesuffix("/mcp")
        config = {"url": guard, "interceptors": ASKED, "payload": form, "tell": "messages"}
        own = {
            "chain": ["builtin:interceptor"],
            "plugins": {"settings": {"interceptor": {"grants": [f"fetch:{origin} POST private"], "config": config}}},
        }
    with contextlib.ExitStack() as running:
        reach = serve(running, sluice, "interceptors", {"everything": {"command": command, "args": rest}}, own)
        answer = front.run({**reach, "calls": {"echo": {"message": SAID}}})
        said = "".join(block.get("text", "") for block in answer["results"]["echo"].get("content", []))
        if guard is None:
            assert said == f"Echo: {SAID}", said
            return said
        assert said == "Echo: write to [address], please", said
        refused = refusal(front, {**reach, "calls": {"echo": {"message": "this is forbidden"}}})
        assert "a word is forbidden" in refused, refused
    return said


def refusal(front, job):
    """Some clients end with the error that a call was answered with."""
    try:
        return json.dumps(front.run(job)["results"])
    except AssertionError as failed:
        return str(failed)


def asked(sluice, python, mode):
    """The filters of a Sluice, asked by a client that only knows how to send a method."""
    own = {"chain": ["builtin:redact"], "experimental": {"interceptors": ["redact"]}}
    invocation = {"name": "redact", "event": "tools/call", "phase": "request", "payload": {"name": "echo", "arguments": {"message": SAID}}}
    with contextlib.ExitStack() as running:
        reach = serve(running, sluice, "serving-interceptors", {"clock": {"url": "builtin:clock"}}, own)
        job = {**reach, "mode": mode, "asks": [["interceptors/list", {}], ["interceptor/invoke", invocation]]}
        command = [python, HERE / "clients" / "python_interceptors.py", json.dumps(job)]
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=clients.CLIENT_SECONDS)
        assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout.strip().splitlines()[-1])
    listed, invoked = report["results"]
    assert [one["name"] for one in listed["interceptors"]] == ["redact"], listed
    assert invoked["modified"] and invoked["payload"]["arguments"]["message"] == "write to [REDACTED:email], please", invoked
    return f"{report['sdk']}, {report['protocolVersion']}"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except parts.Missing as missing:
        sys.exit(str(missing))
