"""Sets files of `nibble quantize` beside those of llama.cpp's llama-quantize: type by type, with and
without an importance matrix, the same source, the same evaluator.

  quantize_peer.py MODEL-F16.gguf ... --quantize PATH/llama-quantize --imatrix PATH/llama-imatrix
      [--nibble build/release/tools/nibble] [--types Q4_0,Q4_K_M] [--work FOLDER] [--again nibble]

For every type both files are made, sizes and the types of all tensors are compared, and `nibble
compare` measures the KL divergence of each to the source on a text (-f, default the GPL-3; windows
of --ctx tokens, the second half scored). The importance matrix is made once by llama-imatrix from
another text (--calibration) and read by both. NF4, which llama-quantize does not have, stands
beside its Q4_0; `--nf4-absmax`, a codec of its own, is tests/oracle/quant_check.py's.

The last column is the mean difference ours - theirs over the tokens with its standard error: both
are measured on the same tokens, so it is known better than either. What is known is kept in
FOLDER/results.json, and a later call measures only what is missing; --again nibble (or peer)
measures that side anew. Needs gguf and numpy.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
from gguf import GGUFReader

TYPES = ("Q2_K Q3_K_S Q3_K_M Q3_K_L IQ4_XS Q4_0 IQ4_NL Q4_1 Q4_K_S Q4_K_M Q5_0 Q5_1 Q5_K_S Q5_K_M "
         "Q6_K Q8_0").split()
PEERS_TYPE = {"NF4": "Q4_0"}  # what stands beside what llama-quantize does not have
LICENSES = "/usr/share/common-licenses/"
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def call(*command):
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, errors="replace")
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}: exit status {done.returncode}\n"
                         f"{done.stdout[-2000:]}")


def tensor_types(path):
    return {t.name: t.tensor_type.name for t in GGUFReader(path).tensors}


class Bench:
    def __init__(self, args):
        self.args = args
        self.work = pathlib.Path(args.work)
        self.work.mkdir(parents=True, exist_ok=True)
        self.kept = self.work / "results.json"
        self.results = json.loads(self.kept.read_text()) if self.kept.exists() else {}

    def imatrix(self, model):
        path = self.work / f"{model.stem}.imatrix.gguf"
        if not path.exists():
            call(self.args.imatrix, "-m", model, "-f", self.args.calibration, "-c", "512",
                 "-t", self.args.threads, "-o", path)
        return path

    def make(self, side, model, name, imatrix, out):
        with_imatrix = ["--imatrix", imatrix] if imatrix else []
        if side == "nibble":
            call(self.args.nibble, "quantize", model, out, name, "--no-card", *with_imatrix,
                 "-t", self.args.threads)
        else:
            call(self.args.quantize, *with_imatrix, model, out, name, self.args.threads)

    def measure(self, model, paths):
        done = subprocess.run([str(self.args.nibble), "compare", str(model), *map(str, paths),
                               "--json", "-f", self.args.file, "-c", str(self.args.ctx),
                               "--chunks", str(self.args.chunks), "-t", str(self.args.threads)],
                              stdout=subprocess.PIPE, check=True)
        found = json.loads(done.stdout)
        return found if len(paths) > 1 else [found]

    def key(self, side, model, name, imatrix):
        return " ".join([side, model.stem, name, "imatrix" if imatrix else "plain",
                         str(self.args.ctx), str(self.args.chunks),
                         os.path.basename(self.args.file)])

    def fill(self, side, model, names, imatrix):
        """Makes and measures all files that are not known yet; the source is evaluated once."""
        paths = {}
        for name in names:
            if self.key(side, model, name, imatrix) in self.results and side != self.args.again:
                continue
            paths[name] = self.work / f"{side}-{name}.gguf"
            paths[name].unlink(missing_ok=True)
            self.make(side, model, name, imatrix, paths[name])
        if not paths:
            return
        for (name, out), found in zip(paths.items(), self.measure(model, paths.values())):
            self.results[self.key(side, model, name, imatrix)] = {
                "size": out.stat().st_size,
                "types": tensor_types(out) if name != "NF4" else {},
                "kl": found["kl_divergence"], "kl_error": found["kl_divergence_error"],
                "same_top": found["same_top_token"], "tokens": found["token_kl_divergences"],
                "errors": {t["name"]: t["error"] for t in found["tensors"]}}
            out.unlink()
        self.kept.write_text(json.dumps(self.results))

    def result(self, side, model, name, imatrix):
        return self.results[self.key(side, model, name, imatrix)]


def differences(ours, theirs):
    """What differs between two files' tensor types, at most three in words."""
    names = sorted(set(ours["types"]) | set(theirs["types"]))
    found = [f"{n} {ours['types'].get(n)} / {theirs['types'].get(n)}" for n in names
             if ours["types"].get(n) != theirs["types"].get(n)]
    return f"{len(found)} tensors differ: " + "; ".join(found[:3]) if found else "same types"


def row(bench, model, name, imatrix):
    """Prints a row; True if ours is larger by more than twice the standard error."""
    ours = bench.result("nibble", model, name, imatrix)
    theirs = bench.result("peer", model, PEERS_TYPE.get(name, name), imatrix)
    by_token = np.array(ours["tokens"]) - np.array(theirs["tokens"])
    error = by_token.std(ddof=1) / np.sqrt(len(by_token))
    note = "" if name == "NF4" else differences(ours, theirs)
    print(f"| {name} | {'imatrix' if imatrix else '-'} | {ours['size'] / 1e6:.1f} "
          f"| {ours['size'] - theirs['size']:+d} | {ours['kl']:.4f} | {theirs['kl']:.4f} "
          f"| {ours['kl'] / theirs['kl']:.3f} | {by_token.mean():+.5f} +- {error:.5f} | {note} |",
          flush=True)
    return by_token.mean() > 2 * error


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=pathlib.Path)
    parser.add_argument("--quantize", required=True)
    parser.add_argument("--imatrix", help="llama-imatrix; without it no importance is used")
    parser.add_argument("--nibble", default=ROOT / "build/release/tools/nibble")
    parser.add_argument("--types", default=",".join([*TYPES, "NF4"]))
    parser.add_argument("-f", "--file", default=LICENSES + "GPL-3")
    parser.add_argument("--calibration", default=LICENSES + "GFDL-1.3")
    parser.add_argument("-c", "--ctx", type=int, default=512)
    parser.add_argument("--chunks", type=int, default=3)
    parser.add_argument("-t", "--threads", type=int, default=2)
    parser.add_argument("--work", default="/tmp/quantize_peer")
    parser.add_argument("--again", choices=["nibble", "peer"])
    args = parser.parse_args()
    bench = Bench(args)
    larger = 0
    names = args.types.split(",")
    for model in args.models:
        matrices = [None] + ([bench.imatrix(model)] if args.imatrix else [])
        for imatrix in matrices:
            bench.fill("nibble", model, names, imatrix)
            bench.fill("peer", model, sorted({PEERS_TYPE.get(n, n) for n in names}), imatrix)
        print(f"\n{model.stem}\n\n| type | importance | MB | bytes - theirs | KL | theirs | ratio "
              "| difference a token | tensors |\n|---|---|---|---|---|---|---|---|---|")
        for name in names:
            for imatrix in matrices:
                larger += row(bench, model, name, imatrix)
    if larger:
        sys.exit(f"{larger} rows lose more than the peer's by over two standard errors")


if __name__ == "__main__":
    main()
