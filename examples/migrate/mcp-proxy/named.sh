#!/bin/sh
mcp-proxy --port 8080 --named-server fetch 'uvx mcp-server-fetch' \
  --named-server time 'uvx mcp-server-time --local-timezone "Europe/Berlin"' uvx mcp-server-git --allow-origin '*' --debug
