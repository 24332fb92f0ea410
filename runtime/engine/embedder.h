#pragma once
// Texts as vectors: hidden states of a model, pooled over a text's tokens. Encoders and decoders
// alike.
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/engine/engine.h"
#include "runtime/engine/hidden_states.h"

namespace nibble {

enum class Pooling : uint8_t {
  none,  // a vector for each token
  mean,
  cls,   // the first token's
  last,  // the last token's
};

struct EmbedderOptions {
  /// None: as the file says (<arch>.pooling_type); where it does not, mean for encoders and last
  /// for decoders.
  std::optional<Pooling> pooling;
  /// The first so many numbers of each vector, for models that were trained for that (Matryoshka);
  /// 0: all.
  int64_t n_dims = 0;
  bool normalize = true;  // to length 1, after n_dims
  bool truncate = false;  // leaves out the end of a text that is too long, which is an error else
  int n_threads = 0;      // 0: what suits the machine
  ThreadSource thread_source;  // where they come from
};

struct Embedding {
  int64_t n_tokens = 0;       // of the text, with those that the model puts around it
  int64_t n_left_out = 0;     // by truncate
  int64_t n_rows = 1;         // n_tokens without pooling
  std::vector<float> values;  // [n_rows, n_dims]
};

/// A piece of a text, by bytes.
struct TextChunk {
  size_t begin = 0;
  size_t end = 0;
};

/// One thread at a time uses it; memory is kept from call to call.
class Embedder {
 public:
  /// Errors: bad_argument (n_dims), unsupported (the file asks for a pooling that is not there).
  Embedder(std::shared_ptr<const Engine> engine, const EmbedderOptions& options);

  Pooling pooling() const noexcept { return pooling_; }
  int64_t n_dims() const noexcept { return n_dims_; }
  int64_t most_tokens() const noexcept { return states_.most_tokens(); }

  /// A text's vector is the same bits in any company. Messages count texts from first_number + 1.
  /// Errors: bad_argument (a text is too long: its
  /// number, its tokens and how many fit; it has no tokens), out_of_memory, cancelled.
  std::vector<Embedding> of(std::span<const std::string> texts, const CancelToken* cancel = nullptr,
                            size_t first_number = 0);

  /// Pieces of at most n_tokens tokens, counted as of() does, that end between words where they can
  /// and begin about `overlap` tokens before the end of the one before. Errors: bad_argument
  /// (n_tokens leaves no room for text, or is not more than overlap).
  std::vector<TextChunk> chunks(std::string_view text, int64_t n_tokens, int64_t overlap) const;

 private:
  std::vector<int32_t> tokens_of(std::string_view text) const;
  void pool(std::span<const float> rows, Embedding& to) const;

  std::shared_ptr<const Engine> engine_;
  EmbedderOptions options_;
  Pooling pooling_;
  int64_t n_dims_;
  HiddenStates states_;
};

enum class Similarity : uint8_t { cosine, dot, euclidean };

/// Of two vectors of one length. More is more alike: euclidean is the distance, negated.
double similarity(Similarity kind, std::span<const float> a, std::span<const float> b) noexcept;

}  // namespace nibble
