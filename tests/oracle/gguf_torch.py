"""A GGUF model as a float32 transformers model, and its tokenizer, without any code of nibble.

The tensors are decoded by the `gguf` package and loaded into LlamaForCausalLM or
Gemma3ForCausalLM whose config is written here from the file's metadata. Two things are undone
that writers of GGUF do: llama's query and key rows are stored permuted for adjacent-pair RoPE,
and gemma's norm weights are stored with their 1 already added.

    from gguf_torch import load_model, load_tokenizer
"""
import numpy as np
import torch
import gguf
import transformers

torch.set_grad_enabled(False)


class Metadata(dict):
    """The keys of a file; strings and arrays as Python values."""

    def __init__(self, reader):
        super().__init__()
        for key, field in reader.fields.items():
            self[key] = field.contents()


def _decoded(reader):
    for t in reader.tensors:
        shape = [int(n) for n in reversed(t.shape)]
        data = gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32, copy=False)
        yield t.name, torch.from_numpy(np.array(data).reshape(shape))


def _unpermute(w, n_head):
    """Rows (head, pair, which of the pair) back to (head, which half, pair)."""
    rows, cols = w.shape
    half = rows // n_head // 2
    return w.reshape(n_head, half, 2, cols).swapaxes(1, 2).reshape(rows, cols)


LAYER_NAMES = {
    "attn_norm.weight": "input_layernorm.weight",
    "attn_q.weight": "self_attn.q_proj.weight",
    "attn_k.weight": "self_attn.k_proj.weight",
    "attn_v.weight": "self_attn.v_proj.weight",
    "attn_output.weight": "self_attn.o_proj.weight",
    "attn_q_norm.weight": "self_attn.q_norm.weight",
    "attn_k_norm.weight": "self_attn.k_norm.weight",
    "ffn_gate.weight": "mlp.gate_proj.weight",
    "ffn_up.weight": "mlp.up_proj.weight",
    "ffn_down.weight": "mlp.down_proj.weight",
}
LLAMA_NAMES = LAYER_NAMES | {"ffn_norm.weight": "post_attention_layernorm.weight"}
GEMMA3_NAMES = LAYER_NAMES | {
    "post_attention_norm.weight": "post_attention_layernorm.weight",
    "ffn_norm.weight": "pre_feedforward_layernorm.weight",
    "post_ffw_norm.weight": "post_feedforward_layernorm.weight",
}
TOP_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}


def _llama_config(m, tied):
    return transformers.LlamaConfig(
        vocab_size=len(m["tokenizer.ggml.tokens"]),
        hidden_size=m["llama.embedding_length"],
        intermediate_size=m["llama.feed_forward_length"],
        num_hidden_layers=m["llama.block_count"],
        num_attention_heads=m["llama.attention.head_count"],
        num_key_value_heads=m["llama.attention.head_count_kv"],
        max_position_embeddings=m["llama.context_length"],
        rms_norm_eps=m["llama.attention.layer_norm_rms_epsilon"],
        rope_parameters={"rope_type": "default", "rope_theta": m["llama.rope.freq_base"]},
        tie_word_embeddings=tied,
        attn_implementation="eager",
    )


def _gemma3_config(m, tied):
    # Not in the file: every sixth layer attends to everything, the others through the window with
    # a RoPE base of 10000; scores are scaled by head_dim^-1/2 in this size of the model.
    n_layer = m["gemma3.block_count"]
    kinds = ["full_attention" if (i + 1) % 6 == 0 else "sliding_attention" for i in range(n_layer)]
    rope = {
        "full_attention": {"rope_type": "default", "rope_theta": m["gemma3.rope.freq_base"]},
        "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
    }
    return transformers.Gemma3TextConfig(
        vocab_size=len(m["tokenizer.ggml.tokens"]),
        hidden_size=m["gemma3.embedding_length"],
        intermediate_size=m["gemma3.feed_forward_length"],
        num_hidden_layers=n_layer,
        num_attention_heads=m["gemma3.attention.head_count"],
        num_key_value_heads=m["gemma3.attention.head_count_kv"],
        head_dim=m["gemma3.attention.key_length"],
        query_pre_attn_scalar=m["gemma3.attention.key_length"],
        max_position_embeddings=m["gemma3.context_length"],
        rms_norm_eps=m["gemma3.attention.layer_norm_rms_epsilon"],
        sliding_window=m["gemma3.attention.sliding_window"],
        layer_types=kinds,
        rope_parameters=rope,
        tie_word_embeddings=tied,
        attn_implementation="eager",
    )


def load_model(path):
    """The model in float32, eval mode."""
    reader = gguf.GGUFReader(path)
    m = Metadata(reader)
    arch = m["general.architecture"]
    if arch not in ("llama", "gemma3"):
        raise SystemExit(f"{path}: architecture {arch}: this oracle knows llama and gemma3")
    names = LLAMA_NAMES if arch == "llama" else GEMMA3_NAMES
    state = {}
    for name, w in _decoded(reader):
        if name in TOP_NAMES:
            target = TOP_NAMES[name]
        elif name.startswith("blk."):
            _, layer, rest = name.split(".", 2)
            target = f"model.layers.{layer}.{names[rest]}"
        else:
            raise SystemExit(f"{path}: tensor {name}: no counterpart")
        if arch == "llama" and name.endswith("attn_q.weight"):
            w = _unpermute(w, m["llama.attention.head_count"])
        if arch == "llama" and name.endswith("attn_k.weight"):
            w = _unpermute(w, m["llama.attention.head_count_kv"])
        if arch == "gemma3" and "norm" in name:
            w = w - 1.0
        state[target] = w
    tied = "lm_head.weight" not in state
    if tied:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    if arch == "llama":
        model = transformers.LlamaForCausalLM(_llama_config(m, tied))
    else:
        model = transformers.Gemma3ForCausalLM(_gemma3_config(m, tied))
    model.load_state_dict(state, strict=True)
    return model.float().eval(), m


class ByteLevelBpe:
    """Hugging Face `tokenizers` over the file's vocabulary and merges (SmolLM2's pre-tokenizer)."""

    def __init__(self, m):
        from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
        tokens = m["tokenizer.ggml.tokens"]
        kinds = m["tokenizer.ggml.token_type"]
        merges = [tuple(line.split(" ")) for line in m["tokenizer.ggml.merges"]]
        vocab = {t: i for i, t in enumerate(tokens)}
        if m["tokenizer.ggml.pre"] != "smollm":
            raise SystemExit("this oracle knows the pre-tokenizer smollm")
        self.tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
        self.tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
        self.tokenizer.decoder = decoders.ByteLevel()
        self.tokenizer.add_special_tokens(
            [AddedToken(t, normalized=False, special=True) for t, k in zip(tokens, kinds) if k == 3])
        self.bos = []  # tokenizer.ggml.add_bos_token is false

    def encode(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False).ids


class SentencePieceBpe:
    """Google's `sentencepiece` over a model written from the file's pieces, scores and types."""

    def __init__(self, m):
        import sentencepiece
        from sentencepiece import sentencepiece_model_pb2 as pb
        proto = pb.ModelProto()
        kind = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6}  # GGUF numbers them as sentencepiece does
        for text, score, t in zip(m["tokenizer.ggml.tokens"], m["tokenizer.ggml.scores"],
                                  m["tokenizer.ggml.token_type"]):
            piece = proto.pieces.add()
            # User-defined pieces are matched in normalized text, where spaces are U+2581; GGUF
            # spells them with plain spaces.
            piece.piece = text.replace(" ", "\u2581") if t == 4 else text
            piece.score, piece.type = score, kind[t]
        unknown = proto.pieces[m["tokenizer.ggml.unknown_token_id"]]
        unknown.type = 2
        proto.trainer_spec.model_type = 2  # BPE
        proto.trainer_spec.byte_fallback = True
        proto.trainer_spec.unk_id = m["tokenizer.ggml.unknown_token_id"]
        proto.trainer_spec.bos_id = m["tokenizer.ggml.bos_token_id"]
        proto.trainer_spec.eos_id = m["tokenizer.ggml.eos_token_id"]
        proto.trainer_spec.pad_id = m["tokenizer.ggml.padding_token_id"]
        proto.normalizer_spec.name = "identity"
        proto.normalizer_spec.add_dummy_prefix = bool(m["tokenizer.ggml.add_space_prefix"])
        proto.normalizer_spec.remove_extra_whitespaces = False
        proto.normalizer_spec.escape_whitespaces = True
        self.processor = sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())
        self.bos = [m["tokenizer.ggml.bos_token_id"]] if m["tokenizer.ggml.add_bos_token"] else []

    def encode(self, text):
        return self.processor.encode(text)


def load_tokenizer(m):
    """encode(text) -> ids without BOS; .bos is the list to put in front."""
    return ByteLevelBpe(m) if m["tokenizer.ggml.model"] == "gpt2" else SentencePieceBpe(m)
