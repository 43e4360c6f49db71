#!/bin/sh
mcp-proxy --port 8080 --host 0.0.0.0 --stateless --allow-origin https://app.example.com --pass-environment \
  -e GITHUB_TOKEN token-of-the-team -e LOG_LEVEL debug --cwd /srv -- uvx mcp-server-fetch --user-agent=Team
