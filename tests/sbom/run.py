#!/usr/bin/env python3
"""What each plugin inside the binary is made of, as CycloneDX 1.6, written to target/sbom and judged by CycloneDX's own library.

    run.py --bin target/debug/sluice [--out target/sbom]

Each document is held against the official schema, its licences against SPDX, its package URLs against their specification, and its
digest against what `sluice plugin inspect` says of the component. The control: a document with a wrong hash is found out. It ends with
"N passed, N failed".
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests" / "conformance"))

import parts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path, required=True, help="the Sluice binary")
    parser.add_argument("--every", type=int, default=1, help="only one plugin of so many")
    parser.add_argument("--out", type=Path, default=parts.TARGET / "sbom", help="where the documents go")
    options = parser.parse_args()
    python = parts.venv(HERE / "requirements.txt", parts.TARGET / "sbom-judge")
    if Path(sys.prefix).resolve() != python.parents[1].resolve():
        os.execv(python, [str(python), *sys.argv])
    options.out.mkdir(parents=True, exist_ok=True)
    names = sorted(folder.name for folder in (ROOT / "plugins").iterdir() if (folder / "Cargo.toml").is_file())
    names = names[:: options.every]
    results = [judge(options.bin.resolve(), name, options.out) for name in names]
    results.append(control(options.out / f"{names[0]}.cdx.json"))
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


def judge(sluice, name, out):
    said = subprocess.run([sluice, "plugin", "sbom", f"builtin:{name}"], capture_output=True, text=True, check=True).stdout
    path = out / f"{name}.cdx.json"
    path.write_text(said)
    inspected = subprocess.run([sluice, "plugin", "inspect", f"builtin:{name}"], capture_output=True, text=True, check=True).stdout
    document = json.loads(said)
    linked = [c for c in document["components"] if c["scope"] == "required"]
    wrong = problems(said, document)
    digest = document["metadata"]["component"]["hashes"][0]["content"]
    if f"sha256:{digest}" not in inspected:
        wrong.append(f"its digest {digest} is not the component's")
    print(f"  {'FAILED' if wrong else 'ok    '}  {path.name}: {len(linked)} linked, {len(document['components']) - len(linked)} only built with")
    for line in wrong:
        print(f"          {line}")
    return not wrong


def problems(text, document):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator
    from license_expression import get_spdx_licensing
    from packageurl import PackageURL

    wrong = []
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if error:
        wrong.append(f"the schema: {str(error).splitlines()[0]}")
    known = {c["bom-ref"] for c in document["components"]} | {document["metadata"]["component"]["bom-ref"]}
    for component in document["components"]:
        expression = component["licenses"][0]["expression"]
        wrong += [f"{component['name']}: licence {expression}: {e}" for e in get_spdx_licensing().validate(expression).errors]
        if "purl" in component:
            purl = PackageURL.from_string(component["purl"])
            if (purl.type, purl.name, purl.version) != ("cargo", component["name"], component["version"]):
                wrong.append(f"{component['purl']} is not {component['name']} {component['version']}")
    for entry in document["dependencies"]:
        wrong += [f"{reference} is needed and not listed" for reference in [entry["ref"], *entry["dependsOn"]] if reference not in known]
    return wrong


def control(path):
    document = json.loads(path.read_text())
    document["components"][1]["hashes"] = [{"alg": "SHA-256", "content": "no hash"}]
    found = bool(problems(json.dumps(document), document))
    print(f"  {'ok    ' if found else 'FAILED'}  the control: a wrong hash is found out")
    return found


if __name__ == "__main__":
    sys.exit(main())
