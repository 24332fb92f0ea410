"""Do files that nibble converts run in llama.cpp, with the same result?

  llama_cpp_families.py NIBBLE SOURCE BUILD [NAME...]

SOURCE is a checkout of llama.cpp, BUILD where it was built with static libraries. Converts each
family of tests/fixtures/families to F32, and compares what llama.cpp gives for it with what
transformers gave (tiny_families.py): the logits of the prompt and 32 greedy tokens, or an encoder's
hidden states. Prints a line a family; fails if one that both support differs.
Needs numpy and a C++ compiler.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).parents[2]
FAMILIES = ROOT / "tests" / "fixtures" / "families"
# What llama.cpp does not do.
NOT_THERE = {
    "command_r": "query norms only with 64 layers",
    "deepseek_v2": "queries without latents only with 26 or 27 layers",
    "gemma2": "attention is scaled by the head size",
    "gpt_oss_mxfp4": "the ends of YaRN's ramp are rounded",
    "gptj": "no such architecture",
    "gptneox_serial": "attention must have biases",
    "llama_dynamic": "no dynamic NTK",
    "xglm": "no such architecture",
}
# Windows that it does not look at: rows that see all of what is before them are compared.
WINDOWS = {"mistral": 7, "mixtral": 9, "phi3": 8, "starcoder2": 7}
BOUND = 1e-2  # of logits: its sums are float32 in another order, its tables of exp and gelu halves


def build(source, folder, to):
    libraries = [f"{folder}/src/libllama.a"] + [
        f"{folder}/ggml/src/lib{n}.a" for n in ("ggml", "ggml-cpu", "ggml-base")]
    subprocess.run(["c++", "-std=c++17", "-O1", f"-I{source}/include", f"-I{source}/ggml/include",
                    str(ROOT / "tests/oracle/llama_cpp_shim.cpp"), "-o", to, "-Wl,--start-group",
                    *libraries, "-Wl,--end-group", "-fopenmp", "-lpthread", "-ldl"], check=True)


def converted(nibble, family, to):
    for path in [*family.iterdir(), *(FAMILIES / n for n in ("tokenizer.json",
                                                             "tokenizer_config.json"))]:
        (to / path.name).write_bytes(path.read_bytes())
    out = to / "model.gguf"
    subprocess.run([nibble, "convert", to, out, "F32"], check=True, capture_output=True)
    return out


def compare(shim, nibble, family):
    want = json.loads((family / "expected.json").read_text())
    hidden = family / "hidden.f32"
    reference = np.fromfile(hidden if hidden.exists() else family / "logits.f32", "<f4")
    reference = reference.reshape(len(want["prompt"]), -1)
    n_greedy = 0 if hidden.exists() else max(len(want["greedy"]), 1)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        model = converted(nibble, family, path)
        done = subprocess.run([shim, model, path / "out.f32", str(n_greedy),
                               *map(str, want["prompt"])], capture_output=True, text=True)
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines()
            return f"refused: {lines[0] if lines else done.returncode}", False
        got = np.fromfile(path / "out.f32", "<f4").reshape(len(want["prompt"]), -1)
    rows = WINDOWS.get(family.name, len(got))
    delta = float(np.abs(got[:rows, :reference.shape[1]] - reference[:rows]).max())
    tokens = [int(t) for t in done.stdout.split()]
    same = tokens[:len(want["greedy"])] == want["greedy"]
    text = f"{'hidden states' if hidden.exists() else 'logits'} {delta:.1e}"
    if family.name in WINDOWS:
        return f"{text} in {rows} rows, the window", delta <= BOUND
    if want["greedy"]:
        text += f", greedy tokens {'the same' if same else 'OTHERS'}"
    return text, same and delta <= BOUND


def main(nibble, source, folder, *names):
    failed = []
    with tempfile.TemporaryDirectory() as at:
        shim = f"{at}/shim"
        build(source, folder, shim)
        for family in sorted(p for p in FAMILIES.iterdir() if p.is_dir()):
            if names and family.name not in names:
                continue
            text, ok = compare(shim, nibble, family)
            known = NOT_THERE.get(family.name)
            print(f"{family.name}: {text}{f' ({known})' if known else ''}", flush=True)
            if not ok and not known:
                failed.append(family.name)
    print(f"{len(failed)} differ: {' '.join(failed)}" if failed else "none differs")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
