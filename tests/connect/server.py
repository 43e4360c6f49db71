"""An MCP server on the official Python SDK that wants tokens of one authorization server: `server.py PORT ISSUER`."""

import socket
import sys

import jwt
import uvicorn
from mcp.server import MCPServer
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings

PORT, ISSUER = int(sys.argv[1]), sys.argv[2]
URL = f"http://localhost:{PORT}/mcp"
KEYS = jwt.PyJWKClient(f"{ISSUER}/jwks")


class Verifier:
    """Tokens are JWTs, for this server and from that issuer."""

    async def verify_token(self, token):
        try:
            claims = jwt.decode(token, KEYS.get_signing_key_from_jwt(token).key, ["RS256"], audience=URL, issuer=ISSUER)
        except jwt.PyJWTError:
            return None
        scopes = claims.get("scope", "").split()
        return AccessToken(token=token, client_id=claims["client_id"], scopes=scopes, expires_at=claims["exp"], subject=claims["sub"])


server = MCPServer(
    "protected",
    token_verifier=Verifier(),
    auth=AuthSettings(issuer_url=ISSUER, resource_server_url=URL, required_scopes=["tools"], validate_token_resource=False),
)


@server.tool()
def whoami() -> str:
    """Whose token this call came with."""
    return get_access_token().subject


listener = socket.create_server(("127.0.0.1", PORT))
print(URL, flush=True)
uvicorn.Server(uvicorn.Config(server.streamable_http_app(), log_level="warning")).run(sockets=[listener])
