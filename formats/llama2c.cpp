#include "formats/llama2c.h"

#include <cmath>
#include <optional>

#include "formats/io/bytes.h"
#include "formats/io/checked.h"
#include "formats/io/error.h"

namespace nibble {
namespace {

constexpr uint32_t kLaterMagic = 0x616b3432;  // "ak42": versions 1 (float) and 2 (int8)
constexpr int64_t kMaxWidth = 1 << 20;
constexpr int64_t kMaxLayers = 4096;

class Layout {
 public:
  Layout(Llama2cModel& model, uint64_t file_bytes, const std::string& name)
      : model_(model), file_bytes_(file_bytes), name_(name) {}

  // [layers][rows, cols], layers -1: one.
  void add(const char* tensor, bool each_layer, int64_t rows, int64_t cols, bool is_vector) {
    const int64_t n = each_layer ? model_.layers : 1;
    for (int64_t layer = 0; layer < n; ++layer) {
      const uint64_t begin = at_;
      skip(rows, cols);
      model_.tensors.push_back({tensor, each_layer ? layer : -1, rows, cols, is_vector, begin});
    }
  }
  void skip(int64_t rows, int64_t cols) {
    // Both are below 2^31, so the product of bytes is below 2^64.
    const auto bytes = checked_mul(static_cast<uint64_t>(rows * cols), sizeof(float));
    const auto end = bytes ? checked_add(at_, *bytes) : std::nullopt;
    if (!end || *end > file_bytes_) refuse();
    at_ = *end;
  }
  void finish() const {
    if (at_ != file_bytes_) refuse();
  }

 private:
  [[noreturn]] void refuse() const {
    throw Error(
        ErrorCode::bad_file,
        fmt::format("{}: expected the tensors that a llama2.c header of dim {}, hidden {}, "
                    "{} layers and {} tokens asks for, got {} bytes",
                    name_, model_.dim, model_.hidden, model_.layers, model_.vocab, file_bytes_),
        "convert reads model folders, safetensors, GGUF and llama2.c checkpoints");
  }

  Llama2cModel& model_;
  uint64_t file_bytes_;
  const std::string& name_;
  uint64_t at_ = 7 * sizeof(int32_t);
};

}  // namespace

Llama2cModel read_llama2c(std::span<const std::byte> bytes, const std::string& name) {
  ByteReader reader(bytes, name);
  Llama2cModel m;
  const auto first = reader.read<int32_t>("header");
  if (static_cast<uint32_t>(first) == kLaterMagic) {
    fail(ErrorCode::unsupported, "{}: expected llama2.c's legacy float format, got version {}",
         name, reader.read<int32_t>("version"));
  }
  m.dim = first;
  for (int64_t* field : {&m.hidden, &m.layers, &m.heads, &m.kv_heads, &m.vocab, &m.context}) {
    *field = reader.read<int32_t>("header");
  }
  m.own_output = m.vocab < 0;
  m.vocab = std::abs(m.vocab);
  const auto within = [](int64_t value, int64_t most) { return value >= 1 && value <= most; };
  if (!within(m.dim, kMaxWidth) || !within(m.hidden, kMaxWidth) || !within(m.layers, kMaxLayers) ||
      !within(m.heads, m.dim) || !within(m.kv_heads, m.heads) || m.dim % m.heads != 0 ||
      m.dim / m.heads % 2 != 0 || m.heads % m.kv_heads != 0 || m.vocab < 1 || m.context < 1) {
    throw Error(
        ErrorCode::bad_file,
        fmt::format("{}: expected the header of a llama2.c checkpoint, got dim {}, hidden "
                    "{}, {} layers, {} heads, {} of keys, {} tokens, context {}",
                    name, m.dim, m.hidden, m.layers, m.heads, m.kv_heads, m.vocab, m.context),
        "convert reads model folders, safetensors, GGUF and llama2.c checkpoints");
  }
  const int64_t kv_dim = m.dim / m.heads * m.kv_heads;
  Layout layout(m, bytes.size(), name);
  layout.add("token_embedding_table", false, m.vocab, m.dim, false);
  layout.add("rms_att_weight", true, 1, m.dim, true);
  layout.add("wq", true, m.dim, m.dim, false);
  layout.add("wk", true, kv_dim, m.dim, false);
  layout.add("wv", true, kv_dim, m.dim, false);
  layout.add("wo", true, m.dim, m.dim, false);
  layout.add("rms_ffn_weight", true, 1, m.dim, true);
  layout.add("w1", true, m.hidden, m.dim, false);
  layout.add("w2", true, m.dim, m.hidden, false);
  layout.add("w3", true, m.hidden, m.dim, false);
  layout.add("rms_final_weight", false, 1, m.dim, true);
  layout.skip(m.context, m.dim / m.heads);  // cosines and sines, which are computed anew
  if (m.own_output) layout.add("wcls", false, m.vocab, m.dim, false);
  layout.finish();
  return m;
}

std::vector<Llama2cToken> read_llama2c_tokenizer(std::span<const std::byte> bytes, int64_t n_vocab,
                                                 const std::string& name) {
  ByteReader reader(bytes, name);
  (void)reader.read<int32_t>("longest token");
  if (static_cast<uint64_t>(n_vocab) > reader.remaining() / 8) {
    fail(ErrorCode::bad_file, "{}: expected {} tokens, got {} bytes", name, n_vocab, bytes.size());
  }
  std::vector<Llama2cToken> tokens(static_cast<size_t>(n_vocab));
  for (Llama2cToken& token : tokens) {
    token.score = reader.read<float>("score");
    if (!std::isfinite(token.score)) {
      fail(ErrorCode::bad_file, "{}: byte {}: expected a finite score", name, reader.pos() - 4);
    }
    const auto length = reader.read<int32_t>("length");
    if (length < 0) {
      fail(ErrorCode::bad_file, "{}: byte {}: expected a length, got {}", name, reader.pos() - 4,
           length);
    }
    token.text = as_text(reader.take(static_cast<uint64_t>(length), "token"));
  }
  return tokens;
}

}  // namespace nibble
