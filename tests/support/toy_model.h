#pragma once
// A tiny seeded model of an architecture, as GGUF bytes: 2 layers (gemma3: 7, so that one is
// global), widths that are not powers of two, grouped heads, F32 weights, a SentencePiece
// vocabulary of bytes and a few letters. Enough to run the whole path in milliseconds.
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/gguf_builder.h"

namespace nibble::test {

struct ToyShape {
  uint32_t n_embd = 48;
  uint32_t n_head = 3;
  uint32_t n_head_kv = 1;
  uint32_t head_dim = 16;
  uint32_t n_ff = 80;
  uint32_t n_layer = 2;
  uint32_t window = 0;
  bool tied = true;  // the output head is the embedding
  /// The bytes of a matrix of another type than F32, which goes to `type`; "" leaves it F32.
  std::function<std::string(std::string_view name, int64_t rows, int64_t cols, uint32_t& type)>
      matrix = {};
};

/// Reproducible floats in [-scale, scale).
class ToyRandom {
 public:
  explicit ToyRandom(uint64_t seed) : state_(seed * 2862933555777941757ULL + 3037000493ULL) {}
  float next(float scale) {
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return scale * (static_cast<float>(state_ >> 40) / 8388608.0f - 1.0f);
  }
  std::vector<float> floats(size_t n, float scale, float offset = 0.0f) {
    std::vector<float> v(n);
    for (float& f : v) f = offset + next(scale);
    return v;
  }

 private:
  uint64_t state_;
};

inline void add_toy_vocab(GgufBuilder& b) {
  std::vector<std::string> tokens = {"<unk>", "<s>", "</s>"};
  std::vector<float> scores(3, 0.0f);
  std::vector<int32_t> types = {2, 3, 3};
  const char* hex = "0123456789ABCDEF";
  for (int i = 0; i < 256; ++i) {
    tokens.push_back(std::string("<0x") + hex[i / 16] + hex[i % 16] + ">");
    scores.push_back(0.0f);
    types.push_back(6);
  }
  for (const char* piece : {"\xE2\x96\x81", "t", "h", "e", "th", "the", "\xE2\x96\x81the"}) {
    tokens.push_back(piece);
    scores.push_back(-static_cast<float>(tokens.size()));
    types.push_back(1);
  }
  b.add_string("tokenizer.ggml.model", "llama");
  b.add_strings("tokenizer.ggml.tokens", tokens);
  b.add_f32s("tokenizer.ggml.scores", scores);
  b.add_i32s("tokenizer.ggml.token_type", types);
  b.add_u32("tokenizer.ggml.bos_token_id", 1);
  b.add_u32("tokenizer.ggml.eos_token_id", 2);
  b.add_u32("tokenizer.ggml.unknown_token_id", 0);
}

inline constexpr int64_t kToyVocab = 3 + 256 + 7;

/// change() may replace how a hyperparameter is written; it gets the key without the prefix and
/// returns true if it wrote (or left out) the key itself.
inline std::string toy_model(
    const std::string& arch, ToyShape s = {},
    const std::function<bool(GgufBuilder&, std::string_view, const std::string&)>& change = {}) {
  if (arch == "gemma3" && s.n_layer == 2) {
    s.n_layer = 7;
    s.window = 5;
  }
  GgufBuilder b;
  b.add_string("general.architecture", arch);
  const auto u32 = [&](std::string_view key, uint32_t v) {
    const std::string full = arch + "." + std::string(key);
    if (!change || !change(b, key, full)) b.add_u32(full, v);
  };
  u32("block_count", s.n_layer);
  u32("context_length", 256);
  u32("embedding_length", s.n_embd);
  u32("feed_forward_length", s.n_ff);
  u32("attention.head_count", s.n_head);
  u32("attention.head_count_kv", s.n_head_kv);
  u32("attention.key_length", s.head_dim);
  u32("attention.value_length", s.head_dim);
  u32("rope.dimension_count", s.head_dim);
  if (s.window > 0) u32("attention.sliding_window", s.window);
  const auto f32 = [&](std::string_view key, float v) {
    const std::string full = arch + "." + std::string(key);
    if (!change || !change(b, key, full)) b.add_f32(full, v);
  };
  f32("attention.layer_norm_rms_epsilon", 1e-5f);
  f32("rope.freq_base", 10000.0f);
  add_toy_vocab(b);

  ToyRandom random(7);
  const auto matrix = [&](const std::string& name, int64_t rows, int64_t cols) {
    uint32_t type = 0;
    const std::string bytes = s.matrix ? s.matrix(name, rows, cols, type) : "";
    if (!bytes.empty()) return b.add_tensor(name, {rows, cols}, type, bytes.data(), bytes.size());
    b.add_tensor(name, {rows, cols}, random.floats(static_cast<size_t>(rows * cols), 0.25f));
  };
  const auto norm = [&](const std::string& name, int64_t n) {
    b.add_tensor(name, {n}, random.floats(static_cast<size_t>(n), 0.2f, 1.0f));
  };
  const bool gemma = arch == "gemma3";
  matrix("token_embd.weight", kToyVocab, s.n_embd);
  norm("output_norm.weight", s.n_embd);
  if (!s.tied) matrix("output.weight", kToyVocab, s.n_embd);
  for (uint32_t i = 0; i < s.n_layer; ++i) {
    const std::string blk = "blk." + std::to_string(i) + ".";
    norm(blk + "attn_norm.weight", s.n_embd);
    matrix(blk + "attn_q.weight", s.n_head * s.head_dim, s.n_embd);
    matrix(blk + "attn_k.weight", s.n_head_kv * s.head_dim, s.n_embd);
    matrix(blk + "attn_v.weight", s.n_head_kv * s.head_dim, s.n_embd);
    matrix(blk + "attn_output.weight", s.n_embd, s.n_head * s.head_dim);
    norm(blk + "ffn_norm.weight", s.n_embd);
    matrix(blk + "ffn_gate.weight", s.n_ff, s.n_embd);
    matrix(blk + "ffn_up.weight", s.n_ff, s.n_embd);
    matrix(blk + "ffn_down.weight", s.n_embd, s.n_ff);
    if (gemma) {
      norm(blk + "attn_q_norm.weight", s.head_dim);
      norm(blk + "attn_k_norm.weight", s.head_dim);
      norm(blk + "post_attention_norm.weight", s.n_embd);
      norm(blk + "post_ffw_norm.weight", s.n_embd);
    }
  }
  return b.build();
}

}  // namespace nibble::test
