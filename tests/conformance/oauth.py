"""Sluice as an OAuth client before the suite's server: what the operator of such a gateway would have configured.

The suite starts resource and authorization servers on ports of its own choosing, and says where only the first is. A gateway
reaches no host that it was not granted, so the ports are read off the suite's process: nothing is asked of its servers before the
gateway asks.
"""

import json
import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

import parts
import proxy

CACHE = parts.TARGET / "conformance" / "compiled"
IDENTITY_DOCUMENT = "https://conformance-test.local/client-metadata.json"
LISTENS = "0A"


def compile_once(binary, work):
    """Starts the gateway once, so that no scenario spends its seconds on compiling the plugin."""
    with proxy.start(binary, "http://localhost:9/mcp", work / "compiling", work / "compiling.log", own=lambda home: settings("", home, {}, [])):
        pass


def settings(url, home, context, ports):
    """What `sluice` in the configuration is for a scenario, with the gateway's own address."""
    listen = f"127.0.0.1:{free_port()}"
    origins = [f"http://localhost:{port}" for port in ports]
    grants = ["outbound:fixture", "http:/-/oauth-client/*"] + [f"fetch:{origin} GET,POST private" for origin in origins]
    config = {
        "public_url": f"http://{listen}",
        "sign_in": "local",
        "client_metadata_url": IDENTITY_DOCUMENT,
        "upstreams": {"fixture": {"mode": "authorization_code"}},
    }
    own = {
        "listen": listen,
        "chain": ["builtin:oauth-client"],
        "cache_dir": str(CACHE),
        "auth": {"token_file": str(home / "token")},
        "plugins": {"settings": {"oauth-client": {"grants": grants, "config": config}}},
    }
    if "client_id" in context:
        others = [origin for origin in origins if urlsplit(origin).port != urlsplit(url).port]
        client = {"client_id": context["client_id"], "issuer": context.get("issuer", others[0])}
        config["upstreams"]["fixture"]["client"] = "own"
        if "issuer" not in context:
            config["upstreams"]["fixture"]["mode"] = "client_credentials"
        if "client_secret" in context:
            secret, client["client_secret"] = context["client_secret"], "own"
        else:
            secret, client["client_key"] = context["private_key_pem"], {"secret": "own", "algorithm": context["signing_algorithm"]}
        config["clients"] = {"own": client}
        grants.append("secret:own")
        own["secrets"] = {"own": f"file:{private_file(home / 'client-secret', secret)}"}
    return own


def context():
    return json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))


def private_file(path, text):
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def suite_ports():
    """The ports that the nearest process above this one listens on: it is the suite."""
    pid = os.getppid()
    while pid > 1:
        if ports := ports_of(pid):
            return sorted(ports)
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    raise RuntimeError("no process above this one listens anywhere")


def ports_of(pid):
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(entry)
        except FileNotFoundError:
            # It was closed meanwhile.
            continue
        if target.startswith("socket:["):
            inodes.add(target[len("socket:[") : -1])
    lines = [line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]]
    return {int(line[1].rpartition(":")[2], 16) for line in lines if line[3] == LISTENS and line[9] in inodes}
