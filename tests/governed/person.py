"""One person at the official Python client, with its own OAuth and a browser."""

import re
from importlib.metadata import version
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp import Client, MCPError
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata

SDK = f"PyPI mcp {version('mcp')}"
# Where the browser comes back to. Nothing listens there: the code is read from the last redirect.
REDIRECT = "http://127.0.0.1:1/callback"
HOPS_MAX = 20
# What a call is answered with whose token has too little scope.
FORBIDDEN = 4030


class Refused(Exception):
    """What a call was answered with that is no result."""

    def __init__(self, code, said):
        super().__init__(f"{code}: {said}")
        self.code = code


class Person:
    """Starts with nothing: no token, no client, no issuer. `seen` is what its client met on the way, `calls` what was asked and how it ended."""

    def __init__(self, name, tenant, role, url):
        self.name, self.tenant, self.role, self.url = name, tenant, role, url
        self.asks_for = None
        self.seen, self.calls, self.kept, self.back = [], [], {}, {}

    def __str__(self):
        return self.name

    def news(self):
        """What was seen since it was last asked for."""
        self.seen, news = [], self.seen
        return news

    async def come(self, all_of_them):
        about = OAuthClientMetadata(
            client_name=self.name,
            redirect_uris=[REDIRECT],
            grant_types=["authorization_code"],
            token_endpoint_auth_method="none",
        )
        auth = OAuthClientProvider(self.url, about, self, self.browse, self.came_back)
        http = httpx2.AsyncClient(auth=auth, timeout=30, event_hooks={"response": [self.watch]})
        http = await all_of_them.enter_async_context(http)
        self.client = await all_of_them.enter_async_context(Client(streamable_http_client(self.url, http_client=http)))

    async def tools(self):
        names, cursor = set(), None
        while True:
            page = await self.client.list_tools(cursor=cursor)
            names |= {tool.name for tool in page.tools}
            if not (cursor := page.next_cursor):
                return names

    async def call(self, tool, **arguments):
        """The text that a tool answers; `Refused` for everything else."""
        try:
            result = await self.client.call_tool(tool, arguments)
        except MCPError as error:
            if error.code != FORBIDDEN:
                self.calls.append((tool, "refused"))
            raise Refused(error.code, error.message) from error
        self.calls.append((tool, "answered"))
        said = "".join(block.text for block in result.content if block.type == "text")
        if result.is_error:
            raise Refused(None, said)
        return said

    # What the client keeps, as `TokenStorage` has it.

    async def get_tokens(self):
        return self.kept.get("tokens")

    async def set_tokens(self, tokens):
        self.kept["tokens"] = tokens
        self.seen.append(("token", tokens.scope))

    async def get_client_info(self):
        return self.kept.get("client")

    async def set_client_info(self, client):
        self.kept["client"] = client
        self.seen.append(("registered", client.client_id))

    @property
    def token(self):
        return self.kept["tokens"].access_token

    # What happens on the way.

    async def watch(self, response):
        path = urlsplit(str(response.request.url)).path
        if challenge := response.headers.get("www-authenticate"):
            self.seen.append((response.status_code, challenge))
            if response.status_code == 403:
                # The client has it answered once more before it tells us.
                self.calls.append((response.request.headers["mcp-name"], "refused"))
        elif path.startswith("/.well-known/"):
            self.seen.append(("metadata", path))

    async def browse(self, url):
        """A browser that keeps cookies and follows redirects, with somebody in front of it who says who they are."""
        self.seen.append(("authorize", parse_qs(urlsplit(url).query)["scope"][0]))
        if self.asks_for:
            url = str(httpx2.URL(url).copy_set_param("scope", self.asks_for))
        async with httpx2.AsyncClient(timeout=30) as http:
            for _ in range(HOPS_MAX):
                page = await http.get(url)
                if (link := page.headers.get("location") or own_link(page.text, self.name)) is None:
                    raise AssertionError(f"{url}: {page.status_code} {page.text}")
                url = str(page.url.join(link))
                if url.startswith(REDIRECT):
                    self.back = {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}
                    return
        raise AssertionError("redirects without an end")

    async def came_back(self):
        if "code" not in self.back:
            raise AssertionError(f"no code: {self.back}")
        return AuthorizationCodeResult(code=self.back["code"], state=self.back.get("state"), iss=self.back.get("iss"))


def own_link(page, name):
    found = re.search(f'href="([^"]*as={name})"', page)
    return found.group(1) if found else None
