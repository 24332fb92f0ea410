// Reading the merge list. Most merges make the token that follows the one the merge before made,
// so a comparison replaces most look-ups of the result.
#include "runtime/text/bpe_merges.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>

#include "formats/io/error.h"
#include "formats/io/quote.h"
#include "runtime/text/throw_if_cancelled.h"

namespace nibble {

bool is_mergeable(const Vocab& vocab, int32_t id) noexcept {
  switch (vocab.type(id)) {
    case TokenType::control:
    case TokenType::unknown:
    case TokenType::byte:
      return false;
    case TokenType::user_defined: {
      const std::string_view text = vocab.text(id);
      return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
    }
    default:
      return true;
  }
}

int32_t BpeMerges::symbol_of(std::string_view text, const Vocab& vocab) {
  const int32_t id = vocab.table.find(text);
  if (id >= 0 && is_mergeable(vocab, id)) return id;
  const auto known = extra_ids_.find(text);
  if (known != extra_ids_.end()) return known->second;
  const auto extra = static_cast<int32_t>(n_vocab_ + static_cast<int64_t>(extra_texts_.size()));
  extra_ids_.emplace(extra_texts_.emplace_back(text), extra);
  return extra;
}

namespace {

constexpr size_t kBlock = 16;          // merges whose cache misses overlap
constexpr size_t kCancelStep = 65536;  // merges between two looks at the token

// Texts of merge `index`, to[0] and to[1].
void split_merge(const Metadata& meta, const std::string& key, const StringArray& items,
                 size_t index, std::string_view* to) {
  const std::string_view item = items[index];
  const size_t space = item.find(' ', 1);
  if (space == std::string_view::npos || space + 1 == item.size()) {
    fail(ErrorCode::bad_file,
         "{}: metadata key {}: item {}: expected two texts and a space between them, got {}",
         meta.file(), quoted(key), index, quoted(item));
  }
  to[0] = item.substr(0, space);
  to[1] = item.substr(space + 1);
}

// Is token id mergeable and its text left + right?
bool is_joined(const Vocab& vocab, int32_t id, std::string_view left, std::string_view right) {
  if (id >= vocab.size()) return false;
  const std::string_view text = vocab.text(id);
  return text.size() == left.size() + right.size() && text.starts_with(left) &&
         text.ends_with(right) && is_mergeable(vocab, id);
}

}  // namespace

BpeMerges::BpeMerges(const Metadata& meta, const Vocab& vocab, const CancelToken* cancel)
    : n_vocab_(vocab.size()) {
  const std::string key = "tokenizer.ggml.merges";
  const StringArray* items = meta.get_strings(key);
  if (items == nullptr) {
    fail(ErrorCode::bad_file,
         "{}: metadata key {}: expected the merges of a BPE vocabulary, got "
         "no such key",
         meta.file(), quoted(key));
  }
  if (items->size() > static_cast<size_t>(std::numeric_limits<int32_t>::max() / 4)) {
    fail(ErrorCode::bad_file, "{}: metadata key {}: expected less than 2^29 merges, got {}",
         meta.file(), quoted(key), items->size());
  }
  merges_.resize(items->size());
  std::string joined;
  slots_.assign(std::bit_ceil(std::max<size_t>(2 * items->size(), 1)), -1);
  mask_ = slots_.size() - 1;
  // Two texts a merge, looked up a block at a time.
  std::array<std::string_view, 2 * kBlock> texts;
  std::array<int32_t, 2 * kBlock> ids = {};
  int32_t expected = 0;  // what the next merge makes if the vocabulary is in the order of merges
  for (size_t first = 0; first < items->size(); first += kBlock) {
    if (first % kCancelStep == 0) throw_if_cancelled(cancel);
    const size_t n = std::min(kBlock, items->size() - first);
    for (size_t i = 0; i < n; ++i) split_merge(meta, key, *items, first + i, &texts[2 * i]);
    vocab.table.find_all(std::span(texts).first(2 * n), ids);
    for (size_t i = 0; i < 2 * n; ++i) {
      if (ids[i] < 0 || !is_mergeable(vocab, ids[i])) ids[i] = symbol_of(texts[i], vocab);
    }
    for (size_t i = 0; i < n; ++i) {
      __builtin_prefetch(&slots_[hash_of(ids[2 * i], ids[2 * i + 1]) & mask_], 1);
    }
    for (size_t i = 0; i < n; ++i) {
      Merge& merge = merges_[first + i];
      merge = {ids[2 * i], ids[2 * i + 1], expected};
      if (!is_joined(vocab, expected, texts[2 * i], texts[2 * i + 1])) {
        joined.assign(texts[2 * i]).append(texts[2 * i + 1]);
        merge.result = symbol_of(joined, vocab);
      }
      expected = merge.result + 1;
      insert(static_cast<int32_t>(first + i));
    }
  }
}

// The first of equal merges counts; the others keep their place in the order.
void BpeMerges::insert(int32_t index) {
  const Merge& merge = merges_[static_cast<size_t>(index)];
  uint64_t at = hash_of(merge.left, merge.right) & mask_;
  for (; slots_[at] >= 0; at = (at + 1) & mask_) {
    const Merge& other = merges_[static_cast<size_t>(slots_[at])];
    if (other.left == merge.left && other.right == merge.right) return;
  }
  slots_[at] = index;
}

}  // namespace nibble
