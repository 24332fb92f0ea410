"""Writes tests/fixtures/quant: what the Python package gguf decodes, encodes and calls things.

    python tests/oracle/quant_fixture.py          (needs gguf and numpy, and the program zstd)

types.json        every type id with its name, and the block's elements and bytes
codec.bin.zst     records, little-endian, until the end:
                  u32 type id, u32 kind (0 decode, 1 encode), u32 rows, u32 cols,
                  the rows as blocks, then as float32 [rows, cols]
Decode records hold blocks and what they decode to, encode records floats and what they encode to.
"""
import json
import pathlib
import struct
import subprocess

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants

from quant_data import (DECODED, ENCODED, NF4, NF4_BLOCK, SPECIAL_HALVES, nf4_dequantize,
                        nf4_quantize, random_blocks, random_rows)

OUT = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "quant"


def record(qtype, kind, blocks, floats):
    header = struct.pack("<IIII", qtype, kind, *floats.shape)
    return header + blocks.tobytes() + floats.astype("<f4").tobytes()


def main():
    rng = np.random.default_rng(20)
    OUT.mkdir(parents=True, exist_ok=True)
    types = [{"id": int(t), "name": t.name, "block_len": GGML_QUANT_SIZES[t][0],
              "block_bytes": GGML_QUANT_SIZES[t][1]} for t in GGMLQuantizationType]
    (OUT / "types.json").write_text(
        "[\n" + ",\n".join("  " + json.dumps(t) for t in types) + "\n]\n")

    data = b""
    with np.errstate(all="ignore"):
        for t in DECODED:
            length = GGML_QUANT_SIZES[t][0]
            per_row = 2 if length == 256 else 256 // length
            rows = 4
            blocks = random_blocks(rng, t, rows * per_row).reshape(rows, -1)
            data += record(t, 0, blocks, quants.dequantize(blocks, t))
        for t in ENCODED:
            floats = random_rows(rng, t, 20, 64)
            data += record(t, 1, quants.quantize(floats, t), floats)
        blocks = rng.integers(0, 256, (16, NF4_BLOCK[1]), dtype=np.uint8)
        blocks[0::2, :2] = rng.choice(SPECIAL_HALVES, 8).view(np.uint8).reshape(-1, 2)
        floats = nf4_dequantize(blocks).reshape(4, -1)
        data += record(NF4, 0, blocks, floats)
        floats = random_rows(rng, None, 20, 64)
        data += record(NF4, 1, nf4_quantize(floats), floats)
    target = OUT / "codec.bin.zst"
    # --stream-size puts the decompressed size into the frame's header, where the test looks for it
    subprocess.run(["zstd", "-19", "-q", "-f", f"--stream-size={len(data)}", "-o", target],
                   input=data, check=True)
    print(f"{target}: {len(data)} bytes, compressed {target.stat().st_size}")


if __name__ == "__main__":
    main()
