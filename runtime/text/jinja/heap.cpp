#include "runtime/text/jinja/heap.h"

#include <algorithm>
#include <cstring>

#include "formats/io/error.h"

namespace nibble::jinja {
namespace {
constexpr int64_t kChunkBytes = 64 << 10;
constexpr int64_t kAlign = alignof(std::max_align_t);
}  // namespace

void Heap::out_of_steps() {
  fail(ErrorCode::bad_file, "the template takes too many steps: it was stopped");
}

void Heap::out_of_memory() {
  fail(ErrorCode::bad_file, "the template takes too much memory: it was stopped");
}

void Heap::check_room(int64_t bytes) const {
  if (bytes > bytes_left_) out_of_memory();
}

void Heap::check_count(int64_t count, size_t item_bytes) const {
  if (count > bytes_left_ / static_cast<int64_t>(item_bytes)) out_of_memory();
}

void* Heap::take(int64_t bytes) {
  check_room(bytes);
  const int64_t rounded = (bytes + kAlign - 1) / kAlign * kAlign;
  bytes_left_ -= rounded;
  if (rounded > left_) {
    const int64_t size = std::max(rounded, kChunkBytes);
    auto chunk = std::make_unique_for_overwrite<std::byte[]>(static_cast<size_t>(size));
    std::byte* begin = chunk.get();
    chunks_.push_back(std::move(chunk));
    if (size > kChunkBytes) return begin;  // a large piece of its own; the open chunk stays open
    at_ = begin;
    left_ = size;
  }
  std::byte* out = at_;
  at_ += rounded;
  left_ -= rounded;
  return out;
}

std::string_view Heap::copy(std::string_view text) {
  char* bytes = static_cast<char*>(take(static_cast<int64_t>(text.size())));
  if (!text.empty()) std::memcpy(bytes, text.data(), text.size());
  return {bytes, text.size()};
}

}  // namespace nibble::jinja
