"""PyPI mcp 2.x: one JSON argument says what to do, one JSON line says what happened."""

import asyncio
import json
import os
import sys
from importlib.metadata import version

import httpx2
import mcp_types as types
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

MODES = {"auto": "auto", "legacy": "legacy", "modern": "2026-07-28"}


def callbacks(answers):
    """What the client says when a server asks; without answers it declares that it cannot be asked."""
    if answers is None:
        return {}

    async def elicited(context, params):
        await linger(answers["elicitation"])
        asked = params.model_dump(by_alias=True)
        content = {"name": "Ada", "age": 36} if answers["elicitation"] == "accept" and asked.get("mode") != "url" else None
        return types.ElicitResult(action=answers["elicitation"], content=content)

    async def sampled(context, params):
        if answers["sampling"] == "refuse":
            return types.ErrorData(code=-1, message="the user said no")
        said = types.TextContent(type="text", text="Something")
        return types.CreateMessageResult(role="assistant", content=said, model="none", stop_reason="endTurn")

    async def rooted(context):
        return types.ListRootsResult(roots=[types.Root(uri="file:///home/ada", name="home")])

    return {"elicitation_callback": elicited, "sampling_callback": sampled, "list_roots_callback": rooted}


async def linger(answer):
    """A user who never answers, or whose client dies under them."""
    if answer == "die":
        os._exit(9)
    if answer == "hang":
        await asyncio.sleep(3600)


async def converse(server, wanted):
    given = callbacks(wanted.get("answers"))
    async with Client(server, mode=MODES[wanted["mode"]], read_timeout_seconds=wanted.get("patience"), **given) as client:
        tools, cursor = [], None
        while True:
            page = await client.list_tools(cursor=cursor)
            tools += [tool.name for tool in page.tools]
            cursor = page.next_cursor
            if not cursor:
                break
        results = {}
        for name, arguments in wanted["calls"].items():
            results[name] = await called(client, name, arguments)
        return {"protocolVersion": client.protocol_version, "tools": tools, "results": results}


async def called(client, name, arguments):
    try:
        result = await client.call_tool(name, arguments)
    except Exception as error:  # an error is an answer too
        return {"error": str(error)}
    return result.model_dump(by_alias=True, mode="json", exclude_none=True)


async def main():
    wanted = json.loads(sys.argv[1])
    if "command" in wanted:
        command, *arguments = wanted["command"]
        report = await converse(StdioServerParameters(command=command, args=arguments), wanted)
    else:
        headers = {"Authorization": f"Bearer {wanted['bearer']}"} if "bearer" in wanted else {}
        async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
            report = await converse(streamable_http_client(wanted["url"], http_client=http), wanted)
    print(json.dumps({"sdk": f"PyPI mcp {version('mcp')}", **report}))


asyncio.run(main())
