"""The clients in front: which there are, and how each is told what to do."""

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import parts

HERE = Path(__file__).resolve().parent
WORK = parts.ROOT / "target" / "interop"
LEGACY, MODERN = "2025-11-25", "2026-07-28"
CLIENT_SECONDS = 90


@dataclass
class Client:
    """One client in one mode, and the revision it has to agree on with a server of both eras."""

    name: str
    mode: str
    expects: str
    program: list
    cwd: Path | None = None

    def run(self, job):
        """Runs it to its end; what it printed last is its report."""
        command = [*self.program, json.dumps({"mode": self.mode, **job})]
        if self.name == "rmcp":
            command = [*self.program, *rmcp_arguments(self.mode, job)]
        done = subprocess.run(
            [str(part) for part in command],
            cwd=self.cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=CLIENT_SECONDS,
        )
        if done.returncode != 0:
            raise AssertionError(f"the client failed:\n{done.stderr[-3000:]}")
        return json.loads(done.stdout.strip().splitlines()[-1])


def rmcp_arguments(mode, job):
    arguments = [] if mode == "auto" else [f"--{mode}"]
    if "bearer" in job:
        arguments += ["--bearer", job["bearer"]]
    for tool, given in job["calls"].items():
        arguments += ["--call", f"{tool}={json.dumps(given)}"]
    return arguments + ([job["url"]] if "url" in job else ["--stdio", "--", *job["command"]])


def install(rmcp, work=WORK):
    """Every client in every mode it has."""
    node_home = parts.npm(HERE / "npm", work / "npm").parent
    modern_python = parts.venv(HERE / "python-modern" / "requirements.txt", work / "python-modern")
    legacy_python = parts.venv(HERE / "python-legacy" / "requirements.txt", work / "python-legacy")
    rmcp = rmcp or parts.cargo_bins("conformance-rmcp", "conformance-rmcp-client")[0]
    programs = HERE / "clients"
    python_modern = [modern_python, programs / "python_modern.py"]
    typescript_modern = ["node", programs / "typescript_modern.mjs"]
    return [
        Client("PyPI mcp 2", "auto", MODERN, python_modern),
        Client("PyPI mcp 2", "legacy", LEGACY, python_modern),
        Client("PyPI mcp 2", "modern", MODERN, python_modern),
        Client("PyPI mcp 1", "legacy", LEGACY, [legacy_python, programs / "python_legacy.py"]),
        Client("npm sdk 1", "legacy", LEGACY, ["node", programs / "typescript_legacy.mjs"], node_home),
        Client("npm client 2", "auto", MODERN, typescript_modern, node_home),
        Client("npm client 2", "modern", MODERN, typescript_modern, node_home),
        Client("rmcp", "auto", MODERN, [rmcp]),
        Client("rmcp", "legacy", LEGACY, [rmcp]),
        Client("rmcp", "modern", MODERN, [rmcp]),
    ]


def rmcp_version():
    """As locked; a Rust program does not carry its dependencies' versions."""
    lock = (parts.ROOT / "Cargo.lock").read_text()
    found = re.search(r'name = "rmcp"\nversion = "([^"]+)"', lock)
    return f"crate rmcp {found.group(1)}" if found else "crate rmcp"
