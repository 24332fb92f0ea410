"""Loss of nibble's quantized files beside llama-quantize's, type by type, at equal bytes.

  quantize_quality.py --nibble build/nibble --llama-quantize PATH/TO/llama-quantize \\
      -m MODEL.gguf [--types Q4_0,Q4_K_M ...] [--imatrix] [--chunks 3] [-o RESULT.json]

MODEL is decoded to F16 first; both programs quantize that. Each file is decoded to F32 before it is
scored, so that the rounding of activations, which depends on the type, plays no part: what is left
is the weights' loss. Scored is mean KL divergence to the F16 file on the GPL-3, windows of 512
tokens, their second halves (`nibble compare`). With --imatrix both get the same importance matrix,
made by `nibble imatrix` on the Mozilla licence. Prints a table and says which files differ in size
or in the types of tensors.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

TEXT = "/usr/share/common-licenses/GPL-3"
CALIBRATION = "/usr/share/common-licenses/MPL-2.0"
TYPES = ("Q2_K Q3_K_S Q3_K_M Q3_K_L Q4_0 Q4_1 Q4_K_S Q4_K_M IQ4_NL IQ4_XS Q5_0 Q5_1 Q5_K_S Q5_K_M "
         "Q6_K Q8_0")
ONLY_NIBBLE = "NF4"


def run(*command):
    result = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{result.stdout[-500:]}{result.stderr[-2000:]}")
    return result.stdout


class Bench:
    def __init__(self, args, model, folder):
        self.args = args
        self.folder = folder
        self.source = folder / "source-F16.gguf"
        run(args.nibble, "quantize", model, self.source, "F16", "--allow-requantize", "--no-card")
        self.imatrix = None
        if args.imatrix:
            self.imatrix = folder / "imatrix.gguf"
            run(args.nibble, "imatrix", "-m", self.source, "-f", CALIBRATION, "-o", self.imatrix)

    def tensor_types(self, path):
        described = json.loads(run(self.args.nibble, "inspect", path, "--json"))
        return {t["name"]: t["type"] for t in described["tensors"]}

    def score(self, path):
        decoded = self.folder / "decoded-F32.gguf"
        run(self.args.nibble, "quantize", path, decoded, "F32", "--allow-requantize", "--no-card")
        out = json.loads(run(self.args.nibble, "compare", self.source, decoded, "-f", TEXT,
                             "-c", "512", "--chunks", self.args.chunks, "--json"))
        decoded.unlink()
        return out["kl_divergence"], out["kl_divergence_error"]

    def measure(self, name):
        weights = ["--imatrix", self.imatrix] if self.imatrix else []
        files = {"nibble": self.folder / "nibble.gguf"}
        run(self.args.nibble, "quantize", self.source, files["nibble"], name, "--no-card", *weights)
        if name != ONLY_NIBBLE:
            files["llama"] = self.folder / "llama.gguf"
            run(self.args.llama_quantize, *weights, self.source, files["llama"], name)
        row = {"type": name, "imatrix": self.imatrix is not None}
        for program, path in files.items():
            kl, error = self.score(path)
            row[program] = {"kl": kl, "error": error, "bytes": path.stat().st_size}
        if "llama" in files:
            ours, theirs = (self.tensor_types(files[p]) for p in ("nibble", "llama"))
            row["other_types"] = sorted(f"{n}: {ours.get(n)} / {theirs.get(n)}"
                                        for n in ours.keys() | theirs.keys()
                                        if ours.get(n) != theirs.get(n))
        for path in files.values():
            path.unlink()
        return row


def show(row):
    text = f"{row['type']:8}{'imatrix' if row['imatrix'] else '-':9}{row['nibble']['kl']:.5f}"
    if "llama" in row:
        ratio = row["nibble"]["kl"] / max(row["llama"]["kl"], 1e-12)
        size = row["nibble"]["bytes"] / row["llama"]["bytes"]
        text += f" : {row['llama']['kl']:.5f} = {ratio:.3f}   bytes {size:.4f}"
        if row["other_types"]:
            text += f"   {len(row['other_types'])} tensors of another type"
    print(text, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nibble", required=True)
    parser.add_argument("--llama-quantize", required=True)
    parser.add_argument("-m", "--model", required=True)
    parser.add_argument("--types", default=",".join(TYPES.split() + [ONLY_NIBBLE]))
    parser.add_argument("--imatrix", action="store_true")
    parser.add_argument("--chunks", default="3")
    parser.add_argument("-o", "--output")
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(args, args.model, pathlib.Path(folder))
        for name in args.types.split(","):
            rows.append(bench.measure(name))
            show(rows[-1])
    if args.output:
        pathlib.Path(args.output).write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
