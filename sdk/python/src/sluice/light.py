"""What componentize-py makes, made lighter.

Its runtime takes the interpreter's lock before it makes each value of a hook's arguments and gives it back after, which is a fifth of a call. A
component has one thread, so the lock is kept: `PyGILState_Release` of the interpreter inside does nothing.
"""

from collections.abc import Iterator

RELEASES = b"PyGILState_Release"
NOTHING = b"\x00\x0b"
"""A function's body: no locals, and the end."""

# Sections, of a component and of a module in it (component model, binary format; WebAssembly core specification, 5.5).
CORE_MODULE = 1
IMPORTS = 2
EXPORTS = 7
CODE = 10
HEADER = 8
FUNCTION, TABLE, MEMORY, GLOBAL, TAG = range(5)


class Unknown(Exception):
    """This is not what componentize-py makes."""


class Reader:
    """Goes through bytes."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at = data, at

    def take(self, length: int) -> bytes:
        self.at += length
        return self.data[self.at - length : self.at]

    def number(self) -> int:
        """LEB128, without sign."""
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def sized(self) -> bytes:
        return self.take(self.number())

    def limits(self) -> None:
        flags = self.number()
        self.number()
        if flags & 1:
            self.number()


def number(value: int) -> bytes:
    """LEB128, without sign."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def sized(data: bytes) -> bytes:
    return number(len(data)) + data


def sections(binary: bytes) -> Iterator[tuple[int, bytes]]:
    reader = Reader(binary, HEADER)
    while reader.at < len(binary):
        yield reader.take(1)[0], reader.sized()


def light(component: bytes) -> bytes:
    """The component that keeps the interpreter's lock."""
    changed = 0
    out = [component[:HEADER]]
    for kind, content in sections(component):
        if kind == CORE_MODULE and (function := exported(content, RELEASES)) is not None:
            changed += 1
            content = with_body(content, function, NOTHING)
        out.append(bytes([kind]) + sized(content))
    if changed != 1:
        raise Unknown(f"componentize-py made a component with {changed} modules that have {RELEASES.decode()}, in place of one")
    return b"".join(out)


def exported(module: bytes, name: bytes) -> int | None:
    """The function that is exported under this name."""
    for kind, content in sections(module):
        if kind == EXPORTS:
            reader = Reader(content)
            for _ in range(reader.number()):
                found, what, index = reader.sized(), reader.number(), reader.number()
                if found == name and what == FUNCTION:
                    return index
    return None


def with_body(module: bytes, function: int, body: bytes) -> bytes:
    """The module with another body of this function."""
    out, imported = [module[:HEADER]], 0
    for kind, content in sections(module):
        if kind == IMPORTS:
            imported = imported_functions(content)
        elif kind == CODE:
            reader = Reader(content)
            bodies = [reader.sized() for _ in range(reader.number())]
            bodies[function - imported] = body
            content = number(len(bodies)) + b"".join(map(sized, bodies))
        out.append(bytes([kind]) + sized(content))
    return b"".join(out)


def imported_functions(imports: bytes) -> int:
    """They come before a module's own."""
    reader, count = Reader(imports), 0
    for _ in range(reader.number()):
        reader.sized(), reader.sized()
        kind = reader.number()
        if kind == FUNCTION:
            count += 1
            reader.number()
        elif kind == TABLE:
            reader.take(1)
            reader.limits()
        elif kind == MEMORY:
            reader.limits()
        elif kind == GLOBAL:
            reader.take(2)
        elif kind == TAG:
            reader.take(1)
            reader.number()
        else:
            raise Unknown(f"a module imports something of kind {kind}")
    return count
