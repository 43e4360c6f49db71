"""PyPI mcp 2.x: one JSON argument says what to do, one JSON line says what happened."""

import asyncio
import json
import sys
from importlib.metadata import version

import httpx2
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

MODES = {"auto": "auto", "legacy": "legacy", "modern": "2026-07-28"}


async def converse(server, wanted):
    async with Client(server, mode=MODES[wanted["mode"]]) as client:
        tools, cursor = [], None
        while True:
            page = await client.list_tools(cursor=cursor)
            tools += [tool.name for tool in page.tools]
            cursor = page.next_cursor
            if not cursor:
                break
        results = {}
        for name, arguments in wanted["calls"].items():
            result = await client.call_tool(name, arguments)
            results[name] = result.model_dump(by_alias=True, mode="json", exclude_none=True)
        return {"protocolVersion": client.protocol_version, "tools": tools, "results": results}


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
