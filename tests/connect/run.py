#!/usr/bin/env python3
"""People connect their accounts through Sluice, with an authorization server, an MCP server and a client that nobody here wrote.

    run.py --bin target/debug/sluice

oidc-provider (npm) gives the tokens and signs people in, the official Python SDK is the server that wants them, with metadata of its
own, and the client. Everything is pinned and installed under target/connect on the first run. It ends with "N passed, N failed".
"""

import argparse
import asyncio
import contextlib
import hashlib
import html
import json
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "conformance"))

import parts

WORK = parts.TARGET / "connect"
# The client runs in the same process, so this is the interpreter that has its SDK.
REQUIREMENTS = HERE.parent / "conformance" / "python" / "requirements.txt"
PEOPLE = ("ada", "bob")
# Of the provider's 40 seconds the plugin uses 10: it renews half a minute before a token ends.
TOKEN_SECONDS = 11
CALLS = 8


def main():
    wanted = arguments()
    python = parts.venv(REQUIREMENTS, parts.TARGET / "conformance" / "venv")
    if Path(sys.prefix).resolve() != python.parent.parent.resolve():
        return subprocess.run([python, *sys.argv]).returncode
    modules = parts.npm(HERE / "npm", WORK / "npm")
    provider, server, gateway = (free_port() for _ in range(3))
    issuer, url = f"http://localhost:{provider}", f"http://localhost:{server}/mcp"
    home = configured(issuer, url, gateway)
    redirect = f"http://127.0.0.1:{gateway}/-/oauth-client/callback"
    log = WORK / "logs" / "provider.log"
    with contextlib.ExitStack() as running:
        running.enter_context(parts.Process(["node", HERE / "provider.mjs", provider, url, redirect], log, cwd=modules.parent))
        running.enter_context(parts.Process([python, HERE / "server.py", server, issuer], WORK / "logs" / "server.log"))
        command = [wanted.bin.resolve(), "serve", "--config", home / "sluice.json"]
        endpoint = running.enter_context(parts.Process(command, WORK / "logs" / "sluice.log", cwd=home))
        results = asyncio.run(story(endpoint.url, issuer, log))
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path, required=True, help="the Sluice binary")
    return parser.parse_args()


def configured(issuer, url, gateway):
    """Two people with keys, and one server whose tokens are theirs."""
    home = WORK / "home"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    keys = [{"id": who, "hash": "sha256:" + hashlib.sha256(key(who).encode()).hexdigest()} for who in PEOPLE]
    origin = url.removesuffix("/mcp")
    connects = {
        "grants": [
            "outbound:protected",
            "http:/-/oauth-client/*",
            f"fetch:{origin} GET private",
            f"fetch:{issuer} GET,POST private",
        ],
        "config": {
            "public_url": f"http://127.0.0.1:{gateway}",
            "sign_in": {"issuer": issuer, "client_id": "gateway"},
            "upstreams": {"protected": {"mode": "authorization_code"}},
        },
    }
    own = {
        "listen": f"127.0.0.1:{gateway}",
        "chain": ["builtin:auth-api-key", "builtin:oauth-client"],
        "plugins": {"settings": {"auth-api-key": {"config": {"keys": keys}}, "oauth-client": connects}},
        "admin": {"enabled": False},
        "cache_dir": str(WORK / "cache"),
        "audit": {"path": str(home / "audit.jsonl")},
    }
    servers = {"protected": {"type": "http", "url": url}}
    (home / "sluice.json").write_text(json.dumps({"mcpServers": servers, "sluice": own}, indent=2))
    return home


def key(who):
    return f"connect-key-of-{who}"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def story(url, issuer, log):
    results = []

    async def attempt(name, check):
        results.append(await attempted(name, check))

    await attempt("a link that was forwarded", lambda: forwarded(url))
    for mode in ("auto", "legacy"):
        await attempt(f"ada connects, {mode}", lambda mode=mode: connects(url, "ada", mode))
    await attempt("calls at once when the token ends", lambda: renews(url, log))
    await attempt("bob connects", lambda: connects(url, "bob", "auto"))
    await attempt("nothing of it is written down", lambda: unwritten(log))
    return results


async def attempted(name, check):
    try:
        said = await check()
    except Exception as error:  # a failure says what was wrong and does not stop the others
        print(f"  FAILED  {name}: {error!r}", flush=True)
        return False
    print(f"  ok      {name}: {said}", flush=True)
    return True


async def forwarded(url):
    """Bob opens the link that ada was given, and signs in as himself."""
    async with client(url, "ada", "auto") as session:
        link = await link_of(session.list_tools)
        shown = await Browser("bob").go(link)
        check(shown.status_code == 403 and "not yours" in shown.text, f"bob sees {shown.status_code} {shown.text}")
        gone = await Browser("ada").go(link)
        check(gone.status_code == 404, f"ada sees {gone.status_code}")
        check(await link_of(session.list_tools) != link, "the next link is another")
    return "refused, and burnt"


async def connects(url, who, mode):
    async with client(url, who, mode) as session:
        if (link := await link_of(session.list_tools)) is not None:
            shown = await Browser(who).go(link)
            check(shown.status_code == 200 and "Connected" in shown.text, f"{who} sees {shown.status_code} {shown.text}")
        tools = [tool.name for tool in (await session.list_tools()).tools]
        check(tools == ["whoami"], f"{tools} are listed")
        said = await whoami(session)
        check(said == who, f"the server takes {who} for {said}")
    return f"the server knows {who}"


async def renews(url, log):
    """Several calls find a token that has ended: one renews it, since the provider takes a second for theft, and all go on."""
    await asyncio.sleep(TOKEN_SECONDS)
    before = len(events(log))
    async with client(url, "ada", "auto") as session:
        said = await asyncio.gather(*(whoami(session) for _ in range(CALLS)))
    check(said == ["ada"] * CALLS, f"they hear {said}")
    asked = [(event["event"], event["grant_type"]) for event in events(log)[before:]]
    check(asked == [("grant.success", "refresh_token")], f"the provider saw {asked}")
    return f"{CALLS} calls, one refresh"


async def unwritten(log):
    written = "".join(path.read_text() for path in [WORK / "home" / "audit.jsonl", WORK / "logs" / "sluice.log"])
    # A JWT begins so, whatever is in it.
    check("eyJ" not in written, "a token is written down")
    check(events(log) and all(event["event"] == "grant.success" for event in events(log)), "the provider refused something")
    return f"{len(events(log))} token requests"


def events(log):
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith('{"event"')]


def check(is_so, what):
    if not is_so:
        raise AssertionError(what)


async def whoami(session):
    return (await session.call_tool("whoami", {})).content[0].text


async def link_of(ask):
    """The page that an error says is to be opened first; none if there is no error."""
    from mcp import MCPError

    try:
        await ask()
    except MCPError as error:
        return error.data["url"]
    return None


@contextlib.asynccontextmanager
async def client(url, who, mode):
    import httpx2
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

    async with httpx2.AsyncClient(headers={"authorization": f"Bearer {key(who)}"}, timeout=30) as http:
        async with Client(streamable_http_client(url, http_client=http), mode=mode) as session:
            yield session


class Browser:
    """One person's, who fills in every form that comes and presses its first button."""

    FORMS_MAX = 8

    def __init__(self, who):
        self.who = who

    async def go(self, url):
        import httpx2

        async with httpx2.AsyncClient(follow_redirects=True, timeout=30) as http:
            page = await http.get(url)
            for _ in range(self.FORMS_MAX):
                form = re.search(r"<form[^>]*>.*?</form>", page.text, re.DOTALL)
                if form is None:
                    return page
                target, data = self.filled_in(page, form.group(0))
                page = await http.post(target, data=data)
            raise AssertionError("the forms do not end")

    def filled_in(self, page, form):
        action = re.search(r'<form[^>]*action="([^"]*)"', form)
        data = {"login": self.who, "password": "any", "answer": "yes"} if 'name="login"' in form else {"answer": "yes"}
        data |= {name: html.unescape(value) for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', form) if name != "answer"}
        return page.url.join(html.unescape(action.group(1))) if action else page.url, data


if __name__ == "__main__":
    try:
        sys.exit(main())
    except parts.Missing as missing:
        sys.exit(str(missing))
