"""Tiny Hugging Face models with random weights, and what transformers makes of them in float32.

  tiny_hf.py make FOLDER            writes FOLDER/NAME/ (model folder, expected.json, logits.f32) for
                                    each model of MODELS, and FOLDER/llama2c/ (model.bin, tokenizer.bin);
                                    tests/fixtures/convert was made so
  tiny_hf.py check NIBBLE [FOLDER]  converts each with NIBBLE, compares logits over all positions,
                                    greedy tokens and token ids of seeded multilingual texts with
                                    transformers, tokenizers and sentencepiece, live

expected.json: prompt (token ids), greedy (the 32 tokens after it), texts (of tokenizer_texts.py) and
ids (theirs, without special tokens). logits.f32: float32 [len(prompt), vocab], little-endian.
Needs torch, transformers, tokenizers, sentencepiece, safetensors.
"""
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

import numpy as np
import sentencepiece
import torch
import transformers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers, processors, trainers

from tokenizer_texts import FIXED, mixes

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
CORPUS = [t for t in FIXED if t.isascii()] * 3 + [
    "The quick brown fox jumps over the lazy dog and then there is the other thing that they said. " * 4]
PROMPT = "The other fox 1234 and"
N_GREEDY = 32
# Head size is not width / heads, and no size is a power of two where it need not be.
SHAPE = dict(hidden_size=40, intermediate_size=56, num_attention_heads=4, num_key_value_heads=2,
             head_dim=12, max_position_embeddings=256, initializer_range=0.3, rms_norm_eps=1e-5)


def byte_level(pre, framing):
    t = Tokenizer(models.BPE(ignore_merges=pre == "llama3"))
    if pre == "llama3":
        t.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(LLAMA3), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    else:
        t.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False)])
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
        special_tokens=["<|begin|>", "<|end|>", "<|pad|>"]))
    t.add_tokens([AddedToken("<tool>", special=False, normalized=False)])
    if framing:
        t.post_processor = processors.Sequence([
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(single="<|begin|> $A", special_tokens=[("<|begin|>", 0)])])
    return t


def sentencepieces(prefix):
    with tempfile.TemporaryDirectory() as folder:
        text = pathlib.Path(folder, "text")
        text.write_text("\n".join(" ".join(CORPUS).splitlines()))
        sentencepiece.SentencePieceTrainer.train(
            input=str(text), model_prefix=f"{folder}/m", model_type="bpe", vocab_size=380,
            byte_fallback=True, normalization_rule_name="identity", add_dummy_prefix=prefix,
            remove_extra_whitespaces=False, character_coverage=1.0, pad_id=-1, minloglevel=2,
            allow_whitespace_only_pieces=True, split_digits=True,
            user_defined_symbols=["<tool>"])
        return pathlib.Path(folder, "m.model").read_bytes()


def as_tokenizer_json(model):
    """What transformers makes of a SentencePiece BPE: merges in the order of the scores."""
    sp = sentencepiece.SentencePieceProcessor(model_proto=model)
    vocab = {sp.id_to_piece(i): i for i in range(len(sp))}
    score = {t: sp.get_score(i) for t, i in vocab.items()}
    merges = []
    for text, i in vocab.items():
        if sp.is_byte(i) or sp.is_control(i) or sp.is_unknown(i) or text == "<tool>":
            continue
        parts = [(text[:k], text[k:]) for k in range(1, len(text))]
        parts = sorted((p for p in parts if p[0] in vocab and p[1] in vocab),
                       key=lambda p: (vocab[p[0]], vocab[p[1]]))
        merges += [(score[text], p) for p in parts]
    merges = [p for _, p in sorted(merges, key=lambda m: m[0], reverse=True)]
    t = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True,
                             byte_fallback=True))
    t.normalizer = normalizers.Replace(" ", "▁")
    t.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    t.add_special_tokens(["<unk>", "<s>", "</s>"])
    t.add_tokens([AddedToken("<tool>", special=False, normalized=False)])
    t.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", vocab["<s>"])])
    return t


def llama_bias():
    return (transformers.LlamaConfig(
        **SHAPE, num_hidden_layers=2, attention_bias=True, tie_word_embeddings=False,
        rope_scaling={"rope_type": "linear", "factor": 4.0}), byte_level("llama3", True), "float16")


def llama_scaled():
    return (transformers.LlamaConfig(
        **SHAPE, num_hidden_layers=2, tie_word_embeddings=True, rope_theta=500000.0,
        rope_scaling={"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                      "high_freq_factor": 4.0, "original_max_position_embeddings": 32}),
            byte_level("gpt2", False), "bfloat16")


def mistral_window():
    return (transformers.MistralConfig(**SHAPE, num_hidden_layers=1, sliding_window=6),
            sentencepieces(True), "float32")


def gemma3():
    shape = dict(SHAPE, num_key_value_heads=1, hidden_size=24, intermediate_size=32)
    return (transformers.Gemma3TextConfig(
        **shape, num_hidden_layers=7, sliding_window=5, query_pre_attn_scalar=12,
        rope_parameters={"full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
                         "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}),
            as_tokenizer_json(sentencepieces(False)), "bfloat16")


MODELS = {f.__name__: f for f in (llama_bias, llama_scaled, mistral_window, gemma3)}
CHAT = ("{% for m in messages %}{{ '<|begin|>' + m.role + ': ' + m.content + '\\n' }}{% endfor %}"
        "{% if add_generation_prompt %}assistant:{% endif %}")


def write_tokenizer(folder, tokenizer):
    config = {"chat_template": CHAT, "model_max_length": 256}
    if isinstance(tokenizer, bytes):
        (folder / "tokenizer.model").write_bytes(tokenizer)
        config.update(bos_token="<s>", eos_token="</s>", unk_token="<unk>", add_bos_token=True)
    else:
        tokenizer.save(str(folder / "tokenizer.json"))
        spm = tokenizer.token_to_id("<s>") is not None
        config.update(bos_token="<s>" if spm else "<|begin|>",
                      eos_token={"content": "</s>" if spm else "<|end|>"})
        if not spm:
            config["pad_token"] = "<|pad|>"
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1))


class Reference:
    """A folder as the Python packages read it."""

    def __init__(self, folder):
        self.model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        self.model.eval()
        self.sp = self.tokenizer = None
        if (folder / "tokenizer.json").exists():
            self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        else:
            self.sp = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))

    def ids(self, text):
        if self.sp:
            return self.sp.encode(text)
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    @torch.no_grad()
    def logits(self, ids):
        return self.model(torch.tensor([ids]), use_cache=False).logits[0].numpy().astype("<f4")

    def greedy(self, ids):
        ids = list(ids)
        for _ in range(N_GREEDY):
            ids.append(int(self.logits(ids)[-1].argmax()))
        return ids[-N_GREEDY:]


def plain(texts):
    """nibble never takes a control token out of a user's text; tokenizers does."""
    return [t for t in texts if not any(s in t for s in ("<s>", "</s>", "<unk>", "<|begin|>", "<|end|>"))]


def make(root):
    for seed, (name, build) in enumerate(MODELS.items()):
        config, tokenizer, dtype = build()
        folder = pathlib.Path(root, name)
        folder.mkdir(parents=True, exist_ok=True)
        write_tokenizer(folder, tokenizer)
        n_vocab = (sentencepiece.SentencePieceProcessor(model_proto=tokenizer).vocab_size()
                   if isinstance(tokenizer, bytes) else tokenizer.get_vocab_size())
        config.vocab_size = n_vocab + 3  # rows that no token uses
        config.bos_token_id, config.eos_token_id, config.pad_token_id = (
            (0, 1, 2) if name.startswith("llama") else (1, 2, None))
        torch.manual_seed(seed)
        model = transformers.AutoModelForCausalLM.from_config(config)
        for key, p in model.named_parameters():  # biases and norms are not random by themselves
            if p.dim() == 1:
                torch.nn.init.normal_(p, 0.0 if "bias" in key or name == "gemma3" else 1.0, 0.2)
        model.generation_config.do_sample = True
        model.generation_config.temperature = 0.7
        model.to(getattr(torch, dtype)).save_pretrained(
            folder, max_shard_size="30KB" if name == "llama_scaled" else "1GB")
        write_expected(folder, Reference(folder), config.bos_token_id)
    make_llama2c(pathlib.Path(root, "llama2c"))


def write_llama2c(folder, model, sp):
    """llama2.c's export.py (legacy_export) and tokenizer.py, written anew."""
    c, state = model.config, model.state_dict()
    head = c.hidden_size // c.num_attention_heads

    def adjacent(w):  # rows of a head: pairs (i, i + half) become (2i, 2i + 1), as run.c rotates
        heads = w.shape[0] // head
        return w.view(heads, 2, head // 2, -1).transpose(1, 2).reshape(w.shape)

    def layers(name, change=lambda w: w):
        return [change(state[f"model.layers.{i}.{name}.weight"]) for i in range(c.num_hidden_layers)]

    angles = torch.zeros(c.max_position_embeddings * head // 2)
    tensors = [state["model.embed_tokens.weight"], *layers("input_layernorm"),
               *layers("self_attn.q_proj", adjacent), *layers("self_attn.k_proj", adjacent),
               *layers("self_attn.v_proj"), *layers("self_attn.o_proj"),
               *layers("post_attention_layernorm"), *layers("mlp.gate_proj"), *layers("mlp.down_proj"),
               *layers("mlp.up_proj"), state["model.norm.weight"], angles, angles,
               state["lm_head.weight"]]
    with open(folder / "model.bin", "wb") as out:
        out.write(struct.pack("<7i", c.hidden_size, c.intermediate_size, c.num_hidden_layers,
                              c.num_attention_heads, c.num_key_value_heads, -c.vocab_size,
                              c.max_position_embeddings))
        for t in tensors:
            out.write(t.float().numpy().astype("<f4").tobytes())
    pieces = [sp.id_to_piece(i).replace("▁", " ").encode() for i in range(len(sp))]
    pieces[1], pieces[2] = b"\n<s>\n", b"\n</s>\n"
    with open(folder / "tokenizer.bin", "wb") as out:
        out.write(struct.pack("<I", max(map(len, pieces))))
        for i, piece in enumerate(pieces):
            out.write(struct.pack("<fI", sp.get_score(i), len(piece)) + piece)


def make_llama2c(folder):
    folder.mkdir(parents=True, exist_ok=True)
    sp = sentencepiece.SentencePieceProcessor(model_proto=sentencepieces(True))
    torch.manual_seed(9)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(
        hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, vocab_size=len(sp), max_position_embeddings=64, rms_norm_eps=1e-5,
        initializer_range=0.3))
    for p in model.parameters():
        if p.dim() == 1:
            torch.nn.init.normal_(p, 1.0, 0.2)
    reference = Reference.__new__(Reference)
    reference.model, reference.sp, reference.tokenizer = model.eval(), sp, None
    write_llama2c(folder, model, sp)
    write_expected(folder, reference, 1)


def write_expected(folder, reference, bos):
    prompt = [bos] + reference.ids(PROMPT)
    texts = [t for t in plain(FIXED) if "<tool>" not in t]
    (folder / "expected.json").write_text(json.dumps(
        {"prompt": prompt, "greedy": reference.greedy(prompt), "texts": texts,
         "ids": [reference.ids(t) for t in texts]}))
    reference.logits(prompt).tofile(folder / "logits.f32")
    print(folder.name, "prompt", len(prompt))


def nibble_ids(nibble, gguf, text):
    out = subprocess.run([nibble, "tokenize", "-m", gguf, "--ids", "--no-bos", "-f", "-"],
                         input=text.encode(), check=True, capture_output=True).stdout
    return [int(i) for i in out.split()]


def check(nibble, root):
    worst = 0
    for name in MODELS:
        folder = pathlib.Path(root, name)
        reference = Reference(folder)
        with tempfile.TemporaryDirectory() as out:
            gguf, npy = f"{out}/m.gguf", f"{out}/l.npy"
            subprocess.run([nibble, "convert", folder, gguf, "F32"], check=True, capture_output=True)
            prompt = json.loads((folder / "expected.json").read_text())["prompt"]
            want = reference.greedy(prompt)
            ids = prompt + want
            subprocess.run([nibble, "logits", "-m", gguf, "--tokens", ",".join(map(str, ids)), "-o", npy,
                            "-ctk", "f32", "-ctv", "f32", "--isa", "reference"],
                           check=True, capture_output=True)
            got = np.load(npy).reshape(len(ids), -1)
            delta = float(np.abs(got - reference.logits(ids)).max())
            greedy = [int(r.argmax()) for r in got[len(prompt) - 1:-1]]
            texts = plain(FIXED + mixes(200, 1))
            wrong = [t for t in texts if nibble_ids(nibble, gguf, t) != reference.ids(t)]
            print(f"{name}: logits {delta:.2e}, greedy {sum(a == b for a, b in zip(greedy, want))} of "
                  f"{len(want)}, texts {len(texts) - len(wrong)} of {len(texts)}")
            for text in wrong[:3]:
                print("  ", repr(text[:60]))
            worst = max(worst, delta, float(greedy != want), float(bool(wrong)))
    return 0 if worst <= 1e-3 else 1


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2])
    else:
        sys.exit(check(sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else
                       pathlib.Path(__file__).parents[1] / "fixtures" / "convert"))
