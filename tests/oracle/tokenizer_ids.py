"""Ids that the reference tokenizers give for the two real models, for tokenizer_oracle_test.cpp.

SmolLM2: PyPI `tokenizers`, a BPE built from the GGUF file's tokens and merges, with the steps of the
model's tokenizer.json (digits one by one, byte level). Gemma 3: PyPI `sentencepiece`, a model proto
built from the GGUF file's pieces, scores and types. Made with:
    python tests/oracle/tokenizer_ids.py MODELS_FOLDER tests/fixtures/text
"""
import json
import sys
from pathlib import Path

import sentencepiece
from gguf import GGUFReader
from sentencepiece import sentencepiece_model_pb2 as spm_pb2
from tokenizers import Tokenizer, models, pre_tokenizers

from tokenizer_texts import FIXED, mixes

SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf"
GEMMA3 = "gemma-3-270m-Q4_K_M.gguf"


def strings(reader, name):
    field = reader.fields["tokenizer.ggml." + name]
    return [bytes(field.parts[i]).decode("utf-8") for i in field.data]


def numbers(reader, name):
    field = reader.fields["tokenizer.ggml." + name]
    return [field.parts[i][0].item() for i in field.data]


def byte_level_bpe(path):
    """User-defined and control tokens are left out: the texts have none of them."""
    reader = GGUFReader(path)
    vocab = {text: i for i, text in enumerate(strings(reader, "tokens"))}
    merges = [tuple(m.split(" ")) for m in strings(reader, "merges")]
    tokenizer = Tokenizer(models.BPE(vocab, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    return lambda text: tokenizer.encode(text).ids


def sentencepiece_bpe(path):
    reader = GGUFReader(path)
    proto = spm_pb2.ModelProto()
    kinds = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6}  # GGUF's token types are SentencePiece's
    unk = reader.fields["tokenizer.ggml.unknown_token_id"].contents()
    space_prefix = reader.fields.get("tokenizer.ggml.add_space_prefix")
    for i, (text, score, kind) in enumerate(
            zip(strings(reader, "tokens"), numbers(reader, "scores"), numbers(reader, "token_type"))):
        # The proto spells spaces of user-defined pieces as U+2581; it wants exactly one unknown.
        kind = 2 if i == unk else (3 if kind == 2 else kinds[kind])
        text = text.replace(" ", "\u2581") if kind == 4 else text
        proto.pieces.add(piece=text, score=score, type=kind)
    proto.trainer_spec.model_type = spm_pb2.TrainerSpec.BPE
    proto.trainer_spec.byte_fallback = True
    proto.trainer_spec.unk_piece = strings(reader, "tokens")[unk]
    proto.trainer_spec.vocab_size = len(proto.pieces)
    proto.normalizer_spec.name = "identity"
    proto.normalizer_spec.add_dummy_prefix = space_prefix is None or bool(space_prefix.contents())
    proto.normalizer_spec.remove_extra_whitespaces = False
    proto.normalizer_spec.escape_whitespaces = True
    processor = sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())
    return lambda text: processor.encode(text)


def main():
    models_folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    texts = FIXED + mixes(120, seed=7)
    for name, model, make in [("tokenizer_smollm2", SMOLLM2, byte_level_bpe),
                              ("tokenizer_gemma3", GEMMA3, sentencepiece_bpe)]:
        encode = make(models_folder / model)
        cases = [{"text": t, "ids": encode(t)} for t in texts]
        lines = ",\n".join(json.dumps(c, ensure_ascii=True, separators=(",", ":")) for c in cases)
        (out / (name + ".json")).write_text(f'{{"model":"{model}","cases":[\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
