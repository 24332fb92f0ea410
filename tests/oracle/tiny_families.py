"""A tiny random model of each family, and what transformers makes of it in float32.

  tiny_families.py make FOLDER [NAME...]   writes FOLDER/NAME/ (config.json, model.safetensors,
                                           expected.json, logits.f32); tests/fixtures/families was
                                           made so; all share FOLDER/tokenizer.json
  tiny_families.py check NIBBLE [FOLDER]   converts each with NIBBLE and compares all logits with
                                           transformers, live

expected.json: prompt (token ids), greedy (the 32 tokens after it), n_ctx (the context to open the
session with). logits.f32: float32 [len(prompt), 64], the first 64 tokens' logits.
An encoder has hidden.f32 instead: float32 [len(prompt), width].
No width is a power of two, heads are grouped where the family groups them, head sizes are not
width / heads where a family can say so, norms and biases are moved off their defaults, windows are
shorter than the prompt.
Needs torch, transformers, tokenizers, safetensors, accelerate.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
import transformers as tf
from safetensors.torch import load_file, save_file

from tiny_hf import CORPUS, byte_level

N_PROMPT, N_GREEDY, N_COLUMNS = 24, 32, 64
WIDE = dict(hidden_size=40, intermediate_size=56, num_hidden_layers=2, num_attention_heads=4,
            initializer_range=0.3, max_position_embeddings=96)
GROUPED = dict(WIDE, num_key_value_heads=2)
HEADS = dict(GROUPED, head_dim=12)
OLD = dict(n_embd=40, n_layer=2, n_head=5, n_positions=96, initializer_range=0.3)


def rope(kind, **more):
    return dict(rope_type=kind, rope_theta=10000.0, **more)


def llama_yarn():
    return tf.LlamaConfig(**HEADS, rope_parameters=rope(
        "yarn", factor=4.0, original_max_position_embeddings=16, beta_fast=4.0, beta_slow=1.0))


def llama_dynamic():
    # The base follows from the length: of a session here, of the prompt there. 24 tokens each.
    return tf.LlamaConfig(**dict(HEADS, max_position_embeddings=16),
                          rope_parameters=rope("dynamic", factor=3.0))


def mistral():
    return tf.MistralConfig(**HEADS, sliding_window=7)


def mixtral():
    return tf.MixtralConfig(**dict(HEADS, hidden_size=24, intermediate_size=40), num_local_experts=5,
                            num_experts_per_tok=2, sliding_window=9)


def gpt2():
    return tf.GPT2Config(**OLD)


def gptj():
    return tf.GPTJConfig(**dict(OLD, n_embd=30, n_head=3), rotary_dim=8)


def gptneox():
    return tf.GPTNeoXConfig(**WIDE, rope_parameters=rope("default", partial_rotary_factor=0.4))


def gptneox_serial():
    return tf.GPTNeoXConfig(**WIDE, use_parallel_residual=False, attention_bias=False,
                            rope_parameters=rope("default", partial_rotary_factor=0.4))


def bloom():
    return tf.BloomConfig(hidden_size=36, n_layer=2, n_head=6, initializer_range=0.3)


def mpt():
    return tf.MptConfig(d_model=36, n_heads=6, n_layers=2, max_seq_len=96,
                        initializer_range=0.3, attn_config={"clip_qkv": 1.5})


def falcon():
    return tf.FalconConfig(hidden_size=40, num_hidden_layers=2, num_attention_heads=4,
                           initializer_range=0.3, multi_query=True)


def falcon_grouped():
    return tf.FalconConfig(hidden_size=40, num_hidden_layers=2, num_attention_heads=4,
                           initializer_range=0.3, num_kv_heads=2, new_decoder_architecture=True,
                           ffn_hidden_size=56)


def phi2():
    return tf.PhiConfig(**GROUPED, rope_parameters=rope("default", partial_rotary_factor=0.4))


def phi3():
    return tf.Phi3Config(**GROUPED, sliding_window=8, pad_token_id=0)


def phi3_long():
    return tf.Phi3Config(**GROUPED, original_max_position_embeddings=16, pad_token_id=0,
                         rope_parameters=rope("longrope", original_max_position_embeddings=16,
                                              short_factor=[1.0, 1.1, 1.3, 1.6, 2.0],
                                              long_factor=[1.5, 2.0, 3.0, 5.0, 8.0]))


def qwen2():
    return tf.Qwen2Config(**GROUPED)


def qwen2moe():
    return tf.Qwen2MoeConfig(**dict(GROUPED, hidden_size=24), moe_intermediate_size=32, shared_expert_intermediate_size=24,
                             num_experts=5, num_experts_per_tok=3)


def qwen3():
    return tf.Qwen3Config(**HEADS)


def qwen3moe():
    return tf.Qwen3MoeConfig(**dict(HEADS, hidden_size=24), moe_intermediate_size=16, num_experts=7,
                             num_experts_per_tok=3, norm_topk_prob=True)


def gemma():
    return tf.GemmaConfig(**HEADS)


def gemma2():
    return tf.Gemma2Config(**dict(HEADS, num_hidden_layers=3), sliding_window=6,
                           query_pre_attn_scalar=20, attn_logit_softcapping=5.0,
                           final_logit_softcapping=9.0)


def starcoder2():
    return tf.Starcoder2Config(**GROUPED, sliding_window=7)


def stablelm():
    return tf.StableLmConfig(**GROUPED, use_qkv_bias=True,
                             rope_parameters=rope("default", partial_rotary_factor=0.4))


def stablelm_parallel():
    return tf.StableLmConfig(**GROUPED, use_parallel_residual=True, qk_layernorm=True,
                             rope_parameters=rope("default", partial_rotary_factor=0.4))


def olmo2():
    return tf.Olmo2Config(**GROUPED)


def granite():
    return tf.GraniteConfig(**GROUPED, embedding_multiplier=3.0, logits_scaling=2.5,
                            residual_multiplier=0.7, attention_multiplier=0.2)


def command_r():
    return tf.CohereConfig(**GROUPED, logit_scale=0.4, use_qk_norm=True)


def smollm3():
    return tf.SmolLM3Config(**dict(GROUPED, num_hidden_layers=4), pad_token_id=0)


LATENT = dict(WIDE, hidden_size=32, num_hidden_layers=3, num_key_value_heads=4, kv_lora_rank=20,
              qk_nope_head_dim=12, qk_rope_head_dim=6, v_head_dim=10, moe_intermediate_size=16,
              n_routed_experts=6, num_experts_per_tok=2, first_k_dense_replace=1)


def deepseek_v2():
    return tf.DeepseekV2Config(**LATENT, q_lora_rank=None, n_shared_experts=2,
                               topk_method="group_limited_greedy", n_group=3, topk_group=2,
                               routed_scaling_factor=1.7, rope_parameters=rope(
                                   "yarn", factor=4.0, original_max_position_embeddings=16,
                                   beta_fast=4.0, beta_slow=1.0, mscale=0.7, mscale_all_dim=0.7))


def deepseek_v3():
    return tf.DeepseekV3Config(**LATENT, q_lora_rank=24, n_shared_experts=1, n_group=3,
                               topk_group=2, routed_scaling_factor=2.5, num_mtp_layers=0)


def xglm():
    return tf.XGLMConfig(d_model=36, ffn_dim=52, num_layers=3, attention_heads=3, init_std=0.4,
                         max_position_embeddings=96, tie_word_embeddings=False)


def gpt_oss():
    return tf.GptOssConfig(**dict(HEADS, hidden_size=24, intermediate_size=20, num_hidden_layers=3),
                           num_local_experts=5, num_experts_per_tok=2, sliding_window=6,
                           rope_parameters=rope("yarn", factor=4.0, beta_fast=4.0, beta_slow=1.0,
                                                truncate=False,
                                                original_max_position_embeddings=16))


def gpt_oss_mxfp4():
    # Whole blocks of 32; as_mxfp4() changes the experts.
    return tf.GptOssConfig(**dict(HEADS, hidden_size=32, intermediate_size=64), num_local_experts=3,
                           num_experts_per_tok=2, sliding_window=6)


FAMILIES = {f.__name__: f for f in (
    llama_yarn, llama_dynamic, mistral, mixtral, gpt2, gptj, gptneox, gptneox_serial, bloom, mpt,
    falcon, falcon_grouped, phi2, phi3, phi3_long, qwen2, qwen2moe, qwen3, qwen3moe, gemma, gemma2,
    starcoder2, stablelm, stablelm_parallel, olmo2, granite, command_r, smollm3, deepseek_v2,
    deepseek_v3, xglm, gpt_oss, gpt_oss_mxfp4)}


def bert():
    return tf.BertConfig(hidden_size=36, num_hidden_layers=2, num_attention_heads=3,
                         intermediate_size=52, max_position_embeddings=40, initializer_range=0.3)


def roberta():
    # pad_token_id 1: positions count from row 2 of the table.
    return tf.XLMRobertaConfig(hidden_size=36, num_hidden_layers=2, num_attention_heads=3,
                               intermediate_size=52, max_position_embeddings=34, type_vocab_size=1,
                               initializer_range=0.3, pad_token_id=1)


def nomic_bert():
    return tf.NomicBertConfig(hidden_size=36, num_hidden_layers=2, num_attention_heads=3,
                              intermediate_size=52, max_position_embeddings=40,
                              initializer_range=0.3)


ENCODERS = {f.__name__: f for f in (bert, roberta, nomic_bert)}


def vocabulary(root):
    """The tokenizer that all share: byte-level, with as few merges as it can have."""
    path = pathlib.Path(root, "tokenizer.json")
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        byte_level("gpt2", False).save(str(path))
        (path.parent / "tokenizer_config.json").write_text(
            json.dumps({"bos_token": "<|begin|>", "eos_token": "<|end|>"}))
    return json.loads(path.read_text())


def n_vocab(root):
    t = vocabulary(root)
    return max([*t["model"]["vocab"].values()] + [a["id"] for a in t["added_tokens"]]) + 1


@torch.no_grad()
def logits(model, ids):
    return model(torch.tensor([ids]), use_cache=False).logits[0].numpy().astype("<f4")


def greedy(model, ids):
    ids = list(ids)
    for _ in range(N_GREEDY):
        ids.append(int(logits(model, ids)[-1].argmax()))
    return ids[-N_GREEDY:]


def make(root, names):
    seeds = {**{n: i for i, n in enumerate(FAMILIES)},
             **{n: 1000 + i for i, n in enumerate(ENCODERS)}}
    for name, build in {**FAMILIES, **ENCODERS}.items():
        if names and name not in names:
            continue
        config = build()
        kind = tf.AutoModel if name in ENCODERS else tf.AutoModelForCausalLM
        folder = pathlib.Path(root, name)
        folder.mkdir(parents=True, exist_ok=True)
        config.vocab_size = n_vocab(root)
        config.bos_token_id, config.eos_token_id = 0, 1
        torch.manual_seed(seeds[name])
        model = kind.from_config(config)
        for key, p in model.named_parameters():  # biases and norms are not random by themselves
            if p.dim() == 1:
                zero = "bias" in key or name.startswith("gemma")
                torch.nn.init.normal_(p, 0.0 if zero else 1.0, 0.2)
            elif "norm" in key:
                torch.nn.init.normal_(p, 1.0, 0.2)
            elif "experts" in key or "gate.weight" in key:
                torch.nn.init.normal_(p, 0.0, 0.3)
        for key, b in model.named_buffers():
            if "correction_bias" in key:
                torch.nn.init.normal_(b, 0.0, 0.2)
        if name not in ENCODERS:
            model.generation_config = tf.GenerationConfig()
        model.to(torch.bfloat16).save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)
        if name == "gpt_oss_mxfp4":
            as_mxfp4(folder)
        model = kind.from_pretrained(folder, dtype=torch.float32).eval()
        prompt = [int(i) for i in torch.randint(3, 259, (N_PROMPT,))]
        if name in ENCODERS:
            (folder / "expected.json").write_text(
                json.dumps({"prompt": prompt, "greedy": [], "n_ctx": N_PROMPT}))
            with torch.no_grad():
                hidden = model(torch.tensor([prompt])).last_hidden_state[0]
            hidden.numpy().astype("<f4").tofile(folder / "hidden.f32")
            if name == "nomic_bert":
                as_authors(folder, folder.with_name("nomic_bert_fused"))
            continue
        # Where the angles follow from the length, a text that grows would change them.
        grows = name not in ("llama_dynamic", "phi3_long")
        want = greedy(model, prompt) if grows else []
        n_ctx = N_PROMPT if name == "llama_dynamic" else N_PROMPT + N_GREEDY
        (folder / "expected.json").write_text(
            json.dumps({"prompt": prompt, "greedy": want, "n_ctx": n_ctx}))
        logits(model, prompt)[:, :N_COLUMNS].tofile(folder / "logits.f32")
        bytes_ = sum(p.stat().st_size for p in folder.iterdir())
        print(name, len(set(want)), "tokens of 32 differ,", bytes_ // 1024, "KiB")


def as_mxfp4(folder):
    """Experts as the published checkpoints have them: random 4-bit floats, exponents around 1/8."""
    tensors = load_file(folder / "model.safetensors")
    for key in [k for k in tensors if k.endswith("_proj") and "experts" in k]:
        n, cols, rows = tensors.pop(key).shape
        tensors[key + "_blocks"] = torch.randint(0, 256, (n, rows, cols // 32, 16)).to(torch.uint8)
        tensors[key + "_scales"] = torch.randint(122, 126, (n, rows, cols // 32)).to(torch.uint8)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {
        "quant_method": "mxfp4", "modules_to_not_convert": [
            "model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def as_authors(folder, to):
    """The same model with the keys and names of nomic-bert's own code, queries to values fused."""
    to.mkdir(exist_ok=True)
    names = {"self_attn.o_proj": "attn.out_proj", "post_attention_layernorm": "norm1",
             "post_mlp_layernorm": "norm2", "mlp.up_proj": "mlp.fc11", "mlp.gate_proj": "mlp.fc12",
             "mlp.down_proj": "mlp.fc2", "embeddings.LayerNorm": "emb_ln"}
    parts = load_file(folder / "model.safetensors")
    out = {}
    for key, tensor in parts.items():
        if ".q_proj" in key:
            stem = key.split(".self_attn")[0]
            out[f"encoder.{stem}.attn.Wqkv.weight"] = torch.cat(
                [parts[f"{stem}.self_attn.{p}_proj.weight"] for p in "qkv"])
        elif ".k_proj" not in key and ".v_proj" not in key and "pooler" not in key:
            for old, new in names.items():
                key = key.replace(old, new)
            out[("encoder." if key.startswith("layers.") else "") + key] = tensor
    save_file({k: t.contiguous() for k, t in out.items()}, to / "model.safetensors")
    c = json.loads((folder / "config.json").read_text())
    (to / "config.json").write_text(json.dumps({
        "architectures": ["NomicBertModel"], "model_type": "nomic_bert",
        "activation_function": "swiglu", "n_embd": c["hidden_size"], "n_head":
        c["num_attention_heads"], "n_layer": c["num_hidden_layers"], "n_inner":
        c["intermediate_size"], "n_positions": c["max_position_embeddings"],
        "layer_norm_epsilon": c["layer_norm_eps"], "rotary_emb_base": 1000, "rotary_emb_fraction": 1.0,
        "rotary_scaling_factor": None, "type_vocab_size": c["type_vocab_size"], "prenorm": False,
        "qkv_proj_bias": False, "vocab_size": c["vocab_size"]}, indent=2) + "\n")
    for name in ("expected.json", "hidden.f32"):
        (to / name).write_bytes((folder / name).read_bytes())


def with_tokenizer(folder, to):
    for path in [*folder.iterdir(), *(folder.parent / n for n in ("tokenizer.json",
                                                                  "tokenizer_config.json"))]:
        (pathlib.Path(to) / path.name).write_bytes(path.read_bytes())
    return to


def check(nibble, root):
    worst = 0
    for name in FAMILIES:
        folder = pathlib.Path(root, name)
        model = tf.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        expected = json.loads((folder / "expected.json").read_text())
        ids = expected["prompt"] + expected["greedy"]
        with tempfile.TemporaryDirectory() as copy, tempfile.TemporaryDirectory() as out:
            gguf, npy = f"{out}/m.gguf", f"{out}/l.npy"
            done = subprocess.run([nibble, "convert", with_tokenizer(folder, copy), gguf, "F32"],
                                  capture_output=True, text=True)
            if done.returncode == 0:
                done = subprocess.run(
                    [nibble, "logits", "-m", gguf, "--tokens", ",".join(map(str, ids)), "-o", npy,
                     "-c", str(expected["n_ctx"]),
                     "-ctk", "f32", "-ctv", "f32", "--isa", "reference"],
                    capture_output=True, text=True)
            if done.returncode != 0:
                print(f"{name}: {done.stderr.strip()}")
                worst = np.inf
                continue
            got = np.load(npy).reshape(len(ids), -1)
        want = logits(model, ids)
        delta = float(np.abs(got - want).max())
        print(f"{name}: logits {delta:.2e} of {np.abs(want).max():.1f}")
        worst = max(worst, delta)
    return 0 if worst <= 1e-3 else 1


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(check(sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else
                       pathlib.Path(__file__).parents[1] / "fixtures" / "families"))
