#pragma once
// The merge list of a byte-pair encoding by token ids: pair of ids -> merge, in the order of the
// file (the first is done first).
//
// A merge may name a text that is no token, or one that text must not turn into (a control token):
// such symbols get ids from n_vocab on and are written as the tokens of their bytes.
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "formats/tensor_file.h"
#include "runtime/text/merge.h"
#include "runtime/text/vocab.h"

namespace nibble {

class BpeMerges {
 public:
  /// From tokenizer.ggml.merges. Errors: bad_file if absent, or an item is not two texts with one
  /// space between them; cancelled.
  BpeMerges(const Metadata& meta, const Vocab& vocab, const CancelToken* cancel);

  int32_t size() const noexcept { return static_cast<int32_t>(merges_.size()); }

  /// Index of the merge of two symbols (its rank), -1 if they do not merge.
  int32_t find_pair(int32_t left, int32_t right) const noexcept {
    for (uint64_t at = hash_of(left, right) & mask_;; at = (at + 1) & mask_) {
      const int32_t index = slots_[at];
      if (index < 0) return -1;
      const Merge& merge = merges_[static_cast<size_t>(index)];
      if (merge.left == left && merge.right == right) return index;
    }
  }
  int32_t result(int32_t merge) const noexcept {
    return merges_[static_cast<size_t>(merge)].result;
  }

  /// Spelling of a symbol whose id is n_vocab or above.
  std::string_view extra_text(int32_t id) const noexcept {
    return extra_texts_[static_cast<size_t>(id - n_vocab_)];
  }

  // The rule of run_merges().
  int32_t find(std::span<const MergeSymbol> s, int32_t left, int32_t right) const noexcept {
    return find_pair(s[static_cast<size_t>(left)].id, s[static_cast<size_t>(right)].id);
  }
  int32_t rank(int32_t merge) const noexcept { return merge; }

 private:
  struct Merge {
    int32_t left = -1, right = -1, result = -1;
  };
  static uint64_t hash_of(int32_t left, int32_t right) noexcept {
    const uint64_t pair =
        static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
    const uint64_t mixed = (pair ^ pair >> 29) * 0x9E3779B97F4A7C15u;
    return mixed ^ mixed >> 32;
  }
  int32_t symbol_of(std::string_view text, const Vocab& vocab);
  void insert(int32_t index);

  int32_t n_vocab_ = 0;
  std::vector<Merge> merges_;
  std::vector<int32_t> slots_;  // [power of two] index into merges_, -1: free
  uint64_t mask_ = 0;
  std::deque<std::string> extra_texts_;
  std::unordered_map<std::string_view, int32_t> extra_ids_;
};

/// May running text become this token by merging? Not control, unknown and byte tokens; a
/// user-defined one only if it is spelled the same with and without the byte alphabet.
bool is_mergeable(const Vocab& vocab, int32_t id) noexcept;

}  // namespace nibble
