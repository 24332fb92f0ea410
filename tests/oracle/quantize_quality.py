"""Loss of nibble's quantized files beside llama-quantize's, type by type, at equal bytes.

  quantize_quality.py --nibble build/nibble --llama-quantize PATH/TO/llama-quantize \\
      -m MODEL.gguf [-m OTHER.gguf] [--types Q4_0,Q4_K_M ...] [--imatrix] \\
      [--llama-imatrix PATH/TO/llama-imatrix] [--chunks 3] [--weights-only] [--work FOLDER]

MODEL is decoded to F16 first; both programs quantize that. Scored is the mean KL divergence to the
F16 file on the GPL-3, windows of 512 tokens, their second halves (`nibble compare`), of the files
as nibble runs them; with --weights-only of files decoded to F32, so that the rounding of
activations plays no part. --imatrix measures all types also with an importance matrix made on the
GFDL, the same for both programs: llama-imatrix's if its path is given, and then nibble's is
compared with it. Says which files differ in size or in the types of tensors. NF4, which
llama-quantize does not have, stands beside its Q4_0.

The difference is the mean of ours - theirs over the tokens with its standard error: both are
measured on the same tokens, so it is known better than either. What is measured is kept in
FOLDER/results.json and not measured again; --again nibble (or llama) measures that side anew.
Exit status 1 if a file of ours loses more than theirs by over two standard errors. Needs gguf.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys

TEXT = "/usr/share/common-licenses/GPL-3"
CALIBRATION = "/usr/share/common-licenses/GFDL-1.3"
TYPES = ("Q2_K Q3_K_S Q3_K_M Q3_K_L IQ4_XS Q4_0 IQ4_NL Q4_1 Q4_K_S Q4_K_M Q5_0 Q5_1 Q5_K_S Q5_K_M "
         "Q6_K Q8_0 NF4")
BESIDE = {"NF4": "Q4_0"}  # what stands beside a type that only nibble has


def run(*command):
    result = subprocess.run([str(c) for c in command], capture_output=True, text=True,
                            errors="replace")
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{result.stdout[-500:]}{result.stderr[-2000:]}")
    return result.stdout


def imatrix_sums(path):
    from gguf import GGUFReader
    return {t.name.removesuffix(".in_sum2"): t.data.ravel().astype(float)
            for t in GGUFReader(path).tensors if t.name.endswith(".in_sum2")}


def compare_imatrices(ours, theirs):
    """Prints how far the sums of two importance matrices are from each other."""
    a, b = imatrix_sums(ours), imatrix_sums(theirs)
    if a.keys() != b.keys():
        print(f"importance: {len(a.keys() ^ b.keys())} tensors are in one file only")
    differences = sorted((float((abs(a[n] - b[n])).sum() / b[n].sum()), n) for n in a.keys() & b.keys())
    print(f"importance: {len(differences)} tensors, sum of differences over sum: median "
          f"{differences[len(differences) // 2][0]:.5f}, most {differences[-1][0]:.5f} "
          f"({differences[-1][1]})")


class Bench:
    def __init__(self, args, model):
        self.args = args
        self.folder = pathlib.Path(args.work) / pathlib.Path(model).stem
        self.folder.mkdir(parents=True, exist_ok=True)
        self.kept = self.folder / "results.json"
        self.results = json.loads(self.kept.read_text()) if self.kept.exists() else {}
        self.source = self.folder / "source-F16.gguf"
        if not self.source.exists():
            run(args.nibble, "quantize", model, self.source, "F16", "--allow-requantize",
                "--no-card")

    def make_imatrix(self):
        ours, theirs = (self.folder / f"imatrix-{p}.gguf" for p in ("nibble", "llama"))
        if not ours.exists():
            run(self.args.nibble, "imatrix", "-m", self.source, "-f", CALIBRATION, "-o", ours)
        if not self.args.llama_imatrix:
            return ours
        if not theirs.exists():
            run(self.args.llama_imatrix, "-m", self.source, "-f", CALIBRATION, "-c", "512", "-o",
                theirs)
        compare_imatrices(ours, theirs)
        return theirs

    def key(self, program, name, imatrix):
        parts = [program, name, "imatrix" if imatrix else "-", f"{self.args.chunks} chunks"]
        return " ".join(parts + ["weights"] * self.args.weights_only)

    def make(self, program, name, imatrix):
        weights = ["--imatrix", imatrix] if imatrix else []
        path = self.folder / f"{program}-{name}.gguf"
        path.unlink(missing_ok=True)
        if program == "nibble":
            run(self.args.nibble, "quantize", self.source, path, name, "--no-card", *weights)
        else:
            run(self.args.llama_quantize, *weights, self.source, path, name)
        described = json.loads(run(self.args.nibble, "inspect", path, "--json"))
        result = {"bytes": path.stat().st_size,
                  "types": {t["name"]: t["type"] for t in described["tensors"]}}
        if self.args.weights_only:
            decoded = self.folder / f"{program}-{name}-F32.gguf"
            run(self.args.nibble, "quantize", path, decoded, "F32", "--allow-requantize",
                "--no-card")
            path.unlink()
            path = decoded
        return path, result

    def measure(self, program, names, imatrix):
        """Makes and measures what is not known yet; the source is evaluated once for all."""
        made = {name: self.make(program, name, imatrix) for name in names
                if program == self.args.again or self.key(program, name, imatrix) not in self.results}
        if not made:
            return
        found = json.loads(run(self.args.nibble, "compare", self.source,
                               *(path for path, _ in made.values()), "-f", TEXT, "-c", "512",
                               "--chunks", self.args.chunks, "--json"))
        for (name, (path, result)), score in zip(made.items(),
                                                 found if isinstance(found, list) else [found]):
            path.unlink()
            self.results[self.key(program, name, imatrix)] = {
                **result, "kl": score["kl_divergence"], "error": score["kl_divergence_error"],
                "top": score["same_top_token"], "tokens": score["token_kl_divergences"]}
        self.kept.write_text(json.dumps(self.results))

    def show(self, name, imatrix):
        """Prints a row. True if ours loses more."""
        ours = self.results[self.key("nibble", name, imatrix)]
        theirs = self.results[self.key("llama", BESIDE.get(name, name), imatrix)]
        by_token = [a - b for a, b in zip(ours["tokens"], theirs["tokens"])]
        difference = statistics.fmean(by_token)
        error = statistics.stdev(by_token) / len(by_token) ** 0.5
        other = [n for n in ours["types"].keys() | theirs["types"].keys()
                 if ours["types"].get(n) != theirs["types"].get(n)]
        note = f"{len(other)} of another type, {min(other)}" if other and name not in BESIDE else ""
        print(f"| {name} | {'yes' if imatrix else ''} | {ours['bytes'] / 1e6:.1f} | "
              f"{ours['bytes'] - theirs['bytes']:+d} | {ours['kl']:.5f} | {theirs['kl']:.5f} | "
              f"{ours['kl'] / theirs['kl']:.3f} | {difference:+.5f} +- {error:.5f} | {note} |",
              flush=True)
        return difference > 2 * error


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nibble", required=True)
    parser.add_argument("--llama-quantize", required=True)
    parser.add_argument("--llama-imatrix")
    parser.add_argument("-m", "--model", required=True, action="append")
    parser.add_argument("--types", default=",".join(TYPES.split()))
    parser.add_argument("--imatrix", action="store_true")
    parser.add_argument("--chunks", default="3")
    parser.add_argument("--weights-only", action="store_true")
    parser.add_argument("--work", default="/tmp/quantize_quality")
    parser.add_argument("--again", choices=["nibble", "llama"])
    args = parser.parse_args()
    names = args.types.split(",")
    more = 0
    for model in args.model:
        bench = Bench(args, model)
        matrices = [None, bench.make_imatrix()] if args.imatrix else [None]
        for imatrix in matrices:
            bench.measure("nibble", names, imatrix)
            bench.measure("llama", sorted({BESIDE.get(n, n) for n in names}), imatrix)
        print(f"\n{model}\n\n| type | imatrix | MB | bytes - theirs | KL | theirs | ratio | "
              "difference | tensors |\n|---|---|---|---|---|---|---|---|---|")
        for name in names:
            more += sum(bench.show(name, imatrix) for imatrix in matrices)
    if more:
        sys.exit(f"{more} files lose more than theirs by over two standard errors")


if __name__ == "__main__":
    main()
