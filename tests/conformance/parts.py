"""Parts that tests are run with: pinned installs, and processes that print one ready line."""

import hashlib
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
URL = re.compile(r"https?://[^\s\"'<>]+")
READY_SECONDS = 60


class Missing(Exception):
    """Something the tests need is not there."""


def npm(manifest_dir, into):
    """Installs a folder's package.json and package-lock.json, exactly, into `into`. Done once per content."""
    manifests = [manifest_dir / name for name in ("package.json", "package-lock.json")]

    def install():
        for manifest in manifests:
            shutil.copy(manifest, into)
        run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], into)

    once(into, manifests, install)
    return into / "node_modules"


def venv(requirements, into):
    """A virtual environment with a requirements file. Done once per content; its python is returned."""
    python = into / "bin" / "python"

    def install():
        run([sys.executable, "-m", "venv", str(into)], ROOT)
        run([str(python), "-m", "pip", "install", "--quiet", "--no-deps", "-r", str(requirements)], ROOT)

    once(into, [requirements], install)
    return python


def cargo_bins(package, *names):
    """Builds binaries of a workspace package and returns their paths."""
    run(["cargo", "build", "--locked", "--quiet", "--package", package], ROOT)
    return [TARGET / "debug" / name for name in names]


def attempt(name, check):
    """One line per conversation; a failure says what was wrong and does not stop the others."""
    try:
        said = check()
    except Exception as error:  # a client that times out or prints nonsense is a failed check, not a broken run
        print(f"  FAILED  {name}: {error}", flush=True)
        return False
    print(f"  ok      {name}: {said}", flush=True)
    return True


def once(into, inputs, install):
    """Runs `install` on an empty folder unless it was done for these very inputs."""
    stamp = into / "installed"
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in inputs)).hexdigest()
    if stamp.is_file() and stamp.read_text() == digest:
        return
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    print(f"installing {', '.join(file.name for file in inputs)} ...", flush=True)
    install()
    stamp.write_text(digest)


def run(command, cwd):
    """Runs a command to its end. What it said is shown only when it failed."""
    try:
        done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    except FileNotFoundError as error:
        raise Missing(f"{command[0]} is not installed") from error
    if done.returncode != 0:
        raise Missing(f"{' '.join(map(str, command))} failed:\n{done.stdout}")


class Process:
    """A process of its own group; it ends with the `with` block.

    It is ready when it printed a line with its URL, or, when the URL was known before, a line with `ready` in it.
    """

    def __init__(self, command, log, env=None, cwd=None, ready_on="stdout", url=None, ready=""):
        self.command, self.log, self.env, self.cwd = command, Path(log), env, cwd
        self.ready_on, self.url, self.ready = ready_on, url, ready

    def __enter__(self):
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            pipe = {"stdout": log, "stderr": log, self.ready_on: subprocess.PIPE}
            self.child = subprocess.Popen(
                [str(part) for part in self.command],
                stdin=subprocess.DEVNULL,
                env={**os.environ, **(self.env or {})},
                cwd=self.cwd,
                start_new_session=True,
                **pipe,
            )
        try:
            self.wait_until_ready()
        except BaseException:
            self.__exit__(Missing)
            raise
        return self

    def wait_until_ready(self):
        pipe = getattr(self.child, self.ready_on)
        said, until = b"", time.monotonic() + READY_SECONDS
        while time.monotonic() < until:
            if not select.select([pipe], [], [], 0.2)[0]:
                continue
            piece = os.read(pipe.fileno(), 65536)
            if not piece:
                break
            said += piece
            lines = said.rpartition(b"\n")[0].decode(errors="replace")
            found = URL.search(lines)
            if lines and (self.ready in lines if self.url else found):
                self.url = self.url or found.group(0)
                self.drain(pipe, said)
                return
        tail = self.log.read_text(errors="replace")[-2000:]
        raise Missing(f"{self.command[0]} printed no ready line:\n{said.decode(errors='replace')}\n{tail}")

    def drain(self, pipe, said):
        """Lets a log collector take what is said from now on, so that the child never blocks on us."""
        sink = self.log.open("ab")
        sink.write(said)
        sink.flush()
        self.collector = subprocess.Popen(["cat"], stdin=pipe, stdout=sink, start_new_session=True)
        sink.close()
        pipe.close()

    def __exit__(self, kind=None, *_):
        for ending in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.child.pid, ending)
                self.child.wait(5)
                break
            except subprocess.TimeoutExpired:
                continue
            except ProcessLookupError:
                break
        self.child.wait()
        # A panic that a runtime swallows may show in no answer.
        panics = [line for line in self.log.read_text(errors="replace").splitlines() if line.startswith("thread '") and "panicked at" in line]
        if panics and kind is None:
            raise Missing(f"{self.command[0]} panicked: {panics[0]} (and {len(panics) - 1} more in {self.log})")
