"""Perplexity and KL divergence against the float32 reference (transformers), chunked like
llama.cpp's perplexity tool: windows of n_ctx tokens of one long text, each evaluated from empty;
where the model wants a BOS it replaces the first token of every window; the second half of a window
is scored, so rows n_ctx/2 .. n_ctx-2 predict tokens n_ctx/2+1 .. n_ctx-1.

  perplexity.py reference -m MODEL.gguf [-f TEXT] [-c 512]
      perplexity of the reference over the whole text
  perplexity.py tokens -m MODEL.gguf [--chunks 3]
      the windows as comma-separated ids, one a line, for `nibble logits --tokens`
  perplexity.py kl -m MODEL.gguf A.npy B.npy C.npy
      each file [512, vocab] float32 from `nibble logits -m MODEL --tokens ... -o FILE.npy` of one
      window; prints mean KL(reference || file), the share of equal argmax and both perplexities
  perplexity.py run -m MODEL.gguf --nibble build/release/tools/nibble [-- more flags of nibble]
      the same, calling `nibble logits` itself

Reference logits are kept under ${XDG_CACHE_HOME:-~/.cache}/nibble/oracle.
Needs torch, transformers, gguf, tokenizers, sentencepiece, protobuf, numpy.
"""
import argparse
import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

TEXT = "/usr/share/common-licenses/GPL-3"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
CACHE = CACHE / "nibble" / "oracle"


class Reference:
    """Opens the model only when something is not in the cache."""

    def __init__(self, path):
        self.path = path
        digest = hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()[:16]
        self.cache = CACHE / digest
        self.cache.mkdir(parents=True, exist_ok=True)
        self.model = None

    def _load(self):
        if self.model is None:
            from gguf_torch import load_model, load_tokenizer
            self.model, metadata = load_model(self.path)
            self.tokenizer = load_tokenizer(metadata)

    def windows(self, text_path, n_ctx):
        """[n_windows, n_ctx] token ids."""
        text = pathlib.Path(text_path).read_bytes()
        kept = self.cache / f"tokens-{hashlib.sha256(text).hexdigest()[:16]}-{n_ctx}.npy"
        if not kept.exists():
            self._load()
            bos = self.tokenizer.bos
            ids = bos + self.tokenizer.encode(text.decode())
            n = len(ids) // n_ctx
            ids = np.array(ids[:n * n_ctx], dtype=np.int32).reshape(n, n_ctx)
            if bos:
                ids[:, 0] = bos[0]
            np.save(kept, ids)
        return np.load(kept)

    def logits(self, ids):
        """[tokens, vocab] float32."""
        key = hashlib.sha256(np.asarray(ids, dtype=np.int32).tobytes()).hexdigest()[:16]
        kept = self.cache / f"logits-{key}.npy"
        if not kept.exists():
            np.save(kept, self.evaluate(ids))
        return np.load(kept, mmap_mode="r")

    def evaluate(self, ids):
        import torch
        self._load()
        with torch.no_grad():
            return self.model(torch.tensor(np.asarray(ids)[None].astype(np.int64))).logits[0].numpy()


def log_softmax(x):
    x = np.asarray(x, dtype=np.float64)
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def scored(n_ctx):
    return range(n_ctx // 2, n_ctx - 1)


def nll(logits, ids):
    """Sum of -log p over the scored rows of a window."""
    rows = list(scored(len(ids)))
    logp = log_softmax(logits[rows])
    return -logp[np.arange(len(rows)), ids[[r + 1 for r in rows]]].sum()


def perplexity_of_reference(args):
    reference = Reference(args.model)
    windows = reference.windows(args.file, args.ctx)
    total, count = 0.0, 0
    for i, ids in enumerate(windows):
        total += nll(reference.evaluate(ids), ids)
        count += len(scored(args.ctx))
        print(f"[{i + 1}/{len(windows)}] {np.exp(total / count):.4f}", file=sys.stderr)
    print(f"perplexity {np.exp(total / count):.4f} over {count} tokens of {len(windows)} windows")


def compare(reference, windows, files):
    kl, same, ours, theirs = [], 0, 0.0, 0.0
    for ids, path in zip(windows, files):
        rows = list(scored(len(ids)))
        got = np.load(path, mmap_mode="r")
        want = reference.logits(ids)
        if got.shape != want.shape:
            raise SystemExit(f"{path}: shape: expected {want.shape}, got {got.shape}")
        logp, logq = log_softmax(want[rows]), log_softmax(got[rows])
        kl.extend((np.exp(logp) * (logp - logq)).sum(axis=-1))
        same += int((logp.argmax(-1) == logq.argmax(-1)).sum())
        ours += nll(got, ids)
        theirs += nll(want, ids)
    n = len(kl)
    print(f"positions {n}  mean KL {np.mean(kl):.6f}  max KL {np.max(kl):.4f}  "
          f"same argmax {100 * same / n:.2f} %  perplexity {np.exp(ours / n):.4f} "
          f"(reference {np.exp(theirs / n):.4f})")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0],
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["reference", "tokens", "kl", "run"])
    parser.add_argument("files", nargs="*")
    parser.add_argument("-m", "--model", required=True)
    parser.add_argument("-f", "--file", default=TEXT)
    parser.add_argument("-c", "--ctx", type=int, default=512)
    parser.add_argument("--chunks", type=int, default=3)
    parser.add_argument("--nibble", default="build/release/tools/nibble")
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    args = parser.parse_intermixed_args(sys.argv[1:end])  # files may follow options
    flags = sys.argv[end + 1:]
    if args.what == "reference":
        return perplexity_of_reference(args)
    reference = Reference(args.model)
    windows = reference.windows(args.file, args.ctx)[:args.chunks]
    if args.what == "tokens":
        for ids in windows:
            print(",".join(map(str, ids)))
    elif args.what == "kl":
        compare(reference, windows, args.files)
    else:
        with tempfile.TemporaryDirectory() as folder:
            files = []
            for i, ids in enumerate(windows):
                files.append(f"{folder}/{i}.npy")
                subprocess.run([args.nibble, "logits", "-m", args.model, "--tokens",
                                ",".join(map(str, ids)), "-o", files[-1], *flags], check=True)
            compare(reference, windows, files)


if __name__ == "__main__":
    main()
