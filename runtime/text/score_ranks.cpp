// SentencePiece's own BPE numbers its merges: scores 0, -1, -2 ... are their ranks but for the
// sign. Any other scores are sorted.
#include "runtime/text/score_ranks.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "formats/io/bytes.h"
#include "formats/io/error.h"
#include "formats/io/quote.h"
#include "runtime/text/throw_if_cancelled.h"
#include "runtime/text/vocab.h"

namespace nibble {
namespace {

constexpr const char* kKey = "tokenizer.ggml.scores";

// Ranks without sorting, if all scores are whole numbers close to each other. scores: [n_vocab]
// unaligned floats. An empty result: they are not.
ScoreRanks rank_whole(std::span<const std::byte> scores, size_t n_vocab) {
  constexpr float kMost = 1 << 24;  // up to here floats hold every whole number
  ScoreRanks ranks;
  ranks.of.resize(n_vocab);
  int32_t lowest = 1 << 24, highest = -(1 << 24);
  for (size_t i = 0; i < n_vocab; ++i) {
    const auto score = load_le<float>(scores.data() + i * sizeof(float));
    if (!(score >= -kMost && score <= kMost)) return {};  // NaN too
    const auto whole = static_cast<int32_t>(score);
    if (static_cast<float>(whole) != score) return {};
    lowest = std::min(lowest, whole);
    highest = std::max(highest, whole);
    ranks.of[i] = whole;
  }
  ranks.count = highest - lowest + 1;
  // A long text takes memory for every rank (BucketQueue).
  if (static_cast<size_t>(ranks.count) > 4 * n_vocab + 4096) return {};
  for (int32_t& rank : ranks.of) rank = highest - rank;
  return ranks;
}

// Ranks by radix sort.
ScoreRanks rank_sorted(std::span<const float> scores, const CancelToken* cancel) {
  ScoreRanks ranks;
  ranks.of.resize(scores.size());
  // Keys that ascend where scores descend, each above its token's id.
  std::vector<uint64_t> order(scores.size()), other(scores.size());
  for (size_t id = 0; id < scores.size(); ++id) {
    const float score = scores[id] == 0.0F ? 0.0F : scores[id];  // -0 and 0 are one score
    const auto bits = std::bit_cast<uint32_t>(score);
    const uint32_t key = (bits >> 31) != 0 ? bits : ~(bits | 0x80000000u);
    order[id] = static_cast<uint64_t>(key) << 32 | id;
  }
  constexpr int kDigitBits = 11;
  for (int shift = 32; shift < 64; shift += kDigitBits) {
    throw_if_cancelled(cancel);
    std::array<uint32_t, (1 << kDigitBits) + 1> starts = {};
    const auto digit = [&](uint64_t key) { return key >> shift & ((1u << kDigitBits) - 1); };
    for (const uint64_t key : order) ++starts[digit(key) + 1];
    for (size_t d = 1; d < starts.size(); ++d) starts[d] += starts[d - 1];
    for (const uint64_t key : order) other[starts[digit(key)]++] = key;
    order.swap(other);
  }
  int32_t rank = -1;
  for (size_t i = 0; i < order.size(); ++i) {
    if (i == 0 || order[i] >> 32 != order[i - 1] >> 32) ++rank;
    ranks.of[order[i] & 0xFFFFFFFFu] = rank;
  }
  ranks.count = rank + 1;
  return ranks;
}

}  // namespace

ScoreRanks read_score_ranks(const Metadata& meta, size_t n_vocab, const CancelToken* cancel) {
  const MetaValue* value = meta.find(kKey);
  if (value == nullptr) {
    fail(ErrorCode::bad_file, "{}: metadata key {}: expected one score a token, got no such key",
         meta.file(), quoted(kKey));
  }
  if (value->type == MetaType::array) check_array_length(meta, *value, n_vocab);
  if (value->type == MetaType::array && value->item_type == MetaType::f32) {
    ScoreRanks ranks = rank_whole(value->items, n_vocab);
    if (ranks.count > 0) return ranks;
  }
  const std::vector<float> scores = meta.get_floats(kKey).value();
  const auto bad =
      std::find_if(scores.begin(), scores.end(), [](float s) { return std::isnan(s); });
  if (bad != scores.end()) {
    fail(ErrorCode::bad_file, "{}: metadata key {}: item {}: expected a number, got NaN",
         meta.file(), quoted(kKey), bad - scores.begin());
  }
  return rank_sorted(scores, cancel);
}

}  // namespace nibble
