"""The servers behind: two stdio children that Sluice starts, and one that is there already, over HTTP."""

import json
import socket
import subprocess

import parts


class Servers:
    def __init__(self, work, python):
        self.node_home = work / "npm"
        self.everything = self.node_home / "node_modules" / "@modelcontextprotocol" / "server-everything"
        self.time = python.parent / "mcp-server-time"
        self.python = python

    def versions(self):
        npm = json.loads((self.everything / "package.json").read_text())["version"]
        ask = "from importlib.metadata import version; print(version('mcp-server-time'))"
        pypi = subprocess.run([self.python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
        return [
            f"npm @modelcontextprotocol/server-everything {npm} (stdio, and Streamable HTTP)",
            f"PyPI mcp-server-time {pypi} (stdio)",
        ]

    def everything_over_stdio(self):
        return ["node", str(self.everything / "dist" / "index.js"), "stdio"]

    def everything_over_http(self, log):
        """It prints the port it was told, so a free one is found first."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = ["node", self.everything / "dist" / "index.js", "streamableHttp"]
        url = f"http://127.0.0.1:{port}/mcp"
        return parts.Process(command, log, env={"PORT": str(port)}, ready_on="stderr", url=url, ready="listening on port")

    def as_configured(self, remote_url):
        """The `mcpServers` of a client's file."""
        command, *arguments = self.everything_over_stdio()
        return {
            "everything": {"command": command, "args": arguments},
            "time": {"command": str(self.time), "args": ["--local-timezone", "Europe/Berlin"]},
            "remote": {"type": "http", "url": remote_url},
        }
