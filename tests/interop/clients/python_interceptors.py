"""PyPI mcp 2.x asks for interceptors, of which it knows nothing: one JSON argument says what to ask, one JSON line says what came."""

import asyncio
import json
import sys
from importlib.metadata import version
from typing import Any

import httpx2
import mcp_types as types
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from pydantic import ConfigDict

MODES = {"legacy": "legacy", "modern": "2026-07-28"}


class Open(types.RequestParams):
    model_config = ConfigDict(extra="allow")


class Asked(types.Request[Any, str]):
    pass


class Said(types.Result):
    model_config = ConfigDict(extra="allow")


async def main():
    wanted = json.loads(sys.argv[1])
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {wanted['bearer']}"}, timeout=30) as http:
        async with Client(streamable_http_client(wanted["url"], http_client=http), mode=MODES[wanted["mode"]]) as client:
            results = []
            for method, params in wanted["asks"]:
                asked = Asked(method=method, params=Open.model_validate(params))
                said = await client.session.send_request(asked, Said)
                results.append(said.model_dump(by_alias=True, mode="json", exclude_none=True))
            print(json.dumps({"sdk": f"PyPI mcp {version('mcp')}", "protocolVersion": client.protocol_version, "results": results}))


asyncio.run(main())
