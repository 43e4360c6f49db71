"""The gateway, started as the files start it: as a pod, as a composition behind its balancer, and by systemd."""

import contextlib
import hashlib
import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import hosts
import judges
from hosts import Wrong

READY_SECONDS = 60
HASH = "sha256:" + hashlib.sha256(judges.KEY.encode()).hexdigest()
# What a kubelet gives a mounted ConfigMap, a Secret and an emptyDir.
VOLUME_MODE = 0o2777
OPENS = {"jsonrpc": "2.0", "id": 1, "method": "initialize"}
OPENS["params"] = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "deploy", "version": "1"}}


class Place:
    """Where things are on this machine while something runs."""

    def __init__(self, sluice, work):
        self.sluice, self.work = sluice, work
        self.cache = work / "cache"
        self.pem = work / "mcp.pem"

    def fresh(self, name):
        folder = self.work / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def binary(self, at):
        """The binary at its place, and beside it what one that is not static loads."""
        return {at: str(self.sluice), **{library: library for library in hosts.libraries(self.sluice)}}

    def warm(self, data, uid, gid):
        """What was compiled before, as if this volume had been used before: compiling is slow, and judged where `check` fills this cache."""
        shutil.copytree(self.cache / "sluice", data / "cache" / "sluice")
        for path in [data / "cache", *(data / "cache").rglob("*")]:
            shutil.chown(path, uid, gid)

    def certificate(self):
        """As a Secret has it, and as HAProxy has it."""
        folder = self.fresh("tls")
        command = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=sluice -addext"
        words = ["openssl", *command.split(), "subjectAltName=DNS:mcp.example.com,DNS:localhost"]
        hosts.needs("openssl")
        subprocess.run([*words, "-keyout", folder / "tls.key", "-out", folder / "tls.crt"], check=True, capture_output=True)
        self.pem.write_text((folder / "tls.crt").read_text() + (folder / "tls.key").read_text())
        self.pem.chmod(0o644)
        return {name: (folder / name).read_bytes() for name in ("tls.crt", "tls.key")}


# A pod.


def volumes(pod, manifests, secrets, place, plugins):
    """Folders as a kubelet makes them: of links for a ConfigMap and a Secret, the group's for all."""
    maps = {m["metadata"]["name"]: {k: v.encode() for k, v in m["data"].items()} for m in manifests if m["kind"] == "ConfigMap"}
    maps |= {"plugins": plugins}
    made, group = {}, pod["securityContext"]["fsGroup"]
    for volume in pod["volumes"]:
        folder = place.fresh(f"volume-{volume['name']}")
        if "configMap" in volume:
            project(folder, maps[volume["configMap"]["name"]], 0o644, group)
        elif "secret" in volume:
            project(folder, secrets[volume["secret"]["secretName"]], volume["secret"]["defaultMode"] | 0o040, group)
        shutil.chown(folder, 0, group)
        folder.chmod(VOLUME_MODE)
        made[volume["name"]] = folder
    place.warm(made["data"], pod["securityContext"]["runAsUser"], group)
    return made


def project(folder, files, mode, group):
    data = folder / "..2026_01_01"
    data.mkdir()
    (folder / "..data").symlink_to(data.name)
    for name, content in files.items():
        (data / name).write_bytes(content)
        shutil.chown(data / name, 0, group)
        (data / name).chmod(mode)
        (folder / name).symlink_to(f"..data/{name}")


def container(facts, pod, spec, folders, secrets, place):
    """What box.py needs to know of one container of a pod."""
    env = dict(facts["env"])
    for source in spec.get("envFrom", []):
        env |= {name: value.decode() for name, value in secrets[source["secretRef"]["name"]].items()}
    env |= {pair["name"]: pair["value"] for pair in spec.get("env", [])}
    mounts = {}
    for mount in spec["volumeMounts"]:
        source = folders[mount["name"]]
        if "subPath" in mount:
            source = (source / mount["subPath"]).resolve(strict=True)
        mounts[mount["mountPath"]] = (str(source), not mount.get("readOnly", False))
    if not spec["securityContext"]["readOnlyRootFilesystem"] or not pod["securityContext"]["runAsNonRoot"]:
        raise Wrong(f"{spec['name']} may write its root, or be root")
    return {
        "files": place.binary(facts["binary"]),
        "mounts": mounts,
        "uid": pod["securityContext"]["runAsUser"],
        "gid": pod["securityContext"]["fsGroup"],
        "env": env,
        "workdir": facts["workdir"],
        "argv": [*facts["entrypoint"], *spec["args"]],
    }


def pod(texts, place, plugins=None, ready_seconds=READY_SECONDS):
    """Init containers to their end, then the gateway until its probes are content; it answers a call, and ends when it is told to."""
    hosts.can_box()
    manifests = judges.documents(judges.plain(texts))
    spec = next(m for m in manifests if m["kind"] == "Deployment")["spec"]["template"]["spec"]
    facts = judges.image((judges.DEPLOY / "docker" / "Dockerfile").read_text())
    secrets = {"sluice-tls": place.certificate(), "sluice-env": {"SLUICE_KEY_HASH": HASH.encode()}}
    folders = volumes(spec, manifests, secrets, place, plugins or {})
    main = spec["containers"][0]
    with hosts.host("pod") as name:
        hosts.ip("-n", name, "addr", "add", "10.77.0.2/32", "dev", "lo")
        for first in spec["initContainers"]:
            command = hosts.boxed(container(facts, spec, first, folders, secrets, place), place.work, first["name"])
            said = subprocess.run(["ip", "netns", "exec", name, *map(str, command)], capture_output=True, text=True, timeout=READY_SECONDS * 2)
            if said.returncode != 0:
                raise Wrong(f"{first['name']}: {said.stderr.strip()}")
        log = place.work / "pod.log"
        command = hosts.boxed(container(facts, spec, main, folders, secrets, place), place.work, main["name"])
        with hosts.running(name, command, log) as child:
            port = main["ports"][0]["containerPort"]
            for probe in ("readinessProbe", "livenessProbe"):
                hosts.eventually(lambda probe=probe: probed(name, main[probe]["httpGet"], port), ready_seconds, child, log)
            secure = main["readinessProbe"]["httpGet"]["scheme"] == "HTTPS"
            address = ("10.77.0.2", port, secure)
            began = time.monotonic()
            hosts.eventually(lambda: turned_away(name, address, "mcp.example.com"), READY_SECONDS, child, log)
            early = time.monotonic() - began
            status, _, text = opened(name, address, "mcp.example.com", judges.KEY)
            if status != 200:
                raise Wrong(f"a caller with a key is answered {status}: {text}")
            ended(child, log)
        return f"{chain(log)}, the probes content {early:.1f} s before the chain was in place; ended by SIGTERM"


def probed(name, get, port):
    headers = {header["name"]: header["value"] for header in get.get("httpHeaders", [])}
    status, _, _ = hosts.within(name, lambda: hosts.asked("GET", "10.77.0.2", port, get["path"], headers, secure=get["scheme"] == "HTTPS", seconds=1))
    if not 200 <= status < 400:
        raise Wrong(f"{get['path']} is answered {status}")


def turned_away(name, address, called):
    """A stranger is, once the chain is in place."""
    status, _, _ = opened(name, address, called, None)
    if status != 401:
        raise Wrong(f"a stranger is answered {status}")


def opened(name, address, called, key):
    """A legacy session's first request."""
    return spoken(name, address, called, key, OPENS, {})


def spoken(name, address, called, key, message, more):
    headers = {"Host": called, "Content-Type": "application/json", "Accept": "application/json, text/event-stream", **more}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    where, port, secure = address
    return hosts.within(name, lambda: hosts.asked("POST", where, port, "/mcp", headers, json.dumps(message), secure, seconds=20))


def ended(child, log):
    """SIGTERM, as a kubelet, an engine and systemd send it to process 1."""
    first = int(subprocess.run(["ps", "-o", "pid=", "--ppid", str(child.pid)], capture_output=True, text=True, check=True).stdout.split()[0])
    subprocess.run(["kill", f"-{int(signal.SIGTERM)}", str(first)], check=True)
    try:
        status = child.wait(15)
    except subprocess.TimeoutExpired as error:
        raise Wrong(f"SIGTERM does not end it:\n{log.read_text()[-1500:]}") from error
    if status != 0:
        raise Wrong(f"SIGTERM ends it with {status}:\n{log.read_text()[-1500:]}")


def chain(log):
    said = log.read_text(errors="replace").splitlines()
    ready = next((line for line in said if line.startswith("sluice ready ")), None)
    if ready is None:
        raise Wrong("it never said that it is ready")
    warned = [line for line in said if '"level":"WARN"' in line or '"level":"ERROR"' in line]
    if warned:
        raise Wrong(f"the log has {warned[0]}")
    return f"chain {ready.partition('chain=')[2]}"


# A composition.


def composed(model, balancer, place):
    """Both gateways and the balancer, each a host of its own under the address that it has there; a session stays where it was opened."""
    hosts.can_box()
    program = judges.haproxy()
    place.certificate()
    facts = judges.image((judges.DEPLOY / "docker" / "Dockerfile").read_text())
    gateways = {name: service for name, service in model["services"].items() if name.startswith("sluice-")}
    length = model["networks"]["inside"]["ipam"]["config"][0]["subnet"].partition("/")[2]
    with contextlib.ExitStack() as stack:
        switch = stack.enter_context(hosts.host("switch"))
        hosts.bridge(switch, model["services"]["balancer"]["networks"]["inside"]["ipv4_address"], length)
        logs, ends = [], []
        for name, service in gateways.items():
            end = stack.enter_context(hosts.host(name[-1]))
            hosts.cable(switch, end, service["networks"]["inside"]["ipv4_address"], length)
            logs.append(place.work / f"{name}.log")
            command = hosts.boxed(served(service, facts, place, name), place.work, name)
            ends.append(stack.enter_context(hosts.running(end, command, logs[-1])))
        log = place.work / "balancer.log"
        command = judges.with_secrets(f"{program} -db -f {balancer}", place.pem)
        child = stack.enter_context(hosts.running(switch, command, log))
        address = ("127.0.0.1", 8443, True)
        for gateway in logs:
            hosts.eventually(lambda gateway=gateway: chain(gateway), READY_SECONDS, child, gateway)
        hosts.eventually(lambda: all_up(log, len(gateways)), READY_SECONDS, child, log)
        turned_away(switch, address, "localhost:8443")
        stayed = stays(switch, address)
        lines = log.read_text(errors="replace").splitlines()
        busy = [number for number, name in enumerate(gateways) if any(f" gateways/{name} " in line and " 200 " in line for line in lines)]
        if len(busy) != 1:
            raise Wrong(f"one caller is served by {len(busy)} gateways")
        ended(ends[busy[0]], logs[busy[0]])
        status, _, text = opened(switch, address, "localhost:8443", judges.KEY)
        if status != 200:
            raise Wrong(f"when its gateway is gone, a caller is answered {status}: {text}")
        return f"{stayed}; when that one goes, the other opens new ones"


def served(service, facts, place, name):
    """What box.py needs to know of one gateway of the composition."""
    if not service["read_only"] or service.get("privileged") or service["cap_drop"] != ["ALL"]:
        raise Wrong("a gateway may write its root, or has capabilities")
    uid, _, gid = facts["user"].partition(":")
    mounts = {}
    for volume in service["volumes"]:
        source = Path(volume["source"])
        if volume["type"] == "volume":
            source = place.fresh(f"{name}-data")
            shutil.chown(source, int(uid), int(gid))
            place.warm(source, int(uid), int(gid))
        mounts[volume["target"]] = (str(source), not volume.get("read_only", False))
    return {
        "files": place.binary(facts["binary"]),
        "mounts": mounts,
        "uid": int(uid),
        "gid": int(gid),
        "env": {**facts["env"], **service["environment"]},
        "workdir": facts["workdir"],
        "argv": [*(service["entrypoint"] or facts["entrypoint"]), *(service["command"] or facts["cmd"])],
    }


def all_up(log, count):
    """Neither gateway is left out: who was found down and not up again would be the reason that a session stays."""
    states = {}
    for line in log.read_text(errors="replace").splitlines():
        for name in (f"gateways/sluice-{number + 1}" for number in range(count)):
            if f"Server {name} is " in line:
                states[name] = line.partition(f"Server {name} is ")[2][:2]
    if "DO" in states.values():
        raise Wrong(f"the balancer has {states}")


def stays(switch, address):
    sessions, pings = 4, 4
    for number in range(sessions):
        status, headers, text = opened(switch, address, "localhost:8443", judges.KEY)
        session = {name.lower(): value for name, value in headers.items()}.get("mcp-session-id")
        if status != 200 or not session:
            raise Wrong(f"a caller with a key is answered {status}, with no session: {text}")
        for _ in range(pings):
            said = spoken(switch, address, "localhost:8443", judges.KEY, {"jsonrpc": "2.0", "id": 2, "method": "ping"}, {"Mcp-Session-Id": session})
            if said[0] != 200:
                raise Wrong(f"session {number} is answered {said[0]} by another gateway: {said[2]}")
    return f"{sessions} sessions and {sessions * pings} requests in them, each where its session is"


# A machine with systemd.


def system(unit, config, place):
    """Started and stopped by systemd itself, with all that the unit takes away."""
    hosts.can_box()
    hosts.needs("systemctl", "nsenter", "setpriv")
    if not Path("/lib/systemd/systemd").is_file():
        raise hosts.NotRun("systemd is not installed")
    work = place.fresh("machine")
    log, said = work / "sluice.log", work / "systemd.log"
    log.touch()
    script = Path(__file__).with_name("machine.sh")
    with hosts.group() as group, hosts.host("machine") as name:
        words = ["unshare", "--mount", "--pid", "--fork", "--uts", "--ipc", "--cgroup", "--mount-proc", "--kill-child"]
        command = [*words, "sh", script, unit, config, place.sluice, place.cache, log]
        with hosts.running(name, command, said, into=group) as child:
            hosts.eventually(lambda: asked_ready(name, log), READY_SECONDS, child, said)
            first = subprocess.run(["ps", "-o", "pid=", "--ppid", str(child.pid)], capture_output=True, text=True, check=True).stdout.strip()
            state = Path(f"/proc/{first}/root/var/lib/private/sluice")
            token = (state / "token").read_text().strip()
            address = ("127.0.0.1", 7411, False)
            status, _, text = opened(name, address, "localhost", token)
            if status != 200:
                raise Wrong(f"a caller with the token is answered {status}: {text}")
            owner = (state / "token").stat().st_uid
            if owner == 0:
                raise Wrong("it runs as root")
            before = shown(first, "MainPID")
            systemctl(first, "kill", "--kill-whom=main", "--signal=USR2", "sluice.service")
            hosts.eventually(lambda: taken_over(first, before), READY_SECONDS, child, said)
            hosts.eventually(lambda: asked_ready(name, log), READY_SECONDS, child, said)
            status, _, text = opened(name, address, "localhost", token)
            if status != 200:
                raise Wrong(f"after a hand-off a caller is answered {status}: {text}")
            systemctl(first, "stop", "sluice.service")
            end = shown(first, "Result,ExecMainStatus")
            if end != ["0", "success"]:
                raise Wrong(f"systemctl stop ends it with {end}:\n{log.read_text()[-1500:]}")
            return f"{chain(log)}, as user {owner}; ready, answers, hands over to a process that systemd takes for the main one, and systemctl stop ends it well"


def asked_ready(name, log):
    """Whether it is, and whether it still tries to be: systemd would start it again and again."""
    ends = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("error: ")]
    if ends:
        raise hosts.Final(ends[0])
    status, _, text = hosts.within(name, lambda: hosts.asked("GET", "127.0.0.1", 7412, "/readyz", {"Host": "localhost"}))
    if status != 200:
        raise Wrong(text)


def taken_over(first, before):
    now = shown(first, "MainPID,ActiveState")
    if now[0] == before[0] or "active" not in now:
        raise Wrong(f"the main process was {before[0]}, and systemd says {now}")


def systemctl(first, *words):
    command = ["nsenter", "--target", first, "--mount", "--pid", "systemctl", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=READY_SECONDS)
    if done.returncode != 0:
        raise Wrong(f"systemctl {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def shown(first, properties):
    return sorted(line.partition("=")[2] for line in systemctl(first, "show", "-p", properties, "sluice.service").splitlines())
