#pragma once
// Memory for numbers: 64-byte aligned, grows, never shrinks, contents are lost on growth. Much of
// it at once comes in huge pages where the system has them.
#include <cstddef>
#include <cstdint>
#include <utility>

#include "formats/io/error.h"

namespace nibble {

/// nullptr if there is none. free_numbers() wants the same size.
void* allocate_numbers(size_t bytes) noexcept;
void free_numbers(void* memory, size_t bytes) noexcept;

template <typename T>
class Buffer {
 public:
  Buffer() = default;
  ~Buffer() { release(); }
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    swap(other);
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  /// At least n elements. Errors: out_of_memory (the old memory stays).
  void reserve(int64_t n) {
    if (n <= size_) return;
    void* memory = allocate_numbers(static_cast<size_t>(n) * sizeof(T));
    if (memory == nullptr) {
      fail(ErrorCode::out_of_memory, "scratch: no memory for {} bytes",
           n * static_cast<int64_t>(sizeof(T)));
    }
    release();
    data_ = static_cast<T*>(memory);
    size_ = n;
  }
  T* data() const noexcept { return data_; }
  int64_t bytes() const noexcept { return size_ * static_cast<int64_t>(sizeof(T)); }

 private:
  void release() noexcept {
    free_numbers(data_, static_cast<size_t>(bytes()));
    data_ = nullptr;
    size_ = 0;
  }
  void swap(Buffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }

  T* data_ = nullptr;
  int64_t size_ = 0;
};

}  // namespace nibble
