"""The SDK against the contract it was generated from: nothing of it is out of reach."""

import inspect
import pkgutil
import tempfile
import typing
import unittest
from pathlib import Path

import sluice_contract.imports
from sluice_contract import exports
from sluice_contract.imports import types

from sluice.build import Mistake, Project, contract_version, world
from sluice.head import METHODS
from sluice.hooks import HOOKS


class ContractTest(unittest.TestCase):
    def test_every_method_has_its_name(self) -> None:
        self.assertEqual(set(METHODS), set(typing.get_args(types.Method)) - {types.Method_Other})

    def test_every_hook_has_its_class(self) -> None:
        offered = {name for name, one in inspect.getmembers(exports, inspect.isclass) if one.__module__ == exports.__name__}
        ours = {hook.title().replace("-", "") for hook in HOOKS}
        self.assertEqual(ours, offered - {"Describe", "Lifecycle"})
        for hook, base in HOOKS.items():
            self.assertEqual(base.__abstractmethods__, {hook.replace("-", "_")})  # type: ignore[attr-defined]

    def test_a_world_names_what_was_asked_for_and_log(self) -> None:
        said = world(["on-request"], ["kv", "log"])
        version = contract_version()
        self.assertEqual(said.count("import "), 2)
        self.assertIn(f"import sluice:filter/kv@{version};", said)
        self.assertIn(f"export sluice:filter/on-request@{version};", said)

    def test_imports_are_the_contracts_own_names(self) -> None:
        modules = {module.name for module in pkgutil.iter_modules(sluice_contract.imports.__path__)}
        self.assertLessEqual({"payload", "patterns", "kv", "log", "metrics", "catalog", "types"}, modules)


class ProjectTest(unittest.TestCase):
    def read(self, toml: str, code: str = "") -> list[str]:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "pyproject.toml").write_text(toml)
            # A name of its own each time, since Python keeps modules by name.
            (Path(folder) / f"m{abs(hash(toml + code))}.py").write_text(code)
            return Project.read(Path(folder)).hooks()

    def test_what_is_wrong_is_said(self) -> None:
        for toml, says in [
            ("", "no [tool.sluice]"),
            ("[tool.sluice]\nplugin = 'mask'", "module:Class"),
            ("[tool.sluice]\nplugin = 'm:M'\nimport = []", "there are plugin, imports and wasi"),
        ]:
            with self.assertRaisesRegex(Mistake, says.replace("[", r"\[").replace("]", r"\]")):
                self.read(toml)


if __name__ == "__main__":
    unittest.main()
