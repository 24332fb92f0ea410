#include "runtime/engine/embedder.h"

#include <algorithm>
#include <cmath>

#include "formats/io/error.h"
#include "runtime/model/model.h"
#include "runtime/text/throw_if_cancelled.h"

namespace nibble {
namespace {

// Rows of one forward pass, unless a single text has more.
constexpr int64_t kBatchTokens = 512;

// <arch>.pooling_type, as the ecosystem numbers them.
Pooling pooling_of(int64_t type, const std::string& path) {
  switch (type) {
    case 0:
      return Pooling::none;
    case 1:
      return Pooling::mean;
    case 2:
      return Pooling::cls;
    case 3:
      return Pooling::last;
    default:
      fail(ErrorCode::unsupported,
           "{}: pooling_type: expected 0 to 3 (none, mean, cls, last), got {}", path, type);
  }
}

Pooling choose_pooling(const Engine& engine, const EmbedderOptions& options) {
  if (options.pooling) return *options.pooling;
  const ModelConfig& config = engine.model().config;
  const auto type = engine.file().meta().get_int(config.arch + ".pooling_type");
  // 0 is what converters write when they know of none.
  if (type && *type != 0) return pooling_of(*type, engine.file().path());
  return config.causal ? Pooling::last : Pooling::mean;
}

int64_t choose_dims(const Engine& engine, const EmbedderOptions& options) {
  if (options.n_dims < 0 || options.n_dims > engine.n_embd()) {
    fail(ErrorCode::bad_argument, "dims: expected 1 to {}, got {}", engine.n_embd(),
         options.n_dims);
  }
  return options.n_dims > 0 ? options.n_dims : engine.n_embd();
}

void normalize(std::span<float> row) {
  double sum = 0;
  for (const float v : row) sum += static_cast<double>(v) * static_cast<double>(v);
  if (!(sum > 0)) return;  // a vector without a direction stays
  const double scale = 1 / std::sqrt(sum);
  for (float& v : row) v = static_cast<float>(static_cast<double>(v) * scale);
}

bool begins_code_point(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
}

bool is_space(char c) {
  return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/// Where a text may be cut: before each word, at its end.
std::vector<size_t> word_cuts(std::string_view text) {
  std::vector<size_t> cuts;
  for (size_t i = 1; i < text.size(); ++i) {
    if (!is_space(text[i]) && is_space(text[i - 1])) cuts.push_back(i);
  }
  cuts.push_back(text.size());
  return cuts;
}

}  // namespace

Embedder::Embedder(std::shared_ptr<const Engine> engine, const EmbedderOptions& options)
    : engine_(std::move(engine)),
      options_(options),
      pooling_(choose_pooling(*engine_, options)),
      n_dims_(choose_dims(*engine_, options)),
      states_(engine_, options.n_threads, options.thread_source) {}

std::vector<int32_t> Embedder::tokens_of(std::string_view text) const {
  return engine_->tokenizer().encode(text, true, false);
}

void Embedder::pool(std::span<const float> rows, Embedding& to) const {
  const int64_t n_embd = engine_->n_embd();
  const int64_t n = static_cast<int64_t>(rows.size()) / n_embd;
  to.n_rows = pooling_ == Pooling::none ? n : 1;
  to.values.resize(static_cast<size_t>(to.n_rows * n_dims_));
  const auto row = [&](int64_t i) { return rows.subspan(static_cast<size_t>(i * n_embd)); };
  const auto out = [&](int64_t i) {
    return std::span(to.values).subspan(static_cast<size_t>(i * n_dims_),
                                        static_cast<size_t>(n_dims_));
  };
  if (pooling_ == Pooling::mean) {
    for (int64_t d = 0; d < n_dims_; ++d) {
      double sum = 0;
      for (int64_t i = 0; i < n; ++i)
        sum += static_cast<double>(rows[static_cast<size_t>(i * n_embd + d)]);
      to.values[static_cast<size_t>(d)] = static_cast<float>(sum / static_cast<double>(n));
    }
  } else {
    for (int64_t i = 0; i < to.n_rows; ++i) {
      const auto from = row(pooling_ == Pooling::last ? n - 1 : i);
      std::copy_n(from.begin(), n_dims_, out(i).begin());
    }
  }
  if (!options_.normalize) return;
  for (int64_t i = 0; i < to.n_rows; ++i) normalize(out(i));
}

std::vector<Embedding> Embedder::of(std::span<const std::string> texts, const CancelToken* cancel,
                                    size_t first_number) {
  std::vector<Embedding> all(texts.size());
  std::vector<std::vector<int32_t>> batch;
  size_t first = 0;
  int64_t n_batch = 0;
  const auto run = [&] {
    const std::span<const float> rows = states_.of(batch, cancel);
    size_t at = 0;
    for (size_t i = 0; i < batch.size(); ++i) {
      const size_t n = batch[i].size() * static_cast<size_t>(engine_->n_embd());
      pool(rows.subspan(at, n), all[first + i]);
      at += n;
    }
    first += batch.size();
    batch.clear();
    n_batch = 0;
  };
  for (size_t i = 0; i < texts.size(); ++i) {
    throw_if_cancelled(cancel);
    std::vector<int32_t> ids = tokens_of(texts[i]);
    if (ids.empty())
      fail(ErrorCode::bad_argument, "text {}: expected a token, got none", first_number + i + 1);
    const auto n = static_cast<int64_t>(ids.size());
    if (n > most_tokens() && !options_.truncate) {
      throw Error(ErrorCode::bad_argument,
                  fmt::format("text {}: expected at most {} tokens, got {}", first_number + i + 1,
                              most_tokens(), n),
                  "cut the text into chunks, or have its end left out (truncate)");
    }
    if (n > most_tokens()) {
      // What ends every text ends this one too.
      const int32_t end = ids.back();
      all[i].n_left_out = n - most_tokens();
      ids.resize(static_cast<size_t>(most_tokens()));
      if (engine_->tokenizer().adds_eos()) ids.back() = end;
    }
    all[i].n_tokens = static_cast<int64_t>(ids.size());
    if (!batch.empty() && n_batch + all[i].n_tokens > kBatchTokens) run();
    n_batch += all[i].n_tokens;
    batch.push_back(std::move(ids));
  }
  if (!batch.empty()) run();
  return all;
}

std::vector<TextChunk> Embedder::chunks(std::string_view text, int64_t n_tokens,
                                        int64_t overlap) const {
  const auto around = static_cast<int64_t>(tokens_of("").size());
  if (overlap < 0 || n_tokens - around <= overlap || n_tokens > most_tokens()) {
    fail(ErrorCode::bad_argument,
         "chunk: expected more than {} tokens (overlap {} and {} around each text) and at most {}, "
         "got {}",
         overlap + around, overlap, around, most_tokens(), n_tokens);
  }
  const auto count = [&](size_t begin, size_t end) {
    return static_cast<int64_t>(tokens_of(text.substr(begin, end - begin)).size());
  };
  // The furthest of the cuts behind `begin` up to which the text has at most n tokens; 0: none.
  const auto furthest = [&](const std::vector<size_t>& cuts, size_t begin, int64_t n) {
    const auto from = std::upper_bound(cuts.begin(), cuts.end(), begin);
    const auto end =
        std::partition_point(from, cuts.end(), [&](size_t cut) { return count(begin, cut) <= n; });
    return end == from ? size_t{0} : *(end - 1);
  };
  const std::vector<size_t> words = word_cuts(text);
  std::vector<TextChunk> out;
  for (size_t begin = 0, done = 0; begin < text.size();) {
    size_t end = furthest(words, begin, n_tokens);
    if (end <= done) {  // the word behind the overlap needs the room
      begin = done;
      end = furthest(words, begin, n_tokens);
    }
    if (end == 0) {  // a word that is too long by itself
      std::vector<size_t> cuts;
      for (size_t i = begin + 1;
           i <= text.size() && cuts.size() <= static_cast<size_t>(n_tokens) * 64; ++i) {
        if (i == text.size() || begins_code_point(text[i])) cuts.push_back(i);
      }
      end = std::max(furthest(cuts, begin, n_tokens), cuts.front());
    }
    out.push_back({begin, end});
    done = end;
    if (end >= text.size()) break;
    // Back by whole words, as long as they are within the overlap.
    size_t next = end;
    for (auto cut = std::lower_bound(words.begin(), words.end(), end); cut != words.begin();) {
      --cut;
      if (*cut <= begin || count(*cut, end) - around > overlap) break;
      next = *cut;
    }
    begin = next;
  }
  return out;
}

double similarity(Similarity kind, std::span<const float> a, std::span<const float> b) noexcept {
  double dot = 0, aa = 0, bb = 0, apart = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double x = a[i], y = b[i];
    dot += x * y;
    aa += x * x;
    bb += y * y;
    apart += (x - y) * (x - y);
  }
  switch (kind) {
    case Similarity::dot:
      return dot;
    case Similarity::euclidean:
      return -std::sqrt(apart);
    case Similarity::cosine:
      break;
  }
  return aa > 0 && bb > 0 ? dot / std::sqrt(aa * bb) : 0;
}

}  // namespace nibble
