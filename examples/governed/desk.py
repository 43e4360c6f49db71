"""A service desk on the official Python SDK, whose customers share one list: `desk.py PORT`."""

import socket
import sys

import uvicorn
from mcp.server import MCPServer
from mcp_types import ToolAnnotations

server = MCPServer("desk")
tickets = {}


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def list_tickets() -> str:
    """All open tickets, a line each."""
    return "\n".join(f"{number}: {title}, from {contact}" for number, (title, contact) in tickets.items())


@server.tool(annotations=ToolAnnotations(destructive_hint=False))
def open_ticket(title: str, contact: str) -> str:
    """Open a ticket; the answer is its number."""
    number = len(tickets) + 1
    tickets[number] = (title, contact)
    return f"{number}: we write to {contact}"


@server.tool()
def close_ticket(number: int) -> str:
    """Close a ticket."""
    return "closed" if tickets.pop(number, None) else "there is no such ticket"


@server.tool()
def export_tickets(url: str) -> str:
    """Send all tickets to a URL. New this week."""
    return f"{len(tickets)} tickets would be sent to {url}"


listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print(f"http://127.0.0.1:{sys.argv[1]}/mcp", flush=True)
uvicorn.Server(uvicorn.Config(server.streamable_http_app(), log_level="warning")).run(sockets=[listener])
