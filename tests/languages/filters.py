#!/usr/bin/env python3
"""The filters that the bench compares Rust's with, built as an author builds them.

    filters.py OUT

Tools are those of run.py, installed under target/languages on the first run; a filter is built again only when its sources, its SDK or the
contract changed.
"""

import shutil
import sys
from pathlib import Path

import run

FILTERS = run.ROOT / "tests" / "bench" / "filters"


def main():
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    run.WORK.mkdir(parents=True, exist_ok=True)
    python, npm = run.install()
    builds = {
        "facts_python": ("facts.py", "plugin.py", run.ROOT / "sdk/python", run.hook_python),
        "facts_typescript": ("facts.ts", "plugin.ts", npm / "dist", run.hook_typescript),
    }
    for name, (source, as_plugin, sdk, build) in builds.items():
        folder = run.WORK / "filters" / name
        made = folder / f"{name}.wasm"

        def work(folder=folder, source=source, as_plugin=as_plugin, made=made, build=build):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            shutil.copy(FILTERS / source, folder / as_plugin)
            # They import nothing: they read the head alone.
            (folder / "imports").write_text("")
            build(folder, made, python, npm)

        run.once(name, [FILTERS / source, *run.sources(sdk), *run.sources(run.WIT)], work)
        shutil.copy(made, out)
        print(f"  {made.name}: {made.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
