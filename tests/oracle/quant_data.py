"""Test data for the codec: random blocks and random rows, the same for the committed fixture
(quant_fixture.py) and the large comparison (quant_check.py)."""
import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as T

# Every decoded type -> byte offsets of the half-precision numbers in its block.
DECODED = {
    T.F32: [], T.F16: [0], T.BF16: [0], T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2],
    T.Q8_0: [0], T.Q2_K: [80, 82], T.Q3_K: [108], T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208],
    T.IQ4_NL: [0], T.IQ4_XS: [0], T.MXFP4: [],
}
ENCODED = [T.F32, T.F16, T.BF16, T.Q8_0, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.MXFP4]

# NF4, a type that gguf does not have: docs/format.md, written down once more with numpy. The levels
# and the borders between them are those of the package bitsandbytes.
NF4 = 0x4E428400
NF4_BLOCK = (64, 34)
NF4_LEVELS = np.array(
    [-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
     -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
     0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
     0.7229568362236023, 1.0], dtype=np.float32)
NF4_BORDERS = np.array(
    [-0.8480964004993439, -0.6106329262256622, -0.4599952697753906, -0.33967943489551544,
     -0.23460740596055984, -0.13791173323988914, -0.045525018125772476, 0.03979014977812767,
     0.1202552504837513, 0.2035212516784668, 0.2920137718319893, 0.3893125355243683,
     0.5016634166240692, 0.6427869200706482, 0.8614784181118011], dtype=np.float32)


def nf4_dequantize(blocks):
    """[count, 34] -> [count, 64]"""
    d = blocks[:, :2].copy().view("<f2").astype(np.float32)
    qs = blocks[:, 2:].reshape(-1, 2, 16)
    codes = np.concatenate([qs & 15, qs >> 4], axis=2).reshape(-1, 64)
    return d * NF4_LEVELS[codes]


def nf4_quantize(rows):
    """[count, cols] -> [count, cols / 64 * 34]"""
    x = rows.reshape(-1, 64)
    largest = np.abs(x).max(axis=1, keepdims=True)
    inverse = np.where(largest > 0, np.float32(1) / largest, np.float32(0))
    scaled = x * inverse
    scaled[np.isnan(scaled)] = -np.inf  # 0 times the inverse of a subnormal: the lowest code
    codes = np.searchsorted(NF4_BORDERS, scaled, side="left").astype(np.uint8)
    codes = codes.reshape(-1, 2, 2, 16)
    qs = (codes[:, :, 0] | codes[:, :, 1] << 4).reshape(-1, 32)
    d = largest.astype("<f2").view(np.uint8)
    return np.concatenate([d, qs], axis=1).reshape(len(rows), -1)

# +-0, +-1, the subnormal and normal ends, +-65504, +-infinity, quiet and signalling NaN
SPECIAL_HALVES = np.array(
    [0x0000, 0x8000, 0x3C00, 0xBC00, 0x0001, 0x8001, 0x03FF, 0x83FF, 0x0400, 0x8400, 0x7BFF,
     0xFBFF, 0x7C00, 0xFC00, 0x7E00, 0xFE00, 0x7C01, 0xFFFF], dtype="<u2")


def random_blocks(rng, qtype, count):
    """[count, block bytes]: uniform random bytes, so every bit pattern of every field; in every
    fourth block the half-precision numbers are special ones, in every fourth of ordinary size."""
    size = GGML_QUANT_SIZES[qtype][1]
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    for offset in DECODED[qtype]:
        special = rng.choice(SPECIAL_HALVES, len(blocks[0::4]))
        ordinary = rng.normal(0, 0.01, len(blocks[1::4])).astype("<f2")
        blocks[0::4, offset:offset + 2] = special.view(np.uint8).reshape(-1, 2)
        blocks[1::4, offset:offset + 2] = ordinary.view(np.uint8).reshape(-1, 2)
    return blocks


def random_rows(rng, qtype, count, cols):
    """[count, cols] finite float32. The kinds of row take turns."""
    rows = rng.normal(0, 1, (count, cols)).astype(np.float32)
    kinds = 10
    for kind in range(1, kinds):
        part = rows[kind::kinds]
        n = len(part)
        if kind == 1:  # any magnitude, up to scales that half precision cannot hold
            part *= (10.0 ** rng.uniform(-8, 8, (n, 1))).astype(np.float32)
        elif kind == 2:  # outliers
            part[np.arange(n), rng.integers(0, cols, n)] *= 1e4
        elif kind == 3:
            part[:] = 0
        elif kind == 4:
            part[:] = rng.normal(0, 1, (n, 1)).astype(np.float32)  # constant
        elif kind == 5:  # small integers: many exact ties between two codes
            part[:] = rng.integers(-16, 17, (n, cols)) * np.float32(0.5)
        elif kind == 6:  # two equal extremes of opposite sign
            part[:] = np.sign(part) * np.abs(part[:, :1])
        elif kind == 7:  # one sign
            part[:] = np.abs(part) + 1
        elif kind == 8:  # subnormal floats
            part[:] = rng.integers(1, 1 << 23, (n, cols), dtype=np.uint32).view(np.float32)
            part *= rng.choice(np.array([-1, 1], dtype=np.float32), (n, cols))
        elif kind == 9:  # any finite bit pattern
            bits = rng.integers(0, 1 << 32, (n, cols), dtype=np.uint64).astype(np.uint32)
            bits[(bits & 0x7F800000) == 0x7F800000] ^= 0x40000000
            part[:] = bits.view(np.float32)
    if qtype in (T.Q4_1, T.Q5_1):
        rows += np.float32(0)  # of -0 and +0 which one is the minimum is numpy's own choice
    if qtype == T.MXFP4:  # gguf's exponents of smaller numbers wrap around
        rows[np.abs(rows) < 1e-36] = 0
    return rows
