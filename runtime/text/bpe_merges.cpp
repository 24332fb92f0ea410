// Reading the merge list. Most merges make the token that follows the one the merge before made,
// so a comparison replaces most look-ups of the result.
#include "runtime/text/bpe_merges.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "formats/io/error.h"
#include "formats/io/quote.h"

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

BpeMerges::BpeMerges(const Metadata& meta, const Vocab& vocab) : n_vocab_(vocab.size()) {
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
  merges_.reserve(items->size());
  slots_.assign(std::bit_ceil(2 * items->size() + 1), -1);
  mask_ = slots_.size() - 1;
  std::string joined;
  int32_t expected = 0;  // what the merge would make if the vocabulary is in the order of merges
  for (size_t i = 0; i < items->size(); ++i) {
    const std::string_view item = (*items)[i];
    const size_t space = item.find(' ', 1);
    if (space == std::string_view::npos || space + 1 == item.size()) {
      fail(ErrorCode::bad_file,
           "{}: metadata key {}: item {}: expected two texts and a space "
           "between them, got {}",
           meta.file(), quoted(key), i, quoted(item));
    }
    const std::string_view left = item.substr(0, space), right = item.substr(space + 1);
    Merge merge{symbol_of(left, vocab), symbol_of(right, vocab), -1};
    joined.assign(left).append(right);
    const bool predicted =
        expected < n_vocab_ && vocab.text(expected) == joined && is_mergeable(vocab, expected);
    merge.result = predicted ? expected : symbol_of(joined, vocab);
    expected = merge.result + 1;
    // The first of equal merges counts; the others keep their place in the order.
    if (find_pair(merge.left, merge.right) < 0) {
      uint64_t at = hash_of(merge.left, merge.right) & mask_;
      while (slots_[at] >= 0) at = (at + 1) & mask_;
      slots_[at] = static_cast<int32_t>(i);
    }
    merges_.push_back(merge);
  }
}

}  // namespace nibble
