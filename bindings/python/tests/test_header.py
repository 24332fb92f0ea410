"""Are the structs and functions that ctypes is told those of nibble.h?"""
import ctypes
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
sys.path.insert(0, os.path.join(ROOT, "tools", "docs"))
from api_header import read_header  # noqa: E402
from nibble import EventKind, Finish, Status, _c  # noqa: E402

SCALARS = {
    "uint32_t": ctypes.c_uint32, "int32_t": ctypes.c_int32, "int64_t": ctypes.c_int64,
    "uint64_t": ctypes.c_uint64, "size_t": ctypes.c_size_t, "double": ctypes.c_double,
    "nibble_status": ctypes.c_int, "void": None,
}
# The types that are as good, for what C calls by another name.
POINTERS = {
    "const char*": [ctypes.c_char_p, ctypes.c_void_p], "char*": [ctypes.c_void_p],
    "void*": [ctypes.c_void_p], "nibble_on_event": [_c.OnEvent], "nibble_on_log": [_c.OnLog],
    "int32_t*": [ctypes.POINTER(ctypes.c_int32)], "size_t*": [ctypes.POINTER(ctypes.c_size_t)],
    "const int32_t*": [ctypes.POINTER(ctypes.c_int32)],
    "float*": [ctypes.POINTER(ctypes.c_float)], "int64_t*": [ctypes.POINTER(ctypes.c_int64)],
    "const char* const*": [ctypes.POINTER(ctypes.c_char_p)],
    "const float**": [ctypes.POINTER(ctypes.POINTER(ctypes.c_float))],
}


class Header(unittest.TestCase):
    def setUp(self):
        with open(os.path.join(ROOT, "runtime", "api", "nibble.h"), encoding="utf-8") as file:
            self.declared, _ = read_header(file.read())
        self.handles = {d.name for d in self.declared if d.kind == "handle"}

    def of_kind(self, kind):
        return {d.name: d for d in self.declared if d.kind == kind}

    def same(self, c, python, where):
        if c in SCALARS:
            self.assertIs(python, SCALARS[c], where)
        elif c in POINTERS:
            self.assertIn(python, POINTERS[c], where)
        elif c.startswith("char["):
            self.assertEqual((python._type_, python._length_), (ctypes.c_char, int(c[5:-1])), where)
        else:
            name = c.replace("const ", "").rstrip("*")
            stars = c.count("*")
            if name in self.handles:
                want = ctypes.c_void_p if stars == 1 else ctypes.POINTER(ctypes.c_void_p)
            else:
                want = ctypes.POINTER(_c.STRUCTS[name])
            self.assertIs(python, want, where)

    def test_functions(self):
        functions = self.of_kind("function")
        for name, (gives, takes) in _c.FUNCTIONS.items():
            function = functions[name]
            self.assertEqual(len(takes), len(function.members), name)
            if function.gives == "const char*":
                self.assertIs(gives, ctypes.c_char_p)
            else:
                self.same(function.gives, gives, name)
            for (c, argument), python in zip(function.members, takes):
                self.same(c, python, f"{name}: {argument}")

    def test_structs(self):
        """Later versions of the header may have more at a struct's end, not less or others."""
        structs = self.of_kind("struct")
        for name, python in _c.STRUCTS.items():
            members = structs[name].members
            self.assertLessEqual(len(python._fields_), len(members), name)
            for (c, member), (field, kind) in zip(members, python._fields_):
                self.assertEqual(member, field, name)
                self.same(c, kind, f"{name}: {field}")

    def test_numbers(self):
        enums = self.of_kind("enum")
        for python, c, prefix in ((Status, "nibble_status", "NIBBLE_"),
                                  (EventKind, "nibble_event_kind", "NIBBLE_EVENT_"),
                                  (Finish, "nibble_finish", "NIBBLE_FINISH_")):
            want = {name[len(prefix):]: number for number, name in enums[c].members}
            want.pop("OK", None)
            self.assertEqual({member.name: member.value for member in python}, want)


if __name__ == "__main__":
    unittest.main()
