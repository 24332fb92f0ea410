"""Loss of the methods of `nibble quantize` at equal size: plain, imatrix, gptq, awq and both.

  quantize_methods.py --nibble build/nibble -m MODEL-F16.gguf --text CALIBRATION.txt \\
      [--types Q4_0,NF4 ...] [--methods plain,imatrix,gptq,awq,gptq+awq] \\
      [--chunks 3] [--calibration-chunks 8]

All matrices get the type (--pure), the token embedding Q8_0. Scored is mean KL divergence to MODEL
on the GPL-3, windows of 512 tokens, their second halves (`nibble compare`). The importance matrix
is made from as much of the same text as the methods calibrate on. Prints a line for each file.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

TEXT = "/usr/share/common-licenses/GPL-3"


def run(*command):
    result = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{result.stdout[-500:]}{result.stderr[-2000:]}")
    return result.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nibble", required=True)
    parser.add_argument("-m", "--model", required=True)
    parser.add_argument("--text", required=True)
    parser.add_argument("--types", default="Q4_0,NF4,Q4_K_S,Q3_K_S,Q2_K")
    parser.add_argument("--methods", default="plain,imatrix,gptq,awq,gptq+awq")
    parser.add_argument("--chunks", default="3")
    parser.add_argument("--calibration-chunks", default="8")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        imatrix = folder / "imatrix.gguf"
        calibration = ["--calibration", args.text, "--calibration-chunks", args.calibration_chunks]
        for type_name in args.types.split(","):
            for method in args.methods.split(","):
                options = ["--method", method, *calibration]
                if method == "plain":
                    options = []
                if method == "imatrix":
                    if not imatrix.exists():
                        run(args.nibble, "imatrix", "-m", args.model, "-f", args.text, "-o",
                            imatrix, "--chunks", args.calibration_chunks)
                    options = ["--imatrix", imatrix]
                out = folder / "out.gguf"
                start = time.time()
                run(args.nibble, "quantize", args.model, out, type_name, "--pure",
                    "--token-embedding-type", "Q8_0", "--no-card", *options)
                seconds = time.time() - start
                score = json.loads(run(args.nibble, "compare", args.model, out, "-f", TEXT, "-c",
                                       "512", "--chunks", args.chunks, "--json"))
                print(f"{type_name:8}{method:10}{out.stat().st_size / 1e6:8.1f} MB  "
                      f"{score['kl_divergence']:.4f} +/- {score['kl_divergence_error']:.4f}  "
                      f"{seconds:.0f} s", flush=True)
                out.unlink()


if __name__ == "__main__":
    main()
