#!/usr/bin/env python3
"""From nothing to a plugin that works, in each language: the commands of docs/plugins/README.md, run and measured.

    five_minutes.py --bin target/debug/sluice [--lang python]

A Sluice serves in front of a server. Before the commands a forbidden word passes; after them it is refused, and other words still pass.
Nothing is kept from an earlier run but what pip, npm and cargo keep for everybody. A language that takes more than five minutes fails.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "conformance"))

import parts

WORK = parts.TARGET / "five-minutes"
DOC = parts.ROOT / "docs" / "plugins" / "README.md"
LANGUAGES = ["rust", "python", "js", "c"]
SECONDS_MAX = 300
# The project's own tests, in the SDK's fake host; not among the four commands.
NATIVE = {
    "rust": ["cargo", "test", "--quiet"],
    "python": [".venv/bin/python", "-m", "unittest", "discover", "-s", "tests"],
    "js": ["npm", "test", "--silent"],
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path, required=True, help="the Sluice binary")
    parser.add_argument("--lang", choices=LANGUAGES, action="append", help="only this one")
    wanted = parser.parse_args()
    results = [parts.attempt(language, lambda language=language: go(language, wanted.bin.resolve())) for language in wanted.lang or LANGUAGES]
    passed = sum(results)
    print(f"{passed} passed, {len(results) - passed} failed")
    return 0 if all(results) else 1


def documented(language):
    """The commands as the page has them, for this language."""
    block = re.search(r"```sh\n(.*?)```", DOC.read_text(), re.DOTALL).group(1)
    commands = block.strip().splitlines()
    assert len(commands) == 4, f"{DOC} has {len(commands)} commands"
    return [command.replace("--lang python", f"--lang {language}") for command in commands]


def go(language, sluice):
    home = WORK / language
    shutil.rmtree(home, ignore_errors=True)
    (home / "plugins").mkdir(parents=True)
    own = {
        "admin": {"enabled": False},
        "audit": {"path": str(home / "audit.jsonl")},
        "auth": {"token_file": str(home / "token")},
        "plugins": {"dir": str(home / "plugins")},
    }
    config = home / "sluice.json"
    config.write_text(json.dumps({"mcpServers": {"clock": {"url": "builtin:clock"}, "notes": {"url": "builtin:notes"}}, "sluice": own}, indent=2))
    path = f"{(WORK / 'bin').resolve()}:{os.environ['PATH']}"
    (WORK / "bin").mkdir(exist_ok=True)
    shutil.copy(sluice, WORK / "bin" / "sluice")
    environment = {**os.environ, "PATH": path, "XDG_CACHE_HOME": str(home / "user-cache")}
    for outer in ("RUSTFLAGS", "CARGO_TARGET_DIR", "CARGO_BUILD_TARGET"):
        environment.pop(outer, None)
    if "PIP_CACHE_DIR" not in environment:
        environment["PIP_CACHE_DIR"] = str(Path.home() / ".cache" / "pip")

    def run(command, seconds=SECONDS_MAX):
        return subprocess.run(command, cwd=home, env=environment, shell=isinstance(command, str), capture_output=True, text=True, timeout=seconds)

    with contextlib.ExitStack() as running:
        command = [sluice, "serve", "--config", config, "--listen", "127.0.0.1:0"]
        endpoint = running.enter_context(parts.Process(command, home / "sluice.log", cwd=home, env={"XDG_CACHE_HOME": environment["XDG_CACHE_HOME"]}))

        def call(text):
            said = run([sluice, "call", "--config", str(config), "--url", endpoint.url, "clock_echo", json.dumps({"text": text})])
            assert said.returncode in (0, 4), said.stderr
            return said

        # The control: nothing refuses it yet.
        assert call("this is forbidden").returncode == 0, "a forbidden word was refused before there was a plugin"
        times, began = [], time.monotonic()
        for command in documented(language):
            start = time.monotonic()
            done = run(command)
            assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
            times.append(time.monotonic() - start)
        start = time.monotonic()
        while (refused := call("this is forbidden")).returncode == 0:
            assert time.monotonic() - began < SECONDS_MAX, f"it did not take effect; see {home / 'sluice.log'}"
            time.sleep(0.2)
        times.append(time.monotonic() - start)
        took = time.monotonic() - began
        assert "a word in these arguments is forbidden" in refused.stdout + refused.stderr, refused
        assert call("good morning").returncode == 0
        assert took < SECONDS_MAX, f"{took:.0f} s"
    if language in NATIVE:
        native = subprocess.run(NATIVE[language], cwd=home / "guard", env=environment, capture_output=True, text=True, timeout=SECONDS_MAX)
        assert native.returncode == 0, f"its own tests: {native.stdout[-2000:]}\n{native.stderr[-2000:]}"
    steps = ", ".join(f"{name} {seconds:.1f}" for name, seconds in zip(["new", "build", "test", "drop", "seen"], times, strict=True))
    return f"{took:.1f} s ({steps})"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except parts.Missing as missing:
        sys.exit(str(missing))
