#!/usr/bin/env python3
"""Writes the GGUF fixtures with the PyPI package `gguf`, an implementation that is not ours.

    python3 tests/oracle/gguf_fixtures.py tests/fixtures/gguf tests/fixtures/fuzz/gguf

Made with gguf 0.19.0, numpy 2.4.6. For each fixture NAME.gguf there is NAME.json with what the
package itself reads out of the file: keys with types and values, tensors with shapes, types,
offsets and bytes. The tests compare nibble's reader with the JSON, and require that nibble's
writer, given the same content, produces the same bytes. The second folder gets seeds of the fuzzer:
smaller files of the same kinds, and beginnings of foreign ones.
"""
import json
import sys
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import GGUFReader, GGUFValueType, GGUFWriter
from gguf import gguf_writer as writer_module

# Every type that nibble decodes; the bytes of the quantized ones are random.
TYPES = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K",
         "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS"]


def add_keys(w):
    w.add_uint8("t.u8", 255)
    w.add_int8("t.i8", -128)
    w.add_uint16("t.u16", 65535)
    w.add_int16("t.i16", -32768)
    w.add_uint32("t.u32", 2**32 - 1)
    w.add_int32("t.i32", -(2**31))
    w.add_float32("t.f32", 0.1)
    w.add_bool("t.true", True)
    w.add_bool("t.false", False)
    w.add_string("t.string", "zażółć \U0001f99c \t")
    w.add_uint64("t.u64", 2**64 - 1)
    w.add_int64("t.i64", -(2**63))
    w.add_float64("t.f64", 0.1)
    array = GGUFValueType.ARRAY
    for name, kind, items in [
        ("u8", GGUFValueType.UINT8, [0, 1, 255]),
        ("i8", GGUFValueType.INT8, [-128, 127]),
        ("u16", GGUFValueType.UINT16, [65535]),
        ("i16", GGUFValueType.INT16, [-32768, 5]),
        ("u32", GGUFValueType.UINT32, [0, 2**32 - 1]),
        ("i32", GGUFValueType.INT32, [-(2**31), 2**31 - 1]),
        ("f32", GGUFValueType.FLOAT32, [0.5, -1.25, 3e38]),
        ("bool", GGUFValueType.BOOL, [True, False, True]),
        ("string", GGUFValueType.STRING, ["a", "", "a", "ż"]),
        ("u64", GGUFValueType.UINT64, [2**64 - 1]),
        ("i64", GGUFValueType.INT64, [-(2**63), 1]),
        ("f64", GGUFValueType.FLOAT64, [0.1, 1e300]),
    ]:
        w.add_key_value(f"t.array.{name}", items, array, sub_type=kind)


def add_tensors(w, rng, types):
    w.add_tensor("scalar_row", np.array([1.5], dtype=np.float32))
    w.add_tensor("three_dims", np.arange(2 * 3 * 5, dtype=np.float32).reshape(2, 3, 5))
    w.add_tensor("four_dims", np.arange(16, dtype=np.float16).reshape(2, 2, 2, 2))
    w.add_tensor("counts", np.arange(7, dtype=np.int32))  # of a type that nibble does not decode
    for name in types:
        kind = Type[name]
        block, size = gguf.GGML_QUANT_SIZES[kind]
        if name == "F32":
            w.add_tensor(f"of.{name}", rng.standard_normal((2, 3)).astype(np.float32))
        elif name == "F16":
            w.add_tensor(f"of.{name}", rng.standard_normal((2, 3)).astype(np.float16))
        else:
            rows, blocks = 3, 1 if block > 1 else 5
            data = rng.integers(0, 256, (rows, blocks * size), dtype=np.uint8)
            w.add_tensor(f"of.{name}", data, raw_dtype=kind)


def write(path, version, alignment, keys, tensors):
    writer_module.GGUF_VERSION = version  # the package writes what this says; 2 and 3 look alike
    w = GGUFWriter(path, "test")
    if alignment is not None:
        w.add_custom_alignment(alignment)
    if keys:
        add_keys(w)
    if tensors is not None:
        add_tensors(w, np.random.default_rng(1), tensors)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def plain(value):
    return value.item() if isinstance(value, np.generic) else value


def describe(path):
    reader = GGUFReader(path)
    keys = []
    for field in reader.fields.values():
        if field.name.startswith("GGUF."):
            continue
        kind = field.types[0]
        entry = {"key": field.name, "type": int(kind)}
        if kind == GGUFValueType.ARRAY:
            entry["item_type"] = int(field.types[1])
            entry["items"] = [plain(v) for v in field.contents()]
        else:
            entry["value"] = plain(field.contents())
        keys.append(entry)
    tensors = [
        {
            "name": t.name,
            "type": int(t.tensor_type),
            "shape": [int(n) for n in reversed(t.shape)],  # slowest first, as nibble says it
            "offset": int(t.data_offset),
            "bytes": bytes(t.data.tobytes()).hex(),
        }
        for t in reader.tensors
    ]
    return {"version": int(reader.fields["GGUF.version"].contents()), "keys": keys,
            "tensors": tensors}


def write_seeds(folder):
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "keys", 3, None, True, None)
    write(folder / "tensors", 3, None, False, ["Q4_0", "Q4_K"])
    write(folder / "version_2", 2, 64, False, ["Q8_0"])
    w = GGUFWriter(folder / "model", "llama")  # what a model's file has
    w.add_block_count(1)
    w.add_context_length(128)
    w.add_rope_freq_base(10000.0)
    w.add_tokenizer_model("gpt2")
    w.add_token_list(["<s>", "a", "b", "ab"])
    w.add_token_types([3, 1, 1, 1])
    w.add_token_scores([0.0, -1.0, -2.0, -3.0])
    w.add_token_merges(["a b"])
    w.add_bos_token_id(0)
    w.add_tensor("token_embd.weight", np.zeros((4, 8), dtype=np.float32))
    w.add_tensor("output_norm.weight", np.ones(8, dtype=np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    (folder / "empty_header").write_bytes(b"GGUF" + bytes([3] + [0] * 19))
    (folder / "page").write_bytes(b"<!DOCTYPE html><html>")
    (folder / "lfs").write_bytes(b"version https://git-lfs.example/spec/v1\nsize 123456\n")
    (folder / "safetensors").write_bytes(bytes([2, 0, 0, 0, 0, 0, 0, 0]) + b"{}" + bytes(8))


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, version, alignment, keys, tensors in [
        ("all_v3", 3, None, True, TYPES),
        ("all_v2", 2, None, True, TYPES),
        ("align_64", 3, 64, False, TYPES),
        ("align_4096", 3, 4096, False, []),
        ("no_tensors", 3, None, True, None),
    ]:
        path = folder / f"{name}.gguf"
        write(path, version, alignment, keys, tensors)
        text = json.dumps(describe(path), indent=1, ensure_ascii=True)
        (folder / f"{name}.json").write_text(text + "\n")
        print(path, path.stat().st_size)
    write_seeds(Path(sys.argv[2]))


main()
