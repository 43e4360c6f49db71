"""Adds to the wheel what componentize-py makes of the contract, so that the bindings are those of the WIT folder."""

import subprocess
import sys
import tempfile
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

WIT = Path(__file__).parent / "src" / "sluice" / "wit"


class BuildWithContract(build_py):
    def run(self) -> None:
        super().run()
        # Beside the interpreter that runs this, since an isolated build has its scripts in no PATH of ours.
        tool = Path(sys.executable).with_name("componentize-py")
        command = str(tool) if tool.exists() else "componentize-py"
        world = ["-d", str(WIT), "-w", "everything", "--world-module", "sluice_contract"]
        with tempfile.TemporaryDirectory() as out:
            subprocess.run([command, "-q", *world, "bindings", out], check=True)
            self.copy_tree(str(Path(out) / "sluice_contract"), str(Path(self.build_lib) / "sluice_contract"))
            # A package instead of a file, so that it can be marked as typed.
            types = Path(self.build_lib) / "componentize_py_types"
            self.mkpath(str(types))
            self.copy_file(str(Path(out) / "componentize_py_types.py"), str(types / "__init__.py"))
        for package in ("sluice_contract", "componentize_py_types"):
            (Path(self.build_lib) / package / "py.typed").touch()


setup(cmdclass={"build_py": BuildWithContract})
