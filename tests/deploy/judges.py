"""What can be said of the files without starting anything: by Kubernetes' schemas, Helm, Docker Compose, hadolint, systemd and HAProxy."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import helm_python as helm
import kubernetes_validate
import yaml
from dockerfile_parse import DockerfileParser
from hosts import NotRun, Wrong, may_mount, needs

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "sluice"
# The first version that has all we use, and the newest whose schemas we have.
VERSIONS = ("1.30", "1.37")
TOOLS = Path(sys.prefix) / "bin"
# Of systemd-analyze, in tenths: a unit is called OK below 50.
EXPOSURE_MAX = 25
KEY = "slk_deploy_0123456789abcdef"


def documents(text):
    return [document for document in yaml.safe_load_all(text) if document]


def schemas(manifests, versions=VERSIONS):
    for manifest in manifests:
        for version in versions:
            try:
                kubernetes_validate.validate(manifest, version, strict=True)
            except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
                raise Wrong(f"{manifest.get('kind')} by the schema of {version}: {error}") from error
    return f"{len(manifests)} objects, by the schemas of {' and '.join(versions)}"


def wiring(manifests):
    """What an API server or a controller would look up by name."""
    kind = {manifest["kind"]: manifest for manifest in manifests}
    if len(kind) != len(manifests):
        raise Wrong("two objects of a kind")
    deployment, service = kind["Deployment"], kind["Service"]["spec"]
    template = deployment["spec"]["template"]
    pod, labels = template["spec"], template["metadata"]["labels"]
    selectors = {
        "Deployment": deployment["spec"]["selector"]["matchLabels"],
        "Service": service["selector"],
        "PodDisruptionBudget": kind["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        "NetworkPolicy": kind["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        "topologySpreadConstraints": pod["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
    }
    wrong = [f"{of} selects {selector}, pods have {labels}" for of, selector in selectors.items() if not selector.items() <= labels.items()]
    target = kind["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    if (target["kind"], target["name"]) != ("Deployment", deployment["metadata"]["name"]):
        wrong.append(f"the HorizontalPodAutoscaler scales {target}")
    if "replicas" in deployment["spec"]:
        wrong.append("the Deployment says a number of replicas, which each apply would set back")
    main = pod["containers"][0]
    ports = {port["name"] for port in main["ports"]}
    named = [service["ports"][0]["targetPort"], main["readinessProbe"]["httpGet"]["port"], main["livenessProbe"]["httpGet"]["port"]]
    named += [port["port"] for rule in kind["NetworkPolicy"]["spec"]["ingress"] for port in rule["ports"]]
    wrong += [f"no container port is called {name}" for name in named if name not in ports]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    for container in [*pod["initContainers"], main]:
        wrong += [f"{container['name']} mounts no volume {m['name']}" for m in container["volumeMounts"] if m["name"] not in volumes]
    if volumes["config"]["configMap"]["name"] != kind["ConfigMap"]["metadata"]["name"]:
        wrong.append("the pod's configuration is another ConfigMap")
    if wrong:
        raise Wrong("; ".join(wrong))
    return "selectors, names, ports and volumes meet"


def chart(folder):
    report = helm.lint(folder, None, strict=True, kube_version=f"v{VERSIONS[-1]}.0")
    said = [message["error"] for message in report["messages"] if message["severity"] > 1] + report["errors"]
    if said:
        raise Wrong("; ".join(said))
    return f"Helm {helm.helm_sdk_version()} has nothing to say"


def rendered(values=None, folder=CHART):
    """The chart's objects, each as its text, in the order that they are applied in."""
    try:
        with helm.Chart.load(folder) as loaded:
            texts = loaded.render(values or {}, name="sluice", namespace="default")
    except helm.HelmError as error:
        raise Wrong(str(error)) from error
    return [text.strip() for name, text in sorted(texts.items()) if not name.endswith("NOTES.txt") and text.strip()]


def plain(texts):
    """The chart with its defaults, as a file for who has no Helm."""
    head = "# The chart in ../helm/sluice with its defaults; tests/deploy/run.py --bless writes it again.\n"
    return head + "".join(f"---\n{text}\n" for text in texts)


def dockerfile(text):
    said = subprocess.run([TOOLS / "hadolint", "-"], input=text, capture_output=True, text=True)
    if said.returncode != 0:
        raise Wrong(said.stdout.strip() or said.stderr.strip())
    facts = image(text)
    uid = facts["user"].partition(":")[0]
    if not uid.isdigit() or uid == "0":
        raise Wrong(f"USER {facts['user']}: a kubelet lets only a number other than 0 pass as no root")
    if "distroless" not in facts["base"]:
        raise Wrong(f"the last stage is {facts['base']}, with more in it than the binary")
    return f"hadolint has nothing to say; user {facts['user']} on {facts['base']}"


def image(text):
    """What the last stage says of itself."""
    with tempfile.TemporaryDirectory() as folder:
        parser = DockerfileParser(folder)
        parser.content = text
        steps = [(step["instruction"], step["value"]) for step in parser.structure]
    begins = max(number for number, (what, _) in enumerate(steps) if what == "FROM")
    last = steps[begins + 1 :]
    facts = dict(last)
    copied = [value.split() for what, value in last if what == "COPY"]
    return {
        "base": steps[begins][1],
        "user": facts["USER"],
        "workdir": facts["WORKDIR"],
        "env": dict(pair.split("=", 1) for pair in facts["ENV"].split()),
        "entrypoint": json.loads(facts["ENTRYPOINT"]),
        "cmd": json.loads(facts["CMD"]),
        "binary": next(words[-1] for words in copied if words[-2] == "/sluice"),
    }


def compose(path, env):
    said = subprocess.run(
        [TOOLS / "docker-compose", "-f", path, "--profile", "*", "config", "--format", "json"],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **env},
    )
    if said.returncode != 0:
        raise Wrong(said.stderr.strip())
    return json.loads(said.stdout)


def unit(text, binary):
    """By systemd itself, with a binary where the unit has it."""
    needs("systemd-analyze")
    may_mount()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sluice.service"
        path.write_text(text)
        prepared = f"mount -t tmpfs none /usr/local/bin && cp /bin/true /usr/local/bin/{binary.name} &&"

        def analyze(words):
            command = ["unshare", "--mount", "sh", "-c", f"{prepared} exec systemd-analyze {words} {path}"]
            return subprocess.run(command, capture_output=True, text=True)

        said = analyze("verify --recursive-errors=no --man=no")
        if said.returncode != 0 or said.stderr.strip():
            raise Wrong(said.stderr.strip())
        said = analyze(f"security --offline=yes --no-pager --threshold={EXPOSURE_MAX}")
        if said.returncode != 0:
            raise Wrong(said.stdout.strip().splitlines()[-1])
        return said.stdout.strip().splitlines()[-1].lstrip("→ ").encode("ascii", "ignore").decode().strip()


def activation(text, service, binary):
    """The socket beside the unit that it is for, by systemd itself; and that its port is the one the gateway would take."""
    needs("systemd-analyze")
    may_mount()
    with tempfile.TemporaryDirectory() as folder:
        for name, content in (("sluice.service", service), ("sluice.socket", text)):
            (Path(folder) / name).write_text(content)
        prepared = f"mount -t tmpfs none /usr/local/bin && cp /bin/true /usr/local/bin/{binary.name} &&"
        words = f"{prepared} exec systemd-analyze verify --recursive-errors=no --man=no {folder}/sluice.socket"
        said = subprocess.run(["unshare", "--mount", "sh", "-c", words], capture_output=True, text=True)
    if said.returncode != 0 or said.stderr.strip():
        raise Wrong(said.stderr.strip())
    kept = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    if kept["FileDescriptorName"] != "mcp":
        raise Wrong(f"the gateway knows no socket called {kept['FileDescriptorName']}")
    return f"{kept['ListenStream']}, called {kept['FileDescriptorName']}"


def with_secrets(words, pem):
    """A command that finds the certificate where a container has its secrets."""
    script = f"mount -t tmpfs none /run && mkdir /run/secrets && cp {pem} /run/secrets/mcp.pem && exec {words}"
    return ["unshare", "--mount", "sh", "-c", script]


def haproxy():
    needs("haproxy")
    may_mount()
    return next(path for path in ("/usr/sbin/haproxy", "/usr/local/sbin/haproxy", "/usr/bin/haproxy") if Path(path).is_file())


def balancer(path, pem):
    said = subprocess.run(with_secrets(f"{haproxy()} -c -f {path}", pem), capture_output=True, text=True)
    complaints = [line for line in said.stderr.splitlines() if "[NOTICE]" not in line]
    if said.returncode != 0 or complaints:
        raise Wrong("; ".join(complaints))
    return "HAProxy has nothing to say"


def config(sluice, text, env, cache):
    """By the binary, outside of any box; paths are made this machine's."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sluice.json"
        path.write_text(text)
        surroundings = {"PATH": os.environ["PATH"], "XDG_STATE_HOME": folder, "XDG_CACHE_HOME": str(cache), **env}
        said = subprocess.run([sluice, "check", "--config", path], capture_output=True, text=True, env=surroundings)
    if said.returncode != 0 or "warning:" in said.stderr:
        raise Wrong(said.stderr.strip())
    return said.stdout.strip().splitlines()[-1].partition(": ")[2]


def static(binary):
    """The bounds of what ships, of a binary that was built as the Dockerfile builds it."""
    if binary is None:
        raise NotRun("no --release: it takes the Dockerfile's cargo command, and some minutes")
    needs("readelf")
    said = subprocess.run(["readelf", "--wide", "--program-headers", "--sections", binary], capture_output=True, text=True, check=True).stdout
    if "INTERP" in said:
        raise Wrong("it is loaded with libraries")
    if ".symtab" in said or ".debug_" in said:
        raise Wrong("it is not stripped")
    size = binary.stat().st_size
    if size > 40 << 20:
        raise Wrong(f"it has {size / (1 << 20):.1f} MiB, and 40 is the most")
    return f"static, stripped, {size / (1 << 20):.1f} MiB"
