#pragma once
// What a model remembers of one sequence: keys and values of every layer, in pages of kKvPageLen
// positions. Pages are reference-counted: forked sequences share them until one of them writes.
// A page holds, layer after layer, one slab (quant/kv_slab.h) a key/value head: keys [n_head_kv],
// then values [n_head_kv].
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "runtime/model/config.h"

namespace nibble {

/// Where things are inside a page.
struct KvLayout {
  struct Layer {
    int64_t k_offset;  // of head 0, in bytes from the start of the page
    int64_t v_offset;
    int64_t k_head;  // bytes from one head's slab to the next
    int64_t v_head;
  };
  KvType type = KvType::f16;
  int64_t page_bytes = 0;
  std::vector<Layer> layers;

  static KvLayout of(const ModelConfig&, KvType);
  int64_t bytes_per_token() const noexcept { return page_bytes / kKvPageLen; }
};

class SequenceState {
 public:
  explicit SequenceState(std::shared_ptr<const KvLayout> layout) : layout_(std::move(layout)) {}

  int64_t length() const noexcept { return length_; }
  const KvLayout& layout() const noexcept { return *layout_; }

  /// Makes positions [length, length + n) writable: allocates pages and copies a shared last one.
  /// Errors: out_of_memory (the state is as before).
  void reserve(int64_t n);
  /// The n reserved positions now hold something.
  void commit(int64_t n) noexcept { length_ += n; }
  /// Keeps the first n positions; pages behind them are given back.
  void truncate(int64_t n) noexcept;
  /// A second sequence with the same past; costs one reference a page.
  SequenceState fork() const { return *this; }

  const void* const* pages() const noexcept { return addresses_.data(); }
  std::byte* page_of(int64_t pos) const noexcept {
    return static_cast<std::byte*>(addresses_[static_cast<size_t>(pos / kKvPageLen)]);
  }
  int64_t allocated_bytes() const noexcept {
    return static_cast<int64_t>(pages_.size()) * layout_->page_bytes;
  }

 private:
  std::shared_ptr<const KvLayout> layout_;
  std::vector<std::shared_ptr<std::byte>> pages_;
  std::vector<void*> addresses_;  // of pages_, for the kernels
  int64_t length_ = 0;
};

}  // namespace nibble
