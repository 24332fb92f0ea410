"""Token ids of nibble against PyPI `tokenizers` and `sentencepiece`, one tokenizer of each kind.

  tokenizer_kinds.py check NIBBLE [COUNT]  makes a model folder for each kind, converts it with NIBBLE
                                           and compares the ids of COUNT (100,000) seeded texts:
                                           multilingual mixes and random code points
  tokenizer_kinds.py fixtures FOLDER       writes FOLDER/NAME.json (tokenizer, texts, ids) of the
                                           small kinds; tests/fixtures/text/kinds was made so

Vocabularies are trained here on the texts of tokenizer_texts.py; byte-level BPE takes that of GPT-2
or of the family itself from ../shared/data/vocabs and the patterns of tokenizer_pre_types.py.
Needs tokenizers, sentencepiece, safetensors, numpy, gguf, and zstd on the path.
"""
import base64
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import unicodedata

import numpy as np
import sentencepiece
from gguf import GGUFReader
from safetensors.numpy import save_file
from sentencepiece import sentencepiece_model_pb2 as spm_pb2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers, processors, trainers

from tokenizer_pre_types import PRE_TYPES
from tokenizer_texts import FIXED, PARTS, mixes

VOCABS = pathlib.Path(__file__).resolve().parents[3] / "shared" / "data" / "vocabs"
# Words that are long, marks, compatibility characters, what looks like a token.
ODD = ["ﬁ", "Ａ", "①", "ﷺ", "Å", "Å", "A\u030a", "ｶﾞ", "㍿", "İ", "ẞ", "Σς", "\u200b", "\ufeff", "\u2028",
       "≠", ";", "各", "豈", "\u302e\u0301", "각", "x" * 99, "y" * 101, "\u2581", "\u2581\u2581", "[CLS]",
       "##ing", "e\u0301\u0327", "ǅ", "𝒳", "\U0001d165", "`", "´", "~"]
CORPUS = [t for t in FIXED if len(t) < 400] * 2 + mixes(3000, seed=3) + [
    "The quick brown fox jumps over the lazy dog and then there is the other thing that they said.",
    "Der schnelle braune Fuchs springt über den faulen Hund.", "Le renard brun saute par-dessus le chien.",
    "Быстрая коричневая лиса прыгает через ленивую собаку.", "素早い茶色の狐がのろまな犬を飛び越える。"] * 20

# Punctuation that came after the Unicode version of `tokenizers`' tables; nibble's are newer.
WORDS = pre_tokenizers.BertPreTokenizer()
NEWER = {c for c in map(chr, range(0x80, 0xE1000)) if unicodedata.category(c)[0] == "P"
         and len(WORDS.pre_tokenize_str(f"a{c}b")) == 1}


def texts(count):
    rng = random.Random(17)
    out = [t for t in FIXED if "\0" not in t]  # nibble's texts end with a zero byte here
    while len(out) < count:
        if len(out) % 2:
            pick = [rng.choice(PARTS if rng.random() < 0.8 else ODD) for _ in range(rng.randint(1, 14))]
        else:
            top = rng.choice([0x80, 0x250, 0x1000, 0x3400, 0x10000, 0x20000, 0xE1000])
            points = (rng.randrange(1, top) for _ in range(rng.randint(1, 12)))
            pick = [chr(c) for c in points if not 0xD800 <= c < 0xE000 and chr(c) not in NEWER]
        out.append("".join(pick))
    return out


def train_sentencepiece(kind, size, **more):
    with tempfile.TemporaryDirectory() as folder:
        text = pathlib.Path(folder, "text")
        text.write_text("\n".join(" ".join(CORPUS).splitlines()))
        options = dict(normalization_rule_name="nmt_nfkc", character_coverage=0.9995, minloglevel=2,
                       hard_vocab_limit=False)
        sentencepiece.SentencePieceTrainer.train(
            input=str(text), model_prefix=f"{folder}/m", model_type=kind, vocab_size=size,
            **{**options, **more})
        return pathlib.Path(folder, "m.model").read_bytes()


def sentencepieces(*args, **more):
    model = train_sentencepiece(*args, **more)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    return {"tokenizer.model": model}, lambda batch: processor.encode(batch), len(processor)


def of_json(tokenizer):
    """None where the vocabulary lacks bytes of a text: tokenizers drops them, nibble says U+FFFD."""
    def encode(batch):
        found = [e.ids for e in tokenizer.encode_batch(batch, add_special_tokens=False)]
        if not isinstance(tokenizer.model, models.BPE):
            return found
        return [ids if tokenizer.decode(ids, skip_special_tokens=False) == text else None
                for text, ids in zip(batch, found)]
    return {"tokenizer.json": tokenizer.to_str().encode()}, encode, tokenizer.get_vocab_size()


def wordpiece(size=4000, **options):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer(**options)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.train_from_iterator(CORPUS, trainers.WordPieceTrainer(
        vocab_size=size, show_progress=False, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"]))
    t.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return of_json(t)


def unigram_json(size=3000, **options):
    """The reference is the sentencepiece model that the file is made of: `tokenizers` maps whole
    graphemes where sentencepiece maps characters, and breaks ties of equal sums in another way."""
    proto = spm_pb2.ModelProto.FromString(train_sentencepiece("unigram", size, **options))
    t = Tokenizer(models.Unigram([(p.piece, p.score) for p in proto.pieces], unk_id=0,
                                 byte_fallback=options.get("byte_fallback", False)))
    t.normalizer = normalizers.Sequence([
        normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap),
        normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), "\u2581")])
    t.pre_tokenizer = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always")
    t.add_special_tokens(["<unk>", "<s>", "</s>"])
    processor = sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())
    files, _, n_vocab = of_json(t)
    return files, lambda batch: processor.encode(batch), n_vocab


def read_vocab(name):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "v.gguf")
        path.write_bytes(subprocess.run(["zstd", "-dc", VOCABS / f"{name}.gguf.zst"], check=True,
                                        capture_output=True).stdout)
        fields = GGUFReader(path).fields
        return (fields["tokenizer.ggml.tokens"].contents(),
                fields["tokenizer.ggml.merges"].contents() if "tokenizer.ggml.merges" in fields else [])


def bert_bge():
    """Its vocabulary as the source spells it: GGUF marks starts of words, the source the others."""
    tokens, _ = read_vocab("bert-bge")
    vocab = {}
    for i, token in enumerate(tokens):
        vocab[token[1:] if token[0] == "\u2581" else token if token[0] == "[" and len(token) > 1
              else "##" + token] = i
    t = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer()
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return of_json(t)


def byte_level(name):
    own = name if (VOCABS / f"{name}.gguf.zst").exists() else "gpt-2"
    tokens, merges = read_vocab(own)
    alphabet = set(pre_tokenizers.ByteLevel.alphabet())
    t = Tokenizer(models.BPE({text: i for i, text in enumerate(tokens)},
                             [tuple(m.split(" ")) for m in merges], ignore_merges=name in (
                                 "llama-bpe", "tekken", "youtu", "minicpm5")))
    assert alphabet <= set(tokens) or own != "gpt-2"
    t.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(p), behavior="isolated") for p in PRE_TYPES[name]] +
        [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    return of_json(t)


KINDS = {
    "wordpiece bert-bge": bert_bge,
    "wordpiece lower case": wordpiece,
    "wordpiece cased": lambda: wordpiece(lowercase=False),
    "wordpiece lower case with accents": lambda: wordpiece(strip_accents=False),
    "unigram": lambda: sentencepieces("unigram", 3000),
    "unigram nfkc_cf": lambda: sentencepieces("unigram", 3000, normalization_rule_name="nmt_nfkc_cf"),
    "unigram with bytes": lambda: sentencepieces("unigram", 3000, byte_fallback=True),
    "unigram, identity, all spaces": lambda: sentencepieces(
        "unigram", 3000, normalization_rule_name="identity", remove_extra_whitespaces=False,
        add_dummy_prefix=False),
    "unigram tokenizer.json": unigram_json,
    "sentencepiece bpe": lambda: sentencepieces(
        "bpe", 3000, byte_fallback=True, normalization_rule_name="identity",
        remove_extra_whitespaces=False),
}
KINDS.update({f"byte-level bpe {name}": lambda name=name: byte_level(name) for name in PRE_TYPES})

# The smallest charts and vocabularies that still have every branch.
RULES = {"ﬁ": "fi", "Ａ": "A", "①": "1", "\t": " ", "\n": " ", "\u3000": " ", "\u200b": "", "e\u0301": "é",
         "…": "...", "㌔": "キロ"}


def small_rules(folder):
    path = pathlib.Path(folder, "rules.tsv")
    lines = ["\t".join(" ".join(f"{ord(c):X}" for c in part) for part in rule) for rule in RULES.items()]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def small_kinds(folder):
    rules = dict(normalization_rule_tsv=small_rules(folder), normalization_rule_name="user_defined")
    ascii_only = dict(character_coverage=0.98)
    return {
        "wordpiece": lambda: wordpiece(700),
        "wordpiece_cased": lambda: wordpiece(700, lowercase=False),
        "unigram": lambda: sentencepieces("unigram", 400, **rules, **ascii_only),
        "unigram_bytes": lambda: sentencepieces("unigram", 600, byte_fallback=True, **rules, **ascii_only),
        "unigram_spaces": lambda: sentencepieces(
            "unigram", 400, normalization_rule_name="identity", remove_extra_whitespaces=False,
            add_dummy_prefix=False, **ascii_only),
        "unigram_json": lambda: unigram_json(400, **rules, **ascii_only),
    }


def fixtures(out):
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    samples = texts(250)
    with tempfile.TemporaryDirectory() as folder:
        for name, make in small_kinds(folder).items():
            files, encode, size = make()
            case = {"n_vocab": size, "texts": samples, "ids": encode(samples)}
            for file, content in files.items():
                text = file == "tokenizer.json"
                case[file] = json.loads(content) if text else base64.b64encode(content).decode()
            (out / f"{name}.json").write_text(json.dumps(case, separators=(",", ":")) + "\n")


def write_folder(folder, files, n_vocab):
    """A llama of one layer around the tokenizer, so that convert takes the folder."""
    shape = dict(hidden_size=32, intermediate_size=32, num_attention_heads=1, num_key_value_heads=1,
                 num_hidden_layers=1, rms_norm_eps=1e-5, max_position_embeddings=64)
    config = dict(architectures=["LlamaForCausalLM"], model_type="llama", vocab_size=n_vocab,
                  tie_word_embeddings=True, torch_dtype="float32", **shape)
    (folder / "config.json").write_text(json.dumps(config))
    for name, content in files.items():
        (folder / name).write_bytes(content)
    layer = "model.layers.0."
    square = np.zeros((32, 32), np.float32)
    tensors = {"model.embed_tokens.weight": np.zeros((n_vocab, 32), np.float32),
               "model.norm.weight": np.ones(32, np.float32)}
    for name in ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
                 "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]:
        tensors[f"{layer}{name}.weight"] = square.copy()
    for name in ["input_layernorm", "post_attention_layernorm"]:
        tensors[f"{layer}{name}.weight"] = np.ones(32, np.float32)
    save_file(tensors, folder / "model.safetensors")


def processes_plain(name):
    """sentencepiece takes no special tokens out of a text; `tokenizers` always does."""
    return name.startswith(("unigram", "sentencepiece"))


def newer_characters(name):
    """Code points that `tokenizers` and nibble take from different versions of Unicode: its WordPiece
    knows marks, punctuation and format characters of version 8, its patterns characters that Debian's PCRE2 (version
    14, as this Python's) does not have yet."""
    points = [c for c in map(chr, range(0x110000)) if not "\ud800" <= c < "\ue000"]
    if name.startswith("byte-level"):
        return {c for c in points if unicodedata.category(c) == "Cn"}
    if not name.startswith("wordpiece"):
        return set()
    strip = normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=False,
                                       strip_accents=True, lowercase=False)
    clean = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=False,
                                       strip_accents=False, lowercase=False)
    cut = pre_tokenizers.BertPreTokenizer()
    return {c for c in points
            if (unicodedata.category(c) == "Mn") != (strip.normalize_str(c) == "")
            or (unicodedata.category(c)[0] == "P") > (len(cut.pre_tokenize_str(f"x{c}y")) == 3)
            or unicodedata.category(c) == "Cf" and clean.normalize_str(f"x{c}y") != "xy"
            or unicodedata.category(c) == "Cn"}


def check(nibble, count=100000, only=""):
    samples = texts(int(count))
    failed = 0
    for name, make in KINDS.items():
        if only not in name:
            continue
        files, encode, size = make()
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary)
            write_folder(folder, files, size)
            done = subprocess.run([nibble, "convert", folder, folder / "m.gguf"], capture_output=True,
                                  text=True)
            if done.returncode:
                print(f"{name}: {done.stderr.strip()}")
                failed += 1
                continue
            out = subprocess.run(
                [nibble, "tokenize", "-m", folder / "m.gguf", "--no-bos", "-0", "-f", "-"]
                + ["--special"] * (not processes_plain(name)), check=True,
                input=b"".join(t.encode() + b"\0" for t in samples), capture_output=True).stdout
        got = [[int(i) for i in line.split()] for line in out.decode().splitlines()]
        assert len(got) == len(samples)
        cases = [c for c in zip(samples, encode(samples), got) if c[1] is not None]
        wrong = [(t, w, g) for t, w, g in cases if w != g]
        newer = newer_characters(name) if wrong else set()
        explained = [t for t, w, g in wrong if newer & set(t)]
        wrong = [case for case in wrong if not newer & set(case[0])]
        print(f"{name}: {len(cases)} texts, {len(wrong)} differ" + (
            f"; {len(explained)} more, with characters of a newer Unicode" if explained else ""),
            flush=True)
        for t, w, g in wrong[:4]:
            print(f"  {t!a}\n    expected {w}\n    got      {g}")
        failed += bool(wrong)
    sys.exit(failed > 0)


if __name__ == "__main__":
    {"check": check, "fixtures": fixtures}[sys.argv[1]](*sys.argv[2:])
