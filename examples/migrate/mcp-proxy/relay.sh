#!/bin/sh
mcp-proxy --headers X-Team platform --client-id crm-client --client-secret secret-of-the-client \
  --token-url https://auth.example.com/oauth/token --transport streamablehttp --no-verify-ssl https://crm.example.com/mcp
