"""Hosts of our own on this machine: network namespaces, what runs in them, and a look at them from inside."""

import contextlib
import ctypes
import http.client
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
CLONE_NEWNET = 0x40000000


class Wrong(Exception):
    """What is judged is not right. Anything else that is raised is the run's own fault."""


class Final(Wrong):
    """Waiting longer changes nothing."""


class NotRun(Exception):
    """What this machine lacks for it."""


def needs(*programs):
    missing = [program for program in programs if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")]
    if missing:
        raise NotRun(f"{', '.join(missing)} is not installed")


def may_mount():
    """Whether we may have namespaces at all."""
    needs("unshare", "mount")
    if os.getuid() != 0:
        raise NotRun("namespaces are root's")
    tried = subprocess.run(["unshare", "--mount", "--pid", "--net", "--fork", "true"], capture_output=True, text=True)
    if tried.returncode != 0:
        raise NotRun(f"no namespaces here: {tried.stderr.strip()}")


def can_box():
    """Whether what runs can have a network and a look from outside."""
    may_mount()
    needs("ip", "ps", "openssl")


@contextlib.contextmanager
def host(name):
    """A network namespace with a loopback of its own."""
    name = f"sluice-{os.getpid()}-{name}"
    ip("netns", "add", name)
    try:
        ip("-n", name, "link", "set", "lo", "up")
        yield name
    finally:
        ip("netns", "del", name)


def cable(switch, end, address, length):
    """Joins `end` to the bridge of `switch`, under an address."""
    port = f"v{address.replace('.', '')[-9:]}"
    ip("-n", switch, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", end)
    ip("-n", switch, "link", "set", port, "master", "br0", "up")
    ip("-n", end, "addr", "add", f"{address}/{length}", "dev", "eth0")
    ip("-n", end, "link", "set", "eth0", "up")


def bridge(name, address, length):
    ip("-n", name, "link", "add", "br0", "type", "bridge")
    ip("-n", name, "addr", "add", f"{address}/{length}", "dev", "br0")
    ip("-n", name, "link", "set", "br0", "up")


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def within(name, look):
    """What `look` says inside a host. A namespace is a thread's own."""
    said = []

    def inside():
        with open(f"/run/netns/{name}") as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET) != 0:
                said.append(OSError(ctypes.get_errno(), "setns"))
                return
        try:
            said.append(look())
        except Exception as error:  # it is the caller's
            said.append(error)

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    if isinstance(said[0], Exception):
        raise said[0]
    return said[0]


@contextlib.contextmanager
def group():
    """A control group for a machine: its systemd takes it for the whole tree, and leaves groups in it."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    roots = [words[1] for words in mounts if words[2] == "cgroup2" and "rw" in words[3].split(",")]
    if not roots:
        raise NotRun("no cgroup2 that can be written is mounted")
    own = next(line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::"))
    folder = Path(roots[0]) / own.lstrip("/") / f"sluice-{os.getpid()}"
    folder.mkdir()
    try:
        yield folder
    finally:
        with contextlib.suppress(OSError):  # an old kernel has no such file, and what ran here has ended
            (folder / "cgroup.kill").write_text("1")
        eventually(lambda: removed(folder), 10)


def removed(folder):
    for below, _, _ in os.walk(folder, topdown=False):
        os.rmdir(below)


@contextlib.contextmanager
def running(name, command, log, into=None):
    """A command inside a host, and if wanted in a control group, until the end of the block, when it is killed."""
    log.parent.mkdir(parents=True, exist_ok=True)
    words = ["ip", "netns", "exec", name, *map(str, command)]
    if into:
        words = ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(into), *words]
    with log.open("wb") as out:
        child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
    try:
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def boxed(spec, work, name):
    """The command that starts `spec` as a container; see box.py."""
    root = work / f"{name}.root"
    root.mkdir(parents=True, exist_ok=True)
    path = work / f"{name}.json"
    path.write_text(json.dumps({**spec, "root": str(root)}))
    return ["unshare", "--mount", "--pid", "--fork", "--kill-child", sys.executable, HERE / "box.py", path]


def libraries(binary):
    """What a binary loads from outside itself: nothing, for one that ships."""
    said = subprocess.run(["ldd", str(binary)], capture_output=True, text=True).stdout
    words = [line.split() for line in said.splitlines()]
    return [next(word for word in line if word.startswith("/")) for line in words if any(word.startswith("/") for word in line)]


def asked(method, address, port, path, headers, body=None, secure=False, seconds=5):
    """Status, headers and text of one answer; the certificate is not looked at, as a kubelet does not."""
    if secure:
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection(address, port, timeout=seconds, context=context)
    else:
        connection = http.client.HTTPConnection(address, port, timeout=seconds)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        text = b"" if "event-stream" in answer.headers.get("content-type", "") else answer.read()
        return answer.status, dict(answer.getheaders()), text.decode()
    finally:
        connection.close()


def eventually(look, seconds, child=None, log=None):
    """What `look` says once it raises nothing more."""
    until = time.monotonic() + seconds
    while True:
        try:
            return look()
        except Final:
            raise
        except (OSError, http.client.HTTPException, Wrong) as error:
            ended = child is not None and child.poll() is not None
            if ended or time.monotonic() > until:
                tail = log.read_text(errors="replace")[-1500:] if log else ""
                raise Wrong(f"{'it ended' if ended else 'after a long wait'}: {error or type(error).__name__}\n{tail}") from error
            time.sleep(0.1)
