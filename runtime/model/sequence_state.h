#pragma once
// What a model remembers of one sequence: keys and values of every layer, in pages of kKvPageLen
// positions. Pages are reference-counted: forked sequences share them until one of them writes.
// A page holds, layer after layer, one slab (quant/kv_slab.h) a key/value head: keys [n_head_kv],
// then values [n_head_kv].
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
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

/// A page and how many sequences have it. Counted here rather than by std::shared_ptr, because who
/// finds itself alone with a page may write to it: that needs the others' last reads to come
/// before.
class KvPage {
 public:
  /// Zeros: a page is also read, and saved, where no position is yet. Errors: out_of_memory.
  explicit KvPage(int64_t bytes);
  KvPage(const KvPage& other) noexcept : block_(other.block_) {
    block_->n_owners.fetch_add(1, std::memory_order_relaxed);
  }
  KvPage(KvPage&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  KvPage& operator=(KvPage other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~KvPage();

  std::byte* bytes() const noexcept { return block_->bytes; }
  bool is_mine_alone() const noexcept {
    return block_->n_owners.load(std::memory_order_acquire) == 1;
  }

 private:
  struct Block {
    std::byte* bytes = nullptr;
    std::atomic<int64_t> n_owners{1};
  };
  Block* block_;
};

class SequenceState {
 public:
  explicit SequenceState(std::shared_ptr<const KvLayout> layout) : layout_(std::move(layout)) {}

  int64_t length() const noexcept { return length_; }
  const KvLayout& layout() const noexcept { return *layout_; }
  std::shared_ptr<const KvLayout> shared_layout() const noexcept { return layout_; }

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
  std::vector<KvPage> pages_;
  std::vector<void*> addresses_;  // of pages_, for the kernels
  int64_t length_ = 0;
};

}  // namespace nibble
