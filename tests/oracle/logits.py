"""Writes tests/fixtures/logits: what transformers computes in float32 from the two real models.

  logits.py MODELS_FOLDER tests/fixtures/logits

NAME.json  prompts as token ids; at some rows of each: logits of `vocab_ids` (spread over the
           vocabulary), the 20 largest logits, log of the sum of exp(logit); a greedy continuation
           with, at every step, how far the largest logit is above the second.
NAME.kl    for the scored rows 256, 264 ... 504 of the first three 512-token windows of the GPL-3
           text (see perplexity.py): the 256 most probable tokens and what is left. Little-endian:
             "NKL1", u32 windows, u32 n_ctx, u32 rows, u32 top
             i32 tokens [windows][n_ctx]
             rows times: u32 window, u32 row, f32 rest (probability of all other tokens),
                         i32 ids [top], f32 log_probs [top], descending
           Summing p * log(p/q) over these and one bucket for the rest gives a lower bound of the
           KL divergence (log-sum inequality), close to it because the rest is small.
Needs what perplexity.py needs, and jinja2.
"""
import json
import pathlib
import struct
import sys

import numpy as np
import torch

from gguf_torch import load_model, load_tokenizer
from perplexity import TEXT, Reference, log_softmax

MODELS = {"SmolLM2-135M-Instruct.Q4_1": "smollm2", "gemma-3-270m-Q4_K_M": "gemma3"}
CODE = '''#include <stdio.h>

int main(int argc, char **argv) {
    for (int i = 0; i < argc; ++i) {
        printf("%d: %s\\n", i, argv[i]);
    }
'''
LANGUAGES = "Der schnelle braune Fuchs. Быстрая лиса. 素早い茶色の狐。 الثعلب البني 🦊 déjà vu"
N_TOP, N_VOCAB_IDS, N_GREEDY, N_KL = 20, 200, 32, 256


def prompts(name, metadata, tokenizer):
    """(name, ids, rows whose logits are kept)"""
    text = pathlib.Path(TEXT).read_text()
    found = [("sentence", "The capital of France is"), ("code", CODE), ("languages", LANGUAGES)]
    if name == "smollm2":
        import jinja2
        template = jinja2.Environment(trim_blocks=True, lstrip_blocks=True).from_string(
            metadata["tokenizer.chat_template"])
        found.append(("chat", template.render(add_generation_prompt=True, messages=[
            {"role": "user", "content": "What is the tallest mountain on Earth?"}])))
    for label, t in found:
        ids = tokenizer.bos + tokenizer.encode(t)
        yield label, ids, sorted({int(r) for r in np.linspace(0, len(ids) - 1, 8)})
    if name == "gemma3":
        # Past the sliding window of 512, so that its edge is inside the prompt.
        ids = tokenizer.bos + tokenizer.encode(text[2000:])[:639]
        yield "long", ids, [255, 510, 511, 512, 513, 560, 600, 639]
    else:
        yield "long", tokenizer.encode(text[2000:])[:320], [63, 64, 65, 127, 128, 200, 256, 319]


def greedy(model, ids):
    chosen, margins, past = [], [], None
    step = torch.tensor([[int(i) for i in ids]])
    for _ in range(N_GREEDY):
        out = model(step, past_key_values=past, use_cache=True)
        past, last = out.past_key_values, out.logits[0, -1].numpy()
        order = np.argsort(-last, kind="stable")[:2]
        chosen.append(int(order[0]))
        margins.append(round(float(last[order[0]] - last[order[1]]), 4))
        step = torch.tensor([[chosen[-1]]])
    return chosen, margins


def rounded(x):
    return [round(float(v), 5) for v in x]


def write_logits(name, reference, metadata, tokenizer, folder):
    n_vocab = len(metadata["tokenizer.ggml.tokens"])
    vocab_ids = sorted({int(i) for i in np.linspace(0, n_vocab - 1, N_VOCAB_IDS)})
    fixture = {"model": name, "n_vocab": n_vocab, "vocab_ids": vocab_ids, "prompts": []}
    for label, ids, rows in prompts(name, metadata, tokenizer):
        logits = reference.evaluate(np.array(ids))
        kept = []
        for r in rows:
            top = np.argsort(-logits[r], kind="stable")[:N_TOP]
            peak = logits[r].max()
            total = float(peak + np.log(np.exp(np.float64(logits[r]) - peak).sum()))
            kept.append({"row": r, "logits": rounded(logits[r][vocab_ids]),
                         "top_ids": top.tolist(), "top_logits": rounded(logits[r][top]),
                         "log_sum_exp": round(total, 5)})
        chosen, margins = greedy(reference.model, ids) if label != "long" else ([], [])
        fixture["prompts"].append({"name": label, "ids": [int(i) for i in ids], "rows": kept,
                                   "greedy": chosen, "greedy_margins": margins})
    text = json.dumps(fixture, separators=(",", ":"), ensure_ascii=True)
    (folder / f"{name}.json").write_text(text.replace('{"row"', '\n{"row"').replace(
        '{"name"', '\n{"name"') + "\n")


def write_kl(name, reference, folder):
    windows = reference.windows(TEXT, 512)[:3]
    rows = list(range(256, 511, 8))
    out = bytearray(b"NKL1" + struct.pack("<4I", len(windows), 512, len(windows) * len(rows), N_KL))
    out += windows.astype("<i4").tobytes()
    for w, ids in enumerate(windows):
        logp = log_softmax(reference.logits(ids)[rows])
        for r, lp in zip(rows, logp):
            top = np.argsort(-lp, kind="stable")[:N_KL]
            rest = max(0.0, 1.0 - np.exp(lp[top]).sum())
            out += struct.pack("<2If", w, r, rest)
            out += top.astype("<i4").tobytes() + lp[top].astype("<f4").tobytes()
    (folder / f"{name}.kl").write_bytes(out)


def main():
    models, folder = map(pathlib.Path, sys.argv[1:3])
    folder.mkdir(parents=True, exist_ok=True)
    for file, name in MODELS.items():
        reference = Reference(models / f"{file}.gguf")
        reference.model, metadata = load_model(models / f"{file}.gguf")
        reference.tokenizer = load_tokenizer(metadata)
        write_logits(name, reference, metadata, reference.tokenizer, folder)
        write_kl(name, reference, folder)


if __name__ == "__main__":
    main()
