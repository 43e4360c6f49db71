"""An interceptor server (SEP-2624, a draft) on the official Python SDK: its extensions, its transport, and two interceptors of ours.

It listens on loopback and prints its URL on one line. `mask` puts `[address]` in the place of mail addresses, `words` refuses the word
"forbidden". Both take payloads as whole messages and as bare params.
"""

import json
import re
import socket
from typing import Any

import uvicorn
from mcp.server.extension import Extension, MethodBinding
from mcp.server.mcpserver import MCPServer
from mcp_types import RequestParams, Result
from pydantic import ConfigDict

ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
BOTH = [{"events": ["tools/call"], "phase": phase} for phase in ("request", "response")]


class Open(Result):
    """A result of no schema of the protocol's."""

    model_config = ConfigDict(extra="allow")


class Listing(RequestParams):
    event: str | None = None


class Invocation(RequestParams):
    name: str
    event: str
    phase: str
    payload: Any = None


async def listed(_, params: Listing) -> Open:
    found = [{"name": "mask", "type": "mutation", "hooks": BOTH}, {"name": "words", "type": "validation", "hooks": BOTH[:1]}]
    return Open.model_validate({"interceptors": found})


async def invoked(_, params: Invocation) -> Open:
    said = {"interceptor": params.name, "phase": params.phase}
    text = json.dumps(params.payload)
    if params.name == "mask":
        masked = ADDRESS.sub("[address]", text)
        return Open.model_validate({**said, "type": "mutation", "modified": masked != text, "payload": json.loads(masked)})
    bad = "forbidden" in text
    messages = {"severity": "error", "messages": [{"message": "a word is forbidden", "severity": "error"}]} if bad else {}
    return Open.model_validate({**said, "type": "validation", "valid": not bad, **messages})


class Interceptors(Extension):
    identifier = "io.modelcontextprotocol/interceptors"

    def settings(self):
        return {"supportedEvents": ["tools/call"]}

    def methods(self):
        return [MethodBinding("interceptors/list", Listing, listed), MethodBinding("interceptor/invoke", Invocation, invoked)]


def main():
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp", flush=True)
    app = MCPServer("guard", extensions=[Interceptors()]).streamable_http_app()
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


if __name__ == "__main__":
    main()
