#pragma once
// The checkpoints of llama2.c, its legacy float format (version 0), and its tokenizer.bin:
//
//   i32 dim, hidden, layers, heads, kv heads, vocabulary (negative: an output of its own), context
//   f32 token embeddings; then for each kind of tensor all layers: attention norm, wq, wk, wv, wo,
//   feed-forward norm, w1, w2, w3; final norm; two tables of rotary angles; output, if its own
//
//   i32 longest token; vocabulary x { f32 score, i32 length, bytes }
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nibble {

struct Llama2cTensor {
  const char* name;    // as run.c calls it: "wq"
  int64_t layer = -1;  // -1: once a model
  int64_t rows = 1;
  int64_t cols = 1;
  bool is_vector = false;
  uint64_t offset = 0;  // in the file
};

struct Llama2cModel {
  int64_t dim = 0, hidden = 0, layers = 0, heads = 0, kv_heads = 0, vocab = 0, context = 0;
  bool own_output = false;
  std::vector<Llama2cTensor> tensors;
};

/// name is used in messages. Errors: bad_file; unsupported (a later version, by number).
Llama2cModel read_llama2c(std::span<const std::byte> bytes, const std::string& name);

struct Llama2cToken {
  std::string_view text;  // into the file
  float score = 0;
};
/// n_vocab tokens. Error: bad_file.
std::vector<Llama2cToken> read_llama2c_tokenizer(std::span<const std::byte> bytes, int64_t n_vocab,
                                                 const std::string& name);

}  // namespace nibble
