#include "runtime/model/sequence_state.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "formats/io/error.h"

namespace nibble {

namespace {

constexpr std::align_val_t kPageAlign{64};

}  // namespace

KvPage::KvPage(int64_t bytes) {
  const auto size = static_cast<size_t>(bytes);
  void* memory = ::operator new(size, kPageAlign, std::nothrow);
  block_ = memory == nullptr ? nullptr : new (std::nothrow) Block;
  if (block_ == nullptr) {
    ::operator delete(memory, kPageAlign);
    fail(ErrorCode::out_of_memory, "keys and values: no memory for a page of {} bytes", bytes);
  }
  std::memset(memory, 0, size);
  block_->bytes = static_cast<std::byte*>(memory);
}

KvPage::~KvPage() {
  if (block_ == nullptr || block_->n_owners.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  ::operator delete(block_->bytes, kPageAlign);
  delete block_;
}

KvLayout KvLayout::of(const ModelConfig& config, KvType type) {
  KvLayout layout;
  layout.type = type;
  int64_t at = 0;
  for (const LayerSpec& s : config.layers) {
    Layer layer;
    layer.k_head = kv_key_bytes(type, s.head_dim_k);
    layer.v_head = kv_value_bytes(type, s.head_dim_v);
    layer.k_offset = at;
    layer.v_offset = at + s.n_head_kv * layer.k_head;
    at = layer.v_offset + s.n_head_kv * layer.v_head;
    layout.layers.push_back(layer);
  }
  layout.page_bytes = at;
  return layout;
}

void SequenceState::reserve(int64_t n) {
  const size_t need = static_cast<size_t>((length_ + n + kKvPageLen - 1) / kKvPageLen);
  const size_t first = static_cast<size_t>(length_ / kKvPageLen);
  if (need > pages_.capacity()) pages_.reserve(std::max(need, 2 * pages_.capacity()));
  if (need > addresses_.capacity()) addresses_.reserve(std::max(need, 2 * addresses_.capacity()));
  for (size_t i = first; i < need; ++i) {
    const bool have = i < pages_.size();
    if (have && pages_[i].is_mine_alone()) continue;
    KvPage own(layout_->page_bytes);
    if (!have) {
      addresses_.push_back(own.bytes());
      pages_.push_back(std::move(own));
      continue;
    }
    if (i * kKvPageLen < static_cast<size_t>(length_)) {  // partly filled: both keep the past
      std::memcpy(own.bytes(), pages_[i].bytes(), static_cast<size_t>(layout_->page_bytes));
    }
    addresses_[i] = own.bytes();
    pages_[i] = std::move(own);
  }
}

void SequenceState::truncate(int64_t n) noexcept {
  if (n >= length_) return;
  length_ = n;
  const size_t keep = static_cast<size_t>((n + kKvPageLen - 1) / kKvPageLen);
  if (keep < pages_.size())
    pages_.erase(pages_.begin() + static_cast<std::ptrdiff_t>(keep), pages_.end());
  addresses_.resize(pages_.size());
}

}  // namespace nibble
