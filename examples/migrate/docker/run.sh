#!/bin/sh
docker mcp gateway run --servers fetch,github-official --catalog catalog.yaml --secrets docker-desktop:secrets.env \
  --transport streaming --port 8080 --cpus 2 --memory 1Gb --long-lived --block-network --log-calls --verify-signatures
