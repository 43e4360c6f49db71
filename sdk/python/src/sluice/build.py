"""`sluice-python build`: makes a component of the plugin in this folder.

What pyproject.toml says under [tool.sluice]:

    plugin = "mask:Mask"                  # module and class, from this folder or from src/
    imports = ["payload", "patterns"]     # what the component may use beside log; nothing else is in the binary
    wasi = false                          # true: with a clock and random numbers, through WASI imports
"""

import argparse
import importlib
import inspect
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

from .hooks import HOOKS
from .light import Unknown, light
from .plugin import Plugin

WIT = Path(__file__).parent / "wit"
CONTRACT = "sluice_contract"
GLUE = "sluice_glue"
VIEWS = {
    "batch": ("chunk", "Batch", "chunks"),
    "viewer": ("catalog", "Viewer", "catalog"),
    "departure": ("outbound", "Departure", "outbound"),
    "x": ("exchange", "Exchange", "types"),
}
"""What a hook's argument of this name is given as: a view, by its module here, of the resource of that name in this module of the contract."""


class Mistake(Exception):
    """The project cannot be built as it is; the text says what to do."""


@dataclass(frozen=True)
class Project:
    folder: Path
    module: str
    attribute: str
    imports: list[str]
    wasi: bool

    @classmethod
    def read(cls, folder: Path) -> "Project":
        file = folder / "pyproject.toml"
        if not file.is_file():
            raise Mistake(f"{file} is not there: go to the plugin's folder, or name it")
        tool = tomllib.loads(file.read_text()).get("tool", {}).get("sluice")
        if tool is None:
            raise Mistake(f'{file} has no [tool.sluice]: add it, with plugin = "module:Class"')
        unknown = set(tool) - {"plugin", "imports", "wasi"}
        if unknown:
            raise Mistake(f"[tool.sluice] has {', '.join(sorted(unknown))}; there are plugin, imports and wasi")
        module, colon, attribute = str(tool.get("plugin", "")).partition(":")
        if not (module and colon and attribute):
            raise Mistake('plugin under [tool.sluice] is not of the form "module:Class"')
        return cls(folder, module, attribute, list(tool.get("imports", [])), bool(tool.get("wasi", False)))

    def paths(self) -> list[Path]:
        """Where its modules are."""
        return [path for path in (self.folder / "src", self.folder) if path.is_dir()]

    def hooks(self) -> list[str]:
        """The contract's names of the hooks that the class has."""
        sys.path[:0] = [str(path) for path in self.paths()]
        plugin = getattr(importlib.import_module(self.module), self.attribute, None)
        if not (isinstance(plugin, type) and issubclass(plugin, Plugin)):
            raise Mistake(f"{self.module}:{self.attribute} is no class with Plugin among its bases")
        hooks = [name for name, base in HOOKS.items() if issubclass(plugin, base)]
        if not hooks:
            raise Mistake(f"{self.attribute} has no hook among its bases, such as OnRequest")
        return hooks


def world(hooks: list[str], imports: list[str], wit: Path = WIT) -> str:
    """A world with just these exports and imports, in the contract's own version."""
    version = contract_version(wit)
    lines = [f"import sluice:filter/{name}@{version};" for name in dict.fromkeys(["log", *imports])]
    lines += [f"export sluice:filter/{name}@{version};" for name in ["describe", "lifecycle", *hooks]]
    return "package sluice:project;\nworld plugin {\n" + "".join(f"  {line}\n" for line in lines) + "}\n"


def contract_version(wit: Path = WIT) -> str:
    """As the package line has it."""
    for file in sorted(wit.glob("*.wit")):
        for line in file.read_text().splitlines():
            if line.startswith("package sluice:filter@"):
                return line.removeprefix("package sluice:filter@").rstrip(";")
    raise Mistake(f"{wit} holds no package sluice:filter")


def glue(project: Project, hooks: list[str]) -> str:
    """The module that componentize-py takes: the contract's exports, handed on to the plugin."""
    functions = {hook: hook.replace("-", "_") for hook in hooks}
    arguments = {name for hook in hooks for name in inspect.signature(getattr(HOOKS[hook], functions[hook])).parameters}
    lines = [
        "from sluice.guest import Guest, lend, make_cheaply",
        f"from {project.module} import {project.attribute} as Plugin_",
        f"guest = Guest(Plugin_, {list(functions.values())})",
        *[f"def {name.title().replace('-', '')}(): return guest" for name in ["describe", "lifecycle", *hooks]],
    ]
    for module, view, contract in sorted(VIEWS[name] for name in arguments & set(VIEWS)):
        lines += [f"from {CONTRACT}.imports import {contract}", f"from sluice.{module} import {view}", f"lend({contract}, {view})"]
    return "\n".join([*lines, "make_cheaply()"]) + "\n"


def build(folder: Path, out: Path | None = None) -> Path:
    """Builds; the component's path."""
    project = Project.read(folder)
    hooks = project.hooks()
    out = out or folder / "dist" / f"{project.module.rpartition('.')[2]}.wasm"
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        (work / f"{GLUE}.py").write_text(glue(project, hooks))
        (work / "world.wit").write_text(world(hooks, project.imports))
        tool = Path(sys.executable).with_name("componentize-py")
        command = [str(tool) if tool.exists() else "componentize-py", "-q", "-d", str(WIT), "-d", str(work / "world.wit")]
        command += ["-w", "sluice:project/plugin", "--world-module", CONTRACT, "componentize", GLUE]
        for path in [work, *project.paths(), Path(__file__).parent.parent]:
            command += ["-p", str(path)]
        made = work / "plugin.wasm"
        command += ["-o", str(made)] if project.wasi else ["-o", str(made), "-s"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise Mistake(f"componentize-py failed:\n{done.stdout}")
        try:
            out.write_bytes(light(made.read_bytes()))
        except Unknown as unknown:
            raise Mistake(f"{unknown}: it is not the componentize-py of this SDK") from unknown
    return out


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="sluice-python", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, dest="command")
    builds = commands.add_parser("build", help="make a component of the plugin in a folder")
    builds.add_argument("folder", type=Path, nargs="?", default=Path())
    builds.add_argument("-o", "--out", type=Path, help="default: dist/<module>.wasm")
    wanted = parser.parse_args()
    try:
        out = build(wanted.folder.resolve(), wanted.out)
    except Mistake as mistake:
        print(f"error: {mistake}", file=sys.stderr)
        return 1
    print(f"{out} ({out.stat().st_size / 1e6:.1f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
