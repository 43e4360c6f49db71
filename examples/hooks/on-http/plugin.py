"""Answers at a path of its own."""

from sluice import Config, Exchange, Manifest, OnHttp, Plugin, Route
from sluice.http import Request, Response, empty, respond_json


class Example(Plugin, OnHttp):
    manifest = Manifest(
        "example-on-http", "0.1.0", "Answers at a path of its own.", routes=[Route("/-/example-on-http/*")], stateless=True
    )

    def __init__(self, config: Config) -> None:
        pass

    def on_http(self, request: Request, x: Exchange) -> Response:
        if request.path == "/-/example-on-http/hello":
            return respond_json({"endpoint": f"{request.base}/mcp"})
        return empty(404)
