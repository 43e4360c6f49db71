"""Edits applied to a parsed message, with the rules of the real host: all edits address the document as it was, and
overlap is a fault. Used by `testing` only.
"""

import copy
import json
from collections.abc import Iterator
from typing import Any

from componentize_py_types import Err
from sluice_contract.imports import payload, types

MISSING = object()


class Fault(Exception):
    """What the real host would refuse the plugin's edits for."""


def permit(edit: payload.Edit) -> None:
    """Refuses what is not a plugin's to change."""
    at = pointer_of(edit)
    if at in ("", "/id", "/jsonrpc", "/method") or at.startswith("/params/_meta/io.modelcontextprotocol~1"):
        raise Err(types.AccessError_Denied(at))


def pointer_of(edit: payload.Edit) -> str:
    return edit.value if isinstance(edit, payload.Edit_Remove) else edit.value[0]


def parts(pointer: str) -> list[str]:
    """A pointer's names, decoded."""
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def value_at(document: Any, pointer: str) -> Any:
    """The value, or MISSING."""
    for part in parts(pointer):
        if isinstance(document, dict) and part in document:
            document = document[part]
        elif isinstance(document, list) and part.isdigit() and int(part) < len(document):
            document = document[int(part)]
        else:
            return MISSING
    return document


def each_text(at: str, value: Any) -> Iterator[tuple[str, bool, str]]:
    """Pointer, whether it is a member's name, and text of every string and name at or below a value."""
    if isinstance(value, str):
        yield at, False, value
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from each_text(f"{at}/{number}", item)
    elif isinstance(value, dict):
        for name, item in value.items():
            place = f"{at}/{name.replace('~', '~0').replace('/', '~1')}"
            yield place, True, name
            yield from each_text(place, item)


def apply(document: Any, edits: list[payload.Edit]) -> Any:
    """The document after the edits."""
    _check_overlap(edits)
    out = copy.deepcopy(document)
    for splice in sorted((e for e in edits if isinstance(e, payload.Edit_Splice)), key=lambda e: e.value[1], reverse=True):
        pointer, start, end, text = splice.value
        _put(out, pointer, _spliced(value_at(out, pointer), start, end, text, pointer))
    for edit in edits:
        if isinstance(edit, payload.Edit_Set):
            _put(out, edit.value[0], json.loads(edit.value[1]))
    # From the back, so that a removed element does not move those that are still to go.
    for pointer in sorted((e.value for e in edits if isinstance(e, payload.Edit_Remove)), key=_natural, reverse=True):
        _remove(out, pointer)
    _rename(out, [e for e in edits if isinstance(e, payload.Edit_SpliceKey)])
    return out


def _check_overlap(edits: list[payload.Edit]) -> None:
    for number, one in enumerate(edits):
        for other in edits[number + 1 :]:
            if _overlap(one, other):
                raise Fault(f"edits overlap at {min(pointer_of(one), pointer_of(other), key=len)}")


def _overlap(one: payload.Edit, other: payload.Edit) -> bool:
    a, b = pointer_of(one), pointer_of(other)
    if type(one) is type(other) and isinstance(one, (payload.Edit_Splice, payload.Edit_SpliceKey)) and a == b:
        assert isinstance(other, (payload.Edit_Splice, payload.Edit_SpliceKey))
        return one.value[1] < other.value[2] and other.value[1] < one.value[2]
    replaces = (payload.Edit_Set, payload.Edit_Remove)
    inside = (isinstance(one, replaces) and f"{b}/".startswith(f"{a}/")) or (isinstance(other, replaces) and f"{a}/".startswith(f"{b}/"))
    return inside and not (a == b and a.endswith("/-"))


def _spliced(old: Any, start: int, end: int, text: str, pointer: str) -> str:
    if not isinstance(old, str):
        raise Fault(f"{pointer} is no string")
    data = old.encode()
    if not start <= end <= len(data):
        raise Fault(f"{start}..{end} is not in {pointer}")
    try:
        return data[:start].decode() + text + data[end:].decode()
    except UnicodeDecodeError:
        raise Fault(f"{start}..{end} splits a character of {pointer}") from None


def _parent(document: Any, pointer: str) -> tuple[Any, str]:
    parent, name = value_at(document, pointer.rpartition("/")[0]), parts(pointer)[-1]
    if not isinstance(parent, (dict, list)):
        raise Fault(f"{pointer} has no parent")
    return parent, name


def _put(document: Any, pointer: str, value: Any) -> None:
    parent, name = _parent(document, pointer)
    if isinstance(parent, dict):
        parent[name] = value
    elif name == "-":
        parent.append(value)
    elif name.isdigit() and int(name) < len(parent):
        parent[int(name)] = value
    else:
        raise Fault(f"no {pointer}")


def _remove(document: Any, pointer: str) -> None:
    if value_at(document, pointer) is MISSING:
        raise Fault(f"no {pointer}")
    parent, name = _parent(document, pointer)
    del parent[name if isinstance(parent, dict) else int(name)]


def _natural(pointer: str) -> list[tuple[int, str]]:
    return [(int(part) if part.isdigit() else 0, part) for part in pointer.split("/")]


def _rename(document: Any, edits: list[payload.Edit_SpliceKey]) -> None:
    """The deepest first, since every pointer speaks of the names as they were."""
    by_pointer: dict[str, list[payload.Edit_SpliceKey]] = {}
    for edit in edits:
        by_pointer.setdefault(edit.value[0], []).append(edit)
    by_parent: dict[str, dict[str, str]] = {}
    for pointer, of_one in by_pointer.items():
        old = new = parts(pointer)[-1]
        for edit in sorted(of_one, key=lambda e: e.value[1], reverse=True):
            new = _spliced(new, edit.value[1], edit.value[2], edit.value[3], pointer)
        by_parent.setdefault(pointer.rpartition("/")[0], {})[old] = new
    for pointer in sorted(by_parent, key=lambda p: p.count("/"), reverse=True):
        members = value_at(document, pointer)
        if not isinstance(members, dict):
            raise Fault(f"{pointer} has no members")
        names = [by_parent[pointer].get(name, name) for name in members]
        if len(set(names)) < len(names):
            raise Fault(f"two members of one name at {pointer}")
        renamed = dict(zip(names, members.values(), strict=True))
        members.clear()
        members.update(renamed)
