#!/usr/bin/env python3
"""The same filter in Rust, Python, TypeScript and C: built from source, tested natively, and judged by the real host.

    run.py --bin target/debug/sluice --same target/debug/examples/same_verdicts --rmcp-client target/debug/conformance-rmcp-client \
        --components target/components/wasm32-wasip2/plugin

Each language gives the verdicts of examples/mask/corpus.json, alone in the host's engine; then all four stand in one chain
in front of a server nobody here wrote, each looking for something else. The examples of docs/plugins/hooks and docs/plugins/imports are built, too,
and run their cases. Tools are pinned and installed under target/languages on the first run; a component is built again only when its sources or the contract
changed.
"""

import argparse
import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "conformance"), str(HERE.parent / "interop")]

import clients
import parts
from servers import Servers

ROOT = parts.ROOT
WORK = parts.TARGET / "languages"
MASK = ROOT / "examples" / "mask"
HOOKS = ROOT / "examples" / "hooks"
IMPORTS = ROOT / "examples" / "imports"
WIT = ROOT / "wit" / "v0.1.0"
SAID = "ada@example.com 4111111111111111 ghp_16C7e42F292c6912E7"
CHAIN = {"rust": "email", "c": "card", "python": "token", "typescript": "private-key"}


def main():
    wanted = arguments()
    WORK.mkdir(parents=True, exist_ok=True)
    python, npm = install()
    built = WORK / "components"
    built.mkdir(exist_ok=True)
    shutil.copy(wanted.components / "sluice_example_mask.wasm", built / "mask_rust.wasm")
    results = [
        parts.attempt("the C bindings are those of the contract", bindings_are_current),
        parts.attempt("C", lambda: c(python, built)),
        parts.attempt("Python", lambda: python_plugin(python, built)),
        parts.attempt("TypeScript", lambda: typescript(npm, built)),
    ]
    results.append(parts.attempt("what the READMEs show", lambda: readmes(python, npm)))
    for language, build in (("rust", None), ("c", hook_c), ("python", hook_python), ("typescript", hook_typescript)):
        results.append(parts.attempt(f"examples of the book, {language}", lambda language=language, build=build: hooks(language, build, wanted, python, npm)))
    if all(results):
        results.append(parts.attempt("same verdicts", lambda: same_verdicts(wanted.same, built)))
        results.append(parts.attempt("one chain, a real server", lambda: one_chain(wanted, built)))
    passed = sum(results)
    print(f"{passed} passed, {len(results) - passed} failed")
    return 0 if all(results) else 1


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path, required=True, help="the Sluice binary")
    parser.add_argument("--same", type=Path, required=True, help="the example same_verdicts of host/plugin")
    parser.add_argument("--components", type=Path, required=True, help="the folder of the components in Rust")
    parser.add_argument("--rmcp-client", type=Path, required=True, help="the conformance-rmcp-client binary")
    parser.add_argument("--slice", action="store_true", help="of the pages' examples in Python and TypeScript, 20 s each, build one")
    return parser.parse_args()


def install():
    """The tools, and both SDKs as an author installs them."""
    python = parts.venv(HERE / "requirements.txt", WORK / "python")
    contract = sources(WIT)
    once("sdk-python", sources(ROOT / "sdk/python") + contract, lambda: install_python_sdk(python))
    sdk = ROOT / "sdk" / "javascript"
    npm = WORK / "npm"
    once("sdk-javascript", sources(sdk, ("node_modules", "dist", "contract")) + contract, lambda: install_javascript_sdk(sdk, npm))
    return python, npm


def install_python_sdk(python):
    copy = WORK / "sdk-python-source"
    copied(ROOT / "sdk" / "python", copy)
    command = [str(python), "-m", "pip", "install", "--quiet", "--no-build-isolation", "--no-deps", "--force-reinstall", str(copy)]
    parts.run(command, ROOT)


def install_javascript_sdk(sdk, npm):
    """In a copy, so that nothing is written beside the sources."""
    copied(sdk, npm)
    parts.run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], npm)
    parts.run(["npm", "run", "build"], npm)


def copied(source, into):
    """Links followed: the SDKs link to the contract."""
    shutil.rmtree(into, ignore_errors=True)
    skipped = shutil.ignore_patterns("node_modules", "dist", "contract", "build", "*.egg-info", "__pycache__")
    shutil.copytree(source, into, ignore=skipped)


def bindings_are_current():
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(WIT.glob("*.wit")))).hexdigest()
    for name in ("contract.h", "contract.c"):
        first = (ROOT / "sdk/c/include" / name).read_text().splitlines()[0]
        assert digest in first, f"sdk/c/include/{name} is of another contract: run `cargo xtask bindings`"
    return f"sha256 {digest[:12]}"


def c(python, built):
    out, whole = built / "mask_c.wasm", WORK / "every_hook.wasm"

    def build():
        for source, component in ((MASK / "c/mask.c", out), (HERE / "every_hook.c", whole)):
            core = component.with_suffix(".core")
            zig = [str(python), "-m", "ziglang", "cc", "-Wall", "-Wextra", "-Werror", "-I", str(ROOT / "sdk/c/include")]
            flags = ["--target=wasm32-wasi", "-mexec-model=reactor", "-Os", "-s"]
            parts.run([*zig, *flags, str(source), "-o", str(core)], ROOT)
            parts.run([str(python.with_name("wasm-tools")), "component", "new", str(core), "-o", str(component)], ROOT)

    once("mask-c", [*sources(MASK / "c"), *sources(ROOT / "sdk/c/include"), HERE / "every_hook.c"], build)
    # All of the contract can be reached, and only what is used is there.
    contract = "\n".join(file.read_text() for file in WIT.glob("*.wit"))
    everything = contract[contract.index("world everything") :]
    for word in ("import", "export"):
        named = set(re.findall(rf"^  {word} ([a-z-]+);", everything, re.MULTILINE))
        missing = named - interfaces(python, whole, word)
        assert named and not missing, f"out of reach in C: {word} {sorted(missing)}"
    return described(python, out)


def python_plugin(python, built):
    sdk, plugin, out = ROOT / "sdk/python", MASK / "python", built / "mask_python.wasm"
    inputs = sources(sdk) + sources(plugin) + sources(WIT) + [MASK / "corpus.json"]

    def build():
        mypy = [str(python), "-m", "mypy", "--strict", "--cache-dir", str(WORK / "mypy")]
        parts.run([*mypy, "-p", "sluice"], WORK)
        parts.run([*mypy, "tests/test_contract.py", "tests/test_light.py", "tests/test_views.py"], sdk)
        parts.run([*mypy, "mask.py", "tests/test_mask.py"], plugin)
        unittest = [str(python), "-B", "-m", "unittest", "discover", "-s", "tests"]
        parts.run(unittest, sdk)
        parts.run(["env", "PYTHONPATH=.", *unittest], plugin)
        parts.run([str(python.with_name("sluice-python")), "build", str(plugin), "-o", str(out)], ROOT)

    once("mask-python", inputs, build)
    return described(python, out)


def typescript(npm, built):
    plugin, out = MASK / "typescript", built / "mask_typescript.wasm"
    inputs = sources(ROOT / "sdk/javascript", ("node_modules", "dist", "contract")) + sources(plugin, ("node_modules", "build")) + sources(WIT)

    def build():
        copy = WORK / "mask-typescript"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(plugin, copy, ignore=shutil.ignore_patterns("node_modules", "build"))
        (copy / "node_modules" / "@sluice").mkdir(parents=True)
        (copy / "node_modules" / "@sluice" / "sdk").symlink_to(npm)
        (copy / "node_modules" / "@types").symlink_to(npm / "node_modules" / "@types")
        shutil.copy(MASK / "corpus.json", WORK)
        parts.run(["node", "--test", "dist/"], npm)
        parts.run([str(npm / "node_modules/.bin/tsc")], copy)
        parts.run(["node", "--test", "build/"], copy)
        parts.run(["node", str(npm / "dist/build.js"), "build", str(copy), "-o", str(out)], ROOT)

    once("mask-typescript", inputs + [MASK / "corpus.json"], build)
    return described(WORK / "python/bin/python", out)


def described(python, component):
    """Its size, and that it imports what it uses and no more."""
    imports = interfaces(python, component, "import")
    assert {"payload", "patterns"} <= imports <= {"log", "types", "payload", "patterns"}, f"it imports {sorted(imports)}"
    return f"{component.stat().st_size / 1e6:.2f} MB, imports {', '.join(sorted(imports))}"


def readmes(python, npm):
    """The five-minute start of each SDK compiles, and its test passes."""
    home = WORK / "readmes"
    shown = [ROOT / "sdk" / language / "README.md" for language in ("c", "python", "javascript")]

    def check():
        shutil.rmtree(home, ignore_errors=True)
        (home / "node_modules").mkdir(parents=True)
        (home / "node_modules" / "@sluice").mkdir()
        (home / "node_modules" / "@sluice" / "sdk").symlink_to(npm)
        (home / "node_modules" / "@types").symlink_to(npm / "node_modules" / "@types")
        for readme, language, names in zip(shown, ("c", "python", "ts"), (["deny.c"], ["deny.py", "test_deny.py"], ["deny.ts"]), strict=True):
            blocks = re.findall(rf"```{language}\n(.*?)```", readme.read_text(), re.DOTALL)
            for name, text in zip(names, blocks, strict=False):
                (home / name).write_text(text)
        (home / "package.json").write_text('{"type": "module"}')
        zig = [str(python), "-m", "ziglang", "cc", "--target=wasm32-wasi", "-mexec-model=reactor", "-Os", "-s", "-Wall", "-Werror"]
        parts.run([*zig, "-I", str(ROOT / "sdk/c/include"), "deny.c", "-o", "core.wasm"], home)
        parts.run([str(python.with_name("wasm-tools")), "component", "new", "core.wasm", "-o", "deny.wasm"], home)
        parts.run([str(python), "-B", "test_deny.py"], home)
        parts.run([str(python), "-m", "mypy", "--strict", "--cache-dir", str(WORK / "mypy"), "deny.py"], home)
        tsc = [str(npm / "node_modules/.bin/tsc"), "--strict", "--noEmit", "--module", "nodenext", "--target", "es2023", "--types", "node"]
        parts.run([*tsc, "--skipLibCheck", "deny.ts"], home)

    once("readmes", [*shown, *sources(ROOT / "sdk/c/include"), *sources(ROOT / "sdk/python"), *sources(npm / "dist")], check)
    return f"{len(shown)} of {len(shown)}"


def hooks(language, build, wanted, python, npm):
    """The examples of the pages about hooks and imports, each with its cases in the real engine."""
    home = WORK / "hooks" / language
    home.mkdir(parents=True, exist_ok=True)
    # Most pages about imports show the example of a hook.
    folders = sorted(plugin.parent for place in (HOOKS, IMPORTS) for plugin in place.glob("*/plugin.rs"))
    if wanted.slice and language in ("python", "typescript"):
        folders = [HOOKS / "on-request"]
    steps = 0
    for folder in folders:
        out = home / f"{folder.name}.wasm"
        if build is None:
            shutil.copy(wanted.components / "examples" / f"{folder.name.replace('-', '_')}.wasm", out)
        else:
            sdk = {"c": [ROOT / "sdk/c/include"], "python": [ROOT / "sdk/python"], "typescript": [npm / "dist"]}[language]
            inputs = [file for place in (folder, *sdk) for file in sources(place)]
            once(f"hook-{language}-{folder.name}", inputs, lambda folder=folder, out=out: build(folder, out, python, npm))
        # There is an interpreter inside some of them.
        out.with_suffix(".toml").write_text("[limits]\nmemory_mib = 128\n")
        command = [wanted.bin.resolve(), "plugin", "test", out, "--fixtures", folder / "cases"]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "XDG_CACHE_HOME": str(WORK / "hooks")})
        assert done.returncode == 0, f"{folder.name}: {done.stdout}{done.stderr}"
        steps += int(re.search(r"^(\d+) passed, 0 failed$", done.stdout, re.MULTILINE).group(1))
    return f"{len(folders)} examples, {steps} steps"


def hook_c(folder, out, python, _):
    core = out.with_suffix(".core")
    zig = [str(python), "-m", "ziglang", "cc", "-Wall", "-Wextra", "-Werror", "-I", str(ROOT / "sdk/c/include")]
    flags = ["--target=wasm32-wasi", "-mexec-model=reactor", "-Os", "-s"]
    parts.run([*zig, *flags, str(folder / "plugin.c"), "-o", str(core)], ROOT)
    parts.run([str(python.with_name("wasm-tools")), "component", "new", str(core), "-o", str(out)], ROOT)


def hook_python(folder, out, python, _):
    project = out.with_suffix("")
    shutil.rmtree(project, ignore_errors=True)
    project.mkdir()
    shutil.copy(folder / "plugin.py", project)
    (project / "pyproject.toml").write_text(f'[tool.sluice]\nplugin = "plugin:Example"\nimports = {json.dumps(imports_of(folder))}\n')
    parts.run([str(python), "-m", "mypy", "--strict", "--cache-dir", str(WORK / "mypy"), "plugin.py"], project)
    parts.run([str(python.with_name("sluice-python")), "build", str(project), "-o", str(out)], ROOT)


def hook_typescript(folder, out, _, npm):
    project = out.with_suffix("")
    shutil.rmtree(project, ignore_errors=True)
    (project / "node_modules" / "@sluice").mkdir(parents=True)
    (project / "node_modules" / "@sluice" / "sdk").symlink_to(npm)
    (project / "node_modules" / "@types").symlink_to(npm / "node_modules" / "@types")
    shutil.copy(folder / "plugin.ts", project)
    package = {"type": "module", "sluice": {"plugin": "plugin.ts", "imports": imports_of(folder)}}
    (project / "package.json").write_text(json.dumps(package))
    tsc = [str(npm / "node_modules/.bin/tsc"), "--strict", "--noEmit", "--module", "nodenext", "--target", "es2023", "--types", "node"]
    parts.run([*tsc, "--skipLibCheck", "plugin.ts"], project)
    parts.run(["node", str(npm / "dist/build.js"), "build", str(project), "-o", str(out)], ROOT)


def imports_of(folder):
    return (folder / "imports").read_text().split()


def interfaces(python, component, word):
    """The contract's interfaces that it imports or exports, and whatever else by its whole name."""
    command = [python.with_name("wasm-tools"), "component", "wit", component]
    wit = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    named = re.findall(rf"^  {word} ([^;{{]+);", wit, re.MULTILINE)
    return {name.removeprefix("sluice:filter/").partition("@")[0] for name in named}


def same_verdicts(same, built):
    components = [built / f"mask_{language}.wasm" for language in CHAIN]
    command = [same, MASK / "corpus.json", WORK / "cache", *components]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, env={**os.environ, "RUST_BACKTRACE": "0"})
    print(done.stdout.rstrip())
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()[-1]


def one_chain(wanted, built):
    """All four in front of the reference server, and official clients that call its echo."""
    sluice, fronts = wanted.bin.resolve(), clients.install(wanted.rmcp_client.resolve())
    servers = Servers(clients.WORK, clients.WORK / "python-modern" / "bin" / "python")
    answers = {}
    for off in (None, "python"):
        config = write_config(servers, built, off)
        # What interpreters bring is long to compile, and longer than a server may take to be ready.
        parts.run([sluice, "check", "--config", config], config.parent)
        with contextlib.ExitStack() as running:
            command = [sluice, "serve", "--config", config, "--listen", "127.0.0.1:0"]
            endpoint = running.enter_context(parts.Process(command, WORK / "logs" / "sluice.log", cwd=config.parent))
            token = (config.parent / "token").read_text().strip()
            for front in fronts if off is None else fronts[:1]:
                said = call(front, endpoint.url, token, SAID)
                answers.setdefault(off, set()).add(said)
                if off is None:
                    refused = call(front, endpoint.url, token, "-----BEGIN PRIVATE KEY-----")
                    assert "private key may not pass" in refused, f"{front.name} {front.mode}: {refused}"
    expected = "Echo: [rust:email] [c:card] [python:token]"
    assert answers[None] == {expected}, answers[None]
    # The control: with one of them looking at nothing, what it looks for comes back.
    assert answers["python"] == {expected.replace("[python:token]", SAID.split()[-1])}, answers["python"]
    return f"{len(fronts)} clients and modes, {expected!r}"


def call(front, url, token, message):
    try:
        report = front.run({"url": url, "bearer": token, "calls": {"echo": {"message": message}}})
    except AssertionError as failed:
        # Some clients end with the error that the call was answered with.
        return str(failed)
    return "".join(block.get("text", "") for block in report["results"]["echo"].get("content", [])) or json.dumps(report["results"]["echo"])


def write_config(servers, built, off):
    home = WORK / "home"
    shutil.rmtree(home, ignore_errors=True)
    (home / "plugins").mkdir(parents=True)
    for place, (language, detector) in enumerate(CHAIN.items(), 1):
        name = f"{place}0-mask-{language}"
        shutil.copy(built / f"mask_{language}.wasm", home / "plugins" / f"{name}.wasm")
        hooks = [] if language == off else ["on-request", "on-response"]
        settings = f'[config]\ndetectors = ["{detector}"]\nmark = "{language}"\nhooks = {json.dumps(hooks)}\n'
        (home / "plugins" / f"{name}.toml").write_text(settings + "[limits]\nmemory_mib = 128\n")
    own = {
        "admin": {"enabled": False},
        "cache_dir": str(WORK / "cache"),
        "audit": {"path": str(home / "audit.jsonl")},
        "auth": {"token_file": str(home / "token")},
        "plugins": {"dir": str(home / "plugins")},
    }
    command, *rest = servers.everything_over_stdio()
    config = home / "sluice.json"
    config.write_text(json.dumps({"mcpServers": {"everything": {"command": command, "args": rest}}, "sluice": own}, indent=2))
    return config


def sources(folder, without=()):
    """All files of a folder that somebody wrote."""
    skipped = {"build", "__pycache__", ".mypy_cache", *without}
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and not skipped & set(file.relative_to(folder).parts)]
    return [file for file in files if not any(part.endswith(".egg-info") for part in file.parts)]


def once(what, inputs, work):
    """Runs `work` unless it was done for these very inputs, in this state of the tools."""
    stamp = WORK / f"{what}.done"
    inputs = [*inputs, HERE / "requirements.txt", Path(__file__)]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in inputs)).hexdigest()
    if stamp.is_file() and stamp.read_text() == digest:
        return
    stamp.unlink(missing_ok=True)
    print(f"  {what} ...", flush=True)
    work()
    stamp.write_text(digest)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except parts.Missing as missing:
        sys.exit(str(missing))
