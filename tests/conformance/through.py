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

import proxy


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", type=Path, help="the Sluice binary; a relay when absent")
    parser.add_argument("--work", type=Path, required=True, help="where the proxy's folder and log go")
    parser.add_argument("--era", help="which the proxy speaks to the server; it finds out when absent")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    wanted = parser.parse_args()
    *command, url = wanted.command
    scenario = os.environ["MCP_CONFORMANCE_SCENARIO"].replace("/", "-")
    home, log = wanted.work / scenario, wanted.work / f"{scenario}.log"
    with proxy.start(wanted.bin, url, home, log, wanted.era) as middle:
        return subprocess.run([*command, middle.url], stdin=subprocess.DEVNULL).returncode


if __name__ == "__main__":
    sys.exit(main())
