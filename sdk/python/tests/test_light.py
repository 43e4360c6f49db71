"""What is changed in a component, in one that is just large enough."""

import unittest

from sluice.light import CODE, CORE_MODULE, EXPORTS, FUNCTION, GLOBAL, IMPORTS, MEMORY, RELEASES, TABLE, TAG, Unknown, light, number, sized

TRAP = b"\x00\x00\x0b"


def listed(*entries: bytes) -> bytes:
    return number(len(entries)) + b"".join(entries)


def imported(kind: int, of: bytes) -> bytes:
    return sized(b"env") + sized(b"x") + bytes([kind]) + of


def module(name: bytes, *bodies: bytes) -> bytes:
    """The last of three functions has this name; two more are imported, among all that can be."""
    imports = [
        imported(FUNCTION, b"\x00"),
        imported(TABLE, b"\x70\x01\x01" + number(300)),
        imported(MEMORY, b"\x00\x01"),
        imported(GLOBAL, b"\x7f\x01"),
        imported(TAG, b"\x00\x00"),
        imported(FUNCTION, b"\x00"),
    ]
    exports = [sized(b"memory") + bytes([MEMORY, 0]), sized(b"other") + bytes([FUNCTION, 3]), sized(name) + bytes([FUNCTION, 4])]
    parts = [(IMPORTS, listed(*imports)), (EXPORTS, listed(*exports)), (CODE, listed(*map(sized, bodies)))]
    return b"\0asm\1\0\0\0" + b"".join(bytes([kind]) + sized(content) for kind, content in parts)


def component(*modules: bytes) -> bytes:
    return b"\0asm\x0d\0\1\0" + b"".join(bytes([CORE_MODULE]) + sized(one) for one in modules)


class LightTest(unittest.TestCase):
    def test_the_lock_is_kept_and_nothing_else_changes(self) -> None:
        other = module(b"Release", TRAP, TRAP, TRAP)
        changed = light(component(other, module(RELEASES, TRAP, TRAP, TRAP * 100)))
        self.assertEqual(changed, component(other, module(RELEASES, TRAP, TRAP, b"\x00\x0b")))

    def test_another_componentize_py_is_told(self) -> None:
        for count, name in [(0, b"Release"), (2, RELEASES)]:
            with self.assertRaisesRegex(Unknown, f"with {count} modules"):
                light(component(*[module(name, TRAP, TRAP, TRAP)] * 2))


if __name__ == "__main__":
    unittest.main()
