"""Files of nibble in llama.cpp's tools and the other way round.

  interchange.py --nibble build/release/tools/nibble --llama-bin FOLDER -m MODEL.gguf \\
      [--types Q4_0,Q4_K_M ...] [--chunks 2] [--work FOLDER]

FOLDER has llama-perplexity, llama-imatrix and llama-quantize. MODEL is decoded to F16. For each
type and mix that both know: nibble writes the file, both programs evaluate it on the same text
(GPL-3, windows of 512 tokens, their second halves). Their perplexities differ by how each rounds
activations and keys; more than 2 % (5 % for files above a perplexity of 40, where both roundings
count more) is a failure, as is a tool that does not load the file. Then the importance matrices of
both on the same chunks of the GFDL: sums, counts, and each read by the other's quantize. Needs
gguf.
"""
import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

from quantize_quality import CALIBRATION, TEXT, compare_imatrices

TYPES = ("F16 BF16 Q2_K Q3_K_S Q3_K_M Q3_K_L IQ4_XS Q4_0 IQ4_NL Q4_1 Q4_K_S Q4_K_M Q5_0 Q5_1 "
         "Q5_K_S Q5_K_M Q6_K Q8_0")


def run(*command):
    result = subprocess.run([str(c) for c in command], capture_output=True, text=True,
                            errors="replace")
    output = result.stdout + result.stderr
    return output if result.returncode == 0 else None


def must(*command):
    output = run(*command)
    if output is None:
        sys.exit(f"failed: {' '.join(map(str, command))}")
    return output


class Exchange:
    def __init__(self, args, folder):
        self.args, self.folder = args, folder
        self.source = folder / "source-F16.gguf"
        must(args.nibble, "quantize", args.model, self.source, "F16", "--allow-requantize",
             "--no-card")

    def llama(self, tool, *arguments):
        return run(pathlib.Path(self.args.llama_bin) / tool, *arguments)

    def perplexities(self, name):
        """Of the two programs on the same file, None where one fails."""
        path = self.folder / "type.gguf"
        path.unlink(missing_ok=True)
        must(self.args.nibble, "quantize", self.source, path, name, "--no-card")
        same = ["-m", path, "-f", TEXT, "-c", "512", "--chunks", self.args.chunks]
        ours = must(self.args.nibble, "perplexity", *same)
        theirs = self.llama("llama-perplexity", *same)
        found = re.findall(r"PPL = ([0-9.]+)", theirs or "")
        return (float(re.findall(r"PPL = ([0-9.]+)", ours)[-1]),
                float(found[-1]) if found else None)

    def imatrices(self):
        ours, theirs = self.folder / "ours.gguf", self.folder / "theirs.gguf"
        must(self.args.nibble, "imatrix", "-m", self.source, "-f", CALIBRATION, "-o", ours,
             "--chunks", "4")
        if self.llama("llama-imatrix", "-m", self.source, "-f", CALIBRATION, "-c", "512",
                      "--chunks", "4", "-o", theirs) is None:
            sys.exit("llama-imatrix failed")
        compare_imatrices(ours, theirs)
        out = self.folder / "type.gguf"
        out.unlink(missing_ok=True)
        reads = self.llama("llama-quantize", "--imatrix", ours, self.source, out, "Q4_K_M")
        out.unlink(missing_ok=True)
        is_read = run(self.args.nibble, "quantize", self.source, out, "Q4_K_M", "--imatrix",
                      theirs, "--no-card")
        print(f"llama-quantize reads ours: {'yes' if reads else 'no'}; "
              f"nibble quantize reads theirs: {'yes' if is_read else 'no'}")
        return bool(reads and is_read)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nibble", required=True)
    parser.add_argument("--llama-bin", required=True)
    parser.add_argument("-m", "--model", required=True)
    parser.add_argument("--types", default=",".join(TYPES.split()))
    parser.add_argument("--chunks", default="2")
    parser.add_argument("--work")
    args = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory(dir=args.work) as name:
        exchange = Exchange(args, pathlib.Path(name))
        print("| type | nibble | llama.cpp | ratio |\n|---|---|---|---|")
        for type_name in args.types.split(","):
            ours, theirs = exchange.perplexities(type_name)
            if theirs is None:
                failed += 1
                print(f"| {type_name} | {ours:.3f} | does not load | |", flush=True)
                continue
            failed += abs(ours / theirs - 1) > (0.02 if ours < 40 else 0.05)
            print(f"| {type_name} | {ours:.3f} | {theirs:.3f} | {ours / theirs:.4f} |", flush=True)
        failed += not exchange.imatrices()
    if failed:
        sys.exit(f"{failed} of these failed")


if __name__ == "__main__":
    main()
