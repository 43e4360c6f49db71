#!/usr/bin/env python3
"""An official client's own OAuth through auth-jwt, with a provider that nobody here wrote (npm oidc-provider).

    oauth.py --bin target/debug/sluice

The client starts with nothing: 401, metadata, registration, authorization with PKCE, token, call; then a tool that needs more: 403,
authorization again, call. The provider is exchanged for one with other keys while Sluice runs. Everything is pinned and installed under
target/interop on the first run. It ends with "N passed, N failed".
"""

import argparse
import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "conformance"))

import clients
import parts

WORK = clients.WORK
CALLS = {"get-sum": {"a": 2, "b": 3}, "echo": {"message": "hello"}}
SECRET = "gateway-secret-of-tests"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path, required=True, help="the Sluice binary")
    sluice = parser.parse_args().bin.resolve()
    parts.npm(clients.HERE / "npm", WORK / "npm")
    parts.npm(clients.HERE / "oauth", WORK / "oauth")
    results = []
    for kind in ("jwt", "opaque"):
        with contextlib.ExitStack() as running:
            results += conversations(kind, sluice, running)
    passed = sum(results)
    print(f"{passed} passed, {len(results) - passed} failed")
    return 0 if passed == len(results) else 1


def conversations(kind, sluice, running):
    port, own = free_port(), free_port()
    issuer, resource = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{own}/mcp"
    home = WORK / f"oauth-{kind}"
    config = write_config(home, kind, issuer, resource, own)
    version = json.loads((WORK / "oauth" / "node_modules" / "oidc-provider" / "package.json").read_text())["version"]
    print(f"npm oidc-provider {version}, {kind} tokens:")
    log = home / "sluice.log"
    tokens = []
    # Compiles what is compiled once, so that the start that is waited for is a start.
    os.environ["GATEWAY_SECRET"] = SECRET
    parts.run([str(sluice), "check", "--config", str(config)], home)
    with Provider(port, kind):
        running.enter_context(parts.Process([sluice, "serve", "--config", config], log, cwd=home))
        results = [
            parts.attempt("from nothing to a call, and one step up", lambda: from_nothing(resource, issuer, tokens)),
            parts.attempt("another resource's token", lambda: foreign(issuer, resource)),
        ]
    with Provider(port, kind):
        results.append(parts.attempt("the same with a provider of new keys", lambda: from_nothing(resource, issuer, tokens)))
        results.append(parts.attempt("a token of the keys before", lambda: rotated(kind, resource, tokens)))
    results.append(parts.attempt("no token was written down", lambda: unseen(home, log, tokens)))
    return results


class Provider(parts.Process):
    """The provider at a port, with keys of its own."""

    def __init__(self, port, kind):
        command = ["node", clients.HERE / "oauth" / "provider.mjs", json.dumps({"port": port, "format": kind})]
        super().__init__(command, WORK / "logs" / "provider.log", cwd=WORK / "oauth")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def write_config(home, kind, issuer, resource, port):
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    everything = WORK / "npm" / "node_modules" / "@modelcontextprotocol" / "server-everything" / "dist" / "index.js"
    trusted = {"issuer": issuer, "roles_claim": "roles", "tenant_claim": "org"}
    if kind == "opaque":
        trusted["introspection"] = {"client_id": "gateway", "secret": "gateway"}
    settings = {
        "grants": ["http:/.well-known/oauth-protected-resource*", f"fetch:{issuer} GET,POST private", "secret:gateway"],
        "config": {
            "resource": resource,
            "issuers": [trusted],
            "scopes": ["mcp"],
            "refetch_s": 1,
            "includes": {"tools": ["tools:echo"]},
            "requires": [{"methods": ["tools/call"], "names": ["echo"], "scopes": ["tools:echo"]}],
        },
    }
    own = {
        "listen": f"127.0.0.1:{port}",
        "chain": ["builtin:auth-jwt"],
        "secrets": {"gateway": "env:GATEWAY_SECRET"},
        "admin": {"enabled": False},
        "cache_dir": str(WORK / "home" / "cache"),
        "audit": {"path": str(home / "audit.jsonl")},
        "plugins": {"settings": {"auth-jwt": settings}},
    }
    servers = {"everything": {"command": "node", "args": [str(everything), "stdio"]}}
    config = home / "sluice.json"
    config.write_text(json.dumps({"mcpServers": servers, "sluice": own}, indent=2))
    return config


def from_nothing(resource, issuer, tokens):
    """401 → metadata → token → call → 403 → a token with more → call, all by the client's own code."""
    program = ["node", clients.HERE / "clients" / "typescript_oauth.mjs", json.dumps({"url": resource, "calls": CALLS})]
    done = subprocess.run([str(part) for part in program], cwd=WORK / "npm", capture_output=True, text=True, timeout=clients.CLIENT_SECONDS)
    assert done.returncode == 0, f"the client failed:\n{done.stderr[-3000:]}"
    report = json.loads(done.stdout.strip().splitlines()[-1])
    tokens.append(report["token"])
    kinds = [next(iter(step)) for step in report["steps"]]
    assert kinds == ["status", "authorize", "called", "status", "authorize", "called"], report["steps"]
    first, asked, _, second, more, _ = report["steps"]
    place = resource.replace("/mcp", "/.well-known/oauth-protected-resource/mcp")
    assert first["status"] == 401 and f'resource_metadata="{place}"' in first["challenge"], first
    assert asked["authorize"] == {"scope": "mcp", "resource": resource}, asked
    assert second["status"] == 403 and 'error="insufficient_scope"' in second["challenge"], second
    assert set(more["authorize"]["scope"].split()) == {"mcp", "tools:echo"}, more
    for tool, text in {"get-sum": "5", "echo": "hello"}.items():
        said = json.dumps(report["results"][tool])
        assert text in said and not report["results"][tool].get("isError"), said
    return f"{report['sdk']}: 401, token, call, 403, token, call"


def ask(resource, token):
    params = {"protocolVersion": clients.LEGACY, "capabilities": {}, "clientInfo": {"name": "x", "version": "0"}}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}).encode()
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "Authorization": f"Bearer {token}"}
    try:
        with urllib.request.urlopen(urllib.request.Request(resource, body, headers), timeout=30) as response:
            return response.status, ""
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("WWW-Authenticate", "")


def foreign(issuer, resource):
    """Of the same provider, and for another resource."""
    form = {"grant_type": "client_credentials", "scope": "mcp"}
    credential = base64.b64encode(b"machine:machine-secret-of-tests").decode()

    def token(audience):
        body = urllib.parse.urlencode({**form, "resource": audience}).encode()
        request = urllib.request.Request(f"{issuer}/token", body, {"Authorization": f"Basic {credential}"})
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)["access_token"]

    status, challenge = ask(resource, token("https://elsewhere.example/mcp"))
    assert status == 401 and "for another resource" in challenge, f"{status} {challenge}"
    ours = ask(resource, token(resource))
    assert ours[0] == 200 or "the claim sub" in ours[1], f"the control: {ours}"
    return f"401; for this one {ours[0]}"


def rotated(kind, resource, tokens):
    """The provider that signed it is gone, and its keys with it. The host remembers an answer for a minute, so a new session is not asked
    about with the very text it was asked about before."""
    assert ask(resource, tokens[-1])[0] == 200, "the control"
    if kind == "opaque":
        return "opaque tokens have no keys; the control passed"
    head, claims, signature = tokens[0].split(".")
    status, challenge = ask(resource, f"{head}.{claims}.{signature[:-4]}AAAA")
    assert status == 401 and "does not publish" in challenge, f"{status} {challenge}"
    return "401"


def unseen(home, log, tokens):
    written = log.read_text(errors="replace") + (home / "audit.jsonl").read_text(errors="replace")
    assert tokens and written, "the control: there is something to look for, and something to look in"
    for token in tokens + [SECRET]:
        for part in token.split("."):
            assert len(part) < 20 or part not in written, "a token is in the log"
    return f"{len(written)} bytes of log and audit"


if __name__ == "__main__":
    sys.exit(main())
