"""What stands in the middle: Sluice before one URL, with an empty chain unless a test wants more; or a relay that changes nothing."""

import json
import shutil

import parts
from relay import Relay


def start(binary, upstream, home, log, era=None, own=None):
    """Sluice from `binary` before `upstream`, in a folder of its own; without a binary, the relay.

    `own` makes more settings of the folder: an address, a chain.
    """
    if binary is None:
        return Relay(upstream)
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    config = home / "sluice.json"
    sluice = sluice_config(upstream, home, era)
    if own:
        sluice["sluice"].update(own(home))
    config.write_text(json.dumps(sluice, indent=2))
    command = [binary.resolve(), "serve", "--config", config]
    if "listen" not in sluice["sluice"]:
        command += ["--listen", "127.0.0.1:0"]
    return parts.Process(command, log, cwd=home)


def sluice_config(upstream, home, era):
    """One upstream, no filters, no key to show: what is left is the proxy itself."""
    return {
        "mcpServers": {"fixture": {"type": "http", "url": upstream}},
        "sluice": {
            "chain": [],
            "upstreams": {"fixture": {"era": era}} if era else {},
            "auth": {"allow_anonymous": True},
            "admin": {"enabled": False},
            "cache_dir": str(home / "cache"),
            "audit": {"path": str(home / "audit.jsonl")},
        },
    }
