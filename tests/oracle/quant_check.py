"""Compares the codec with the Python package gguf, bit for bit, on a million random blocks a type.

    python tests/oracle/quant_check.py [--blocks N] [--types Q4_K,Q6_K] [--seed S]

Builds the codec into a shared library of its own with $CXX (g++) and $CXXFLAGS (-O2), so that
other compilers and flags are one variable away. NaN equals NaN, whatever its payload; everything
else, the sign of zero included, must be equal. Exit status 1 on any difference.
"""
import argparse
import ctypes
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants

from quant_data import DECODED, ENCODED, random_blocks, random_rows

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CHUNK = 1 << 20  # elements compared at a time
ENCODE_COLS = 256


def build(folder):
    library = pathlib.Path(folder) / "codec.so"
    sources = [ROOT / "tests/oracle/quant_shim.cpp", ROOT / "quant/codec.cpp",
               ROOT / "quant/dtype.cpp", ROOT / "quant/stored_type.cpp"]
    command = [os.environ.get("CXX", "g++"), "-std=c++20", "-shared", "-fPIC", "-ffp-contract=off",
               *os.environ.get("CXXFLAGS", "-O2").split(), f"-I{ROOT}", "-o", library, *sources]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(library))


def pointer(array):
    return array.ctypes.data_as(ctypes.c_void_p)


def check_decode(codec, rng, qtype, count):
    length = GGML_QUANT_SIZES[qtype][0]
    blocks = random_blocks(rng, qtype, count)
    expected = quants.dequantize(blocks, qtype).astype(np.float32, copy=False)
    got = np.empty((count, length), dtype=np.float32)
    codec.shim_dequantize(ctypes.c_uint32(qtype), pointer(blocks), ctypes.c_int64(count),
                          ctypes.c_int64(length), pointer(got))
    both_nan = np.isnan(expected) & np.isnan(got)
    return int(np.count_nonzero((expected.view(np.uint32) != got.view(np.uint32)) & ~both_nan))


def check_encode(codec, rng, qtype, count):
    floats = random_rows(rng, qtype, count, ENCODE_COLS)
    expected = quants.quantize(floats, qtype).view(np.uint8)
    got = np.empty_like(expected)
    codec.shim_quantize(ctypes.c_uint32(qtype), pointer(floats), ctypes.c_int64(count),
                        ctypes.c_int64(ENCODE_COLS), pointer(got))
    return int(np.count_nonzero(expected != got))


def run(what, qtype, total, per_chunk, unit, check):
    wrong = done = 0
    while done < total:
        count = min(per_chunk, total - done)
        wrong += check(count)
        done += count
    print(f"{what} {qtype.name:7} {done:8} {unit}: {wrong} different", flush=True)
    return wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--blocks", type=int, default=1_000_000)
    parser.add_argument("--types", default="")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    wanted = [GGMLQuantizationType[n] for n in args.types.split(",") if n] or list(DECODED)
    wrong = 0
    with tempfile.TemporaryDirectory() as folder, np.errstate(all="ignore"):
        codec = build(folder)
        for t in wanted:
            rng = np.random.default_rng([args.seed, int(t)])
            length = GGML_QUANT_SIZES[t][0]
            wrong += run("decode", t, args.blocks, CHUNK // length, "blocks",
                         lambda n: check_decode(codec, rng, t, n))
            if t in ENCODED:  # gguf has no encoder for the others
                rows = max(1, args.blocks * length // ENCODE_COLS)
                wrong += run("encode", t, rows, CHUNK // ENCODE_COLS, "rows  ",
                             lambda n: check_encode(codec, rng, t, n))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
