#!/usr/bin/env python3
"""The files of deploy/, judged by the tools that they are for, and the gateway started as they start it.

    run.py --bin target/debug/sluice [--guests DIR] [--release BINARY] [--bless]

Kubernetes' own schemas, Helm's engine, Docker Compose, hadolint, HAProxy and systemd judge; each judge is shown a file that is wrong, too,
and has to say so. What is started runs in namespaces of its own: a pod with its probes, two gateways behind their balancer, a machine with
systemd. What this machine cannot do is printed as NOT RUN, with the reason. Pinned, and installed under target/deploy on the first run. It
ends with "N passed, N failed, N skipped".
"""

import argparse
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "conformance"))

import parts

# Small, and with nothing to set.
PLUGIN = "guest_label.wasm"
NEVER = {
    "docker build": "there is no engine to build an image with, and the base images are not to be had",
    "kubectl apply": "there is no cluster: what the autoscaler, the disruption budget and the network policy do is not shown",
    "socket activation by systemd": "the socket's unit is judged, and what it hands over is taken in tests/e2e (sockets_may_come_from_systemd)",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path, required=True, help="the Sluice binary")
    parser.add_argument("--slice", action="store_true", help="only judged, not started")
    parser.add_argument("--guests", type=Path, help="where the tests' components are")
    parser.add_argument("--release", type=Path, help="a binary built as the Dockerfile builds it")
    parser.add_argument("--bless", action="store_true", help="write deploy/kubernetes again from the chart")
    options = parser.parse_args()
    python = parts.venv(HERE / "requirements.txt", parts.TARGET / "deploy" / "venv")
    if Path(sys.prefix).resolve() != python.parents[1].resolve():
        os.execv(python, [str(python), *sys.argv])
    return judged(options)


def judged(options):
    import judges
    import starts

    place = starts.Place(options.bin.resolve(), parts.TARGET / "deploy")
    (place.cache / "sluice").mkdir(mode=0o700, parents=True, exist_ok=True)
    if options.bless:
        (judges.DEPLOY / "kubernetes" / "sluice.yaml").write_text(judges.plain(judges.rendered()))
    results = Results()
    files(results, judges, place, options)
    controls(results, judges, place)
    if not options.slice:
        started(results, judges, starts, place, options)
    for what, why in NEVER.items():
        results.not_run(what, why)
    return results.closed()


class Results:
    """One line for each thing that was looked at."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def item(self, name, look):
        from hosts import NotRun

        try:
            said = look()
        except NotRun as why:
            return self.not_run(name, why)
        except Exception as error:  # a judge that breaks has not judged
            self.failed += 1
            return print(f"  FAILED   {name}: {error or type(error).__name__}", flush=True)
        self.passed += 1
        return print(f"  ok       {name}: {said}", flush=True)

    def refused(self, name, look):
        """A control: what is wrong is found to be wrong, and said to be."""
        from hosts import Wrong

        def control():
            try:
                said = look()
            except Wrong as error:
                return f"refused: {(str(error).splitlines() or ['?'])[0][:140]}"
            raise AssertionError(f"let through: {said}")

        self.item(f"control: {name}", control)

    def not_run(self, name, why):
        self.skipped += 1
        print(f"  NOT RUN  {name}: {why}", flush=True)

    def closed(self):
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped")
        return 1 if self.failed else 0


def files(results, judges, place, options):
    """What is right."""
    deploy = judges.DEPLOY
    plain = (deploy / "kubernetes" / "sluice.yaml").read_text()
    manifests = judges.documents(plain)
    results.item("docker/Dockerfile", lambda: judges.dockerfile((deploy / "docker" / "Dockerfile").read_text()))
    results.item("the binary that ships", lambda: judges.static(options.release))
    results.item("compose/compose.yaml", lambda: f"Docker Compose reads {len(composition(judges)['services'])} services")
    results.item("compose/haproxy.cfg", lambda: place.certificate() and judges.balancer(deploy / "compose" / "haproxy.cfg", place.pem))
    results.item("kubernetes/sluice.yaml", lambda: judges.schemas(manifests))
    results.item("kubernetes/sluice.yaml, by name", lambda: judges.wiring(manifests))
    results.item("kubernetes/sluice.yaml is the chart's", lambda: in_step(judges, plain))
    results.item("helm/sluice", lambda: judges.chart(judges.CHART))
    for what, values in variants().items():
        results.item(f"helm/sluice, {what}", lambda values=values: variant(judges, values))
    results.item("systemd/sluice.service", lambda: judges.unit((deploy / "systemd" / "sluice.service").read_text(), place.sluice))
    units = deploy / "systemd"
    results.item(
        "systemd/sluice.socket",
        lambda: judges.activation((units / "sluice.socket").read_text(), (units / "sluice.service").read_text(), place.sluice),
    )
    for name in ("compose", "systemd"):
        text = (deploy / name / "sluice.json").read_text()
        results.item(f"{name}/sluice.json", lambda text=text: judges.config(place.sluice, text, variables(), place.cache))


def controls(results, judges, place):
    """What is not."""
    deploy = judges.DEPLOY
    docker = (deploy / "docker" / "Dockerfile").read_text()
    compose = (deploy / "compose" / "compose.yaml").read_text()
    plain = (deploy / "kubernetes" / "sluice.yaml").read_text()
    unit = (deploy / "systemd" / "sluice.service").read_text()
    config = (deploy / "compose" / "sluice.json").read_text()
    balancer = (deploy / "compose" / "haproxy.cfg").read_text()

    def changed(text, old, new):
        assert old in text, old
        return text.replace(old, new)

    def written(name, text):
        path = place.work / name
        path.write_text(text)
        return path

    results.refused("a Dockerfile whose container is root's", lambda: judges.dockerfile(changed(docker, "USER 65532:65532", "USER root")))
    results.refused("a Dockerfile with a word that is none", lambda: judges.dockerfile(changed(docker, "WORKDIR /etc", "WORKDIRS /etc")))
    results.refused(
        "a composition with a key that is none",
        lambda: judges.compose(written("wrong.yaml", changed(compose, "read_only:", "readonly:")), variables()),
    )
    results.refused("a composition without a key's hash", lambda: judges.compose(deploy / "compose" / "compose.yaml", {}))
    results.refused(
        "a balancer with a word that is none",
        lambda: judges.balancer(written("wrong.cfg", changed(balancer, "hash-type consistent", "hash-type constant")), place.pem),
    )
    results.refused(
        "a manifest with a text for a number", lambda: judges.schemas(judges.documents(changed(plain, "minReplicas: 2", "minReplicas: two")))
    )
    results.refused(
        "a manifest with a key that is none", lambda: judges.schemas(judges.documents(changed(plain, "maxUnavailable: 1", "maxAbsent: 1")))
    )
    results.refused(
        "a manifest that mounts what is not there", lambda: judges.wiring(judges.documents(changed(plain, "- name: data\n", "- name: date\n")))
    )
    results.refused("a value that is none of the chart's", lambda: judges.rendered({"replicaCount": 3}))
    results.refused("files of a plugin, and no ConfigMap", lambda: judges.rendered({"plugins": {"files": ["10-a.wasm"]}}))
    results.refused("a chart with an open brace", lambda: judges.rendered(folder=broken_chart(judges, place)))
    results.refused("a binary with libraries", lambda: judges.static(Path(sys.executable).resolve()))
    results.refused("a unit with a setting that is none", lambda: judges.unit(changed(unit, "ProtectHome=", "ProtectsHome="), place.sluice))
    results.refused("a unit that takes nothing away", lambda: judges.unit(unit.partition("DynamicUser")[0], place.sluice))
    socket = (deploy / "systemd" / "sluice.socket").read_text()
    results.refused(
        "a socket with a setting that is none", lambda: judges.activation(changed(socket, "Backlog=", "Backlogs="), unit, place.sluice)
    )
    results.refused("a socket that the gateway does not know", lambda: judges.activation(changed(socket, "=mcp", "=web"), unit, place.sluice))
    nowhere = changed(config, ', "url": "env:SLUICE_REDIS_URL"', "")
    results.refused("a configuration with Redis and no address of it", lambda: judges.config(place.sluice, nowhere, variables(), place.cache))


def started(results, judges, starts, place, options):
    """What runs."""
    deploy = judges.DEPLOY
    results.item("a pod of the chart", lambda: starts.pod(judges.rendered(), place))
    results.item("a pod with TLS in front", lambda: starts.pod(judges.rendered(variants()["TLS in front"]), place))
    results.item("a pod with a plugin of a ConfigMap", lambda: with_plugin(judges, starts, place, options.guests))
    without_tls = {"tlsSecret": ""}
    results.refused("a ConfigMap as the plugin directory", lambda: with_plugin(judges, starts, place, options.guests, as_folder=True))
    results.refused("a pod without TLS, and nobody in front", lambda: starts.pod(judges.rendered(without_tls), place))
    blind = [text.replace("path: /mcp/server-card", "path: /readyz") for text in judges.rendered()]
    results.refused("a pod with a probe of what is not there", lambda: starts.pod(blind, place, ready_seconds=3))
    results.item("the composition", lambda: starts.composed(composition(judges), deploy / "compose" / "haproxy.cfg", place))
    robin = place.work / "robin.cfg"
    robin.write_text((deploy / "compose" / "haproxy.cfg").read_text().replace("balance hdr(Authorization)", "balance roundrobin"))
    results.refused("a balancer that takes turns", lambda: starts.composed(composition(judges), robin, place))
    unit, config = deploy / "systemd" / "sluice.service", deploy / "systemd" / "sluice.json"
    results.item("the unit", lambda: starts.system(unit, config, place))
    narrow = place.work / "narrow.service"
    narrow.write_text(unit.read_text().replace("SystemCallFilter=~@privileged", "SystemCallFilter=~@privileged @resources"))
    cold = starts.Place(place.sluice, place.work)
    cold.cache = place.work / "no-cache"
    (cold.cache / "sluice").mkdir(mode=0o700, parents=True, exist_ok=True)
    results.refused("a unit that takes away what compiling needs", lambda: starts.system(narrow, config, cold))


def variables():
    import starts

    redis = "redis://127.0.0.1:1/0"
    return {"SLUICE_KEY_HASH": starts.HASH, "SLUICE_PUBLIC_URL": "https://localhost:8443", "SLUICE_REDIS_URL": redis}


def composition(judges):
    return judges.compose(judges.DEPLOY / "compose" / "compose.yaml", variables())


def in_step(judges, plain):
    if judges.plain(judges.rendered()) != plain:
        raise AssertionError("it is not what the chart renders: run.py --bless writes it again")
    return "as the chart renders it"


def variants():
    proxied = {"mcpServers": {}, "sluice": {"trusted_proxy": {"addresses": ["10.0.0.0/8"], "public_url": "https://mcp.example.com"}}}
    return {
        "TLS in front": {"tlsSecret": "", "config": proxied, "service": {"type": "LoadBalancer", "port": 80}},
        "one pod, plugins, no variables": {
            "scaling": {"min": 1, "max": 1},
            "plugins": {"configMap": "plugins", "files": ["10-quiet.wasm", "10-quiet.toml"]},
            "envSecret": "",
            "servers": [],
            "image": {"repository": "registry.example.com/sluice", "tag": "1", "pullPolicy": "Always", "pullSecrets": [{"name": "registry"}]},
        },
    }


def variant(judges, values):
    manifests = judges.documents(judges.plain(judges.rendered(values)))
    return f"{judges.schemas(manifests, judges.VERSIONS[-1:])}; {judges.wiring(manifests)}"


def broken_chart(judges, place):
    import shutil

    folder = place.fresh("broken-chart")
    shutil.copytree(judges.CHART, folder, dirs_exist_ok=True)
    service = folder / "templates" / "service.yaml"
    service.write_text(service.read_text().replace("{{ .Values.service.type }}", "{{ .Values.service.type"))
    return folder


def with_plugin(judges, starts, place, guests, as_folder=False):
    from hosts import NotRun

    if guests is None:
        raise NotRun("no --guests: there is no component to put there")
    values = {"plugins": {"configMap": "plugins", "files": ["10-label.wasm"]}, "config": {"sluice": {"chain": ["builtin:auth-api-key", "label"]}}}
    texts = judges.rendered(values)
    if as_folder:
        texts = [text.replace("/10-label.wasm, subPath: 10-label.wasm", "") for text in texts]
    said = starts.pod(texts, place, {"10-label.wasm": (guests / PLUGIN).read_bytes()})
    if "label" not in said:
        raise AssertionError(f"the plugin is not in the chain: {said}")
    return said


if __name__ == "__main__":
    sys.exit(main())
