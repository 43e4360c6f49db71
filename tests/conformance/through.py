#!/usr/bin/env python3
"""A client's command with a proxy before the server it is sent to: `through.py [--bin SLUICE] COMMAND... URL`.

The suite appends the URL of its test server. The command runs with the proxy's URL in its place, and its exit code is
ours.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import oauth
import proxy


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", type=Path, help="the Sluice binary; a relay when absent")
    parser.add_argument("--work", type=Path, required=True, help="where the proxy's folder and log go")
    parser.add_argument("--era", help="which the proxy speaks to the server; it finds out when absent")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    wanted = parser.parse_args()
    *command, url = wanted.command
    scenario = os.environ["MCP_CONFORMANCE_SCENARIO"]
    name = scenario.replace("/", "-")
    home, log = wanted.work / name, wanted.work / f"{name}.log"
    # The relay changes nothing, so before it the client does the OAuth itself.
    is_oauth = scenario.startswith("auth/") and wanted.bin is not None
    own = (lambda home: oauth.settings(url, home, oauth.context(), oauth.suite_ports())) if is_oauth else None
    with proxy.start(wanted.bin, url, home, log, wanted.era, own) as middle:
        env = {**os.environ, "GATEWAY_TOKEN": (home / "token").read_text().strip()} if is_oauth else None
        return subprocess.run([*command, middle.url], stdin=subprocess.DEVNULL, env=env).returncode


if __name__ == "__main__":
    sys.exit(main())
