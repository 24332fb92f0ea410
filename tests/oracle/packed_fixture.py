#!/usr/bin/env python3
"""Writes tests/fixtures/gguf/packed.gguf: packed tensors made from docs/format.md alone.

    python3 tests/oracle/packed_fixture.py tests/fixtures/gguf/packed.gguf tests/fixtures/fuzz/gguf

Made with gguf 0.19.0, numpy 2.4.6. For each packed type there is a matrix of 17 rows as the ecosystem
stores it, named after its type, and the same packed, named after the packed type. Nothing of nibble is
used. That codes and factors were taken from the blocks rightly is checked first: put together again
they must be what the package gguf decodes. The second folder gets a small file as a seed of the fuzzer.
"""
import struct
import sys
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import quants

from quant_data import NF4_LEVELS, nf4_dequantize

ROWS = 17
NF4_ID = 0x4E428400
IQ4_VALUES = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113]
MXFP4_VALUES = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12]


def nibbles(b):
    """16 bytes -> 32 codes: the low halves come first."""
    return np.concatenate([b & 15, b >> 4])


def bits(b):
    """Bytes -> their bits, lowest first."""
    return np.unpackbits(b, bitorder="little")


def k_scales(b):
    """12 bytes -> 8 scales and 8 minima of 6 bits."""
    b = b.astype(int)
    scale = [b[j] & 63 if j < 4 else (b[j + 4] & 15) | b[j - 4] >> 6 << 4 for j in range(8)]
    least = [b[j + 4] & 63 if j < 4 else b[j + 4] >> 4 | b[j] >> 6 << 4 for j in range(8)]
    return np.array(scale), np.array(least)


def nf4(b):
    return {"codes": np.concatenate([nibbles(b[2:18]), nibbles(b[18:])]), "d": b[:2]}


def halves_of_32(b, shifts, mask):
    """Each run of 32 bytes gives its codes at every shift, one after the other."""
    return np.concatenate([b[at:at + 32] >> s & mask for at in range(0, len(b), 32) for s in shifts])


# One block -> {codes, d, m, scale, min}; d and m are the two bytes of the half.
def q4_0(b):
    return {"codes": nibbles(b[2:]), "d": b[:2]}


def mxfp4(b):
    scale = (int(b[0]) - 1) << 7 if b[0] >= 2 else 0x20 << int(b[0])  # a bfloat16
    return {"codes": nibbles(b[1:]), "d": np.array([scale & 255, scale >> 8], np.uint8)}


def q4_1(b):
    return {"codes": nibbles(b[4:]), "d": b[:2], "m": b[2:4]}


def q5_0(b):
    return {"codes": nibbles(b[6:]) | bits(b[2:6]) << 4, "d": b[:2]}


def q5_1(b):
    return {"codes": nibbles(b[8:]) | bits(b[4:8]) << 4, "d": b[:2], "m": b[2:4]}


def q8_0(b):
    return {"codes": b[2:], "d": b[:2]}


def q2_k(b):
    return {"codes": halves_of_32(b[16:80], (0, 2, 4, 6), 3), "scale": b[:16] & 15,
            "min": b[:16] >> 4, "d": b[80:82], "m": b[82:84]}


def q3_k(b):
    high = np.concatenate([b[:32] >> g & 1 for g in range(8)])
    s = b[96:108].astype(int)
    scale = [(s[j % 8] >> 4 * (j // 8) & 15 | (s[8 + j % 4] >> 2 * (j // 4) & 3) << 4) - 32
             for j in range(16)]
    return {"codes": halves_of_32(b[32:96], (0, 2, 4, 6), 3) | high << 2,
            "scale": np.array(scale), "d": b[108:110]}


def q4_k(b):
    scale, least = k_scales(b[4:16])
    return {"codes": halves_of_32(b[16:], (0, 4), 15), "scale": scale, "min": least,
            "d": b[:2], "m": b[2:4]}


def q5_k(b):
    scale, least = k_scales(b[4:16])
    high = np.concatenate([b[16:48] >> g & 1 for g in range(8)])
    return {"codes": halves_of_32(b[48:], (0, 4), 15) | high << 4, "scale": scale, "min": least,
            "d": b[:2], "m": b[2:4]}


def q6_k(b):
    low = np.concatenate([b[at + 32 * h:at + 32 * h + 32] >> s & 15
                          for at in (0, 64) for s in (0, 4) for h in (0, 1)])
    high = halves_of_32(b[128:192], (0, 2, 4, 6), 3)
    return {"codes": low | high << 4, "scale": b[192:208].view(np.int8), "d": b[208:210]}


def iq4_xs(b):
    high = int(b[2]) | int(b[3]) << 8
    scale = [(int(b[4 + g // 2]) >> 4 * (g % 2) & 15 | (high >> 2 * g & 3) << 4) - 32
             for g in range(8)]
    codes = np.concatenate([nibbles(b[8 + 16 * g:24 + 16 * g]) for g in range(8)])
    return {"codes": codes, "scale": np.array(scale), "d": b[:2]}


# name: id, block length, block bytes, parse, value of a code, planes
TYPES = {
    "Q4_0": (2, 32, 18, q4_0, lambda c: c - 8.0, "nibble d"),
    "Q4_1": (3, 32, 20, q4_1, lambda c: c, "nibble d m"),
    "Q5_0": (6, 32, 22, q5_0, lambda c: c - 16.0, "nibble bit d"),
    "Q5_1": (7, 32, 24, q5_1, lambda c: c, "nibble bit d m"),
    "Q8_0": (8, 32, 34, q8_0, lambda c: c.astype(np.uint8).view(np.int8), "byte d"),
    "Q2_K": (10, 256, 84, q2_k, lambda c: c, "pair d m scale min"),
    "Q3_K": (11, 256, 110, q3_k, lambda c: c - 4.0, "pair bit d scale"),
    "Q4_K": (12, 256, 144, q4_k, lambda c: c, "nibble d m scale min"),
    "Q5_K": (13, 256, 176, q5_k, lambda c: c, "nibble bit d m scale min"),
    "Q6_K": (14, 256, 210, q6_k, lambda c: c - 32.0, "nibble pair d scale"),
    "IQ4_NL": (20, 32, 18, q4_0, lambda c: np.array(IQ4_VALUES)[c], "nibble d"),
    "IQ4_XS": (23, 256, 136, iq4_xs, lambda c: np.array(IQ4_VALUES)[c], "nibble d scale"),
    "MXFP4": (39, 32, 17, mxfp4, lambda c: np.array(MXFP4_VALUES)[c], "nibble d"),
    "NF4": (NF4_ID, 64, 34, nf4, lambda c: NF4_LEVELS[c], "nibble d"),
}


def half(b):
    return float(b.copy().view(np.float16)[0])


def check(name, raw, blocks, value):
    """The parsed blocks decode to what the package gguf decodes."""
    got = []
    for b in blocks:
        codes = np.asarray(value(b["codes"]), float)
        n = len(b.get("scale", [1]))
        scale = np.repeat(np.asarray(b.get("scale", [1]), float), len(codes) // n)
        least = np.repeat(np.asarray(b.get("min", [1] if "m" in b else [0]), float),
                          len(codes) // len(b.get("min", [1])))
        m = half(b["m"]) if "m" in b else 0.0
        sign = -1 if "min" in b else 1
        d = half(b["d"])
        if name == "MXFP4":
            d = float(np.concatenate([[0, 0], b["d"]]).astype(np.uint8).view(np.float32)[0])
        got.append(d * scale * codes + sign * m * least)
    if name == "NF4":
        want = nf4_dequantize(raw.reshape(-1, 34))
    else:
        want = quants.dequantize(raw, Type[name])
    # Both are sums of a few exact products, rounded to float32 by the package.
    assert np.allclose(np.concatenate(got), want.ravel(), rtol=1e-5, atol=1e-4), name


def pad(data, alignment):
    return data + bytes(-len(data) % alignment)


def pack(rows, planes, ordered):
    """rows [row][unit] of parsed blocks -> the tensor's bytes, as docs/format.md says."""
    G, U = len(rows) // 16, len(rows[0])
    f = len(rows[0][0]["codes"])
    B = U * f // 32
    s = len(rows[0][0].get("scale", [])) * 32 // f
    size = {"nibble": 256 * G * B, "pair": 128 * G * B, "bit": 64 * G * B, "low": 64 * G * B,
            "byte": 512 * G * B, "d": 32 * G * U, "m": 32 * G * U, "scale": 16 * s * G * B,
            "min": 16 * s * G * B}
    out = {plane: np.zeros(size[plane], np.uint8) for plane in planes.split()}
    for row, units in enumerate(rows):
        g, q = divmod(row, 16)
        for u, unit in enumerate(units):
            for factor in ("d", "m"):
                if factor in out:
                    at = 32 * (g * U + u) + 2 * q
                    out[factor][at:at + 2] = unit[factor]
            for k, code in enumerate(unit["codes"]):
                b, rest = divmod(u * f + k, 32)
                put_code(out, g * B + b, q, *divmod(rest, 4), int(code), ordered)
            for name in ("scale", "min"):
                for k, value in enumerate(unit[name] if name in out else ()):
                    n, k = g * B + u * (f // 32) + k // s, k % s
                    out[name][16 * s * n + 16 * k + q] = int(value) & 255
    return b"".join(pad(plane.tobytes(), 64) for plane in out.values())


def put_code(out, n, q, j, i, code, ordered):
    p = 4 * q + i
    if ordered:
        u = (code + 128) & 255
        parts = {"nibble": u >> 3 & 15, "pair": u & 3, "bit": u >> 7, "low": u >> 2 & 1}
    else:
        parts, rest = {}, code
        for plane, width in (("nibble", 4), ("pair", 2), ("bit", 1), ("byte", 8)):
            if plane in out:
                parts[plane] = rest & (1 << width) - 1
                rest >>= width
        assert rest == 0
    if "nibble" in parts:
        out["nibble"][256 * n + 64 * (j % 4) + p] |= parts["nibble"] << (0 if j < 4 else 4)
    if "pair" in parts:
        out["pair"][128 * n + 64 * (j // 4) + p] |= parts["pair"] << 2 * (j % 4)
    for plane in ("bit", "low"):
        if plane in parts:
            out[plane][64 * n + p] |= parts[plane] << j
    if "byte" in parts:
        out["byte"][512 * n + 64 * j + p] = parts["byte"]


def text(s):
    return struct.pack("<Q", len(s)) + s.encode()


def gguf_file(tensors):
    """tensors: (name, type id, rows, cols, bytes)."""
    table, data = b"", b""
    for name, type_id, rows, cols, content in tensors:
        table += text(name) + struct.pack("<IQQIQ", 2, cols, rows, type_id, len(data))
        data = pad(data + content, 64)
    keys = text("general.alignment") + struct.pack("<II", 4, 64)
    return pad(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), 1) + keys + table, 64) + data


def matrix(random, name, rows, units):
    """Random blocks with tame factors: the bytes, and the blocks parsed, with padding rows."""
    _, _, size, parse, value, _ = TYPES[name]
    raw = random.integers(0, 256, (rows, units, size), dtype=np.uint8)
    if name == "MXFP4":
        raw[:, :, 0] = random.integers(110, 130, (rows, units))
    offsets = {"MXFP4": (), "Q2_K": (80, 82), "Q3_K": (108,), "Q6_K": (208,)}.get(
        name, (0, 2) if name in ("Q4_1", "Q5_1", "Q4_K", "Q5_K") else (0,))
    for at in offsets:
        factors = random.uniform(-1, 1, (rows, units, 1)).astype(np.float16)
        raw[:, :, at:at + 2] = factors.view(np.uint8).reshape(rows, units, 2)
    blocks = [[parse(raw[r, u]) for u in range(units)] for r in range(rows)]
    check(name, raw.reshape(rows, -1), [b for row in blocks for b in row], value)
    nothing = parse(np.zeros(size, np.uint8))
    nothing["d"] = np.zeros(2, np.uint8)
    padding = [[nothing] * units] * (-rows % 16)
    return raw.tobytes(), blocks + padding


def main():
    random = np.random.default_rng(5)
    tensors = []
    for name, (type_id, length, _, _, _, planes) in TYPES.items():
        units = 3 if length == 32 else 2
        own = np.random.default_rng({"NF4": 7, "MXFP4": 9}[name]) if name in ("NF4", "MXFP4") else random
        raw, blocks = matrix(own, name, ROWS, units)
        cols = units * length
        tensors.append((name, type_id, ROWS, cols, raw))
        tensors.append((name + ".R16", 0x4E420000 + type_id % 0x1000, ROWS, cols,
                        pack(blocks, planes, False)))
        if name == "Q8_0":
            tensors.append((name + ".R16H", 0x4E421000 + type_id, ROWS, cols,
                            pack(blocks, "nibble pair bit low d", True)))
    Path(sys.argv[1]).write_bytes(gguf_file(tensors))

    seed = []
    for name, rows in (("Q4_0", 2), ("Q8_0", 1)):
        raw, blocks = matrix(random, name, rows, 1)
        type_id, length, planes = TYPES[name][0], TYPES[name][1], TYPES[name][5]
        seed.append((name, type_id, rows, length, raw))
        seed.append((name + ".R16", 0x4E420000 + type_id, rows, length, pack(blocks, planes, False)))
    seed.append(("h", 0x4E421008, 1, 32, pack(blocks, "nibble pair bit low d", True)))
    Path(sys.argv[2], "packed").write_bytes(gguf_file(seed))
    raw, blocks = matrix(random, "Q3_K", 1, 1)
    Path(sys.argv[2], "packed_k").write_bytes(
        gguf_file([("k", 0x4E42000B, 1, 256, pack(blocks, TYPES["Q3_K"][5], False))]))


if __name__ == "__main__":
    main()
