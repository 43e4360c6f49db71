"""PyPI mcp 1.x: one JSON argument says what to do, one JSON line says what happened."""

import asyncio
import json
import sys
from importlib.metadata import version

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client


async def main():
    wanted = json.loads(sys.argv[1])
    if "command" in wanted:
        command, *arguments = wanted["command"]
        transport = stdio_client(StdioServerParameters(command=command, args=arguments))
    else:
        headers = {"Authorization": f"Bearer {wanted['bearer']}"} if "bearer" in wanted else {}
        transport = streamablehttp_client(wanted["url"], headers=headers)
    async with transport as streams, ClientSession(*streams[:2]) as session:
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
            result = await session.call_tool(name, arguments)
            results[name] = result.model_dump(by_alias=True, mode="json", exclude_none=True)
    report = {"protocolVersion": agreed.protocolVersion, "tools": tools, "results": results}
    print(json.dumps({"sdk": f"PyPI mcp {version('mcp')}", **report}))


asyncio.run(main())
