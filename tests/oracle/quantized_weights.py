"""Writes tests/fixtures/schemes: one small matrix in each scheme that `nibble convert` imports, and
the floats that it stands for.

  quantized_weights.py tests/fixtures/schemes

NAME.safetensors  the tensors of m.weight as the scheme's programs write them, and `expected`, F32
schemes.json      NAME -> {"config": quantization_config, "type": what holds it without loss}
bitsandbytes, torch and transformers quantize and decode by themselves; GPTQ and AWQ are packed here, from the
definitions of their kernels (AutoGPTQ's qlinear, AWQ's pack_intweight with its order map).
"""
import json
import pathlib
import sys

import bitsandbytes.functional as bnb
import numpy as np
import torch
from safetensors.torch import save_file
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

OUT, IN = 16, 128
rng = np.random.default_rng(1)


def pack(numbers, bits):
    """[k * n, m] -> int32 [n, m], number i of a word in bits i * bits."""
    per = 32 // bits
    words = np.zeros((numbers.shape[0] // per, numbers.shape[1]), np.uint32)
    for i in range(per):
        words |= numbers[i::per].astype(np.uint32) << np.uint32(bits * i)
    return words.view(np.int32)


def gptq(bits, group, zero, act_order=False, version=1):
    groups = IN // group
    q = rng.integers(0, 2**bits, (IN, OUT))
    zeros = np.full((groups, OUT), zero) if zero is not None else rng.integers(1, 2**bits, (groups, OUT))
    scales = rng.uniform(0.001, 0.01, (groups, OUT)).astype(np.float16)
    g = rng.permutation(np.arange(IN) // group) if act_order else np.arange(IN) // group
    expected = scales[g].astype(np.float32) * (q - zeros[g]).astype(np.float32)
    tensors = {"m.qweight": pack(q, bits), "m.scales": scales, "m.g_idx": g.astype(np.int32),
               "m.qzeros": pack((zeros - (version == 1)).T, bits).T.copy(), "expected": expected.T.copy()}
    config = {"quant_method": "gptq", "bits": bits, "group_size": group, "sym": zero is not None}
    if version == 2:
        config["checkpoint_format"] = "gptq_v2"
    return tensors, config


def awq(group):
    groups = IN // group
    order = [0, 2, 4, 6, 1, 3, 5, 7]
    q = rng.integers(0, 16, (IN, OUT))
    zeros = rng.integers(0, 16, (groups, OUT))
    scales = rng.uniform(0.001, 0.01, (groups, OUT)).astype(np.float16)

    def words(numbers):
        out = np.zeros((numbers.shape[0], OUT // 8), np.uint32)
        for col in range(OUT // 8):
            for i in range(8):
                out[:, col] |= numbers[:, col * 8 + order[i]].astype(np.uint32) << np.uint32(4 * i)
        return out.view(np.int32)

    g = np.arange(IN) // group
    expected = scales[g].astype(np.float32) * (q - zeros[g]).astype(np.float32)
    return ({"m.qweight": words(q), "m.qzeros": words(zeros), "m.scales": scales,
             "expected": expected.T.copy()},
            {"quant_method": "awq", "bits": 4, "group_size": group, "version": "gemm", "zero_point": True})


def four_bit(kind, nested):
    w = torch.randn(OUT, IN).half()
    codes, state = bnb.quantize_4bit(w, quant_type=kind, compress_statistics=nested, blocksize=64)
    tensors = {"m.weight": codes}
    for key, value in state.as_dict(packed=True).items():
        tensors["m.weight." + key] = value
    # The program's own levels and scales, multiplied in float32.
    scales = state.absmax
    if nested:
        scales = bnb.dequantize_blockwise(state.absmax, state.state2) + state.offset
    flat = torch.stack([codes.flatten() >> 4, codes.flatten() & 15], 1).flatten().long()
    expected = state.code[flat] * scales.float().repeat_interleave(64)
    tensors["expected"] = expected.reshape(OUT, IN).contiguous()
    rounded = bnb.dequantize_4bit(codes, state).float()
    assert torch.allclose(rounded, tensors["expected"], atol=2e-3, rtol=1e-3)
    return tensors, {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": kind}


def int8():
    w = torch.randn(OUT, IN).half()
    codes, scale, _ = bnb.int8_vectorwise_quant(w)
    expected = bnb.int8_vectorwise_dequant(codes, scale)
    return ({"m.weight": codes, "m.SCB": scale.flatten(), "m.weight_format": torch.tensor(0, dtype=torch.uint8),
             "expected": expected.float()},
            {"quant_method": "bitsandbytes", "load_in_8bit": True})


def fp8(kind, powers, block):
    down, across = -(-OUT // block), -(-IN // block)
    scales = torch.rand(down, across) * 0.01 + 0.001
    if powers:
        scales = torch.exp2(torch.floor(torch.log2(scales)))
    w = (torch.randn(OUT, IN) * 20).to(kind)
    full = scales.repeat_interleave(block, 0)[:OUT].repeat_interleave(block, 1)[:, :IN]
    return ({"m.weight": w, "m.weight_scale_inv": scales, "expected": w.float() * full},
            {"quant_method": "fp8", "weight_block_size": [block, block]})


def mxfp4():
    # Experts: [experts, rows, blocks, 16] and an exponent a block; transformers gives [experts,
    # cols, rows]. All exponents that a float32 holds without losing bits.
    blocks = torch.randint(0, 256, (2, OUT, IN // 32, 16)).to(torch.uint8)
    scales = torch.randint(2, 253, (2, OUT, IN // 32)).to(torch.uint8)
    expected = convert_moe_packed_tensors(blocks, scales, dtype=torch.float32)
    return ({"m.weight_blocks": blocks, "m.weight_scales": scales,
             "expected": expected.transpose(1, 2).contiguous()}, {"quant_method": "mxfp4"})


def main(out):
    torch.manual_seed(1)
    cases = {
        "gptq4_symmetric": (gptq(4, 32, 8), "Q4_0"),
        "gptq4_v2": (gptq(4, 128, 8, version=2), "Q4_0"),
        "gptq4_zeros": (gptq(4, 64, None), "Q5_0"),
        "gptq4_small_groups": (gptq(4, 16, 8), "F32"),
        "gptq4_act_order": (gptq(4, 32, 8, act_order=True), "F32"),
        "gptq8": (gptq(8, 128, 128), "Q8_0"),
        "gptq2": (gptq(2, 64, 2), "Q4_0"),
        "awq": (awq(64), "Q5_0"),
        "nf4": (four_bit("nf4", False), "NF4"),
        "nf4_nested": (four_bit("nf4", True), "F32"),
        "fp4": (four_bit("fp4", False), "F32"),
        "int8": (int8(), "F32"),
        "fp8_powers": (fp8(torch.float8_e4m3fn, True, 48), "BF16"),
        "fp8": (fp8(torch.float8_e4m3fn, False, 128), "F32"),
        "fp8_e5m2": (fp8(torch.float8_e5m2, True, 128), "BF16"),
        "mxfp4": (mxfp4(), "MXFP4"),
    }
    folder = pathlib.Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    rows = {}
    for name, ((tensors, config), kept) in cases.items():
        tensors = {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in tensors.items()}
        save_file({k: v.contiguous() for k, v in tensors.items()}, folder / f"{name}.safetensors")
        rows[name] = {"config": config, "type": kept}
    (folder / "schemes.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
