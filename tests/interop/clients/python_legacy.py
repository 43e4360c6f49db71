"""PyPI mcp 1.x: one JSON argument says what to do, one JSON line says what happened."""

import asyncio
import datetime
import json
import os
import sys
from importlib.metadata import version

from mcp import ClientSession, StdioServerParameters, types
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client


def callbacks(answers):
    """What the client says when a server asks; without answers it declares that it cannot be asked."""
    if answers is None:
        return {}

    async def elicited(context, params):
        await linger(answers["elicitation"])
        is_form = answers["elicitation"] == "accept" and getattr(params, "mode", "form") != "url"
        return types.ElicitResult(action=answers["elicitation"], content={"name": "Ada", "age": 36} if is_form else None)

    async def sampled(context, params):
        if answers["sampling"] == "refuse":
            return types.ErrorData(code=-1, message="the user said no")
        said = types.TextContent(type="text", text="Something")
        return types.CreateMessageResult(role="assistant", content=said, model="none", stopReason="endTurn")

    async def rooted(context):
        return types.ListRootsResult(roots=[types.Root(uri="file:///home/ada", name="home")])

    return {"elicitation_callback": elicited, "sampling_callback": sampled, "list_roots_callback": rooted}


async def linger(answer):
    """A user who never answers, or whose client dies under them."""
    if answer == "die":
        os._exit(9)
    if answer == "hang":
        await asyncio.sleep(3600)


async def called(session, name, arguments):
    try:
        result = await session.call_tool(name, arguments)
    except Exception as error:  # an error is an answer too
        return {"error": str(error)}
    return result.model_dump(by_alias=True, mode="json", exclude_none=True)


async def main():
    wanted = json.loads(sys.argv[1])
    if "command" in wanted:
        command, *arguments = wanted["command"]
        transport = stdio_client(StdioServerParameters(command=command, args=arguments))
    else:
        headers = {"Authorization": f"Bearer {wanted['bearer']}"} if "bearer" in wanted else {}
        transport = streamablehttp_client(wanted["url"], headers=headers)
    patience = datetime.timedelta(seconds=wanted["patience"]) if "patience" in wanted else None
    given = callbacks(wanted.get("answers"))
    async with transport as streams, ClientSession(*streams[:2], read_timeout_seconds=patience, **given) as session:
        agreed = await session.initialize()
        tools, cursor = [], None
        while True:
            page = await session.list_tools(cursor)
            tools += [tool.name for tool in page.tools]
            cursor = page.nextCursor
            if not cursor:
                break
        results = {}
        for name, arguments in wanted["calls"].items():
            results[name] = await called(session, name, arguments)
    report = {"protocolVersion": agreed.protocolVersion, "tools": tools, "results": results}
    print(json.dumps({"sdk": f"PyPI mcp {version('mcp')}", **report}))


asyncio.run(main())
