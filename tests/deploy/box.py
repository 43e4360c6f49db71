#!/usr/bin/env python3
"""A program as a container runtime starts it, without one: a root of its own that cannot be written, a user without rights, no shell.

    unshare --mount --pid --fork --kill-child box.py SPEC.json

SPEC says `root` (an empty folder), `files` (path inside: path outside), `mounts` (path inside: path outside, may it be written), `uid`,
`gid`, `env`, `workdir` and `argv`. The program is process 1, as in a container.
"""

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path

PR_SET_NO_NEW_PRIVS = 38
DEVICES = ("null", "zero", "random", "urandom")


def main():
    spec = json.loads(Path(sys.argv[1]).read_text())
    root = Path(spec["root"])
    mount("--make-rprivate", "/")
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", root)
    for inside, outside in spec["files"].items():
        bind(outside, root, inside, may_write=False)
    for inside, (outside, may_write) in sorted(spec["mounts"].items()):
        bind(outside, root, inside, may_write)
    for device in DEVICES:
        bind(f"/dev/{device}", root, f"/dev/{device}", may_write=True)
    (root / "proc").mkdir()
    mount("-t", "proc", "proc", root / "proc")
    (root / spec["workdir"].lstrip("/")).mkdir(parents=True, exist_ok=True)
    mount("-o", "remount,ro,bind", root)
    os.chroot(root)
    os.chdir(spec["workdir"])
    os.setgroups([])
    os.setresgid(*[spec["gid"]] * 3)
    os.setresuid(*[spec["uid"]] * 3)
    ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.execve(spec["argv"][0], spec["argv"], spec["env"])


def bind(outside, root, inside, may_write):
    place = root / inside.lstrip("/")
    if Path(outside).is_dir():
        place.mkdir(parents=True, exist_ok=True)
    else:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    mount("--bind", outside, place)
    if not may_write:
        mount("-o", "remount,ro,bind", place)


def mount(*words):
    subprocess.run(["mount", *map(str, words)], check=True)


if __name__ == "__main__":
    main()
