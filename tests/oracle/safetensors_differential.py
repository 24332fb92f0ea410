"""Compares nibble's safetensors reader with PyPI safetensors on mutated files.

  safetensors_differential.py [COUNT] [SEED]

Both must refuse, or read the same names, types, shapes and data. What nibble refuses and the package
accepts must be one of KNOWN, with its reason; the other way round nothing is allowed.
"""
import collections
import ctypes
import json
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

import safetensors

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = ["tests/oracle/safetensors_shim.cpp", "formats/safetensors_read.cpp", "formats/json.cpp",
           "formats/io/mapped_file.cpp", "formats/io/file_guard.cpp", "formats/io/os_error.cpp", "formats/io/quote.cpp"]
# Part of nibble's message -> why it is stricter.
KNOWN = {
    "occurs twice": "a key twice in one object: readers keep one or the other",
    "expected an object": "a tensor as an array of its fields, which only serde reads",
    "begins with '{'": "white space before the header, which the format's own text forbids",
    "fewer than 2^64": "no elements, but dimensions whose product without the zero overflows",
    "whole numbers": "no elements, but a dimension of 2^63 and more",
}
EDGES = ["0", "1", "-1", "-0", "2", "4", "8", "16", "1.0", "1e0", "null", "true", "\"x\"", "[]", "{}", "[0]",
         "9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616",
         "4611686018427387904", "1152921504606846976", "4294967296", "00", "+1", " 1", "1 "]
TYPES = ["F32", "F16", "BF16", "F64", "I8", "U8", "I16", "U16", "I32", "U32", "I64", "U64", "BOOL",
         "F8_E4M3", "F8_E5M2", "F8_E8M0", "F4", "F6_E2M3", "F6_E3M2", "C64", "f32", "X"]


def build(folder):
    library = pathlib.Path(folder) / "reader.so"
    subprocess.run([os.environ.get("CXX", "g++"), "-std=c++20", "-O2", "-shared", "-fPIC", f"-I{ROOT}", "-o",
                    library, *[ROOT / s for s in SOURCES], "-lfmt"], check=True)
    return ctypes.CDLL(str(library))


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def pack(header, data):
    header = header.encode("utf-8", "surrogatepass") if isinstance(header, str) else header
    return struct.pack("<Q", len(header)) + header + data


SEEDS = [
    (json.dumps({"a": entry("F32", [2], 0, 8), "b": entry("F16", [2, 3], 8, 20),
                 "c": entry("U8", [0, 5], 20, 20), "d": entry("F4", [4], 20, 22)}), bytes(range(22))),
    (json.dumps({"__metadata__": {"format": "pt", "x": "y"}, "t": entry("BF16", [], 0, 2)}) + "  ", b"12"),
    (json.dumps({"é😀\n\"": entry("I64", [1, 1, 1], 0, 8)}), b"12345678"),
    ("{}", b""),
]


def mutate(rng):
    header, data = rng.choice(SEEDS)
    for _ in range(rng.randint(1, 3)):
        kind = rng.randrange(9)
        spots = [i for i, c in enumerate(header) if c.isdigit()]
        if kind == 0 and spots:  # a number
            at = rng.choice(spots)
            end = at
            while end < len(header) and header[end].isdigit():
                end += 1
            header = header[:at] + rng.choice(EDGES) + header[end:]
        elif kind == 1:
            header = header.replace(rng.choice(TYPES), rng.choice(TYPES), 1)
        elif kind == 2 and header:  # a character
            at = rng.randrange(len(header))
            header = header[:at] + rng.choice("{}[]:,\"\\ \n0a-.eu") + header[at + rng.randint(0, 1):]
        elif kind == 3 and header:  # a piece, again or away
            at = rng.randrange(len(header))
            end = min(len(header), at + rng.randint(1, 40))
            header = header[:end] + (header[at:end] if rng.random() < .5 else "") + header[end:] \
                if rng.random() < .5 else header[:at] + header[end:]
        elif kind == 4:
            data = data + b"x" if rng.random() < .5 else data[:-1]
        elif kind == 5:
            header = header.replace(*rng.choice([("shape", "data_offsets"), ("dtype", "shape"), ("\"a\"", "\"b\""),
                                                 ("{\"dtype\"", "{\"more\": 1, \"dtype\""), ("\"c\"", "\"\\u0063\""),
                                                 ("pt\"", "\\ud83d\\ude00\""), ("pt\"", "\\ud800\"")]), 1)
        elif kind == 6:
            header = rng.choice([" ", "\ufeff", "\n", ""]) + header + rng.choice([" ", "\n", "\0", "x", ""])
    file = bytearray(pack(header, data))
    if rng.random() < .2 and file:
        at = rng.randrange(len(file))
        file[at] ^= 1 << rng.randrange(8)
    if rng.random() < .1:
        file = file[:rng.randrange(len(file) + 1)]
    return bytes(file)


def reference(file):
    try:
        lines = []
        for name, t in safetensors.deserialize(file):
            lines.append(f"{name.encode().hex()} {t['dtype']} [{', '.join(map(str, t['shape']))}] "
                         f"{sum(bytes(t['data']))}\n")
        return "".join(sorted(lines))
    except (safetensors.SafetensorError, OverflowError) as error:
        return f"refused: {error}"


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    rng = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    out = ctypes.create_string_buffer(1 << 16)
    tally, wrong = collections.Counter(), 0
    with tempfile.TemporaryDirectory() as folder:
        reader = build(folder)
        for _ in range(count):
            file = mutate(rng)
            n = reader.shim_safetensors(file, ctypes.c_long(len(file)), out, ctypes.c_long(len(out)))
            got, want = out.raw[:n].decode(), reference(file)
            if got.startswith("refused"):
                reason = next((why for part, why in KNOWN.items() if part in got), None)
                if want.startswith("refused"):
                    tally["both refuse"] += 1
                    continue
                tally[f"nibble alone refuses: {reason or 'UNEXPLAINED'}"] += 1
                if reason:
                    continue
            elif "".join(sorted(got.splitlines(True))) == want:
                tally["both read the same"] += 1
                continue
            else:
                tally["UNEXPLAINED: nibble reads it"] += 1
            wrong += 1
            if wrong <= 10:
                print(file, "\n  nibble:", got.strip(), "\n  package:", want.strip())
    for what, n in tally.most_common():
        print(f"{n:8} {what}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
