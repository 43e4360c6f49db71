"""The reference client of the suite's client scenarios, on the official Python SDK: `client.py --mode MODE URL`.

The suite says in its environment which scenario is on. The client does what the scenario wants done, as an ordinary
program would: what is on the wire is the SDK's.
"""

import argparse
import asyncio
import json
import os
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata
from mcp_types import ElicitResult

SCENARIO = os.environ["MCP_CONFORMANCE_SCENARIO"]
CONTEXT = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
REDIRECT = "http://localhost:3030/callback"
IDENTITY_DOCUMENT = "https://conformance-test.local/client-metadata.json"
HTTP_SECONDS = 20


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mode", choices=["auto", "legacy", "2026-07-28"], required=True)
    parser.add_argument("url")
    wanted = parser.parse_args()
    auth = oauth(wanted.url) if SCENARIO.startswith("auth/") else None
    async with httpx2.AsyncClient(auth=auth, timeout=HTTP_SECONDS, follow_redirects=True) as http:
        server = streamable_http_client(wanted.url, http_client=http)
        async with Client(server, mode=wanted.mode, elicitation_callback=elicited) as client:
            await SCENARIOS.get(SCENARIO, list_and_call)(client)


async def elicited(_context, params):
    """Accepts with the schema's own defaults; a boolean without one is a yes."""
    properties = params.requested_schema["properties"]
    content = {name: schema.get("default", True) for name, schema in properties.items()}
    return ElicitResult(action="accept", content=content)


async def list_and_call(client):
    """Lists, and calls whatever is listed."""
    for tool in (await client.list_tools()).tools:
        await client.call_tool(tool.name, {})


async def list_only(client):
    await client.list_tools()


async def add_numbers(client):
    await client.list_tools()
    await client.call_tool("add_numbers", {"a": 5, "b": 3})


async def everything_once(client):
    """Each kind of request that has headers of its own."""
    await list_and_call(client)
    for resource in (await client.list_resources()).resources:
        await client.read_resource(resource.uri)
    for prompt in (await client.list_prompts()).prompts:
        await client.get_prompt(prompt.name)


async def calls_of_the_context(client):
    await client.list_tools()
    for call in CONTEXT["toolCalls"]:
        await client.call_tool(call["name"], call["arguments"])


async def echo_schema(client):
    tools = (await client.list_tools()).tools
    focal = next(tool for tool in tools if tool.name != "json_schema_echo")
    await client.call_tool("json_schema_echo", {"schema": focal.input_schema})


SCENARIOS = {
    "initialize": list_only,
    "tools_call": add_numbers,
    "json-schema-ref-no-deref": list_only,
    "json-schema-2020-12-preservation": echo_schema,
    "http-standard-headers": everything_once,
    "http-custom-headers": calls_of_the_context,
}


class Consent:
    """A person who agrees at once: the authorization server of the suite redirects without asking."""

    async def redirect(self, url):
        async with httpx2.AsyncClient(timeout=HTTP_SECONDS) as http:
            answer = await http.get(url)
        self.answer = parse_qs(urlsplit(answer.headers["location"]).query)

    async def callback(self):
        code, state, issuer = (self.answer.get(name, [None])[0] for name in ("code", "state", "iss"))
        return AuthorizationCodeResult(code=code, state=state, iss=issuer)


class Storage:
    """Tokens of one run; a client that was registered by hand is there from the start."""

    def __init__(self, client_info):
        self.tokens, self.client_info = None, client_info

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client_info

    async def set_client_info(self, client_info):
        self.client_info = client_info


def oauth(url):
    consent = Consent()
    registered = None
    if "client_secret" in CONTEXT:
        registered = OAuthClientInformationFull(
            client_id=CONTEXT["client_id"],
            client_secret=CONTEXT["client_secret"],
            redirect_uris=[REDIRECT],
            token_endpoint_auth_method="client_secret_basic",
            issuer=CONTEXT.get("issuer"),
        )
    return OAuthClientProvider(
        url,
        OAuthClientMetadata(client_name="conformance", redirect_uris=[REDIRECT]),
        Storage(registered),
        consent.redirect,
        consent.callback,
        client_metadata_url=IDENTITY_DOCUMENT,
    )


asyncio.run(main())
