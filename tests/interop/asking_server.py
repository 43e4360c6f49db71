"""A server on the official Python SDK whose tools ask their client something, in both eras.

`asking_server.py --journal FILE` speaks stdio; with `--http` it listens on loopback and prints its URL on one line.

Each tool takes a `nonce` and has one effect, once its question is answered: a line in the journal. Two lines with one
nonce are a call that ran twice.
"""

import argparse
import asyncio
import json
import os
import socket
import warnings

import mcp_types as types
import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPDeprecationWarning
from mcp.shared.message import ServerMessageMetadata
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

warnings.simplefilter("ignore", MCPDeprecationWarning)

FORM = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name"],
}
QUESTIONS = {
    "form": ("elicitation/create", {"message": "Who are you?", "requestedSchema": FORM}),
    "url": ("elicitation/create", {"mode": "url", "message": "Please sign in", "url": "https://example.com/sign-in"}),
    "sample": (
        "sampling/createMessage",
        {"messages": [{"role": "user", "content": {"type": "text", "text": "Say something"}}], "maxTokens": 16},
    ),
    "roots": ("roots/list", {}),
}
ANSWERS = {
    "elicitation/create": types.ElicitResult,
    "sampling/createMessage": types.CreateMessageResult,
    "roots/list": types.ListRootsResult,
}
NONCE = {"type": "object", "properties": {"nonce": {"type": "string"}}, "required": ["nonce"]}


def wanted():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--journal", required=True)
    parser.add_argument("--http", action="store_true")
    return parser.parse_args()


def serve(journal):
    def note(**what):
        with open(journal, "a") as file:
            file.write(json.dumps({**what, "pid": os.getpid()}) + "\n")

    async def list_tools(ctx, params):
        tools = [{"name": name, "description": f"Asks: {name}", "inputSchema": NONCE} for name in QUESTIONS]
        return types.ListToolsResult.model_validate({"tools": tools})

    async def call_tool(ctx, params):
        nonce = params.arguments["nonce"]
        method, asked = QUESTIONS[params.name]
        if ctx.session.protocol_version in MODERN_PROTOCOL_VERSIONS:
            answer = (params.input_responses or {}).get("answer")
            if answer is None:
                note(asked=params.name, nonce=nonce)
                return types.InputRequiredResult.model_validate(
                    {"resultType": "input_required", "inputRequests": {"answer": {"method": method, "params": asked}}}
                )
        else:
            note(asked=params.name, nonce=nonce)
            if asked.get("mode") == "url":
                asked = {**asked, "elicitationId": nonce}
            try:
                answer = await ask(ctx, method, asked)
            except asyncio.CancelledError:
                note(cancelled=params.name, nonce=nonce)
                raise
        said = answer.model_dump(by_alias=True, mode="json", exclude_none=True)
        note(effect=params.name, nonce=nonce, action=said.get("action"))
        return types.CallToolResult(content=[types.TextContent(type="text", text=json.dumps(said, sort_keys=True))])

    return Server("asking", version="0.1.0", on_list_tools=list_tools, on_call_tool=call_tool)


async def ask(ctx, method, asked):
    kinds = {
        "elicitation/create": types.ElicitRequest,
        "sampling/createMessage": types.CreateMessageRequest,
        "roots/list": types.ListRootsRequest,
    }
    question = kinds[method].model_validate({"method": method, "params": asked})
    call = ServerMessageMetadata(related_request_id=ctx.request_id)
    return await ctx.session.send_request(question, ANSWERS[method], metadata=call)


async def over_stdio(server):
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


def over_http(server):
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp", flush=True)
    uvicorn.Server(uvicorn.Config(server.streamable_http_app(), log_level="warning")).run(sockets=[listener])


def main():
    options = wanted()
    server = serve(options.journal)
    if options.http:
        over_http(server)
    else:
        asyncio.run(over_stdio(server))


if __name__ == "__main__":
    main()
