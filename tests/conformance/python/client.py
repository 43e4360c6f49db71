"""The reference client of the suite's client scenarios, on the official Python SDK: `client.py --mode MODE URL`.

The suite says in its environment which scenario is on. The client does what the scenario wants done, as an ordinary
program would: what is on the wire is the SDK's. With a gateway before the server (`GATEWAY_TOKEN`) the OAuth is the gateway's: the
client shows the gateway's own token, and opens the pages that it is sent to as a person would.
"""

import argparse
import asyncio
import json
import os
import re
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp import Client, MCPError
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.auth.extensions.client_credentials import (
    ClientCredentialsOAuthProvider,
    PrivateKeyJWTOAuthProvider,
    SignedJWTParameters,
)
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata
from mcp_types import ElicitResult

SCENARIO = os.environ["MCP_CONFORMANCE_SCENARIO"]
CONTEXT = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
REDIRECT = "http://localhost:3030/callback"
IDENTITY_DOCUMENT = "https://conformance-test.local/client-metadata.json"
HTTP_SECONDS = 20
GATEWAY_TOKEN = os.environ.get("GATEWAY_TOKEN")
# No scenario wants more: each page is opened because the one before was not enough.
PAGES_MAX = 5


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mode", choices=["auto", "legacy", "2026-07-28"], required=True)
    parser.add_argument("url")
    wanted = parser.parse_args()
    auth = oauth(wanted.url) if SCENARIO.startswith("auth/") and not GATEWAY_TOKEN else None
    headers = {"Authorization": f"Bearer {GATEWAY_TOKEN}"} if GATEWAY_TOKEN else {}
    async with httpx2.AsyncClient(auth=auth, headers=headers, timeout=HTTP_SECONDS, follow_redirects=True) as http:
        server = streamable_http_client(wanted.url, http_client=http)
        async with Client(server, mode=wanted.mode, elicitation_callback=elicited) as client:
            await SCENARIOS.get(SCENARIO, list_and_call)(client)


async def elicited(_context, params):
    """Opens pages; accepts forms with the schema's own defaults, and a boolean without one is a yes."""
    if params.mode == "url":
        await open_page(params.url)
        return ElicitResult(action="accept")
    properties = params.requested_schema["properties"]
    content = {name: schema.get("default", True) for name, schema in properties.items()}
    return ElicitResult(action="accept", content=content)


async def list_and_call(client):
    """Lists, and calls whatever is listed."""
    for tool in (await through_pages(client.list_tools)).tools:
        await through_pages(client.call_tool, tool.name, {})


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


async def through_pages(ask, *arguments):
    """Asks, and asks again after each page that an error says is to be opened first."""
    for _ in range(PAGES_MAX):
        try:
            return await ask(*arguments)
        except MCPError as error:
            page = page_of(error.data)
            if page is None:
                raise
            await open_page(page)
    return await ask(*arguments)


def page_of(data):
    """Of an error that says what to do first: in data.url, or as 2025-11-25 has it with -32042."""
    if not isinstance(data, dict):
        return None
    elicitations = data.get("elicitations") or [data]
    return elicitations[0].get("url")


async def open_page(url):
    """A browser whose person agrees to everything."""
    async with httpx2.AsyncClient(timeout=HTTP_SECONDS, follow_redirects=True) as browser:
        page = await browser.get(url)
        if token := re.search(r'name="csrf" value="([^"]+)"', page.text):
            await browser.post(url, data={"csrf": token.group(1), "answer": "yes"})


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
    if "client-credentials" in SCENARIO:
        return as_itself(url, CONTEXT["client_id"])
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


def as_itself(url, client_id):
    """For nobody: the client's own credentials are all that is needed."""
    if "client_secret" in CONTEXT:
        return ClientCredentialsOAuthProvider(url, Storage(None), client_id, CONTEXT["client_secret"])
    signed = SignedJWTParameters(
        issuer=client_id,
        subject=client_id,
        signing_key=CONTEXT["private_key_pem"],
        signing_algorithm=CONTEXT["signing_algorithm"],
    )
    return PrivateKeyJWTOAuthProvider(url, Storage(None), client_id, signed.create_assertion_provider())


asyncio.run(main())
